"""What a page says of a run: the headline sentence and the rows of its tables, as plain text from a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttc.evals.axes import timing_key
from ttc.evals.figures.costs import final_points, kinds_of
from ttc.evals.figures.curves import BASELINE, group_name, panel_groups
from ttc.evals.figures.looks import Line, line_styles
from ttc.evals.report.series import colour_name
from ttc.evals.summary import Comparison, EqualCost, Point, Summary
from ttc.evals.tables import share

__all__ = [
    "class_tables",
    "colour_names",
    "cost_rows",
    "equal_cost_rows",
    "headline",
    "judging_rows",
    "result_rows",
    "share_rows",
]

_NONE = "–"  # noqa: RUF001 -- a dash in a table

_FOREST = (4.0, 116.0)
"""Where the drawing of an interval begins and ends, in pixels."""


def headline(summary: Summary) -> str:
    """Say in a sentence or two which strategies are credibly better than one sample, or that none is.

    A strategy is spoken for by its largest configuration, so nothing is picked for having come out well.
    """
    found = _comparisons(summary, "all")
    last = {
        (p.strategy, p.model): found[key]
        for p in final_points(summary)
        if (key := (p.strategy, p.setting, p.model)) in found
    }
    n = summary.problems.get("all", 0)
    problems = f"{n:,} problem{'' if n == 1 else 's'}"
    if not last:
        strategies = {c.strategy for c in summary.curves}
        if strategies == {BASELINE}:
            return f"Only '{BASELINE}' was run, on {problems}: there is no other strategy to compare it with."
        if BASELINE not in strategies:
            return f"'{BASELINE}' was not run on {problems}, so there is nothing to compare the strategies with."
        return f"There is nothing to compare on {problems}: no two strategies have solved the same ones."
    above = sorted((c for c in last.values() if c.credible and c.difference > 0), key=lambda c: -c.difference)
    below = [c for c in last.values() if c.credible and c.difference < 0]
    if above:
        verb = "is" if len(above) == 1 else "are"
        first, gain = above[0], _gain(above[0], named=len(above) > 1)
        text = f"On {problems} {_listed(above)} {verb} credibly above a single sample: {gain}"
        text += f" for {first.cost_ratio:.3g} times the thinking tokens." if first.cost_ratio else "."
    else:
        best = max(last.values(), key=lambda c: c.difference)
        text = f"On {problems} no strategy is credibly above a single sample; the nearest: {_gain(best)}."
    if below:
        text += f" Credibly below it: {_listed(below)}."
    return text


def result_rows(summary: Summary, *, every: bool = False) -> list[dict[str, Any]]:
    """Return the rows of the results table: one per configuration, or with ``every`` one per measured point."""
    groups = panel_groups(summary)
    points = {group: {_place(p): p for p in _points(summary, group)} for group in groups}
    shown = _points(summary, "all") if every else final_points(summary)
    found = _comparisons(summary, "all")
    colours = colour_names(summary)
    ends = [e for c in found.values() for e in (c.low, c.high)]
    low, high = min([*ends, -0.01]), max([*ends, 0.01])
    bases = {p.model: p.cost.get("thinking") for p in shown if p.strategy == BASELINE}
    rows: list[dict[str, Any]] = []
    for p in shown:
        comparison, thinking = found.get((p.strategy, p.setting, p.model)), p.cost.get("thinking")
        base = bases.get(p.model)
        rows.append(
            {
                "strategy": p.strategy,
                "setting": " ".join(filter(None, (p.setting, p.model))),
                "colour": colours[p.model, p.strategy],
                "cells": [_accuracy(points[g].get(_place(p))) for g in groups],
                "thinking": _number(thinking),
                "ratio": f"{thinking / base:.1f}" if base and thinking is not None else _NONE,
                "difference": _difference(comparison, low, high) if comparison else None,
                "mark": _mark(comparison) if comparison else "",
                "verdict": _verdict(comparison) if comparison else "",
            }
        )
    return rows


def class_tables(summary: Summary) -> list[dict[str, Any]]:
    """Return a table of accuracies per tag of the problems: its name, the configurations as heads, a row per value."""
    shown = final_points(summary)
    heads = [" ".join(filter(None, (p.strategy, p.setting, p.model))) for p in shown]
    tables: list[dict[str, Any]] = []
    for tag, values in summary.classes.items():
        rows: list[dict[str, Any]] = []
        for value in values:
            group = f"{tag}={value}"
            points = {_place(p): p for p in _points(summary, group)}
            cells = [_accuracy(points.get(_place(p))) for p in shown]
            rows.append({"name": group_name(group), "n": summary.problems.get(group, 0), "cells": cells})
        if rows:
            tables.append({"tag": tag, "heads": heads, "rows": rows})
    return tables


def share_rows(summary: Summary, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return per configuration the shares of those names, such as of the samples that declined to answer."""
    return [
        {
            "strategy": p.strategy,
            "setting": " ".join(filter(None, (p.setting, p.model))),
            "cells": [f"{getattr(p, name):.1%}" for name in names],
        }
        for p in final_points(summary)
    ]


