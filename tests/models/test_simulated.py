"""The simulated model: what it draws, that it keeps to budgets on both of its ways, and its clock."""

from __future__ import annotations

import selectors
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import anyio
import pytest

from ttc import Budget, Candidate, ConfigurationError, Ledger, Outcome, Price, Sample, Sampling, Session, solve
from ttc.models.meter import Meter
from ttc.models.population import Population
from ttc.models.simulated import Confidence, Latency, Lengths, Revising, Simulated
from ttc.models.virtual_clock import run
from ttc.types import Message, Request

PRICE = Price(prompt=1.0, generated=10.0)


def draw(
    model: Simulated, n: int, *, problem: int = 0, budget: Budget | None = None, seed: int = 0, **sampling: Any
) -> list[Candidate]:
    """Draw n samples of one problem."""

    async def all_of_them() -> list[Candidate]:
        query = model.population.query(problem)
        ledger = Ledger(budget, price=model.price)
        session = Session(query, model, ledger, sampling=Sampling(**sampling), seed=seed)
        async with session.sample(n=n) as samples:
            return [candidate async for candidate in samples]

    return run(all_of_them)


def rights(model: Simulated, drawn: Sequence[Candidate], *, problem: int = 0) -> list[bool]:
    query = model.population.query(problem)
    return [model.population.is_right(query, candidate) for candidate in drawn]


def allowed(p: float, n: int) -> float:
    """Four standard errors of a share of n."""
    return 4 * (p * (1 - p) / n) ** 0.5


def solved(model: Simulated, spec: str, *, problem: int = 0, **settings: Any) -> Outcome:
    async def one() -> Outcome:
        return await solve(model.population.query(problem), spec, model, **settings)

    return run(one)


# -- what it draws ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_samples_are_right_with_p(p: float) -> None:
    model = Simulated(Population(p=p))
    assert abs(fmean(rights(model, draw(model, 3000))) - p) <= allowed(p, 3000)


def test_wrong_answers_come_up_as_often_as_they_are_told_to() -> None:
    model = Simulated(Population(p=0.4, wrong=(3.0, 2.0, 1.0)))
    problem = model.population.problem("simulated problem 0")
    answers = [candidate.answer for candidate in draw(model, 3000)]
    assert set(answers) == {problem.right, *problem.wrong}
    for answer, share in zip((problem.right, *problem.wrong), (0.4, 0.3, 0.2, 0.1), strict=True):
        assert abs(answers.count(answer) / 3000 - share) <= allowed(share, 3000)


def test_abilities_of_a_population() -> None:
    drawn = Population(p=(0.3, 2.0), seed=5)
    abilities = [drawn.problem(query.prompt).p for query in drawn.queries(2000)]
    assert abs(fmean(abilities) - 0.3 / 2.3) <= 4 * stdev(abilities) / 2000**0.5
    variance = 0.3 * 2 / (2.3**2 * 3.3)
    assert stdev(abilities) == pytest.approx(variance**0.5, rel=0.1)
    assert abilities == [Population(p=(0.3, 2.0), seed=5).problem(q.prompt).p for q in drawn.queries(2000)]
    assert Population(p={"simulated problem 1": 0.25}).problem("simulated problem 1").p == 0.25
    assert Population(p=lambda prompt: 0.5 / len(prompt)).problem("ab").p == 0.25


def test_problems_have_answers_of_their_own_which_follow_from_the_seed() -> None:
    population = Population(wrong=(1.0, 1.0))
    answers = [a for q in population.queries(50) for p in [population.problem(q.prompt)] for a in (p.right, *p.wrong)]
    assert len(set(answers)) == 150
    assert (
        Population(seed=1).problem("?").right
        != Population(seed=0).problem("?").right
        == Population().problem("?").right
    )


def test_a_population_or_a_model_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"p=1.5 of '\?' is no probability"):
        Population(p=1.5).problem("?")
    for wrong in ((), (1.0, -1.0), (0.0,)):
        with pytest.raises(ConfigurationError, match="at least one above zero"):
            Population(wrong=wrong)
    with pytest.raises(ConfigurationError, match="both parameters of a Beta are above zero"):
        Population(p=(0, 1)).problem("?")
    with pytest.raises(ConfigurationError, match="failures=2 is no share"):
        Simulated(Population(), failures=2)


