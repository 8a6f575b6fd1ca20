"""What targets cost, what is under a curve and which points are on the frontier, as rows of a page's tables."""

from __future__ import annotations

from typing import Any

from ttc.evals.axes import AXES, amount
from ttc.evals.economics.findings import CurveReading, Economics, TargetCost
from ttc.evals.summary import Summary

__all__ = ["economics_tables"]

_NONE = "–"  # noqa: RUF001 -- a dash in a table


def economics_tables(summary: Summary) -> list[dict[str, Any]]:
    """Return a table per model and kind of cost: its name, its targets, a row per curve, and the frontier's points."""
    return [_table(e) for e in summary.economics if e.to_target or e.areas]


def _table(e: Economics) -> dict[str, Any]:
    curves = list(dict.fromkeys((t.strategy, t.how) for t in (*e.to_target, *e.areas)))
    costs = {(t.strategy, t.how, t.target): t for t in e.to_target}
    areas = {(a.strategy, a.how): a for a in e.areas}
    unit = AXES.get(e.axis, e.axis)
    return {
        "name": f"{e.model}, {unit}" if e.model else unit,
        "targets": [f"{target:.1%}" for target in e.targets],
        "chosen": e.chosen,
        "baseline": e.baseline,
        "range": " to ".join(amount(end) for end in e.cost_range) if e.cost_range else "",
        "rows": [
            {
                "strategy": strategy,
                "cells": [_cost(costs.get((strategy, how, target))) for target in e.targets],
                "area": _area(areas.get((strategy, how))),
            }
            for strategy, how in curves
        ],
        "frontier": [
            {
                "name": f"{p.strategy} {p.setting}".strip(),
                "cost": amount(p.cost),
                "accuracy": f"{p.accuracy:.1%}",
                "share": f"{p.share:.0%}",
            }
            for p in e.frontier
            if p.on
        ],
    }


def _cost(t: TargetCost | None) -> dict[str, str]:
    if t is None or t.cost is None:
        return {"value": _NONE, "more": "" if t is None else "ends below"}
    more = f"{'0' if t.low is None else amount(t.low)} to {'∞' if t.high is None else amount(t.high)}"
    if t.ratio is not None:
        high = "∞" if t.ratio_high is None else f"{t.ratio_high:.2f}"
        more += f"; × {t.ratio:.2f}, {0 if t.ratio_low is None else t.ratio_low:.2f} to {high}"  # noqa: RUF001
    return {"value": amount(t.cost), "more": more}


def _area(a: CurveReading | None) -> dict[str, str]:
    if a is None:
        return {"value": _NONE, "more": ""}
    return {"value": f"{a.accuracy:.1%}", "more": f"{100 * a.low:.0f} to {100 * a.high:.0f}"}
