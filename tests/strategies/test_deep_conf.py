"""DeepConf: group confidence, the threshold, traces halted while they stream, and votes weighted by confidence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.budget import Budget
from ttc.confidence import FLOOR
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Confidence, Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.solve import solve
from ttc.strategies.group_confidence import GroupConfidence
from ttc.types import Outcome, Request, Sample, Sampling

Trace = tuple[str, Sequence[float]]
"""What a trace answers, and the confidence of each of its tokens."""


def streams(traces: Sequence[Trace], *, interval: int = 1) -> Scripted:
    def reply(request: Request) -> Sample:
        answer, confidences = traces[request.index]
        # Two alternatives whose mean is the confidence; the answer is all of the text, in words of one token each.
        rows = tuple((-c + 0.5, -c - 0.5) for c in confidences)
        return Sample(text=" ".join([answer] * len(rows)), top_logprobs=rows)

    return Scripted(reply, interval=interval)


async def vote(traces: Sequence[Trace], spec: str, *, budget: Budget | None = None) -> tuple[Outcome, Scripted]:
    model = streams(traces)
    outcome = await solve(
        "?", f"deep_conf:{spec}", model, budget=budget, sampling=Sampling(max_tokens=64, force_answer=0)
    )
    return outcome, model


def weights(outcome: Outcome) -> dict[str, float]:
    """What each answer had in the end."""
    return {answer.split()[0]: weight for answer, _, weight in event(outcome, "vote")["classes"]}


def event(outcome: Outcome, name: str) -> dict[str, Any]:
    return dict(next(e for e in outcome.trace if e["event"] == name))


def first_word(outcome: Outcome) -> str:
    return str(outcome.answer).split()[0]


def finishes(outcome: Outcome) -> list[object]:
    return [e["finish"] for e in outcome.trace if e["event"] == "sample"]


# -- group confidence -------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(st.lists(st.floats(-20, 0), min_size=1, max_size=5), min_size=1, max_size=60),
    window=st.integers(1, 70),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_group_confidence_is_the_lowest_window_mean_however_the_tokens_come(
    rows: list[list[float]], window: int, cuts: list[int]
) -> None:
    token = [-float(np.mean(row)) for row in rows]
    size = min(window, len(token))
    lowest = min(float(np.mean(token[i : i + size])) for i in range(len(token) - size + 1))
    group = GroupConfidence(window)
    said = inf
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        said = group.add(rows[start:end])
    assert group.lowest == pytest.approx(lowest, abs=1e-9)
    assert said == (group.lowest if len(rows) >= window else inf)  # a window that is not full says nothing yet


def test_a_forbidden_token_does_not_outweigh_the_others() -> None:
    group = GroupConfidence(2)
    group.add([(0.0, -inf), (0.0, -9999.0)])
    assert group.lowest == -FLOOR / 2
    empty = GroupConfidence(2)
    empty.add([(), ()])
    assert empty.lowest is None


# -- the strategy -----------------------------------------------------------------------------------------------------

SURE, MIDDLING, UNSURE = [9.0] * 12, [6.0] * 12, [2.0] * 12


@pytest.mark.anyio
@pytest.mark.parametrize(("eta", "threshold"), [(50, 6.0), (90, 2.8), (10, 8.4)])
async def test_the_threshold_is_a_percentile_of_the_warm_up(eta: int, threshold: float) -> None:
    traces = [("a", SURE), ("b", MIDDLING), ("b", UNSURE)]
    outcome, _ = await vote(traces, f"n=3,warmup=3,window=4,eta={eta}")
    assert event(outcome, "threshold")["confidence"] == pytest.approx(threshold)
    assert event(outcome, "threshold")["lowest"] == pytest.approx([9.0, 6.0, 2.0])


@pytest.mark.anyio
async def test_a_trace_that_loses_confidence_is_halted_where_it_does() -> None:
    sinking = [9.0] * 20 + [1.0] * 40
    traces = [("a", SURE), ("b", SURE), ("c", sinking), ("b", SURE)]
    outcome, model = await vote(traces, "n=4,warmup=2,window=4,eta=90")
    assert finishes(outcome) == ["stop", "stop", "halted", "stop"]
    # 9 9 9 1 has a mean of 7, below the threshold of 9; so its 21st token was the last
    assert model.generated == 12 + 12 + 21 + 12
    assert first_word(outcome) == "b"


@pytest.mark.anyio
async def test_what_was_halted_is_charged_as_an_upper_bound_and_has_no_vote() -> None:
    traces = [("a", SURE), ("b", MIDDLING), *[("c", UNSURE)] * 6]
    outcome, model = await vote(traces, "n=8,warmup=2,window=4,eta=10")
    assert finishes(outcome)[2:] == ["halted"] * 6
    assert first_word(outcome) == "a"
    assert outcome.total_usage.upper_bound
    assert model.generated <= outcome.generated_tokens <= model.generated + 6 * model.overrun
    assert outcome.checkpoints[-1].prefix.upper_bound
    assert model.generated == 12 + 12 + 6 * 4  # each is seen to be below after one window


@pytest.mark.anyio
async def test_a_window_that_is_not_full_halts_nobody() -> None:
    traces = [("a", SURE), ("b", MIDDLING), ("c", [1.0] * 10)]
    outcome, model = await vote(traces, "n=3,warmup=2,window=11,eta=50")
    assert finishes(outcome) == ["stop"] * 3
    assert model.generated == 34
    # It is below the threshold all the same, and so has no vote.
    assert list(weights(outcome)) == ["a"]


@pytest.mark.anyio
async def test_the_end_of_a_trace_decides_alike_whether_or_not_it_could_be_halted() -> None:
    """A trace may fall below with its last tokens, or between two looks at the stream."""
    traces = [("a", SURE), ("b", SURE), ("c", [9.0] * 11 + [0.0]), ("c", [9.0] * 8 + [0.0] * 4)]
    for interval in (1, 3, 50):
        model = streams(traces, interval=interval)
        outcome = await solve("?", "deep_conf:n=4,warmup=2,window=4,eta=90", model)
        assert first_word(outcome) in "ab"
        assert set(weights(outcome)) == {"a", "b"}


@pytest.mark.anyio
async def test_votes_weigh_the_confidence_of_their_traces() -> None:
    traces = [("b", [3.0] * 9), ("a", [8.0] * 9), ("b", [4.0] * 9)]
    outcome, _ = await vote(traces, "n=3,warmup=3,window=4,eta=99")
    assert first_word(outcome) == "a"
    assert weights(outcome) == {
        "a": 8.0,
        "b": 4.0,
    }  # the least confident one of the warm-up is below their first percentile


@pytest.mark.anyio
async def test_consensus_after_the_warm_up_ends_the_vote() -> None:
    outcome, model = await vote([("a", SURE)] * 20, "n=20,warmup=4,window=4")
    assert (len(model.requests), outcome.ended_by) == (4, "stopped_early")
    # Here it comes with 19 of 20.
    late, model = await vote([("b", SURE), *[("a", SURE)] * 39], "n=40,warmup=2,window=4,wave=1")
    assert (len(model.requests), late.ended_by) == (20, "stopped_early")
    # Half of the warm-up is below the threshold and has no vote; it is no consensus that the other half agrees.
    split = [("a", SURE), ("b", MIDDLING), *[("a", SURE)] * 8]
    low, model = await vote(split, "n=10,warmup=2,window=4,eta=10")
    assert (len(model.requests), low.ended_by, first_word(low)) == (10, "finished", "a")
    whole, model = await vote([("b", SURE), *[("a", SURE)] * 9], "n=10,warmup=2,window=4,consensus=1")
    assert (len(model.requests), whole.ended_by) == (10, "finished")


@pytest.mark.anyio
async def test_where_nobody_above_the_threshold_has_an_answer_the_warm_up_decides() -> None:
    traces = [("b", MIDDLING), ("a", MIDDLING), ("a", MIDDLING), ("", SURE), ("c", UNSURE)]
    outcome, _ = await vote(traces, "n=5,warmup=4,window=4,eta=10")
    assert first_word(outcome) == "a"
    assert finishes(outcome)[-1] == "halted"


@pytest.mark.anyio
async def test_later_traces_come_in_waves() -> None:
    traces = [("a", SURE), ("b", SURE)] * 5
    peak: list[int] = []

    def reply(request: Request) -> Sample:
        peak.append(model.running)
        return Sample(text=traces[request.index][0], top_logprobs=((-9.0,),) * 12)

    model = Scripted(reply)
    await solve("?", "deep_conf:n=10,warmup=4,window=4,wave=2", model)
    assert (max(peak[:4]), max(peak[4:])) == (4, 2)


@pytest.mark.anyio
async def test_it_asks_for_the_logprobs_and_says_when_there_are_none() -> None:
    _, model = await vote([("a", SURE), ("b", SURE), ("a", SURE)], "n=3,warmup=2,window=4,top=7")
    assert {r.logprobs for r in model.requests} == {7}
    assert [r.watch is None for r in model.requests] == [True, True, False]
    with pytest.raises(ConfigurationError, match="'deep_conf' needs logprobs"):
        await solve("?", "deep_conf:n=4,warmup=2", Scripted(lambda r: "a"))


@pytest.mark.anyio
async def test_a_budget_that_ends_in_the_warm_up_leaves_the_vote_of_what_there_is() -> None:
    outcome, model = await vote([("a", SURE)] * 8, "n=8,warmup=6,window=4", budget=Budget(calls=3))
    assert (first_word(outcome), outcome.ended_by, len(model.requests)) == ("a", "budget", 3)


@pytest.mark.anyio
async def test_every_trace_is_that_of_a_vote_with_the_same_seed() -> None:
    _, model = await vote([("a", SURE), ("b", SURE)] * 3, "n=6,warmup=2,window=4")
    plain = streams([("a", SURE)] * 6)
    await solve("?", "majority:n=6,stop=never", plain, sampling=Sampling(max_tokens=64, force_answer=0))
    assert [(r.index, r.seed) for r in model.requests] == [(r.index, r.seed) for r in plain.requests]


def test_confident_traces_that_are_right_make_it_cheaper_and_better_than_a_vote() -> None:
    problems = 60
    population = Population(p=0.4, wrong=(1.0,) * 2)
    right, spent = {}, {}
    for spec in ("majority:n=40,stop=never", "deep_conf:n=40,warmup=8,eta=10,window=64"):
        model = Simulated(
            population,
            lengths=Lengths(mean=400, sigma=0.3),
            latency=Latency(),
            confidence=Confidence(right=12.0, wrong=9.0, sigma=1.0),
        )

        async def all_problems(spec: str = spec, model: Simulated = model) -> int:
            outcomes = [
                (q, await solve(q, spec, model, sampling=Sampling(max_tokens=2000)))
                for q in population.queries(problems)
            ]
            return sum(population.is_right(q, o.answer) for q, o in outcomes)

        name = spec.partition(":")[0]
        right[name], spent[name] = run(all_problems), model.generated
    assert right["deep_conf"] > right["majority"]
    assert spent["deep_conf"] < spent["majority"] / 2


def test_the_traces_halted_are_those_below_the_percentile() -> None:
    """Of exchangeable traces so many fall below the (100 - eta)-th percentile of the warm-up as theory says."""
    warmup, later, problems = 9, 11, 60
    population = Population(p=0.5)
    draw = random.Random(0)
    for eta in (10, 90):
        model = Simulated(population, latency=Latency(), confidence=Confidence(sigma=1.0), lengths=Lengths(mean=100))

        async def halted(eta: int = eta, model: Simulated = model) -> float:
            ended = total = 0
            for q in population.queries(problems):
                spec = f"deep_conf:n={warmup + later},warmup={warmup},eta={eta},window=16,consensus=1,wave=11"
                finish = finishes(await solve(q, spec, model))[warmup:]
                ended, total = ended + finish.count("halted"), total + len(finish)
            return ended / total

        # numpy's percentile lies between two order statistics; by simulation of nothing but normal numbers:
        levels = [
            sum(draw.gauss() < np.percentile([draw.gauss() for _ in range(warmup)], 100 - eta) for _ in range(later))
            for _ in range(4000)
        ]
        expected = sum(levels) / len(levels) / later
        spread = float(np.std([level / later for level in levels]))
        assert abs(run(halted) - expected) < 4 * spread / (problems - 10) ** 0.5
