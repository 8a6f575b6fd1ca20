"""What a run shows of cost, as plain data. Infinite costs are None, as JSON has no infinity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CurveReading", "Economics", "FrontierPoint", "How", "TargetCost", "economics_from_json"]

How = Literal["prefix", "explicit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCost:
    """What a curve costs where it reaches a target accuracy, between two of its settings too.

    Attributes:
        strategy: the curve's strategy, without its ``n``.
        how: ``prefix`` or ``explicit``, as the curve.
        target: the accuracy.
        cost: mean per query; None: the curve ends below the target.
        low: lower end of the 95% interval; None: even the upper ends of the accuracies stay below the target.
        high: upper end; None: infinite, since the accuracies' lower ends never reach the target.
        ratio: the cost over the baseline's; None where one of the two does not reach the target, and for the baseline.
        ratio_low: lower end of its paired 95% interval; 0 where the baseline may never reach the target.
        ratio_high: upper end; None: infinite.
    """

    strategy: str
    how: How
    target: float
    cost: float | None
    low: float | None
    high: float | None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveReading:
    """A curve's accuracy read off its non-decreasing hull: at one cost, or as the mean over the logarithm of cost.

    Attributes:
        strategy: the curve's strategy, without its ``n``.
        how: ``prefix`` or ``explicit``.
        cost: where it is read; None: over the whole range that all curves span, the area under the curve.
        accuracy: what it is there, or on the mean.
        low: lower end of the 95% interval.
        high: upper end.
        difference: the accuracy less the baseline's, paired on problems; None for the baseline.
        difference_low: lower end of its 95% interval.
        difference_high: upper end.
    """

    strategy: str
    how: How
    cost: float | None
    accuracy: float
    low: float
    high: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """Whether a point is on the Pareto frontier: no other is as good for less, or better for no more.

    Attributes:
        strategy: the strategy's spec without its ``n``.
        spec: the spec that ran.
        setting: ``n=4``, or empty.
        cost: mean per query.
        accuracy: share of right answers.
        on: it is on the frontier.
        share: in what share of resamples of the problems it is.
    """

    strategy: str
    spec: str
    setting: str
    cost: float
    accuracy: float
    on: bool
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What a run shows of cost, of one model on one group of problems.

    Attributes:
        group: of problems, as of :class:`~ttc.evals.summary.Point`.
        model: that answered; empty in a run of one model.
        axis: what costs count.
        problems: problems that every point has.
        baseline: the curve that others are held against; empty where there is no curve.
        targets: accuracies, rising.
        chosen: how the targets were chosen, in words.
        to_target: by curve and target.
        cost_range: that all curves span; None where there is none.
        areas: by curve, the mean accuracy over the logarithm of cost in that range; empty without one.
        at_equal_cost: by curve, the accuracy at the middle of that range (in logarithms), and at its end.
        frontier: every point of the run, by rising cost.
    """

    group: str
    model: str = ""
    axis: str = "thinking"
    problems: int
    baseline: str
    targets: tuple[float, ...]
    chosen: str
    to_target: tuple[TargetCost, ...]
    cost_range: tuple[float, float] | None
    areas: tuple[CurveReading, ...]
    at_equal_cost: tuple[CurveReading, ...]
    frontier: tuple[FrontierPoint, ...]


def economics_from_json(data: Mapping[str, Any]) -> Economics:
    """Make one again of what JSON made of it."""
    made: dict[str, Any] = {
        "targets": tuple(data["targets"]),
        "to_target": tuple(TargetCost(**t) for t in data["to_target"]),
        "cost_range": None if data["cost_range"] is None else tuple(data["cost_range"]),
        "areas": tuple(CurveReading(**a) for a in data["areas"]),
        "at_equal_cost": tuple(CurveReading(**a) for a in data["at_equal_cost"]),
        "frontier": tuple(FrontierPoint(**p) for p in data["frontier"]),
    }
    return Economics(**{**data, **made})
