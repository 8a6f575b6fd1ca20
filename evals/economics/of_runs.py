"""What a run shows of cost: tokens to reach an accuracy, area under each curve, and which points are worth running.

A pure function of the points by problem, so that equal stores give equal bytes: resamples are seeded. How each interval
is made, and how often it covers: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ttc.evals.economics.by_problem import by_problem
from ttc.evals.economics.curves import NEARLY, CostCurve, Floats, reached_cost
from ttc.evals.economics.findings import CurveReading, Economics, FrontierPoint, How, TargetCost
from ttc.evals.economics.frontier import on_frontier
from ttc.evals.economics.intervals import resampled_weights
from ttc.evals.economics.target_cost import cost_ratio, target_cost
from ttc.statistics import difference_interval, share_interval

if TYPE_CHECKING:
    from ttc.evals.equal_cost import Measured

__all__ = ["run_economics"]


def run_economics(
    points: Sequence[Measured],
    *,
    group: str = "all",
    model: str = "",
    axis: str = "thinking",
    baseline: str = "majority",
    targets: Sequence[float] | None = None,
    level: float = 0.95,
    repetitions: int = 1000,
    seed: int = 0,
) -> Economics | None:
    """Work out what the points of one model on one group of problems show of cost; None where they share no problem.

    Args:
        points: of the run, on the problems of the group; those of one strategy with two or more ``n`` make a curve.
        group: what to call the problems.
        model: what to call the model.
        axis: what the costs of the points count.
        baseline: the strategy whose curve others are held against; where it has none, the curve that comes first.
        targets: accuracies; by default those at half and at nine tenths of the way from where the curves begin to the
            best that two of them reach.
        level: coverage of intervals.
        repetitions: resamples of the problems, for the frontier.
        seed: of the resamples.
    """
    if not points or not (names := sorted(set(points[0].problems).intersection(*(m.problems for m in points)))):
        return None
    by_problem = np.array([[m.problems[name] for m in points] for name in names], dtype=float)
    right, cost = by_problem[..., 0], by_problem[..., 1]
    curves = _curves(points, right, cost)
    base = next((c for c in curves if c.strategy == baseline), curves[0] if curves else None)
    wanted, chosen = (tuple(sorted(targets)), "given") if targets is not None else _targets(curves)
    span = _span(curves)
    weights = resampled_weights(names, repetitions=repetitions, seed=seed) / len(names)
    return Economics(
        group=group,
        model=model,
        axis=axis,
        problems=len(names),
        baseline=base.strategy if base else "",
        targets=wanted,
        chosen=chosen,
        to_target=tuple(_to_target(c, base, target, level) for c in curves for target in wanted),
        cost_range=span,
        areas=tuple(_readings(curves, base, lambda c: c.area_under(*span), None, level)) if span else (),
        at_equal_cost=tuple(_at_costs(curves, base, span, level)) if span else (),
        frontier=tuple(_frontier(points, right, cost, weights)),
    )


@dataclass(frozen=True, slots=True)
class _Curve:
    """The points of a strategy by rising mean cost; arrays of shape (problems, settings)."""

    strategy: str
    how: How
    right: Floats
    cost: Floats

    @property
    def means(self) -> tuple[Floats, Floats]:
        """Mean costs and accuracies."""
        return self.cost.mean(axis=0), self.right.mean(axis=0)


def _curves(points: Sequence[Measured], right: Floats, cost: Floats) -> list[_Curve]:
    """Strategies with two points or more; of runs that were read at prefixes, the longest one's points."""
    found: list[_Curve] = []
    rows = sorted((i for i, m in enumerate(points) if m.n is not None), key=lambda i: (points[i].strategy, i))
    for strategy, group in groupby(rows, key=lambda i: points[i].strategy):
        of_it = list(group)
        longest = max((points[i] for i in of_it), key=lambda m: m.n or 0)
        if longest.prefix:
            of_it = [i for i in of_it if points[i].spec == longest.spec]
        of_it.sort(key=lambda i: (float(cost[:, i].mean()), points[i].n))
        if len(of_it) > 1:
            how: How = "prefix" if longest.prefix else "explicit"
            found.append(_Curve(strategy, how, right[:, of_it], cost[:, of_it]))
    return found