def test_lengths_have_their_mean_and_their_factors() -> None:
    model = Simulated(Population(p=0.5), lengths=Lengths(mean=200, sigma=0.6, right=0.5, wrong=2.0))
    drawn = draw(model, 3000, max_tokens=100_000)
    right = rights(model, drawn)
    for expected, which in ((100, True), (400, False)):
        tokens = [c.sample.usage.generated for c, r in zip(drawn, right, strict=True) if r is which]
        assert abs(fmean(tokens) - expected) <= 4 * stdev(tokens) / len(tokens) ** 0.5 + 0.5  # tokens are whole
    assert {c.sample.usage.generated for c in draw(Simulated(Population(), lengths=Lengths(mean=0.1)), 5)} == {1}


def test_a_sample_that_is_too_long_says_nothing() -> None:
    for latency in (None, Latency()):
        model = Simulated(Population(), lengths=Lengths(mean=100), latency=latency)
        (candidate,) = draw(model, 1, max_tokens=99)
        assert (candidate.answer, candidate.sample.finish, candidate.sample.usage.generated) == (None, "length", 99)
        (whole,) = draw(model, 1, max_tokens=100)
        assert (whole.sample.finish, whole.answer is None) == ("stop", False)


def test_calls_fail_as_often_as_they_are_told_to() -> None:
    for latency in (None, Latency()):
        model = Simulated(Population(), failures=0.2, latency=latency)
        failed = [candidate for candidate in draw(model, 1500) if not candidate.sample.ok]
        assert abs(len(failed) / 1500 - 0.2) <= allowed(0.2, 1500)
        assert {(c.answer, c.sample.error) for c in failed} == {(None, "a simulated failure")}
    outcome = solved(Simulated(Population(), failures=1.0), "majority:n=4")
    assert (outcome.ended_by, outcome.answer, outcome.error) == ("all_calls_failed", None, "a simulated failure")


def test_logprobs_tell_how_sure_a_sample_is_and_only_where_they_are_asked_for() -> None:
    confidence = Confidence(right=12.0, wrong=8.0, sigma=1.0)
    for latency in (None, Latency()):
        model = Simulated(Population(), confidence=confidence, lengths=Lengths(mean=3), latency=latency)
        drawn = draw(model, 800, logprobs=5)
        right = rights(model, drawn)
        assert all([len(row) for row in c.sample.top_logprobs] == [5, 5, 5] for c in drawn)
        for expected, which in ((12, True), (8, False)):
            sure = [-fmean(c.sample.top_logprobs[0]) for c, r in zip(drawn, right, strict=True) if r is which]
            assert abs(fmean(sure) - expected) <= 4 * stdev(sure) / len(sure) ** 0.5
            assert stdev(sure) == pytest.approx(1.0, rel=0.2)
        plain = draw(model, 800)
        assert plain[0].sample.top_logprobs == ()
        assert [c.answer for c in plain] == [c.answer for c in drawn]  # looking changes nothing


def test_voters_take_turns() -> None:
    model = Simulated(Population(p=0.5), voters=(1.0, 0.3, 0.0))
    right = rights(model, draw(model, 3000))
    assert all(right[0::3])
    assert not any(right[2::3])
    assert abs(fmean(right[1::3]) - 0.3) <= allowed(0.3, 1000)


# -- revisions --------------------------------------------------------------------------------------------------------


def revised(model: Simulated, before: Sequence[Candidate], *, seed: int = 0) -> list[Candidate]:
    """Revise each attempt once."""

    async def all_of_them() -> list[Candidate]:
        query = model.population.query(0)
        session = Session(query, model, Ledger(), seed=seed)
        return [await session.generate(shows(session, attempt), kind="revise") for attempt in before]

    def shows(session: Session, attempt: Candidate) -> list[Message]:
        return [
            *session.messages,
            {"role": "assistant", "content": attempt.sample.text},
            {"role": "user", "content": "Again?"},
        ]

    return run(all_of_them)


def test_a_revision_mends_and_breaks_the_attempt_that_it_is_shown() -> None:
    n = 2000
    model = Simulated(Population(p=0.5, wrong=(1.0,) * 5), revising=Revising(fix=0.6, breaks=0.3, stuck=0.5))
    first = draw(model, n)
    second = revised(model, first)
    third = revised(model, second, seed=1)
    kept = [b.answer for a, b in zip(first, second, strict=True) if a.answer == b.answer]
    assert 0 < len(kept) < n
    was, now, later = (rights(model, attempts) for attempts in (first, second, third))
    mended = [b for a, b in zip(was, now, strict=True) if not a]
    broken = [not b for a, b in zip(was, now, strict=True) if a]
    assert abs(fmean(mended) - 0.5 * 0.6) <= allowed(0.3, len(mended))
    assert abs(fmean(broken) - 0.3) <= allowed(0.3, len(broken))
    for a, b, right, right_then in zip(first, second, was, now, strict=True):
        if not right and not right_then:
            assert a.answer == b.answer  # who cannot mend an attempt stays with it
    # Who is stuck stays so: among chains that were wrong twice they are the more frequent.
    mended_then = [c for a, b, c in zip(was, now, later, strict=True) if not (a or b)]
    expected = 0.6 * (0.5 * 0.4) / (0.5 + 0.5 * 0.4)
    assert abs(fmean(mended_then) - expected) <= allowed(expected, len(mended_then))


