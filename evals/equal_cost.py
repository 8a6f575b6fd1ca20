"""What a strategy that chooses its own spending brings beside fixed ones that cost as much.

A strategy like ``adaptive`` has one point; the others have a curve over n. At its cost a fixed strategy seldom has a
point, so it is read between two: to answer a share w of the queries with the larger n and the others with the smaller
one costs and brings the mean of both with the weight w, problem by problem. That is a strategy that one could run, so
the comparison is of two things that cost the same, on the same problems. Where all of a curve is cheaper, or dearer,
its nearest point stands for it, and what it costs is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ttc.evals.summary import EqualCost
from ttc.statistics import holm, paired_difference

__all__ = ["Measured", "compare_at_equal_cost", "measured"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one configuration brought and cost on each problem.

    Attributes:
        strategy: the strategy's spec without its ``n``.
        spec: the spec that ran.
        n: its ``n``, or None where it has none.
        prefix: it was read off the run of a larger ``n``.
        problems: by problem the share of right answers, and what a query cost, over epochs: thinking tokens, unless
            whoever made it says otherwise.
        model: that answered; empty in a run of one model.
    """

    strategy: str
    spec: str
    n: int | None
    prefix: bool
    problems: Mapping[str, tuple[float, float]]
    model: str = ""


def measured(
    strategy: str,
    spec: str,
    readings: Iterable[tuple[str, bool, float]],
    *,
    n: int | None = None,
    prefix: bool = False,
    model: str = "",
) -> Measured:
    """Make one of readings: problem, whether the answer is right, cost; a problem may come in epochs."""
    epochs: dict[str, list[tuple[bool, float]]] = {}
    for problem, right, cost in readings:
        epochs.setdefault(problem, []).append((right, cost))
    means = {p: (fmean(right for right, _ in of_it), fmean(cost for _, cost in of_it)) for p, of_it in epochs.items()}
    return Measured(strategy=strategy, spec=spec, n=n, prefix=prefix, problems=means, model=model)


def compare_at_equal_cost(
    points: Sequence[Measured],
) -> list[EqualCost]:
    """Hold every strategy that has no ``n`` against every one of the same model that has, where that costs as much.

    The interval is a paired t interval over problems, linearised in the costs, by which the place on the curve varies
    as well; p-values are adjusted by Holm's rule for all comparisons that are returned. ``single`` is neither side: it
    is one point, and has comparisons of its own.

    Args:
        points: every point of a run.
    """
    lone = [m for m in points if m.n is None and m.strategy != "single"]
    found: list[EqualCost] = []
    for mine in lone:
        for curve in _curves([m for m in points if m.model == mine.model]).values():
            common = sorted(set(mine.problems).intersection(*(m.problems for m in curve)))
            if common:
                found.append(_held_against(mine, curve, common))
    adjusted = holm([c.p for c in found])
    return [replace(c, p_holm=p) for c, p in zip(found, adjusted, strict=True)]


def _curves(points: Sequence[Measured]) -> dict[str, list[Measured]]:
    """The points of each strategy that has an ``n``; of runs that were read at prefixes, of the longest."""
    curves: dict[str, list[Measured]] = {}
    for point in points:
        if point.n is not None:
            curves.setdefault(point.strategy, []).append(point)
    for strategy, of_it in curves.items():
        longest = max(of_it, key=lambda m: m.n or 0)
        if longest.prefix:
            curves[strategy] = [m for m in of_it if m.spec == longest.spec]
    return curves


def _held_against(mine: Measured, curve: Sequence[Measured], common: Sequence[str]) -> EqualCost:
    """Compare on the problems that all have. Arrays are (problems,) for this one, (problems, points) for the curve."""
    right, cost = np.array([mine.problems[p] for p in common]).T
    table = np.array([[m.problems[p] for m in curve] for p in common])
    order: list[int] = np.argsort(table[:, :, 1].mean(axis=0), kind="stable").tolist()
    curve, table = [curve[i] for i in order], table[:, order]
    its_right, its_cost = table[:, :, 0], table[:, :, 1]

    spent, prices = float(cost.mean()), np.maximum.accumulate(its_cost.mean(axis=0))
    place = float(np.interp(spent, prices, np.arange(len(curve), dtype=float)))
    low, weight = int(place), place - int(place)
    high = low + 1 if weight else low
    between = (1 - weight) * its_right[:, low] + weight * its_right[:, high]
    # Where this one happens to cost more, the place moves up the curve: a problem counts with what its cost is worth.
    slope = 0.0
    if high > low:
        slope = float((its_right[:, high] - its_right[:, low]).mean() / (prices[high] - prices[low]))
    its_spent = (1 - weight) * its_cost[:, low] + weight * its_cost[:, high]
    found = paired_difference(_scores(common, right - slope * cost), _scores(common, between - slope * its_spent))
    return EqualCost(
        model=mine.model,
        strategy=mine.strategy,
        spec=mine.spec,
        against=curve[0].strategy,
        settings=(f"n={curve[low].n}", f"n={curve[high].n}")[: 2 if high > low else 1],
        where="equal" if prices[0] <= spent <= prices[-1] else "dearer" if spent < prices[0] else "cheaper",
        n=len(common),
        cost=spent,
        its_cost=float(np.clip(spent, prices[0], prices[-1])),
        accuracy=float(right.mean()),
        its_accuracy=float(between.mean()),
        difference=found.value,
        low=found.low,
        high=found.high,
        credible=found.credible,
        p=found.p,
        p_holm=found.p,
    )


def _scores(problems: Sequence[str], values: Floats) -> dict[str, list[float]]:
    return {problem: [value] for problem, value in zip(problems, values.tolist(), strict=True)}