def _targets(curves: Sequence[_Curve]) -> tuple[tuple[float, ...], str]:
    """Accuracies that several curves reach, above where they begin."""
    if not curves:
        return (), "there is no curve of two settings"
    start = max(float(c.means[1][0]) for c in curves)
    tops = sorted((float(c.means[1].max()) for c in curves), reverse=True)
    top = tops[min(1, len(tops) - 1)]
    if top <= start + NEARLY:
        return (), "no two curves rise above where they begin" if len(curves) > 1 else "the curve does not rise"
    best = "two of them reach" if len(curves) > 1 else "it reaches"
    where = "the curves begin" if len(curves) > 1 else "the curve begins"
    said = f"half and nine tenths of the way from {start:.3f}, where {where}, to {top:.3f}, the best that {best}"
    return tuple(start + part * (top - start) for part in (0.5, 0.9)), said


def _to_target(curve: _Curve, base: _Curve | None, target: float, level: float) -> TargetCost:
    found = target_cost(curve.right, curve.cost, target, level=level)
    ratio: tuple[float | None, ...] = (None, None, None)
    if base is not None and base is not curve:
        ratio = _ratio(curve, base, target, level)
    return TargetCost(
        strategy=curve.strategy,
        how=curve.how,
        target=target,
        cost=_finite(found.value),
        low=_finite(found.low),
        high=_finite(found.high),
        ratio=ratio[0],
        ratio_low=ratio[1],
        ratio_high=ratio[2],
    )


def _ratio(curve: _Curve, base: _Curve, target: float, level: float) -> tuple[float | None, ...]:
    """The ratio of two costs with its paired interval; nothing where one of them is infinite."""
    mine, its = (float(reached_cost(*c.means, target)) for c in (curve, base))
    if not (isfinite(mine) and isfinite(its) and its > 0):
        return None, None, None
    low, high = cost_ratio((curve.right, curve.cost), (base.right, base.cost), target, level=level)
    return mine / its, min(low, mine / its), _finite(max(high, mine / its))


def _span(curves: Sequence[_Curve]) -> tuple[float, float] | None:
    """The costs that all curves span."""
    if not curves:
        return None
    low, high = max(float(c.means[0][0]) for c in curves), min(float(c.means[0][-1]) for c in curves)
    return (low, high) if 0 < low < high else None


def _at_costs(
    curves: Sequence[_Curve], base: _Curve | None, span: tuple[float, float], level: float
) -> list[CurveReading]:
    costs = (sqrt(span[0] * span[1]), span[1])
    return [r for cost in costs for r in _readings(curves, base, lambda c, cost=cost: c.accuracy_at(cost), cost, level)]


def _readings(
    curves: Sequence[_Curve],
    base: _Curve | None,
    number: Callable[[CostCurve], float],
    cost: float | None,
    level: float,
) -> list[CurveReading]:
    """Read a number off every curve; where it is read is taken for given."""
    values = [by_problem(number, c.right, c.cost) for c in curves]
    of_base = next((v for c, v in zip(curves, values, strict=True) if c is base), None)
    found: list[CurveReading] = []
    for curve, mine in zip(curves, values, strict=True):
        n, value = len(mine), float(mine.mean())
        low, high = share_interval(value, float(mine.std(ddof=1)) / sqrt(n), n, level=level) if n > 1 else (0.0, 1.0)
        difference: tuple[float | None, ...] = (None, None, None)
        if of_base is not None and curve is not base:
            ends = difference_interval(mine - of_base, level=level) if n > 1 else (-1.0, 1.0)
            difference = (float((mine - of_base).mean()), float(ends[0]), float(ends[1]))
        found.append(
            CurveReading(
                strategy=curve.strategy,
                how=curve.how,
                cost=cost,
                accuracy=value,
                low=float(low),
                high=float(high),
                difference=difference[0],
                difference_low=difference[1],
                difference_high=difference[2],
            )
        )
    return found


def _frontier(points: Sequence[Measured], right: Floats, cost: Floats, weights: Floats) -> list[FrontierPoint]:
    accuracies, costs = right.mean(axis=0), cost.mean(axis=0)
    on = on_frontier(costs, accuracies)
    share = on_frontier(weights @ cost, weights @ right).mean(axis=0)
    order = sorted(range(len(points)), key=lambda i: (costs[i], -accuracies[i], points[i].spec, points[i].n or 0))
    return [
        FrontierPoint(
            strategy=points[i].strategy,
            spec=points[i].spec,
            setting="" if points[i].n is None else f"n={points[i].n}",
            cost=float(costs[i]),
            accuracy=float(accuracies[i]),
            on=bool(on[i]),
            share=float(share[i]),
        )
        for i in order
    ]


def _finite(value: Floats | float) -> float | None:
    return float(value) if np.isfinite(value) else None
