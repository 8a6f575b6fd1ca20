"""What one unit says about the points of its curve: the verdict, the cost and how its samples ended, at each place.

A unit of a strategy whose prefixes are runs of their own gives a reading at n = 1, 2, 4, ...; any other gives one. A
reading is small and keeps nothing of a trace, so that a run of any length is read unit by unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
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
        undecided: the grader could not decide; of a prefix known where its answer is the one that the run ended with.
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
    yield from _prefixes(unit, unit.setting, price, parameters)


def powers(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [2**i for i in range(n.bit_length()) if 2**i < n] + [n]


def _whole(unit: UnitRecord, parameters: float | None) -> Reading:
    o = unit.outcome
    used = o.total_usage
    ended = _Ended(events(o.trace, "tool"))
    for event in events(o.trace, "sample"):
        ended.take(event)
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
        draws=ended.draws(),
        failed=_failed(unit),
        undecided=unit.undecided,
    )


def _prefixes(unit: UnitRecord, n: int, price: Price | None, parameters: float | None) -> Iterator[tuple[int, Reading]]:
    """Read a unit at its first 1, 2, 4, ... samples, in one pass over its trace."""
    o = unit.outcome
    samples = [e for e in o.trace if e.get("event") == "sample"]
    others = [kind for kind in (*o.usage, *o.foreign) if kind not in SAMPLE_KINDS]
    ended = _Ended(events(o.trace, "tool"))
    proposed = [c.samples for c in o.checkpoints]  # never falls: samples are only added
    drawn: dict[str, float] = {}
    calls = consumed = seen = 0
    for k in powers(n):
        for event in samples[seen:k]:
            ended.take(event)
            drawn[event["kind"]] = drawn.get(event["kind"], 0.0) + event["generated"]
            calls += 1 + event.get("forced", False)  # forcing is a call of its own
            consumed = int(event["tokens"])
        seen = k
        at = bisect_right(proposed, k) - 1
        place = _Place(consumed, dict(drawn), None if others else calls, ended.draws(), tuple(others))
        yield k, _prefix(unit, at if at >= 0 else None, place, price, parameters)


@dataclass(frozen=True, slots=True)
class _Place:
    """What the samples up to a place took: tokens, those by kind, calls, how they ended; and kinds of other calls."""

    tokens: int
    kinds: dict[str, float]
    calls: int | None
    draws: Draws
    others: tuple[str, ...]


def _prefix(unit: UnitRecord, at: int | None, place: _Place, price: Price | None, parameters: float | None) -> Reading:
    """Read a unit at a place.

    The answer is that of the last checkpoint with at most as many samples. The tokens are those consumed by then, by
    the trace where the last sample proposed nothing.
    """
    o = unit.outcome
    prefix = o.checkpoints[at].prefix if at is not None else Usage()
    answer_tokens = o.checkpoints[at].answer_tokens if at is not None else 0
    generated = max(prefix.generated, place.tokens)
    kinds, others = place.kinds, place.others
    if (rest := generated - sum(kinds.values())) > 0:
        kinds[others[0] if len(others) == 1 else "other"] = float(rest)
    used = Usage(prefix.prompt_tokens, prefix.cached_tokens, 0, generated)
    cost: dict[str, float | None] = {
        "thinking": max(0, generated - answer_tokens),
        "generated": generated,
        "total": used.total,
        "calls": place.calls,
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
        kinds=kinds,
        draws=place.draws,
        failed=_failed(unit),
        undecided=unit.undecided and at is not None and o.checkpoints[at].answer == o.answer,
    )


class _Ended:
    """Counts how samples ended. What a tool read an answer out of is no failure of form."""

    def __init__(self, tools: Iterable[Event]) -> None:
        self._by_tool = {event.get("index") for event in tools if event.get("answer") is not None}
        self._n = self._cut = self._refused = self._unparsed = self._cut_thoughts = 0

    def take(self, event: Event) -> None:
        finish = event.get("finish")
        self._n += 1
        self._cut += finish == "cut"
        self._cut_thoughts += event.get("in_thought", False)
        if event.get("refused"):
            self._refused += 1
        elif finish == "stop" and event.get("answer", "") is None:
            self._unparsed += event.get("index") not in self._by_tool

    def draws(self) -> Draws:
        return Draws(self._n, self._cut, self._refused, self._unparsed, self._cut_thoughts)


def _dollars(outcome: Outcome, at: int | None, prefix: Usage, price: Price | None) -> float | None:
    """What a prefix cost; calls to other models' servers are in the checkpoint alone."""
    if outcome.foreign:
        return outcome.checkpoints[at].dollars if at is not None else None
    return price.of(prefix) if price else None


def _failed(unit: UnitRecord) -> bool:
    return unit.outcome.ended_by == "all_calls_failed"
