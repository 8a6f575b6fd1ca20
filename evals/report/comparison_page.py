"""The page of a comparison of two runs: one self-contained HTML file without any script."""

from __future__ import annotations

from pathlib import Path

from ttc.evals.comparison.differences import RunComparison, RunDifference
from ttc.evals.comparison.tables import cost_lines, headline, heads, power_line, row_cells, row_name
from ttc.evals.figures.differences import difference_svg
from ttc.evals.report.filling import fill
from ttc.evals.report.inline_svg import inline_svg
from ttc.evals.run_directory import write_file

__all__ = ["comparison_page", "write_comparison"]


def write_comparison(found: RunComparison, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
        RunError: the file cannot be written.
    """
    write_file(path, comparison_page(found).encode())


def comparison_page(found: RunComparison) -> str:
    """Return the page as HTML: everything escaped, and a policy that allows its own style and nothing else.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    several = len({(row.a.model, row.b.model) for row in found.differences}) > 1
    rows = [
        {
            "name": row_name(row, several_models=several),
            "cells": row_cells(row, found),
            "verdict": row.verdict,
            "kind": _kind(row),
        }
        for row in found.differences
    ]
    return fill(
        "comparison.html.j2",
        values={
            "found": found,
            "headline": headline(found),
            "heads": heads(found),
            "rows": rows,
            "lines": [line for line in (*cost_lines(found), power_line(found)) if line],
            "chart": inline_svg(difference_svg(found), "d"),
        },
    )


def _kind(row: RunDifference) -> str:
    if not row.credible:
        return ""
    return "above" if row.difference > 0 else "below"
