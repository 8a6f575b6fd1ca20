"""A batch under one total: its tokens go where they buy most, none is spent twice, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import pi, sin, sqrt
from typing import Any, ClassVar

import anyio
import pytest
from pydantic import Field

from ttc import (
    Budget,
    Candidate,
    ConfigurationError,
    Ledger,
    Outcome,
    Population,
    Query,
    Sample,
    Sampling,
    Session,
    Simulated,
    Strategy,
    registry,
    solve_many,
)
from ttc.adaptive.allocation import Greedy
from ttc.adaptive.gains import PosteriorGains
from ttc.adaptive.posterior import Beta
from ttc.models import virtual_clock
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.models.simulated import Latency, Lengths
from ttc.statistics import paired_difference
from ttc.strategy import make_strategy
from ttc.types import Request
from ttc.verifiers.simulated import SimulatedVerifier

pytestmark = pytest.mark.anyio

TOKENS = 20  # of a sample


class Coverage(Strategy):
    """Draws all that it may and stops at nothing; right as soon as one sample passes. What theory counts."""

    prefix_valid: ClassVar[bool] = True

    n: int = Field(64, ge=1)

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=self.n, whole=True, scored=True) as samples:
            async for candidate in samples:
                if session.candidate is None or candidate.score == 1:
                    session.propose(candidate)


class KnownGains:
    """The gains of theory: of ability p alone, whatever the samples say."""

    def __init__(self, population: Population) -> None:
        self.population = population

    def gain(self, session: Session, drawn: Sequence[Candidate], wave: int) -> float:
        missed = 1 - self.population.problem(str(session.messages[-1]["content"])).p
        return missed ** len(drawn) * (1 - missed**wave)


def of_abilities(*abilities: float, **more: Any) -> Population:
    return Population(p={f"simulated problem {i}": p for i, p in enumerate(abilities)}, **more)


def arcsine(seed: int) -> Population:
    return of_abilities(*(sin(pi / 2 * (i + 0.5) / 1000) ** 2 for i in range(1000)), seed=seed)


async def batch(
    population: Population, n: int, strategy: str | Strategy, samples: float, *, verified: bool = False, **settings: Any
) -> list[Outcome]:
    """Solve n queries with so many samples of 20 tokens each, in the mean."""
    settings = {"verifier": SimulatedVerifier(population=population)} | settings if verified else settings
    model = settings.pop("model", None) or Simulated(population)
    total = Budget(generated_tokens=round(samples * n * TOKENS))
    return await solve_many(population.queries(n), strategy, model, total=total, **settings)


def drawn(outcomes: Sequence[Outcome]) -> list[int]:
    return [o.calls.get("generate", 0) for o in outcomes]


def rights(population: Population, outcomes: Sequence[Outcome]) -> list[bool]:
    return [population.is_right(population.query(i), o.answer) for i, o in enumerate(outcomes)]


# -- the values of theory, drawn --------------------------------------------------------------------------------------


def within_error(population: Population, outcomes: Sequence[Outcome], expected: float) -> bool:
    """Whether the share of right answers is within three standard errors."""
    found = rights(population, outcomes)
    return abs(sum(found) / len(found) - expected) < 3 * sqrt(expected * (1 - expected) / len(found))


async def test_uniform_allocation_covers_what_theory_says():
    outcomes = await batch(arcsine(1), 1000, Coverage(), 8, verified=True, allocate="uniform")
    assert set(drawn(outcomes)) == {8}
    assert within_error(arcsine(1), outcomes, 0.8036)


async def test_greedy_allocation_on_known_gains_covers_what_theory_says():
    population = arcsine(1)
    how = Greedy(first=1, gains=KnownGains(population))
    outcomes = await batch(population, 1000, Coverage(), 8, verified=True, allocate=how)
    assert sum(drawn(outcomes)) == 8000
    assert within_error(population, outcomes, 0.8655)


async def test_stopping_at_the_first_success_covers_what_theory_says_at_its_cost():
    population = arcsine(1)
    outcomes = await batch(population, 1000, "best_of_n:n=50,wave=1", 50, verified=True)
    assert within_error(population, outcomes, 0.9204)
    assert sum(drawn(outcomes)) / 1000 == pytest.approx(7.96, abs=3 * 15 / sqrt(1000))  # the sd of a query is 15


async def test_greedy_allocation_on_posteriors_stops_at_successes_and_comes_as_far():
    population = arcsine(1)
    outcomes = await batch(population, 1000, "best_of_n:n=50", 8, verified=True, allocate="greedy")
    assert within_error(population, outcomes, 0.9204)
    assert sum(drawn(outcomes)) <= 8000


async def test_votes_are_more_accurate_for_the_same_tokens():
    population = Population(p=(2.0, 1.0), wrong=[1.0] * 50, seed=3)
    model = Simulated(population, lengths=Lengths(mean=400, sigma=1.0))
    total = Budget(generated_tokens=400 * 6 * 400)
    scores: dict[str, dict[str, list[float]]] = {}
    for how in ("uniform", "greedy"):
        outcomes = await solve_many(population.queries(400), "majority:n=64", model, total=total, allocate=how)
        scores[how] = {o.query_id: [float(r)] for o, r in zip(outcomes, rights(population, outcomes), strict=True)}
        assert sum(o.generated_tokens for o in outcomes) <= 400 * 6 * 400
    gain = paired_difference(scores["greedy"], scores["uniform"])
    assert gain.low > 0


# -- who gets what ----------------------------------------------------------------------------------------------------


async def test_every_query_gets_a_first_wave_before_any_gets_a_second():
    whole = Sampling(max_tokens=TOKENS, force_answer=0)
    outcomes = await batch(Population(p=0.5), 50, "majority:n=64", 4, allocate="greedy", sampling=whole)
    assert set(drawn(outcomes)) == {4}


async def test_where_the_total_does_not_carry_whole_first_waves_everybody_gets_a_part():
    whole = Sampling(max_tokens=TOKENS, force_answer=0)
    outcomes = await batch(Population(p=0.5), 50, "majority:n=64", 2, allocate="greedy", sampling=whole)
    assert set(drawn(outcomes)) == {2}


async def test_where_it_does_not_carry_one_sample_each_the_first_ones_are_answered():
    outcomes = await batch(Population(p=0.5), 50, "majority:n=64", 0.5, allocate="greedy")
    assert drawn(outcomes) == [1] * 25 + [0] * 25
    assert [o.ended_by for o in outcomes[25:]] == ["budget"] * 25
    assert all(o.answer is None for o in outcomes[25:])


@pytest.mark.parametrize("how", ["greedy", "uniform"])
@pytest.mark.parametrize("concurrency", [4, 64])
async def test_whoever_gets_nothing_is_told_why(how: str, concurrency: int):
    outcomes = await batch(Population(p=0.5), 50, "majority:n=64", 0.5, allocate=how, concurrency=concurrency)
    idle = [o for o in outcomes if not o.calls]
    assert idle
    for outcome in outcomes:
        told = [w for w in outcome.warnings if "handed out before the query's turn came" in w]
        assert len(told) == (outcome in idle)
    assert all(o.answer or o.warnings for o in outcomes)


async def test_tokens_leave_what_is_solved_for_what_is_not():
    population = of_abilities(1.0, 1.0, 1.0, 0.0)
    outcomes = await batch(population, 4, "best_of_n:n=64", 8, verified=True, allocate="greedy")
    assert drawn(outcomes) == [1, 1, 1, 29]
    assert [o.ended_by for o in outcomes] == ["stopped_early"] * 3 + ["budget"]


async def test_tokens_leave_a_vote_that_is_decided():
    outcomes = await batch(of_abilities(1.0, 0.5), 2, "majority:n=64", 16, allocate="greedy:least=0.001")
    assert outcomes[0].ended_by == "stopped_early"
    assert drawn(outcomes)[0] < 8 < drawn(outcomes)[1]
    stop = next(e for e in outcomes[0].trace if e["event"] == "stop")
    assert stop["why"] == "more samples gain too little"


async def test_where_tokens_abound_hopeless_votes_are_given_up():
    spread = of_abilities(0.0, 0.0, 0.0, wrong=[1.0] * 1000)  # no two answers agree
    outcomes = await batch(spread, 3, "majority:n=200", 200, allocate="greedy:least=0.002")
    assert max(drawn(outcomes)) < 30
    assert {o.ended_by for o in outcomes} == {"stopped_early"}


async def test_what_gains_too_little_is_given_up_and_leaves_the_rest_unspent():
    outcomes = await batch(of_abilities(0.0), 1, "best_of_n:n=1000", 900, verified=True, allocate="greedy:least=0.01")
    assert drawn(outcomes) == [50]  # .5 / (1 + 49) is .01, and .5 / (1 + 50) is less
    assert outcomes[0].ended_by == "stopped_early"


async def test_a_prior_says_who_is_worth_a_try():
    population = of_abilities(0.0, 0.0)
    beliefs = {population.query(0).id: Beta.around(0.02, 20), population.query(1).id: Beta.around(0.5, 4)}
    how = Greedy(gains=PosteriorGains(prior=lambda query: beliefs[query.id]))
    easy_looking = await batch(population, 2, "best_of_n:n=64", 16, verified=True, allocate=how)
    assert drawn(easy_looking)[0] < drawn(easy_looking)[1]


async def test_long_samples_have_to_gain_more():
    def reply(request: Request) -> str:
        wrong = "word " * (30 if "long" in str(request.messages[-1]["content"]) else 3)
        return f"{wrong}so it is {request.seed % 2}"

    queries = [Query.of(f"{kind} {i}", answer_type="number") for kind in ("long", "short") for i in range(10)]
    outcomes = await solve_many(
        queries, "majority:n=64", Scripted(reply), total=Budget(generated_tokens=5000), allocate="greedy"
    )
    assert sum(drawn(outcomes)[:10]) < 0.8 * sum(drawn(outcomes)[10:])


async def test_who_waits_when_the_total_is_spent_keeps_its_answer():
    outcomes = await batch(Population(p=0.5), 20, "majority:n=64", 9, allocate="greedy")
    waited = [o for o in outcomes if o.ended_by == "budget"]
    assert waited
    assert all(o.answer is not None for o in waited)
    assert sum(e.get("finish") == "cut" for o in outcomes for e in o.trace) == 0
    last = [e for e in waited[0].trace if e["event"] == "allocated"][-1]
    assert (last["samples"], last["why"]) == (0, "what is left of the batch's tokens carries no more")


async def test_a_strategys_n_is_the_most_that_one_query_gets():
    outcomes = await batch(Population(p=0.5), 4, "majority:n=6,stop=never", 50, allocate="greedy")
    assert set(drawn(outcomes)) <= {4, 6}


# -- equal shares -----------------------------------------------------------------------------------------------------


def test_equal_shares_answer_those_whom_the_first_ones_leave_nothing():
    population = Population(p=0.5)
    model = Simulated(population, latency=Latency(), lengths=Lengths(mean=100, sigma=1.0))
    unanswered: dict[str | None, int] = {}
    for how in (None, "uniform"):
        solving = partial(
            solve_many,
            population.queries(200),
            "majority:n=8,stop=never",
            model,
            total=Budget(generated_tokens=100 * 200 * 3),
            allocate=how,
            concurrency=20,
            sampling=Sampling(max_tokens=1000),
        )
        outcomes = virtual_clock.run(solving)
        unanswered[how] = sum(o.answer is None for o in outcomes)
    assert unanswered[None] > 50
    assert unanswered["uniform"] < 10


async def test_equal_shares_are_equal_from_first_to_last_although_lengths_differ():
    population = Population(p=0.5)
    model = Simulated(population, lengths=Lengths(mean=100, sigma=1.0))
    total = Budget(generated_tokens=100 * 900 * 4)
    outcomes = await solve_many(population.queries(900), "majority:n=64", model, total=total, allocate="uniform")
    tokens = [sum(o.generated_tokens for o in outcomes[i : i + 300]) / 300 for i in (0, 300, 600)]
    assert tokens == pytest.approx([400] * 3, rel=0.05)


async def test_what_an_early_query_leaves_goes_to_later_ones():
    population = of_abilities(1.0, 1.0, 1.0, 0.0)
    outcomes = await batch(population, 4, "best_of_n:n=64", 8, verified=True, allocate="uniform", concurrency=1)
    assert drawn(outcomes) == [1, 1, 1, 29]


# -- the limit --------------------------------------------------------------------------------------------------------


def live(population: Population, seed: int) -> Simulated:
    latency = Latency(first=0.2, per_token=0.01, sigma=1.0)
    return Simulated(population, latency=latency, lengths=Lengths(mean=60, sigma=1.2), failures=0.1 * (seed % 3))


@pytest.mark.parametrize("how", ["greedy", "greedy:wave=3,first=2", "uniform", "uniform:wave=2"])
@pytest.mark.parametrize("verified", [False, True])
def test_live_batches_keep_the_limit_and_come_to_an_end(how: str, verified: bool):
    async def run(seed: int) -> None:
        population = Population(p=(0.5, 0.5), seed=seed)
        tokens = (30, 700, 5000, 40_000)[seed % 4]
        ledger = Ledger(Budget(total_tokens=tokens) if seed % 2 else Budget(generated_tokens=tokens))
        outcomes = await solve_many(
            population.queries(30),
            "best_of_n:n=12" if verified else "majority:n=12",
            live(population, seed),
            parent=ledger,
            allocate=how,
            concurrency=1 + 3 * (seed % 4),
            seed=seed,
            verifier=SimulatedVerifier(population=population) if verified else None,
            sampling=Sampling(max_tokens=500),
        )
        assert len(outcomes) == 30
        spent = ledger.spent.total if seed % 2 else ledger.spent.generated
        assert spent <= tokens
        assert ledger.leased_tokens == 0

    for seed in range(8):
        virtual_clock.run(run, seed)


class Watched(Simulated):
    """Counts the most calls that were under way at once."""

    most = 0

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        self.most = max(self.most, self.running + 1)
        return await super().call(request, meter)


def test_no_more_queries_than_asked_for_have_samples_in_flight():
    async def run() -> int:
        population = Population(p=0.5)
        model = Watched(population, latency=Latency(sigma=1.0))
        await batch(population, 40, "majority:n=16", 9, model=model, allocate="greedy:first=2,wave=2", concurrency=5)
        return model.most

    assert 8 <= virtual_clock.run(run) <= 10


def test_nobody_waits_for_the_slowest():
    """One query's calls take a thousand times as long as the others'; those go on meanwhile."""
    order: list[str] = []

    async def run() -> None:
        def latency(request: Request) -> float:
            return 1000.0 if "slow" in str(request.messages[-1]["content"]) else 1.0

        def reply(request: Request) -> str:
            order.append(str(request.messages[-1]["content"]))
            return f"so it is {request.seed % 2}"

        queries = [Query.of(name, answer_type="number") for name in ("slow", "a", "b", "c")]
        model = Scripted(reply, latency=latency)
        total = Budget(generated_tokens=400)
        await solve_many(queries, "majority:n=40", model, total=total, allocate="greedy", concurrency=2)

    virtual_clock.run(run)
    assert order.index("slow") >= 0
    first_slow, last_slow = order.index("slow"), len(order) - 1 - order[::-1].index("slow")
    between = Counter(order[first_slow:last_slow])
    assert between["a"] + between["b"] + between["c"] > 12


async def test_the_same_seed_gives_the_same_outcomes():
    population = Population(p=(0.5, 0.5), wrong=[1.0] * 5)
    first, again = [
        await batch(population, 60, "majority:n=32", 7, allocate="greedy", seed=5, concurrency=7) for _ in range(2)
    ]
    assert [(o.answer, o.calls, o.ended_by) for o in first] == [(o.answer, o.calls, o.ended_by) for o in again]


# -- nothing hangs ----------------------------------------------------------------------------------------------------


async def test_queries_whose_calls_all_fail_leave_the_tokens_to_the_others():
    population = Population(p=0.5)

    class Half(Simulated):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            self.failures = 1.0 if "problem 1" in str(request.messages[-1]["content"]) else 0.0
            return await super().call(request, meter)

    model = Half(population, latency=Latency(first=0, per_token=0))
    outcomes = await batch(population, 3, "majority:n=8", 8, model=model, allocate="greedy")
    assert [o.ended_by == "all_calls_failed" for o in outcomes] == [False, True, False]
    assert all(o.answer is not None for o in (outcomes[0], outcomes[2]))


async def test_an_error_in_one_query_leaves_alone():
    class Broken:
        name, logprobs = "broken", 0

        async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
            if query.id.endswith("-3"):
                raise KeyError("mine")
            return [0.5 for _ in candidates]

    for how in ("greedy", "uniform"):
        with pytest.raises(KeyError, match="mine"):
            await batch(Population(p=0.5), 8, "best_of_n:n=8", 4, verifier=Broken(), allocate=how, concurrency=2)


def test_a_deadline_ends_those_who_wait_too():
    async def run() -> list[Outcome]:
        population = Population(p=0.5)
        model = Simulated(population, latency=Latency(first=1.0, per_token=0.0))
        total = Budget(generated_tokens=10**6, seconds=4.5)
        queries = population.queries(12)
        return await solve_many(queries, "majority:n=500", model, total=total, allocate="greedy", concurrency=3)

    outcomes = virtual_clock.run(run)
    assert {o.ended_by for o in outcomes} == {"deadline"}
    assert all(o.answer is not None for o in outcomes[:9])


def test_a_batch_that_is_cancelled_leaves_nothing_running():
    async def run() -> tuple[int, int]:
        population = Population(p=0.5)
        model = Simulated(population, latency=Latency(first=1.0))
        ledger = Ledger(Budget(generated_tokens=10**6))
        with anyio.move_on_after(3.3):
            await solve_many(population.queries(12), "majority:n=99", model, parent=ledger, allocate="greedy")
        return model.running, ledger.leased_tokens

    assert virtual_clock.run(run) == (0, 0)


async def test_a_batch_of_none_and_of_one():
    population = Population(p=0.5)
    total = Budget(generated_tokens=240)
    assert await solve_many([], "majority", Simulated(population), total=total, allocate="greedy") == []
    (only,) = await batch(population, 1, "majority:n=32,stop=never", 12, allocate="greedy")
    assert only.calls["generate"] == 12


async def test_another_pace_beside_it_counts_as_well():
    class AtMost:
        async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
            return 3 - len(drawn)

    outcomes = await batch(Population(p=0.5), 4, "majority:n=32", 9, allocate="greedy", pace=AtMost())
    assert set(drawn(outcomes)) == {3}


# -- what is wrong ----------------------------------------------------------------------------------------------------


async def test_a_strategy_whose_draws_cannot_be_metered_is_refused():
    with pytest.raises(ConfigurationError, match=r"'knockout' cannot be allocated to.*such as majority or best_of_n"):
        await batch(Population(), 2, "knockout:n=4", 4, allocate="greedy", comparator="judge")


@pytest.mark.parametrize("name", [name for name in registry.names("strategy") if make_strategy(name).paceable])
async def test_whatever_strategy_says_that_it_can_be_metered_is_metered(name: str):
    outcomes = await batch(Population(p=0.5), 3, name, 9, verified=True, allocate="greedy")
    for outcome in outcomes:
        waves = [e["samples"] for e in outcome.trace if e["event"] == "allocated"]
        assert sum(waves) == outcome.calls.get("generate", 0) + outcome.calls.get("probe", 0)


@pytest.mark.parametrize("total", [None, Budget(seconds=5), Budget(calls=9)])
async def test_there_must_be_tokens_to_allocate(total: Budget | None):
    population = Population()
    with pytest.raises(ConfigurationError, match=r"no tokens to allocate.*total=Budget"):
        await solve_many(population.queries(2), "majority", Simulated(population), total=total, allocate="greedy")


async def test_an_unknown_allocation_is_named():
    with pytest.raises(ConfigurationError, match="Did you mean 'greedy'"):
        await batch(Population(), 2, "majority", 4, allocate="greed")
