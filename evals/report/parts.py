"""The files beside a page: all that is kept of every problem, in parts that a browser opens without a server.

They are pages and not data, since a page that was opened as a file may not fetch another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ttc.evals.report.filling import fill, script_data, source
from ttc.evals.report.problem_details import Room
from ttc.evals.report.problems import Key, ProblemTable
from ttc.evals.run_directory import write_file

__all__ = ["FOLDER", "Part", "remove_parts", "write_parts"]

FOLDER = "problems"
"""Beside the page."""

PROBLEMS, BYTES = 50, 2_000_000
"""A part holds so many problems at the most, and about so many bytes."""

_WHOLE = Room(prompt=60_000, text=60_000, value=4000, entries=400, events=4000)


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its address from the page, what it holds in words, and its problems."""

    href: str
    name: str
    keys: tuple[Key, ...]

    def links(self) -> dict[Key, str]:
        """Where each of its problems is."""
        return {key: f"{self.href}#r{i}" for i, key in enumerate(self.keys)}


def write_parts(run_dir: Path, table: ProblemTable, *, run: str) -> list[Part]:
    """Write all that is kept of every problem in parts, in place of those that were there.

    Args:
        run_dir: where the page is.
        table: the problems.
        run: the run's name.
    """
    remove_parts(run_dir)
    (run_dir / FOLDER).mkdir(exist_ok=True)
    parts: list[Part] = []
    done = 0
    waiting: list[tuple[Part, list[dict[str, Any]]]] = []

    def write(part: Part, details: list[dict[str, Any]], *, after: Part | None) -> None:
        before = parts[parts.index(part) - 1] if parts.index(part) else None
        html = _page(table, part, details, run=run, before=before, after=after)
        write_file(run_dir / part.href, html.encode())

    for keys, details in _chunks(table):
        first, done = done + 1, done + len(keys)
        part = Part(f"{FOLDER}/{len(parts) + 1:03}.html", f"{first:,} to {done:,}", tuple(keys))
        parts.append(part)
        if waiting:
            write(*waiting.pop(), after=part)
        waiting.append((part, details))
    for last in waiting:
        write(*last, after=None)
    return parts


def remove_parts(run_dir: Path) -> None:
    """Remove the parts that an earlier page had, and nothing else."""
    folder = run_dir / FOLDER
    if folder.is_dir():
        for path in folder.iterdir():
            if re.fullmatch(r"\d{3,}\.html", path.name):
                path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _chunks(table: ProblemTable) -> Iterator[tuple[list[Key], list[dict[str, Any]]]]:
    keys: list[Key] = []
    details: list[dict[str, Any]] = []
    size = 0
    for key in table.order:
        found = table.details(key, replace(_WHOLE))
        more = len(script_data(found))
        if keys and (len(keys) >= PROBLEMS or size + more > BYTES):
            yield keys, details
            keys, details, size = [], [], 0
        keys.append(key)
        details.append(found)
        size += more
    if keys:
        yield keys, details


def _page(
    table: ProblemTable, part: Part, details: list[dict[str, Any]], *, run: str, before: Part | None, after: Part | None
) -> str:
    rows = [{**table.row(key), "detailed": True, "id": f"r{i}"} for i, key in enumerate(part.keys)]
    return fill(
        "part.html.j2",
        data={"problems": details},
        scripts=[source("page.js", "brackets.js", "search_tree.js")],
        values={
            "title": f"Problems {part.name}",
            "run": run,
            "table": {"columns": table.heads, "rows": rows, "note": " ".join(table.notes())},
            "before": Path(before.href).name if before else "",
            "after": Path(after.href).name if after else "",
        },
    )
