"""The problem by problem part of a page: a row for each problem, and what is shown of it when it is opened.

A page has to stay small enough to open and to send. So of very many problems an even selection is listed, and of those
an even selection can be opened in the page; all others are in files beside it, to which their rows lead. Whatever is
left out is counted, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttc.evals.figures.curves import BASELINE
from ttc.evals.records import UnitRecord
from ttc.evals.report.filling import script_data
from ttc.evals.report.problem_details import Room, problem_details
from ttc.evals.suite import Problem

__all__ = ["DETAILS", "ROWS", "Column", "Key", "ProblemPages", "ProblemTable", "pages_of", "problem_pages"]

ROWS, CELLS, DETAILS, DETAIL_BYTES = 2000, 12_000, 300, 1_600_000
"""A page lists so many problems (fewer with many columns), and opens so many, in so many bytes."""

Key = tuple[str, str]
"""Suite and id of a problem."""


@dataclass(frozen=True, slots=True)
class Column:
    """A configuration: what ran (on which model, empty: the only one), and how it is named."""

    spec: str
    model: str
    name: str
    setting: str


@dataclass(frozen=True, slots=True)
class ProblemPages:
    """Rows and details of problems.

    Attributes:
        columns: heads of the table.
        rows: one per problem that is shown, in the order of the columns.
        details: for each row what is shown when it is opened, or None.
        note: in words: what is shown and what is left out.
        whole: all that is kept of every problem is shown.
    """

    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    details: list[dict[str, Any] | None]
    note: str
    whole: bool = True


@dataclass(slots=True)
class ProblemTable:
    """The problems of a run in their order, to be read in parts.

    Attributes:
        units: what the store holds.
        problems: by suite and id, for their text and the right answer; those that are missing show their id.
        specs: the strategies in the order of the columns.
        levels: the difficulty levels, the easiest first.
    """

    units: Sequence[UnitRecord]
    problems: Mapping[Key, Problem]
    specs: Sequence[str]
    levels: Sequence[str] = ()
    columns: list[Column] = field(init=False)
    order: list[Key] = field(init=False)
    _cells: dict[Key, dict[tuple[str, str], list[UnitRecord]]] = field(init=False)
    _brief: dict[Key, tuple[dict[str, Any], int, bool]] = field(
        init=False, default_factory=dict[Key, tuple[dict[str, Any], int, bool]]
    )

    def __post_init__(self) -> None:
        several = len({u.model for u in self.units}) > 1
        self._cells = {}
        names: dict[tuple[str, str], Column] = {}
        for unit in sorted(self.units, key=lambda u: u.epoch):
            column = (unit.spec, unit.model if several else "")
            self._cells.setdefault((unit.suite, unit.problem), {}).setdefault(column, []).append(unit)
            setting = "" if unit.setting is None else f"n={unit.setting}"
            said = " ".join(filter(None, (setting, unit.model if several else "")))
            names.setdefault(column, Column(*column, unit.strategy, said))
        models = list(dict.fromkeys(model for _, model in names))
        self.columns = [names[spec, m] for spec in dict.fromkeys(self.specs) for m in models if (spec, m) in names]
        place = {key: i for i, key in enumerate(self.problems)}
        self.order = sorted(self._cells, key=lambda key: (place.get(key, len(place)), key))

    @property
    def heads(self) -> list[dict[str, Any]]:
        """The heads of the table's columns."""
        first = [{"name": name, "setting": "", "mark": False} for name in ("Problem", "Level", "Family")]
        return [*first, *({"name": c.name, "setting": c.setting, "mark": True} for c in self.columns)]

    def row(self, key: Key) -> dict[str, Any]:
        """Return the row of a problem."""
        mine, problem = self._cells[key], self.problems.get(key)
        tags = next(iter(mine.values()))[0].tags
        level = tags.get("level", "")
        return {
            "title": _title(problem) if problem else key[1],
            "level": level,
            "rank": self.levels.index(level) if level in self.levels else len(self.levels),
            "family": tags.get("family", "").replace("_", " "),
            "cells": [_cell(mine.get((c.spec, c.model), [])) for c in self.columns],
            "group": " ".join(_groups(mine)),
            "detailed": False,
            "href": "",
            "id": "",
        }

    def details(self, key: Key, room: Room) -> dict[str, Any]:
        """Return what is shown when a problem is opened."""
        mine = self._cells[key]
        columns = [(c.name, c.setting, mine.get((c.spec, c.model), ())) for c in self.columns]
        return problem_details(self.problems.get(key), columns, room)

    def brief(self, key: Key) -> tuple[dict[str, Any], int, bool]:
        """Return what the page shows when a problem is opened, its bytes, and whether that is all."""
        if key not in self._brief:
            room = Room()
            details = self.details(key, room)
            self._brief[key] = details, len(script_data(details)), not room.shortened
        return self._brief[key]

    def listed(self, rows: int = ROWS) -> list[Key]:
        """The problems that a page lists: all, or an even selection of so many, fewer where there are many columns."""
        most = min(rows, max(1, CELLS // max(1, len(self.columns))))
        return [self.order[i] for i in _even(len(self.order), most)]

    def notes(self) -> Iterator[str]:
        """Say what holds wherever the problems are shown."""
        yield "Open a row to see the answers, the votes and the verdicts; press a heading to sort."
        if any(u.epoch for u in self.units):
            often = "Where a problem was run several times, the table shows how often it was right, "
            yield f"{often}the details its first run."


def problem_pages(
    units: Sequence[UnitRecord],
    problems: Mapping[Key, Problem],
    specs: Sequence[str],
    *,
    levels: Sequence[str] = (),
    limit: int = DETAILS,
    links: Mapping[Key, str] | None = None,
) -> ProblemPages:
    """Lay out the problems of a run for its page.

    Args:
        units: what the store holds.
        problems: by suite and id, for their text and the right answer; those that are missing show their id.
        specs: the strategies in the order of the columns.
        levels: the difficulty levels, the easiest first.
        limit: for how many problems details are kept.
        links: by suite and id, where all of a problem is.
    """
    return pages_of(ProblemTable(units, problems, specs, levels), limit=limit, links=links)


def pages_of(
    table: ProblemTable, *, limit: int = DETAILS, rows: int = ROWS, links: Mapping[Key, str] | None = None
) -> ProblemPages:
    """Lay out a table for the page; see :func:`problem_pages`."""
    shown, links = table.listed(rows), links or {}
    details = _fitting(table, shown, limit)
    lines: list[dict[str, Any]] = []
    for i, key in enumerate(shown):
        lines.append({**table.row(key), "detailed": i in details, "href": links.get(key, ""), "id": f"r{i}"})
    notes = list(table.notes())
    if len(shown) < len(table.order):
        notes.append(f"Of {len(table.order):,} problems an even selection of {len(shown):,} is listed.")
    if len(details) < len(shown):
        where = "; the others lead to files beside it" if links else ""
        notes.append(f"Details are kept for {len(details):,} of them, evenly spread, to keep this page small{where}.")
    whole = len(details) == len(table.order) and all(table.brief(key)[2] for key in table.order)
    opened = [{**details[i], "href": line["href"]} if i in details else None for i, line in enumerate(lines)]
    return ProblemPages(table.heads, lines, opened, " ".join(notes), whole)


def _fitting(table: ProblemTable, shown: Sequence[Key], limit: int) -> dict[int, dict[str, Any]]:
    """Return the details of an even selection, by place: as many as fit into :data:`DETAIL_BYTES`."""
    while limit:
        chosen, size = _even(len(shown), limit), 0
        for i in chosen:
            size += table.brief(shown[i])[1]
            if size > DETAIL_BYTES and limit > 1:
                break
        else:
            return {i: table.brief(shown[i])[0] for i in chosen}
        limit //= 2
    return {}


def _even(n: int, limit: int) -> list[int]:
    """Choose up to ``limit`` of n positions, evenly spread; half as many are among them."""
    return list(range(n)) if n <= limit else [i * n // limit for i in range(limit)]


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


def _groups(mine: Mapping[tuple[str, str], Sequence[UnitRecord]]) -> list[str]:
    """Name the filters that a problem passes."""
    share = {column: sum(u.correct for u in units) / len(units) for column, units in mine.items()}
    base = next((share[column] for column, units in mine.items() if units[0].strategy == BASELINE), None)
    groups: list[str] = []
    if base is not None and max(share.values()) > base:
        groups.append("lifted")
    if base is not None and min(share.values()) < base:
        groups.append("lost")
    if not any(share.values()):
        groups.append("none")
    return groups


def _cap(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
