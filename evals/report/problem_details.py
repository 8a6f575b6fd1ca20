"""What one problem shows when it is opened: the question, and what each strategy did on it, as plain data.

There is a room for it: long texts are shortened in the middle, long traces at the end, and whatever is left out is
counted. The page has little room; the files beside it have much more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from ttc.evals.records import UnitRecord
from ttc.evals.report.brackets import brackets, without_brackets
from ttc.evals.report.search_trees import search_trees
from ttc.evals.suite import Problem
from ttc.strategies.grown_tree import wave_said, without_step_calls

__all__ = ["Room", "problem_details"]


@dataclass(slots=True)
class Room:
    """How much of a problem is shown, in characters and entries.

    Attributes:
        prompt: of the question.
        text: behind an answer.
        value: of an answer or a fact.
        entries: of a list within an event.
        events: of a trace, and matches of a tournament.
        shortened: set once something did not fit.
    """

    prompt: int = 2400
    text: int = 1600
    value: int = 240
    entries: int = 32
    events: int = 96
    shortened: bool = False

    def cap(self, text: str, length: int | None = None) -> str:
        """Shorten a text at its end."""
        length = length or self.value
        if len(text) <= length:
            return text
        self.shortened = True
        return text[: length - 1] + "…"

    def middle(self, text: str, length: int) -> str:
        """Shorten a text in its middle: the question and the answer stand at the end."""
        if len(text) <= length:
            return text
        self.shortened = True
        head = length // 3
        return f"{text[:head]}\n[… {len(text) - length:,} characters left out …]\n{text[head - length :]}"

    def plain(self, value: Any, depth: int = 3) -> Any:
        """Return a value as plain data that is fit to be shown."""
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, list | tuple) and depth:
            whole = cast(Sequence[Any], value)
            self.shortened |= len(whole) > self.entries
            return [self.plain(v, depth - 1) for v in whole[: self.entries]]
        return self.cap(value if isinstance(value, str) else repr(cast(object, value)))


def problem_details(
    problem: Problem | None, columns: Sequence[tuple[str, str, Sequence[UnitRecord]]], room: Room
) -> dict[str, Any]:
    """Lay out one problem.

    Args:
        problem: its text and right answer; None where the suite is not at hand.
        columns: name and setting of each strategy that ran on it, with its epochs.
        room: what fits; ``shortened`` says afterwards whether something did not.
    """
    return {
        "prompt": room.middle(problem.query.prompt, room.prompt)
        if problem
        else "The text of this problem is not at hand.",
        "gold": room.cap(problem.gold or problem.reference) if problem else None,
        "units": [_unit(units[0], name, setting, room) for name, setting, units in columns if units],
    }


def _unit(unit: UnitRecord, strategy: str, setting: str, room: Room) -> dict[str, Any]:
    o = unit.outcome
    met = brackets(o.trace, limit=room.events)
    trace = list(_flat(without_brackets(o.trace) if met else o.trace))
    search = search_trees(o.trace, o.answer)
    if search:  # the scores of steps stand in the drawing
        trace = [e for e in without_step_calls(trace) if e.get("event") != "score_steps"]
    shown = _shown(trace, room.events)
    room.shortened |= len(shown) < len(trace) or any(b["left_out"] for b in met)
    return {
        "strategy": strategy,
        "setting": setting,
        "verdict": _verdict(unit),
        "answer": room.plain(o.answer),
        "thinking": o.thinking_tokens,
        "kinds": {kind: [o.calls.get(kind, 0), usage.generated] for kind, usage in o.usage.items()},
        "calls": sum(o.calls.values()),
        "ended_by": o.ended_by,
        "warnings": [room.cap(w) for w in (*o.warnings, *([o.error] if o.error else []))],
        "trace": [_event(e, room) for e in shown],
        "left_out": len(trace) - len(shown),
        "search": search,
        "brackets": [_shortened(b, room) for b in met],
        "text": room.middle(o.text, room.text),
    }


def _shortened(bracket: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Answers within a bracket are as long as there is room for."""

    def of(value: Any) -> Any:
        if isinstance(value, str):
            return room.cap(value, 60)
        return [of(v) for v in cast(Sequence[Any], value)] if isinstance(value, list | tuple) else value

    return {**bracket, "name": of(bracket["name"]), "rounds": of(bracket["rounds"]), "table": of(bracket["table"])}


def _verdict(unit: UnitRecord) -> str:
    if unit.outcome.answer is None:
        return "none"
    return "undecided" if unit.undecided else "right" if unit.correct else "wrong"


def _flat(trace: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a trace and those within them; matches and scores show as what is in them."""
    for event in trace:
        inner: Sequence[Mapping[str, Any]] = event.get("events", ())
        if not inner or any(e.get("event") not in ("compare", "score") for e in inner):
            yield {k: v for k, v in event.items() if k != "events"}
        yield from _flat(inner)


def _shown(trace: Sequence[Mapping[str, Any]], limit: int) -> list[Mapping[str, Any]]:
    """Choose the events there is room for, in order: the waves of a search first, then the others from the start."""
    waves_first = sorted(range(len(trace)), key=lambda i: (trace[i].get("event") != "grow", i))
    return [trace[i] for i in sorted(waves_first[:limit])]


_EXPECTED = {"kind": "generate", "finish": "stop", "forced": False, "first": "a"}


def _event(event: Mapping[str, Any], room: Room) -> dict[str, Any]:
    """Keep what the page shows of an event, shortened; what goes without saying takes no room."""
    if event.get("event") == "grow":
        with suppress(ValueError):  # a third party's event of the same name
            return {"event": "grow", "tokens": event.get("tokens", 0), "said": wave_said(event)}
    often = event.get("event") in ("sample", "score", "compare")
    silent = {"tokens", "by", "first", "answers"} if often else set[str]()
    if event.get("event") == "score":
        silent.add("answer")
    kept = {k: v for k, v in event.items() if k not in silent and _EXPECTED.get(k, _EXPECTED) != v}
    return {k: room.plain(v) for k, v in kept.items()}
