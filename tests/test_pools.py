"""Pools as plain data: what a problem shows a strategy, what it keeps from one, and what a pool says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ttc import solve
from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.pools import CutColumns, Pool, RecordedProblem, candidate_of, replay_model

CUT = CutColumns(answers=("7", None, "9"), right=(1.0, 0.0, 0.0), generated=(5.0, 5.0, 5.0))
PROBLEM = RecordedProblem(
    id="run:one",
    group="one",
    prompt="What is 3 + 4?",
    tags={"level": "easy"},
    answers=("7", "8", None),
    right=(1.0, 0.0, 0.0),
    generated=(10.0, 20.0, 30.0),
    reasoning=(6, 12, 30),
    answer_tokens=(2, 3, 0),
    seconds=(1.0, 2.0, 3.0),
    logprobs=(-0.1, None, -0.3),
    finish=("stop", "stop", "length"),
    scores={"judge": (0.9, 0.1, None)},
    cuts={5: CUT},
)
POOL = Pool(name="made", model="m", problems=(PROBLEM,), price=Price(prompt=1, generated=2))


def test_a_query_names_its_record_and_keeps_its_class():
    query = PROBLEM.query()
    assert query.messages == ({"role": "user", "content": "What is 3 + 4?", "recorded": "run:one"},)
    assert (query.id, query.tags) == ("run:one", {"level": "easy"})


def test_samples_hold_answers_and_costs():
    first, second, third = PROBLEM.samples()
    assert [candidate_of(s).answer for s in (first, second, third)] == ["7", "8", None]
    assert [s.usage.generated for s in (first, second, third)] == [10, 20, 30]
    assert [s.usage.reasoning_tokens for s in (first, second, third)] == [6, 12, 30]
    assert [s.finish for s in (first, second, third)] == ["stop", "stop", "length"]
    assert (first.logprobs, second.logprobs) == ((-0.1,), ())
    assert [s.latency for s in (first, second, third)] == [1.0, 2.0, 3.0]


def test_samples_hold_no_verdict():
    other = replace(PROBLEM, right=(0.0, 1.0, 1.0))
    assert other.samples() == PROBLEM.samples()
    assert other.query() == PROBLEM.query()


def test_a_sample_without_a_cost_counts_as_one():
    assert [s.usage.generated for s in RecordedProblem(id="p", answers=("a",) * 2, right=(None,) * 2).samples()] == [
        1,
        1,
    ]


def test_samples_at_a_cut():
    found = PROBLEM.samples(cut=5)
    assert [candidate_of(s).answer for s in found] == ["7", None, "9"]
    assert [s.usage.generated for s in found] == [5, 5, 5]


def test_a_cut_that_was_not_recorded_is_an_error():
    with pytest.raises(ConfigurationError, match="problem run:one: cuts that were recorded: 5; asked for: 6"):
        PROBLEM.samples(cut=6)
    with pytest.raises(ConfigurationError, match="cuts that were recorded: 5"):
        replay_model(POOL, cut=6)


def test_verdicts_are_those_of_the_answers():
    assert PROBLEM.verdicts() == {"7": 1.0, "8": 0.0, "9": 0.0}


def test_an_empty_pool_says_what_would_do():
    with pytest.raises(ConfigurationError, match="pool 'made' is empty: record one problem at the least"):
        Pool(name="made", model="m", problems=())


def test_width_verifiers_and_cuts_are_what_every_problem_has():
    bare = RecordedProblem(id="bare", answers=("7",), right=(None,))
    pool = Pool(name="made", model="m", problems=(PROBLEM, bare))
    assert (pool.width, pool.verifiers, pool.cuts) == (1, (), ())
    assert (POOL.width, POOL.verifiers, POOL.cuts) == (3, ("judge",), (5,))


def test_some_problems_of_a_pool():
    other = replace(PROBLEM, id="other")
    pool = Pool(name="made", model="m", problems=(PROBLEM, other))
    assert [p.id for p in pool.of(["other"]).problems] == ["other"]
    with pytest.raises(ConfigurationError, match="empty"):
        pool.of(["nobody"])


@pytest.mark.parametrize(
    "changed",
    [
        {"right": (1.0, 1.0, 0.0)},
        {"answers": ("7", "8", "8")},
        {"generated": (10.0, 20.0, 31.0)},
        {"scores": {"judge": (0.9, 0.2, None)}},
        {"cuts": {}},
        {"cuts": {5: replace(CUT, answers=("8", None, "9"))}},
    ],
)
def test_the_digest_says_whether_a_replay_is_the_same(changed: dict[str, object]):
    other = Pool(name="made", model="m", problems=(replace(PROBLEM, **changed),))  # pyright: ignore[reportArgumentType]
    assert other.digest() != POOL.digest()


def test_the_digest_is_of_the_numbers_and_not_of_how_they_are_written():
    whole = replace(PROBLEM, right=(1, 0, 0), generated=(10, 20, 30))
    assert replace(POOL, name="renamed", problems=(whole,)).digest() == POOL.digest()


@pytest.mark.anyio
async def test_a_replay_has_the_pools_name_price_and_answers():
    model = replay_model(POOL)
    outcome = await solve(PROBLEM.query(), "majority:n=3,stop=never", model)
    assert model.name == "m"
    assert outcome.answer in ("7", "8")
    assert outcome.dollars == pytest.approx(60 * 2 / 1e6)
    assert outcome.answer_tokens == {"7": 2, "8": 3}[outcome.answer]


@pytest.mark.anyio
async def test_a_replay_at_a_cut_costs_what_the_cut_cost():
    outcome = await solve(PROBLEM.query(), "majority:n=3,stop=never", replay_model(POOL, cut=5))
    assert outcome.generated_tokens == 15