def test_a_revision_that_is_shown_nothing_is_a_fresh_sample() -> None:
    model = Simulated(Population(p=1.0), revising=Revising(fix=0.0, breaks=1.0))
    cut = Candidate(None, Sample(text="", finish="cut"))
    (again,) = revised(model, [cut])
    assert rights(model, [again]) == [True]


# -- one seed, one sample ---------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_sample_however_many_run_at_once() -> None:
    def samples(seed: int = 0, **ways: Any) -> list[Sample]:
        model = Simulated(Population(), lengths=Lengths(mean=80, sigma=0.8), failures=0.1, **ways)
        return [replace(c.sample, latency=0.0) for c in draw(model, 40, seed=seed, max_tokens=5000)]

    instant = samples()
    assert [s.index for s in instant] == list(range(40))
    assert len({s.seed for s in instant}) == 40
    for in_flight in (1, 3, 64):
        for sigma in (0.0, 1.0):  # which changes who finishes first
            assert samples(latency=Latency(sigma=sigma), in_flight=in_flight) == instant
    assert samples(latency=Latency(), interval=1) == instant
    assert [s.text for s in samples(seed=1)] != [s.text for s in instant]


def test_the_same_position_draws_the_same_sample_in_every_strategy() -> None:
    model = Simulated(Population(p=0.5))
    events = [solved(model, spec).trace for spec in ("single", "majority:n=9,stop=never", "majority:n=9,wave=2")]
    one, nine, waves = ([e["answer"] for e in trace if e["event"] == "sample"] for trace in events)
    assert one == nine[:1]
    assert waves == nine[: len(waves)]


# -- budgets ----------------------------------------------------------------------------------------------------------

BUDGETS = [
    Budget(generated_tokens=900),
    Budget(generated_tokens=5),
    Budget(total_tokens=900),
    Budget(calls=7),
    Budget(dollars=0.009),
    Budget(generated_tokens=900, calls=9),
]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("latency", [None, Latency(sigma=1.0)], ids=["instant", "live"])
@pytest.mark.parametrize("failures", [0.0, 0.3])
def test_a_budget_is_kept_and_all_of_it_is_accounted_for(
    budget: Budget, latency: Latency | None, failures: float
) -> None:
    for seed in range(10):
        model = Simulated(
            Population(), lengths=Lengths(mean=100, sigma=0.7), latency=latency, failures=failures, price=PRICE
        )
        outcome = solved(model, "majority:n=32,stop=never", budget=budget, seed=seed, problem=seed)
        usage = outcome.total_usage
        assert outcome.ended_by == "budget"
        assert outcome.dollars == pytest.approx(PRICE.of(usage))
        assert usage.generated <= (budget.generated_tokens or 10**9)
        assert usage.total <= (budget.total_tokens or 10**9)
        assert sum(outcome.calls.values()) == model.sent <= (budget.calls or 10**9)
        assert PRICE.of(usage) <= (budget.dollars or 10**9)
        assert model.generated <= usage.generated
        assert usage.upper_bound or model.generated == usage.generated
        consumed = [event for event in outcome.trace if event["event"] == "sample"]
        assert sum(event["generated"] for event in consumed) == usage.generated
        assert usage.prompt_tokens <= 20 * model.sent
        assert model.running == model.limiter.borrowed_tokens == 0


@pytest.mark.parametrize("latency", [None, Latency()], ids=["instant", "live"])
def test_what_the_budget_cut_says_nothing_and_is_charged(latency: Latency | None) -> None:
    model = Simulated(Population(p=1.0), lengths=Lengths(mean=100), latency=latency, in_flight=1)
    outcome = solved(model, "majority:n=8,stop=never,wave=1", budget=Budget(generated_tokens=250))
    ends = [(event["finish"], event["answer"] is None) for event in outcome.trace if event["event"] == "sample"]
    assert ends == [("stop", False), ("stop", False), ("cut", True)]
    assert outcome.generated_tokens == model.generated == 250
    assert outcome.warnings[-1] == "1 samples were cut by the budget"


