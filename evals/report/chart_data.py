"""The numbers behind a page's charts, as plain data: every point of every group on every axis that is known.

The page's script chooses from them. Names stand as values and never as fields or expressions, so that a strategy called
``datum.x`` is a name like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttc.errors import ConfigurationError
from ttc.evals.axes import AXES, Axis, Timings, make_axis
from ttc.evals.figures.costs import final_points, kinds_of
from ttc.evals.figures.curves import BASELINE, group_name, reads_prefixes
from ttc.evals.report.charts import MARK_SIZES
from ttc.evals.report.series import Series, models_of, series_of
from ttc.evals.summary import Curve, Point, Summary

__all__ = ["GROUPS", "SHARES", "axes_of", "chart_data", "groups_of"]

GROUPS = 80
"""So many groups a page draws; of the others the tables alone tell."""

SHARES: Mapping[str, str] = {
    "refused": "refused",
    "unparsed": "no readable answer",
    "cut_thoughts": "cut while thinking",
    "abstained": "queries without an answer",
    "failed": "queries of which every call failed",
}
"""What can go wrong, by the field of a point: shares of samples, the last two of queries."""


def chart_data(summary: Summary, *, timings: Timings | None = None, axis: str = "thinking") -> dict[str, Any]:
    """Return what the charts of a page are drawn from.

    Args:
        summary: what was measured.
        timings: what depends on the clock, for the axis of seconds.
        axis: that is shown first.

    Raises:
        ConfigurationError: there is no such axis, or no point of the run knows its cost on it.
    """
    make_axis(axis, summary, timings=timings)
    axes, groups, series = axes_of(summary, timings), groups_of(summary), series_of(summary)
    place = {(s.strategy, s.model): i for i, s in enumerate(series)}
    shown = {g["key"] for g in groups}
    curves = [c for c in summary.curves if c.group in shown]
    return {
        "axis": axis,
        "axes": [_axis(a) for a in axes],
        "groups": groups,
        "models": models_of(summary),
        "series": [_series(s) for s in series],
        "baselines": [i for i, s in enumerate(series) if s.strategy == BASELINE],
        "shares": _shares(curves),
        "points": [_point(p, c, place, axes) for c in curves for p in c.points],
        "kinds": kinds_of([p for group in shown for p in final_points(summary, group)]),
    }


def axes_of(summary: Summary, timings: Timings | None = None) -> list[Axis]:
    """Return the axes on which something of the run is known."""
    found: list[Axis] = []
    for name in AXES:
        try:
            found.append(make_axis(name, summary, timings=timings))
        except ConfigurationError:
            continue  # of calls within a prefix, of a model without a price
    return found


def groups_of(summary: Summary) -> list[dict[str, Any]]:
    """Return the groups of problems that have curves, all problems first: key, tag, name and number of problems."""
    drawn = {c.group for c in summary.curves}
    keys = ["all", *(f"{tag}={value}" for tag, values in summary.classes.items() for value in values)]
    return [
        {"key": key, "tag": key.partition("=")[0], "name": _short(group_name(key)), "n": summary.problems.get(key, 0)}
        for key in keys
        if key in drawn
    ][:GROUPS]


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


def _axis(axis: Axis) -> dict[str, Any]:
    return {"name": axis.name, "label": axis.label, "unit": axis.unit, "shared": axis.shared, "floor": axis.floor}


def _series(series: Series) -> dict[str, Any]:
    return {"name": series.name, "model": series.model, "size": MARK_SIZES[series.marker]}


def _shares(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Name the shares; ``seen``: it is not nought everywhere."""
    points = [p for c in curves for p in c.points]
    seen = {name: any(getattr(p, name) for p in points) for name in SHARES}
    return [{"name": name, "words": words, "seen": seen[name]} for name, words in SHARES.items()]


def _point(p: Point, curve: Curve, place: Mapping[tuple[str, str], int], axes: Sequence[Axis]) -> dict[str, Any]:
    ends = curve.how == "explicit" or p is _last_of_run(curve, p.spec)
    fields = {
        "s": place[curve.strategy, curve.model],
        "run": p.spec,
        "setting": p.setting,
        "group": p.group,
        "how": "prefix" if reads_prefixes(curve) else "explicit",
        "n": p.n,
        "y": _rounded(p.accuracy),
        "low": _rounded(p.low),
        "high": _rounded(p.high),
        "cost": {a.name: _rounded(value) for a in axes if (value := a.at(p)) is not None},
        "shares": {name: _rounded(value) for name in SHARES if (value := getattr(p, name))},
    }
    return fields | ({"kinds": {k: _rounded(v) for k, v in p.kinds.items() if v}} if ends else {})


def _last_of_run(curve: Curve, spec: str) -> Point:
    return [p for p in curve.points if p.spec == spec][-1]


def _rounded(value: float) -> float:
    """Keep what a chart can show of a number: five digits."""
    return float(f"{value:.5g}")
