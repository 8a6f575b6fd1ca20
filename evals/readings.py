"""What one unit says about the points of its curve: the verdict, the cost and how its samples ended, at each place.

A unit of a strategy whose prefixes are runs of their own gives a reading at n = 1, 2, 4, ...; any other gives one. A
reading is small and keeps nothing of a trace, so that a run of any length is read unit by unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc.budget import Price
from ttc.evals.axes import flops
from ttc.evals.records import UnitRecord
from ttc.evals.tournaments import events, problem_key
from ttc.types import Outcome, Usage

__all__ = ["Draws", "Reading", "powers", "readings_of"]

SAMPLE_KINDS = frozenset({"generate", "revise", "probe"})
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draws:
    """How the samples that were consumed up to a place ended; numbers of samples.

    Attributes:
        samples: all of them.
        cut: the budget cut them.
        refused: they decline to answer, see :mod:`ttc.refusals`.
        unparsed: they ended by themselves, declined nothing, and no answer could be read.
        cut_thoughts: they were cut while still thinking, whether or not an answer was forced out of them then.
    """

    samples: int = 0
    cut: int = 0
    refused: int = 0
    unparsed: int = 0
    cut_thoughts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one unit says about one point.

    Attributes:
        problem: which one, by :func:`~ttc.evals.tournaments.problem_key`.
        epoch: repetition, from 0.
        correct: the verdict there.
        answered: whether there was an answer.
        cost: by axis; None where it is not known.
        kinds: generated tokens by kind of call.
        draws: how its samples ended.
        failed: every call failed.
        undecided: the grader could not decide.
    """

    problem: str
    epoch: int
    correct: bool
    answered: bool
    cost: Mapping[str, float | None]
    kinds: Mapping[str, float]
    draws: Draws
    failed: bool
    undecided: bool = False


def readings_of(
    unit: UnitRecord, *, price: Price | None = None, parameters: float | None = None
) -> Iterator[tuple[int | None, Reading]]:
    """Read a unit at each of its places: by ``n`` where its prefixes are runs of their own, else once.

    Args:
        unit: what the store holds.
        price: of its model, for the places of a prefix.
        parameters: active ones of its model, for FLOPs.
    """
    if not unit.prefix or unit.setting is None:
        yield unit.setting, _whole(unit, parameters)
        return
    samples = [e for e in unit.outcome.trace if e.get("event") == "sample"]
    for k in powers(unit.setting):
        yield k, _prefix(unit, k, samples[:k], price, parameters)


def powers(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [2**i for i in range(n.bit_length()) if 2**i < n] + [n]


def _whole(unit: UnitRecord, parameters: float | None) -> Reading:
    o = unit.outcome
    used = o.total_usage
    cost: dict[str, float | None] = {
        "thinking": o.thinking_tokens,
        "generated": o.generated_tokens,
        "total": used.total,
        "calls": sum(o.calls.values()),
        "dollars": o.dollars,
        "flops": None if o.foreign else flops(used, parameters),
    }
    return Reading(
        problem=problem_key(unit),
        epoch=unit.epoch,
        correct=unit.correct,
        answered=o.answer is not None,
        cost=cost,
        kinds={kind: float(usage.generated) for kind, usage in o.usage.items()},
        draws=_draws(events(o.trace, "sample"), events(o.trace, "tool")),
        failed=_failed(unit),
        undecided=unit.undecided,
    )


def _prefix(
    unit: UnitRecord, k: int, samples: Sequence[Event], price: Price | None, parameters: float | None
) -> Reading:
    """Read a unit at its first k samples.

    The answer is that of the last checkpoint with at most k samples. The tokens are those consumed by then, by the
    trace where the k-th sample proposed nothing.
    """
    o = unit.outcome
    at = max((i for i, c in enumerate(o.checkpoints) if c.samples <= k), default=None)
    prefix = o.checkpoints[at].prefix if at is not None else Usage()
    answer_tokens = o.checkpoints[at].answer_tokens if at is not None else 0
    consumed = int(samples[-1]["tokens"]) if samples else 0
    generated = max(prefix.generated, consumed)
    drawn: dict[str, float] = {}
    for event in samples:
        drawn[event["kind"]] = drawn.get(event["kind"], 0.0) + event["generated"]
    others = [kind for kind in (*o.usage, *o.foreign) if kind not in SAMPLE_KINDS]
    if (rest := generated - sum(drawn.values())) > 0:
        drawn[others[0] if len(others) == 1 else "other"] = float(rest)
    used = Usage(prefix.prompt_tokens, prefix.cached_tokens, 0, generated)
    cost: dict[str, float | None] = {
        "thinking": max(0, generated - answer_tokens),
        "generated": generated,
        "total": used.total,
        "calls": None if others else sum(1 + e.get("forced", False) for e in samples),  # forcing is a call of its own
        "dollars": _dollars(o, at, prefix, price),
        "flops": None if o.foreign else flops(used, parameters),
    }
    answered = at is not None and o.checkpoints[at].answer is not None
    return Reading(
        problem=problem_key(unit),
        epoch=unit.epoch,
        correct=answered and at is not None and unit.checkpoints_correct[at],
        answered=answered,
        cost=cost,
        kinds=drawn,
        draws=_draws(samples, events(o.trace, "tool")),
        failed=_failed(unit),
    )


def _draws(samples: Iterable[Event], tools: Iterable[Event]) -> Draws:
    """Count how samples ended. What a tool read an answer out of is no failure of form."""
    n = cut = refused = unparsed = cut_thoughts = 0
    bare: list[Any] = []
    for event in samples:
        n += 1
        cut += event.get("finish") == "cut"
        cut_thoughts += event.get("in_thought", False)
        if event.get("refused"):
            refused += 1
        elif event.get("finish") == "stop" and event.get("answer", "") is None:
            bare.append(event.get("index"))
    if bare:
        by_tool = {event.get("index") for event in tools if event.get("answer") is not None}
        unparsed = sum(index not in by_tool for index in bare)
    return Draws(n, cut, refused, unparsed, cut_thoughts)


def _dollars(outcome: Outcome, at: int | None, prefix: Usage, price: Price | None) -> float | None:
    """What a prefix cost; calls to other models' servers are in the checkpoint alone."""
    if outcome.foreign:
        return outcome.checkpoints[at].dollars if at is not None else None
    return price.of(prefix) if price else None


def _failed(unit: UnitRecord) -> bool:
    return unit.outcome.ended_by == "all_calls_failed"