def test_queries_that_share_a_ledger_keep_to_it_together() -> None:
    for latency in (None, Latency(sigma=1.0)):
        model = Simulated(Population(), lengths=Lengths(mean=100, sigma=0.7), latency=latency)
        parent = Ledger(Budget(generated_tokens=2000))

        async def all_of_them(model: Simulated = model, parent: Ledger = parent) -> None:
            async with anyio.create_task_group() as group:
                for query in model.population.queries(10):
                    group.start_soon(lambda q=query: solve(q, "majority:n=16", model, parent=parent))

        run(all_of_them)
        assert model.generated <= parent.spent.generated <= 2000
        assert parent.spent.generated > 1900
        assert parent.leased_tokens == 0


# -- the clock --------------------------------------------------------------------------------------------------------


class Watched(Simulated):
    """Knows how many calls ran at a time at the most."""

    peak = 0

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        self.peak = max(self.peak, self.running + 1)
        return await super().call(request, meter)


def test_calls_take_the_seconds_that_their_tokens_take() -> None:
    latency = Latency(first=0.5, per_token=0.02)
    at_once = Simulated(Population(), lengths=Lengths(mean=100), latency=latency)
    assert solved(at_once, "majority:n=8,stop=never").seconds == pytest.approx(2.5)
    assert [c.sample.latency for c in draw(at_once, 8)] == pytest.approx([2.5] * 8)
    assert solved(at_once, "majority:n=8,stop=never,wave=2").seconds == pytest.approx(4 * 2.5)


@pytest.mark.parametrize("in_flight", [1, 3, 8])
def test_no_more_calls_run_at_a_time_than_are_allowed(in_flight: int) -> None:
    model = Watched(
        Population(), lengths=Lengths(mean=100), latency=Latency(first=0.5, per_token=0.02), in_flight=in_flight
    )
    outcome = solved(model, "majority:n=12,stop=never")
    assert model.peak == in_flight
    assert outcome.seconds == pytest.approx(-(-12 // in_flight) * 2.5)


def test_paces_of_calls_vary() -> None:
    model = Simulated(Population(), lengths=Lengths(mean=100), latency=Latency(first=0, per_token=1.0, sigma=0.5))
    seconds = [candidate.sample.latency for candidate in draw(model, 500)]
    assert abs(fmean(s < 100 for s in seconds) - 0.5) <= allowed(0.5, 500)  # the median is the pace of all
    assert max(seconds) > 200


def test_a_virtual_deadline_cuts_hours_of_work_without_any_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 s of work, by 20 s of which 10 samples are there; the loop never waits, and takes few steps."""
    waits: list[float | None] = []
    select = selectors.DefaultSelector.select

    def watched(self: selectors.DefaultSelector, timeout: float | None = None) -> Any:
        waits.append(timeout)
        return select(self, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", watched)
    model = Simulated(
        Population(p=1.0), lengths=Lengths(mean=100), latency=Latency(first=1.0, per_token=0.09), in_flight=10
    )
    outcome = solved(
        model, "majority:n=1000,stop=never", budget=Budget(seconds=20.0), sampling=Sampling(max_tokens=500)
    )
    assert (outcome.ended_by, outcome.seconds) == ("deadline", 20.0)
    assert outcome.checkpoints[-1].samples == 20 - 10
    assert outcome.answer == model.population.problem("simulated problem 0").right
    assert model.sent == 20  # those that were under way are charged, as a bound
    assert outcome.calls == {"generate": 20}
    assert outcome.total_usage.upper_bound
    assert model.generated <= outcome.generated_tokens <= 10 * 100 + 10 * (100 + model.overrun)
    assert model.running == model.limiter.borrowed_tokens == 0
    assert set(waits) <= {0, None}
    assert len(waits) < 1000


def test_the_virtual_clock_starts_at_zero_and_keeps_the_order_of_events() -> None:
    async def story() -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []

        async def tell(what: str, after: float) -> None:
            await anyio.sleep(after)
            told.append((what, anyio.current_time()))

        told.append(("start", anyio.current_time()))
        async with anyio.create_task_group() as group:
            for what, after in (("century", 3.2e9), ("now", 0.0), ("hour", 3600.0), ("second", 1.0)):
                group.start_soon(tell, what, after)
        return told

    told = run(story)
    assert [what for what, _ in told] == ["start", "now", "second", "hour", "century"]
    assert [when for _, when in told] == pytest.approx([0, 0, 1, 3600, 3.2e9])
