"""What a run's curves cost, in lines for the terminal: what a target takes, how much is under a curve, what is best."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from ttc.evals.axes import amount
from ttc.evals.economics.findings import CurveReading, Economics, TargetCost
from ttc.evals.summary import Summary

__all__ = ["economics_notes"]

MOST = 4
"""So many curves are named in a line."""
_UNITS = {"thinking": "thinking tokens", "dollars": "dollars", "flops": "FLOPs"}


def economics_notes(summary: Summary) -> list[str]:
    """Return the lines: per model in thinking tokens, then across models in the first thing that they share."""
    own = [e for e in summary.economics if e.axis == "thinking"]
    shared = [e for e in summary.economics if e.axis != "thinking"]
    return [line for e in (*own, *shared[:1]) for line in _of(e)]


def _of(e: Economics) -> Iterator[str]:
    who = f"{e.model}: " if e.model else ""
    unit = _UNITS.get(e.axis, e.axis)
    for target in e.targets:
        costs = [t for t in e.to_target if t.target == target]
        told = _first(
            [
                _target(t, e.baseline)
                for t in sorted(costs, key=lambda t: (t.strategy != e.baseline, inf if t.cost is None else t.cost))
            ]
        )
        yield f"{who}{unit} to reach {target:.1%}: {told}"
    if e.areas and e.cost_range is not None:
        low, high = map(amount, e.cost_range)
        areas = sorted(e.areas, key=lambda a: (a.strategy != e.baseline, -a.accuracy))
        told = _first([_area(a, e.baseline) for a in areas])
        yield f"{who}mean accuracy over the logarithm of cost, {low} to {high} {unit}: {told}"
    best = [p for p in e.frontier if p.on]
    if best and len(e.frontier) > 1:
        told = ", ".join(f"{p.strategy} {p.setting}".strip() + f" ({p.share:.0%})" for p in best)
        yield f"{who}on the frontier of {unit}, with the share of resamples in which they are: {told}"


def _first(told: list[str]) -> str:
    """The first of several; the others are in ``summary.json``."""
    return "; ".join(told[:MOST]) + (f"; and {len(told) - MOST} more" if len(told) > MOST else "")


def _target(t: TargetCost, baseline: str) -> str:
    if t.cost is None:
        return f"{t.strategy} ends below"
    text = f"{t.strategy} {amount(t.cost)} [{_end(t.low)}, {_end(t.high)}]"
    if t.ratio is not None:
        low = 0.0 if t.ratio_low is None else t.ratio_low
        text += f", {t.ratio:.2f} [{low:.2f}, {'∞' if t.ratio_high is None else f'{t.ratio_high:.2f}'}] of {baseline}"
    return text


def _area(a: CurveReading, baseline: str) -> str:
    text = f"{a.strategy} {100 * a.accuracy:.1f} [{100 * a.low:.1f}, {100 * a.high:.1f}]"
    if a.difference is not None and a.difference_low is not None and a.difference_high is not None:
        ends = f"[{100 * a.difference_low:+.1f}, {100 * a.difference_high:+.1f}]"
        text += f", {100 * a.difference:+.1f} {ends} to {baseline}"
    return text


def _end(value: float | None) -> str:
    return "∞" if value is None else amount(value)
