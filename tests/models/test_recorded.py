"""``Recorded``: recorded samples without replacement, what they cost, and what was in flight when a strategy left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import lines, recorded
from ttc import solve
from ttc.budget import Budget, Price
from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.recorded import Recorded
from ttc.pools import Pool, RecordedAnswer, RecordedProblem, candidate_of, replay_model
from ttc.request import Numbered, Request
from ttc.session import Session
from ttc.strategy import Strategy
from ttc.types import Candidate, Query, Sample, Usage, Watch

pytestmark = pytest.mark.anyio


def sample(i: int, tokens: int = 10, *, prompt: int = 0, reasoning: int = 0, seconds: float = 0.0) -> Sample:
    return Sample(
        text=f"sample {i}",
        usage=Usage(prompt, 0, reasoning, tokens - reasoning),
        index=i,
        seed=i + 1,
        latency=seconds,
    )


def recorded_of(*tokens: int, seconds: Sequence[float] = (), seed: int = 0, price: Price | None = None) -> Recorded:
    """A model with one problem, ``p``, whose samples take so many tokens, replayed in some order."""
    times = seconds or [0.0] * len(tokens)
    return Recorded({"p": [sample(i, n, seconds=times[i]) for i, n in enumerate(tokens)]}, seed=seed, price=price)


def requests(n: int, /, *, problem: str = "p", start: int = 0, **fields: Any) -> Numbered:
    request = Request(messages=({"role": "user", "content": problem, "recorded": problem},), max_tokens=100)
    return Numbered(replace(request, **fields), problem, range(start, start + n))


async def drawn(model: Recorded, batch: Sequence[Request], *, take: int | None = None) -> list[Sample]:
    """Draw from a batch, all of it or the first few."""
    found, _ = await charged(model, batch, take=take)
    return found


async def charged(
    model: Recorded,
    batch: Sequence[Request],
    *,
    take: int | None = None,
    by_finish: bool = False,
    budget: Budget | None = None,
) -> tuple[list[Sample], Ledger]:
    ledger, found = Ledger(budget, price=model.price), list[Sample]()
    async with model.open(batch, ledger, by_finish=by_finish) as stream:
        async for one in stream:
            found.append(one)
            if len(found) == take:
                break
    return found, ledger


# -- which sample -----------------------------------------------------------------------------------------------------


async def test_each_sample_comes_once():
    found = await drawn(recorded_of(*range(1, 33)), requests(32))
    assert sorted(s.index for s in found) == list(range(32))


async def test_the_order_follows_from_the_seed():
    a, again, b = [await drawn(recorded_of(*[10] * 32, seed=seed), requests(32)) for seed in (0, 0, 1)]
    assert a == again
    assert a != b
    assert [s.index for s in a] != list(range(32))


async def test_problems_have_orders_of_their_own():
    model = Recorded({problem: [sample(i) for i in range(32)] for problem in "pq"})
    p, q = [[s.index for s in await drawn(model, requests(32, problem=x))] for x in "pq"]
    assert p != q


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
async def test_the_position_decides_and_not_the_wave(waves: list[int]):
    n = sum(waves)
    model = recorded_of(*[10] * n)
    one_wave = await drawn(model, requests(n))
    found: list[Sample] = []
    async with model.open([], Ledger()) as stream:
        for wave in waves:
            stream.issue(requests(wave, start=len(found)))
            found += [await anext(stream) for _ in range(wave)]
    assert found == one_wave


async def test_requests_that_are_made_one_by_one_get_the_same():
    model = recorded_of(*[10] * 8)
    assert await drawn(model, list(requests(8))) == await drawn(model, requests(8))


async def test_samples_are_handed_on_as_they_are():
    own = [sample(i) for i in range(4)]
    for found in await drawn(Recorded({"p": own}), requests(4)):
        assert found is own[found.index]


async def test_a_probe_draws_the_samples_that_are_generated():
    model = recorded_of(*[10] * 8)
    probes, ledger = await charged(model, requests(8, kind="probe"))
    assert {s.kind for s in probes} == {"probe"}
    assert [replace(s, kind="generate") for s in probes] == await drawn(model, requests(8))
    assert ledger.calls == {"probe": 8}


async def test_a_text_names_its_problem_where_no_other_has_it():
    model = Recorded({"p": [sample(0)], "q": [sample(1)]}, prompts={"p": "What is 2 + 2?", "q": "And 3 + 3?"})
    asked = requests(1).request
    asked = replace(asked, messages=({"role": "user", "content": "And 3 + 3?"},))
    assert [s.index for s in await drawn(model, [asked])] == [1]


async def test_samples_of_a_model_in_a_fleet_say_so():
    found, ledger = await charged(recorded_of(10, 10), requests(2, model="small"))
    assert {s.model for s in found} == {"small"}
    assert ledger.calls == {"generate@small": 2}


# -- what was not recorded --------------------------------------------------------------------------------------------

OTHER = {"role": "assistant", "content": "a draft"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "revise"}, "problem p: a sample of kind 'revise' was asked for, and only .* 4, of kinds generate"),
        ({"kind": "judge"}, "kind 'judge'"),
        ({"choices": ("A", "B")}, "a choice"),
        ({"continue_final": True}, "going on from a text"),
        ({"until": ("\n\n",)}, "a part of a solution"),
        ({"n": 2}, "n=2 in one call"),
        ({"watch": Watch("always", lambda: lambda _: True)}, "watched"),
        ({"messages": ({"role": "user", "content": "p", "recorded": "p"}, OTHER)}, "other messages"),
        ({"messages": ({"role": "user", "content": "Try again", "recorded": "p"},)}, "other messages"),
        ({"messages": ({"role": "user", "content": "x", "recorded": "x"},)}, "problem x: nothing was recorded .* of p"),
        ({"messages": ({"role": "user", "content": "What?"},)}, "no recorded problem has the text 'What\\?'"),
        ({"messages": ({"role": "system", "content": "p"},)}, "no recorded problem"),
    ],
)
async def test_what_was_not_recorded_is_an_error(fields: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says.replace(" 4, of", r" \(4, of")):
        await drawn(recorded_of(*[10] * 4), requests(1, **fields))


async def test_a_position_beyond_the_record_is_an_error_before_anything_is_charged():
    model, ledger = recorded_of(*[10] * 4), Ledger()
    with pytest.raises(ConfigurationError, match="problem p: 4 samples were recorded, and 5 are asked for"):
        model.open(requests(5), ledger)
    assert ledger.calls == {}


async def test_a_text_that_two_problems_have_names_neither():
    model = Recorded({"p": [sample(0)], "q": [sample(1)]}, prompts={"p": "same", "q": "same"})
    asked = replace(requests(1).request, messages=({"role": "user", "content": "same"},))
    with pytest.raises(ConfigurationError, match="2 recorded problems have the text 'same'"):
        await drawn(model, [asked])


def test_nothing_to_replay_is_an_error():
    with pytest.raises(ConfigurationError, match="no recorded samples"):
        Recorded({"p": []})


def test_recorded_samples_are_no_fleet():
    with pytest.raises(ConfigurationError, match="no fleet with 'large'"):
        recorded_of(1).price_of("large")


# -- what it costs ----------------------------------------------------------------------------------------------------


async def test_what_is_handed_on_is_charged_in_full():
    model = Recorded({"p": [sample(i, 10 + i, prompt=7, reasoning=3) for i in range(4)]})
    _, ledger = await charged(model, requests(4))
    assert ledger.spent == Usage(28, 0, 12, 34)
    assert ledger.calls == {"generate": 4}


async def test_prices_give_dollars():
    _, ledger = await charged(recorded_of(*[1000] * 4, price=Price(prompt=1, generated=2)), requests(4))
    assert ledger.dollars == pytest.approx(4 * 1000 * 2 / 1e6)


async def test_a_sample_that_does_not_fit_is_cut_and_says_nothing():
    found, ledger = await charged(recorded_of(*[40] * 3), requests(3), budget=Budget(generated_tokens=100))
    assert [(s.finish, s.usage.generated) for s in found] == [("stop", 40), ("stop", 40), ("cut", 20)]
    assert found[2].text == ""
    assert ledger.spent.generated == 100


async def test_what_is_left_of_a_budget_goes_to_no_sample_because_it_is_short():
    model = recorded_of(40, 40, 2, 2, seed=1)
    first = [s.usage.generated for s in await drawn(model, requests(4))]
    budget = Budget(generated_tokens=first[0] + 3)  # a short one would fit, a long one would not
    found, ledger = await charged(model, requests(4), budget=budget)
    assert len(found) == 1
    assert ledger.refused


async def test_where_a_sample_is_the_unit_the_budget_counts_samples():
    found, _ = await charged(recorded_of(*[1] * 8), requests(8), budget=Budget(generated_tokens=5))
    assert len(found) == 5


async def test_calls_are_limited():
    found, ledger = await charged(recorded_of(*[10] * 8), requests(8), budget=Budget(calls=3))
    assert (len(found), ledger.calls) == (3, {"generate": 3})


@settings(deadline=None, max_examples=50)
@given(
    tokens=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    limit=st.integers(1, 200),
    take=st.integers(1, 12),
    by_finish=st.booleans(),
)
async def test_no_budget_is_exceeded(tokens: list[int], limit: int, take: int, by_finish: bool):
    budget = Budget(generated_tokens=limit)
    found, ledger = await charged(
        recorded_of(*tokens), requests(len(tokens)), budget=budget, take=take, by_finish=by_finish
    )
    assert sum(s.usage.generated for s in found) <= ledger.spent.generated <= limit


# -- what was in flight -----------------------------------------------------------------------------------------------


async def test_a_stop_after_the_first_of_four_charges_its_siblings():
    model = recorded_of(*[10] * 4)
    _, ledger = await charged(model, requests(4), take=1)
    assert ledger.calls == {"generate": 4}
    assert ledger.spent == Usage(0, 0, 0, 40)  # they are as long as the first, so they are over with it
    assert not ledger.spent.upper_bound


async def test_siblings_are_charged_for_the_time_that_has_passed():
    model = recorded_of(10, 20, 40, 80)
    order = [s.usage.generated for s in model.order("p")]
    _, ledger = await charged(model, requests(4), take=1)
    assert ledger.spent.generated == sum(min(order[0], n) for n in order)


async def test_recorded_seconds_are_the_clock():
    model = recorded_of(100, 100, 100, seconds=[1.0, 2.0, 8.0])
    first, *others = model.order("p")
    _, ledger = await charged(model, requests(3), take=1)
    left = sum(-(-100 * min(first.latency, s.latency) // s.latency) for s in others)
    assert ledger.spent.generated == 100 + left


async def test_seconds_of_some_alone_are_no_clock():
    model = recorded_of(10, 20, 40, seconds=[1.0, 0.0, 3.0])
    order = [s.usage.generated for s in model.order("p")]
    _, ledger = await charged(model, requests(3), take=1)
    assert ledger.spent.generated == sum(min(order[0], n) for n in order)


async def test_thoughts_come_first():
    model = Recorded({"p": [sample(0, 50, reasoning=30), sample(1, 100, reasoning=70)]}, seed=3)
    assert [s.index for s in model.order("p")] == [0, 1]
    _, ledger = await charged(model, requests(2), take=1)
    assert ledger.spent == Usage(0, 0, 30 + 50, 20)  # of the second one half had passed, and it was thinking


async def test_what_was_never_issued_is_free():
    model = recorded_of(*[10] * 8)
    ledger = Ledger()
    async with model.open([], ledger) as stream:
        for start in (0, 2):
            stream.issue(requests(2, start=start))
            await anext(stream)
            await anext(stream)
    assert ledger.calls == {"generate": 4}


async def test_a_later_wave_starts_when_it_is_issued():
    model = recorded_of(*[10] * 8)
    ledger = Ledger()
    async with model.open(requests(4), ledger) as stream:
        for _ in range(4):
            await anext(stream)
        stream.issue(requests(4, start=4))  # and is left before a tick has passed
    assert ledger.calls == {"generate": 4}


async def test_a_body_that_fails_pays_for_what_was_in_flight():
    ledger = Ledger()
    with pytest.raises(ValueError, match="mine"):  # noqa: PT012  # the block is what is tested
        async with recorded_of(*[10] * 4).open(requests(4), ledger) as stream:
            await anext(stream)
            raise ValueError("mine")
    assert ledger.calls == {"generate": 4}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 12))
async def test_finishers_come_in_the_order_of_finishing(tokens: list[int], take: int):
    take = min(take, len(tokens))
    found, ledger = await charged(recorded_of(*tokens), requests(len(tokens)), take=take, by_finish=True)
    lengths = [s.usage.generated for s in found]
    assert lengths == sorted(tokens)[:take]
    assert ledger.spent.generated == sum(min(lengths[-1], n) for n in tokens)
    assert len(ledger.calls) == 1


async def test_the_first_finishers_of_eight_cost_more_than_four_of_them():
    """4 of 8: 29.8k tokens alone, 64.3k with their siblings, against 36.9k of four by lot."""
    rows = [row["tokens_out"] for row in lines(recorded("otis_aime.jsonl.gz")) if "tokens_out" in row]
    rows = [row for row in rows if None not in row]
    alone, paid = list[int](), list[int]()
    for tokens in rows:
        found, ledger = await charged(recorded_of(*tokens), requests(8), take=4, by_finish=True)
        alone.append(sum(s.usage.generated for s in found))
        paid.append(ledger.spent.generated)
    assert mean(alone) == pytest.approx(29_800, abs=50)
    assert mean(paid) == pytest.approx(64_350, abs=50)
    assert mean(4 * mean(row) for row in rows) == pytest.approx(36_900, abs=50)


# -- through solve ----------------------------------------------------------------------------------------------------


def pool_of(answers: Sequence[str | None], tokens: Sequence[float] = (), **columns: Any) -> Pool:
    right = tuple(float(a == "right") for a in answers)
    problem = RecordedProblem(
        id="p", prompt="What?", answers=tuple(answers), right=right, generated=tuple(tokens), **columns
    )
    return Pool(name="made", model="m", problems=(problem,))


async def test_a_strategy_is_replayed():
    pool = pool_of(["right"] * 5 + ["wrong"] * 2 + [None], [100] * 8)
    outcome = await solve(pool.problems[0].query(), "majority:n=8,stop=never", replay_model(pool))
    assert outcome.answer == "right"
    assert outcome.calls == {"generate": 8}
    assert outcome.thinking_tokens == 800  # nothing is taken off as answer: its tokens were not recorded


async def test_a_vote_that_is_decided_pays_for_its_wave():
    pool = pool_of(["right"] * 8, [100] * 8)
    outcome = await solve(pool.problems[0].query(), "majority:n=8", replay_model(pool))
    assert outcome.ended_by == "stopped_early"
    assert outcome.generated_tokens == 800  # of one wave; all are over with the fifth
    outcome = await solve(pool.problems[0].query(), "majority:n=8,wave=1", replay_model(pool))
    assert outcome.generated_tokens == 500


class _Sure:
    """A verifier that is sure of whatever it sees."""

    name = "sure"
    cost = "nothing"
    logprobs = 0

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> list[float]:
        return [1.0] * len(candidates)


@pytest.mark.parametrize("scored", [False, True])
async def test_a_stop_leaves_the_same_in_flight_with_scores_and_without(scored: bool):
    pool = pool_of(["right"] * 8, [10, 20, 30, 40, 50, 60, 70, 80])
    model, (problem,) = replay_model(pool), pool.problems
    lengths = [s.usage.generated for s in model.order("p")]
    weights = ",weights=score" if scored else ""
    outcome = await solve(problem.query(), f"majority:n=8{weights}", model, verifier=_Sure() if scored else None)
    assert outcome.ended_by == "stopped_early"
    now = max(lengths[:5])
    assert outcome.generated_tokens == sum(lengths[:5]) + sum(min(now, n) for n in lengths[5:])


async def test_tokens_of_the_answer_are_no_thinking_where_they_were_recorded():
    pool = pool_of(["right"] * 4, [100] * 4, answer_tokens=(3, 3, 3, 3))
    outcome = await solve(pool.problems[0].query(), "single", replay_model(pool))
    assert (outcome.answer_tokens, outcome.thinking_tokens) == (3, 97)
    assert outcome.warnings == ()


async def test_a_prompt_counts_where_a_budget_counts_it():
    pool = pool_of(["right"] * 4, [100] * 4, prompt_tokens=(50, 50, 50, 50))
    outcome = await solve(
        pool.problems[0].query(), "majority:n=4,stop=never", replay_model(pool), budget="total_tokens=300"
    )
    assert outcome.total_usage.total == 300
    assert outcome.calls == {"generate": 2}


async def test_a_revision_cannot_be_replayed():
    pool = pool_of(["right"] * 4, [100] * 4)
    with pytest.raises(ConfigurationError, match="problem p: a sample of kind 'revise'"):
        await solve(pool.problems[0].query(), "revision", replay_model(pool))


async def test_no_strategy_asks_for_more_than_was_recorded():
    pool = pool_of(["right"] * 4, [100] * 4)
    with pytest.raises(ConfigurationError, match="4 samples were recorded, and 8 are asked for"):
        await solve(pool.problems[0].query(), "majority:n=8", replay_model(pool))


class _Peeking(Strategy):
    """Looks at all that a replay shows."""

    async def solve(self, query: Query, session: Session) -> None:
        shown = repr(query)
        async with session.sample(n=4) as samples:
            async for candidate in samples:
                shown += repr(candidate)
                session.propose(candidate)
        session.note("shown", text=shown)


async def test_a_strategy_sees_no_verdict():
    told: list[str] = []
    for right in ((1.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 1.0)):
        problem = RecordedProblem(id="p", answers=("a", "b", "a", "b"), right=right, generated=(5.0,) * 4)
        pool = Pool(name="made", model="m", problems=(problem,))
        outcome = await solve(problem.query(), _Peeking(), replay_model(pool))
        told.append(str(outcome.trace))
    assert told[0] == told[1]


async def test_longest_says_what_a_cap_has_to_be():
    assert recorded_of(3, 40, 7).longest == 40


def test_answers_are_read_from_recorded_samples():
    pool = pool_of(["right", None])
    found = [candidate_of(s).answer for s in pool.problems[0].samples()]
    assert found == ["right", None]
    assert RecordedAnswer().extract("sample 0") is None
