"""The problem by problem part of a page: a row for each problem, and what each strategy did on it.

A page has to stay small enough to open and to send, so long texts are shortened in the middle, long traces at the
end, and of very many problems an even selection is shown. Whatever is left out is counted, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from ttc.evals.plots import BASELINE
from ttc.evals.records import UnitRecord
from ttc.evals.report.search_trees import search_trees
from ttc.evals.suite import Problem
from ttc.strategies.grown_tree import wave_said, without_step_calls

__all__ = ["ProblemPages", "problem_pages"]

ROWS, DETAILS, EVENTS = 2000, 300, 96
PROMPT, TEXT, VALUE, LIST = 2400, 1600, 240, 32


@dataclass(frozen=True, slots=True)
class ProblemPages:
    """Rows and details of the problems.

    Attributes:
        columns: heads of the table.
        rows: one per problem that is shown, in the order of the columns.
        details: for each row what is shown when it is opened, or None.
        note: in words: what is shown and what is left out.
    """

    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    details: list[dict[str, Any] | None]
    note: str


def problem_pages(
    units: Sequence[UnitRecord],
    problems: Mapping[tuple[str, str], Problem],
    specs: Sequence[str],
    *,
    levels: Sequence[str] = (),
    limit: int = DETAILS,
) -> ProblemPages:
    """Lay out the problems of a run.

    Args:
        units: what the store holds.
        problems: by suite and id, for their text and the right answer; those that are missing show their id.
        specs: the strategies in the order of the columns.
        levels: the difficulty levels, the easiest first.
        limit: for how many problems details are kept.
    """
    cells: dict[tuple[str, str], dict[str, list[UnitRecord]]] = {}
    for unit in sorted(units, key=lambda u: u.epoch):
        cells.setdefault((unit.suite, unit.problem), {}).setdefault(unit.spec, []).append(unit)
    place = {key: i for i, key in enumerate(problems)}
    order = sorted(cells, key=lambda key: (place.get(key, len(place)), key))
    shown = [order[i] for i in _even(len(order), ROWS)]
    detailed = set(_even(len(shown), limit))
    names = {u.spec: (u.strategy, "" if u.setting is None else f"n={u.setting}") for u in units}
    heads = [("Problem", ""), ("Level", ""), ("Family", ""), *(names[spec] for spec in specs)]
    columns = [{"name": name, "setting": setting, "mark": i > 2} for i, (name, setting) in enumerate(heads)]
    rows: list[dict[str, Any]] = []
    details: list[dict[str, Any] | None] = []
    for i, key in enumerate(shown):
        mine, problem = cells[key], problems.get(key)
        tags = next(iter(mine.values()))[0].tags
        level = tags.get("level", "")
        rows.append(
            {
                "title": _title(problem) if problem else key[1],
                "level": level,
                "rank": levels.index(level) if level in levels else len(levels),
                "family": tags.get("family", "").replace("_", " "),
                "cells": [_cell(mine.get(spec, [])) for spec in specs],
                "group": " ".join(_groups(mine)),
                "detailed": i in detailed,
            }
        )
        details.append(_details(problem, mine, specs, names) if i in detailed else None)
    return ProblemPages(columns, rows, details, _note(len(order), len(shown), len(detailed), units))


def _even(n: int, limit: int) -> list[int]:
    """Choose up to ``limit`` of n positions, evenly spread."""
    return list(range(n)) if n <= limit else [i * n // limit for i in range(limit)]


def _note(total: int, shown: int, detailed: int, units: Sequence[UnitRecord]) -> str:
    note = "Open a row to see the answers, the votes and the verdicts; press a heading to sort."
    if shown < total:
        note += f" Of {total:,} problems an even selection of {shown:,} is listed."
    if detailed < shown:
        note += f" Details are kept for {detailed:,} of them, evenly spread, to keep this page small."
    if any(u.epoch for u in units):
        note += (
            " Where a problem was run several times, the table shows how often it was right, the details its first run."
        )
    return note


# -- one row -----------------------------------------------------------------------------------------------------------


def _title(problem: Problem) -> str:
    """Take what is asked: of a program its head, else the last paragraph, behind examples and instructions."""
    prompt = problem.query.prompt
    heads = [line.strip().rstrip(":") for line in prompt.splitlines() if problem.tests and line.startswith("def ")]
    paragraphs = [" ".join(p.split()) for p in prompt.split("\n\n") if p.strip()]
    return _cap((heads or paragraphs or [problem.query.id])[-1], 110)


def _cell(units: Sequence[UnitRecord]) -> dict[str, Any]:
    if not units:
        return {"kind": "none", "value": -2, "text": "", "title": "not run"}
    right = sum(u.correct for u in units)
    answered = [u for u in units if u.outcome.answer is not None]
    tokens = sum(u.outcome.thinking_tokens for u in units) / len(units)
    said = _cap(answered[0].outcome.answer or "", 60) if answered else "no answer"
    title = f"{said}; {tokens:,.0f} thinking tokens"
    if len(units) > 1:
        kind = "right" if right == len(units) else "wrong" if not right else "some"
        return {"kind": kind, "value": right / len(units), "text": f"{right}/{len(units)}", "title": title}
    if not answered:
        return {"kind": "none", "value": -1, "text": "–", "title": title}  # noqa: RUF001
    return {"kind": "right" if right else "wrong", "value": right, "text": "✓" if right else "✗", "title": title}


def _groups(mine: Mapping[str, Sequence[UnitRecord]]) -> list[str]:
    """Name the filters that a problem passes."""
    share = {spec: sum(u.correct for u in units) / len(units) for spec, units in mine.items()}
    base = next((share[spec] for spec, units in mine.items() if units[0].strategy == BASELINE), None)
    groups: list[str] = []
    if base is not None and max(share.values()) > base:
        groups.append("lifted")
    if base is not None and min(share.values()) < base:
        groups.append("lost")
    if not any(share.values()):
        groups.append("none")
    return groups


# -- details -----------------------------------------------------------------------------------------------------------


def _details(
    problem: Problem | None,
    mine: Mapping[str, Sequence[UnitRecord]],
    specs: Sequence[str],
    names: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    return {
        "prompt": _middle(problem.query.prompt, PROMPT) if problem else "The text of this problem is not at hand.",
        "gold": _cap(problem.gold or problem.reference, VALUE) if problem else None,
        "units": [_unit(mine[spec][0], *names[spec]) for spec in specs if mine.get(spec)],
    }


def _unit(unit: UnitRecord, strategy: str, setting: str) -> dict[str, Any]:
    o, trace = unit.outcome, list(_flat(unit.outcome.trace))
    search = search_trees(o.trace, o.answer)
    if search:  # the scores of steps stand in the drawing
        trace = [e for e in without_step_calls(trace) if e.get("event") != "score_steps"]
    shown = _shown(trace)
    return {
        "strategy": strategy,
        "setting": setting,
        "verdict": _verdict(unit),
        "answer": _plain(o.answer),
        "thinking": o.thinking_tokens,
        "calls": sum(o.calls.values()),
        "ended_by": o.ended_by,
        "warnings": [_cap(w, VALUE) for w in (*o.warnings, *([o.error] if o.error else []))],
        "trace": [_event(e) for e in shown],
        "left_out": len(trace) - len(shown),
        "search": search,
        "text": _middle(o.text, TEXT),
    }


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


def _shown(trace: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose the events there is room for, in order: the waves of a search first, then the others from the start."""
    waves_first = sorted(range(len(trace)), key=lambda i: (trace[i].get("event") != "grow", i))
    return [trace[i] for i in sorted(waves_first[:EVENTS])]


_EXPECTED = {"kind": "generate", "finish": "stop", "forced": False, "first": "a"}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the page shows of an event, shortened; what goes without saying takes no room."""
    if event.get("event") == "grow":
        with suppress(ValueError):  # a third party's event of the same name
            return {"event": "grow", "tokens": event.get("tokens", 0), "said": wave_said(event)}
    often = event.get("event") in ("sample", "score", "compare")
    silent = {"tokens", "by", "first", "answers"} if often else set[str]()
    if event.get("event") == "score":
        silent.add("answer")
    kept = {k: v for k, v in event.items() if k not in silent and _EXPECTED.get(k, _EXPECTED) != v}
    return {k: _plain(v) for k, v in kept.items()}


def _plain(value: Any, depth: int = 3) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list | tuple) and depth:
        return [_plain(v, depth - 1) for v in cast(Sequence[Any], value)[:LIST]]
    return _cap(value if isinstance(value, str) else repr(cast(object, value)), VALUE)


def _cap(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _middle(text: str, length: int) -> str:
    """Shorten a text in its middle: the question and the answer stand at the end."""
    if len(text) <= length:
        return text
    head = length // 3
    return f"{text[:head]}\n[… {len(text) - length:,} characters left out …]\n{text[head - length :]}"