def cost_rows(summary: Summary, timings: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the kinds of calls, and per configuration what a query cost on average.

    ``timings`` is by spec (:func:`~ttc.evals.scaling.timings`): seconds, and the tokens that were really generated,
    with those that were in flight when a vote was decided.
    """
    points = final_points(summary)
    kinds = kinds_of(points)
    rows: list[dict[str, Any]] = []
    for p in points:
        dollars, run = p.cost.get("dollars"), timings.get(timing_key(p.spec, p.model), {})
        rows.append(
            {
                "strategy": p.strategy,
                "setting": " ".join(filter(None, (p.setting, p.model))),
                "kinds": [_number(p.kinds.get(kind, 0.0)) for kind in kinds],
                **{name: _number(p.cost.get(name)) for name in ("generated", "total", "calls")},
                "realised": _number(run.get("generated_realised")),
                "seconds": _number(run.get("seconds")),
                "dollars": _NONE if dollars is None else f"{dollars:.2g}",
                "abstained": f"{p.abstained:.1%}",
                "cut": f"{p.cut:.2g}",
            }
        )
    return kinds, rows


def judging_rows(summary: Summary) -> list[dict[str, str]]:
    """Return a row per configuration that compared candidates: how well its comparisons told right from wrong."""
    return [
        {
            "strategy": j.strategy,
            "setting": " ".join(filter(None, (j.setting, j.model))),
            "q": _NONE if j.q is None else share(j.q),
            "interval": "" if j.q is None else f"{share(j.low)} to {share(j.high)}",
            "comparisons": f"{j.comparisons:,}",
            "problems": f"{j.problems:,}",
            "swap": _NONE if j.swap_consistency is None else share(j.swap_consistency),
            "first": _NONE if j.first_slot is None else share(j.first_slot),
            "verdict": j.verdict or "credibly above 1/2",
            "good": "" if j.verdict else "yes",
        }
        for j in summary.judging
    ]


def equal_cost_rows(summary: Summary) -> list[dict[str, Any]]:
    """Return a row per pair of a strategy that chooses its own spending and a fixed one that costs as much."""
    ends = [e for c in summary.at_equal_cost for e in (c.low, c.high)]
    low, high = min([*ends, -0.01]), max([*ends, 0.01])
    colours = colour_names(summary)
    return [
        {
            "strategy": " ".join(filter(None, (c.strategy, c.model))),
            "colour": colours[c.model, c.strategy],
            "thinking": _number(c.cost),
            "accuracy": f"{c.accuracy:.1%}",
            "against": c.against,
            "place": c.place,
            "its_accuracy": f"{c.its_accuracy:.1%}",
            "difference": _difference(c, low, high),
            "mark": _mark(c),
            "verdict": _verdict(c),
        }
        for c in summary.at_equal_cost
    ]


def colour_names(summary: Summary) -> dict[Line, str]:
    """Return the page's name for the colour of each line, a model and a strategy: ``ink``, or ``s0`` and so on."""
    return {line: colour_name(style) for line, style in line_styles(summary).items()}


# -- words -------------------------------------------------------------------------------------------------------------


def _points(summary: Summary, group: str) -> list[Point]:
    return [p for c in summary.curves if c.group == group for p in c.points]


def _place(p: Point) -> tuple[str, str, str, str]:
    return p.strategy, p.spec, p.setting, p.model


def _comparisons(summary: Summary, group: str) -> dict[tuple[str, str, str], Comparison]:
    return {
        (c.strategy, c.setting, c.model): c for c in summary.comparisons if c.group == group and c.against == BASELINE
    }


def _accuracy(point: Point | None) -> dict[str, str] | None:
    if point is None:
        return None
    return {"value": f"{point.accuracy:.1%}", "interval": f"{100 * point.low:.0f} to {100 * point.high:.0f}"}


def _difference(c: Comparison | EqualCost, low: float, high: float) -> dict[str, str]:
    def at(x: float) -> str:
        return f"{_FOREST[0] + (x - low) / (high - low) * (_FOREST[1] - _FOREST[0]):.1f}"

    return {
        "value": _signed(c.difference),
        "interval": f"{_signed(c.low)} to {_signed(c.high)}",
        "zero": at(0),
        "from": at(c.low),
        "to": at(c.high),
        "at": at(c.difference),
    }


def _mark(c: Comparison | EqualCost) -> str:
    """Filled where the difference also holds after the adjustment for the number of comparisons."""
    if not c.credible:
        return "○"
    firm = c.p_holm < 0.05
    return ("▲" if firm else "△") if c.difference > 0 else ("▼" if firm else "▽")


def _verdict(c: Comparison | EqualCost) -> str:
    return "unresolved" if not c.credible else "above" if c.difference > 0 else "below"


def _gain(c: Comparison, *, named: bool = True) -> str:
    who = f"{_named(c)} " if named else ""
    return f"{who}{_signed(c.difference)} points (95% interval {_signed(c.low)} to {_signed(c.high)}, paired)"


def _named(c: Comparison) -> str:
    more = ", ".join(filter(None, (c.setting, c.model)))
    return f"{c.strategy} ({more})" if more else c.strategy


def _listed(comparisons: Sequence[Comparison]) -> str:
    names = [_named(c) for c in comparisons]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _signed(share: float) -> str:
    """Write a difference of shares in points, with a real minus sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")  # noqa: RUF001 -- what is read, not computed with


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
