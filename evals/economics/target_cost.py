"""What an accuracy costs on a curve, with an interval that covers: the band of the curve, read sideways.

At each cost between two settings the curve's accuracy is a mean over problems, of what answering some queries at the
one setting and the others at the next one brings. Its interval there (:func:`ttc.statistics.share_interval`) holds the
target at 95% where the true curve crosses it, so the costs whose intervals hold the target are an interval for the cost
(Fieller 1954). It needs no slope, which a saturating curve does not have: where the lower ends of the accuracies never
reach the target, the cost is unbounded, and the upper end infinite. A bootstrap of the cost itself covers too seldom
there. Means of costs vary too: a problem counts with its accuracy less what its cost is worth on the curve.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ttc.evals.economics.curves import Floats, reached_cost
from ttc.statistics import share_interval, t_quantile

__all__ = ["CostInterval", "cost_ratio", "target_cost"]

STEPS = 32
"""Places between two settings at which the band is looked at; between them it is taken for straight."""
FINE = 64
"""The same for ratios, where nothing is taken for straight."""


class CostInterval(NamedTuple):
    """What a target costs; shape (...). Infinite is what is not reached."""

    value: Floats
    low: Floats
    high: Floats


def target_cost(right: Floats, cost: Floats, target: float, *, level: float = 0.95) -> CostInterval:
    """Return what a target accuracy costs on curves of two settings or more, with its interval.

    Args:
        right: share right by problem and setting, settings by rising mean cost; shape (..., problems, settings).
        cost: of the same shape.
        target: the accuracy to reach.
        level: coverage of the interval.
    """
    n = right.shape[-2]
    means, spent = right.mean(axis=-2), cost.mean(axis=-2)
    value = reached_cost(np.maximum.accumulate(spent, axis=-1), means, target)
    width = np.diff(spent)
    slope = np.where(width > 0, np.diff(means) / np.where(width > 0, width, 1), 0.0)[..., None, :]
    one, other = right[..., :-1] - slope * cost[..., :-1], right[..., 1:] - slope * cost[..., 1:]
    one, other = one - one.mean(axis=-2, keepdims=True), other - other.mean(axis=-2, keepdims=True)
    weight = np.linspace(0, 1, STEPS + 1)
    # Variances of the mixtures, and of means of n: (..., segments, steps), then the segments one after the other.
    of_one, of_both, of_other = ((a * b).sum(axis=-2)[..., None] for a, b in ((one, one), (one, other), (other, other)))
    variance = (1 - weight) ** 2 * of_one + 2 * weight * (1 - weight) * of_both + weight**2 * of_other
    flat = (*means.shape[:-1], -1)
    error = np.sqrt(np.maximum(variance, 0) / max(n - 1, 1) / n).reshape(flat)
    height = (means[..., :-1, None] + weight * np.diff(means)[..., None]).reshape(flat)
    place = (spent[..., :-1, None] + weight * width[..., None]).reshape(flat)
    below, above = share_interval(height, error, n, level=level)
    first = cost[..., 0]
    slack = t_quantile(level, n - 1) * first.std(axis=-1, ddof=1) / np.sqrt(n) if n > 1 else np.inf
    # The outermost crossings: at the true cost alone the band is asked to hold.
    low = _first(place, above - target)
    low = np.where(above[..., 0] >= target, np.maximum(spent[..., 0] - slack, 0), low)
    high = -_first(-place[..., ::-1], (target - below)[..., ::-1])
    high = np.where(below[..., -1] <= target, np.inf, high)
    high = np.where((below > target).all(axis=-1), spent[..., 0] + slack, high)
    return CostInterval(value, np.minimum(low, value), np.maximum(high, value))


def _first(place: Floats, sign: Floats) -> Floats:
    """Where ``sign`` first is not negative, taken for straight between places; infinite where it never is."""
    there = sign >= 0
    at = np.argmax(there, axis=-1)[..., None]
    before = np.maximum(at - 1, 0)
    a, b = np.take_along_axis(sign, before, -1), np.take_along_axis(sign, at, -1)
    x, y = np.take_along_axis(place, before, -1), np.take_along_axis(place, at, -1)
    part = np.where(b > a, -a / np.where(b > a, b - a, 1), 1)
    return np.where(there.any(axis=-1), (x + np.clip(part, 0, 1) * (y - x))[..., 0], np.inf)


def cost_ratio(
    mine: tuple[Floats, Floats], its: tuple[Floats, Floats], target: float, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of what a target costs on one curve over what it costs on another, on the same problems.

    A pair of costs is credible where both accuracies there lie as near to the target as chance has them, given how the
    two go together; the interval holds the ratios of all credible pairs. Beyond its last setting a curve may reach the
    target at any cost, and what a first setting reaches costs what that costs.

    Args:
        mine: share right and cost by problem and setting, as of :func:`target_cost`; shape (problems, settings).
        its: the same of the curve that it is held against.
        target: the accuracy to reach.
        level: coverage of the interval.

    Returns:
        Its ends, 0 and infinite where a curve may never reach the target.
    """
    n = len(mine[0])
    if n < 2:
        return 0.0, np.inf
    (place, off, values), (its_place, its_off, its_values) = (_distances(*c, target) for c in (mine, its))
    together = np.clip(values.T @ its_values, -0.999, 0.999)
    a, b = off[:, None], its_off[None, :]
    credible = a * a - 2 * together * a * b + b * b <= t_quantile(level, n - 1) ** 2 * (1 - together**2)
    if credible[-1, -1] or not credible.any():
        return 0.0, np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (place[:, None] / its_place[None, :])[credible]
    ratios = ratios[~np.isnan(ratios)]  # two first settings that cost nothing have no ratio; those beside them have
    if not len(ratios):
        return 0.0, np.inf
    return float(ratios.min()), float(ratios.max())


def _distances(right: Floats, cost: Floats, target: float) -> tuple[Floats, Floats, Floats]:
    """Along a curve and then beyond it: costs, by how many standard errors the accuracy is off, and unit residuals."""
    n, weight = len(right), np.linspace(0, 1, FINE + 1)
    means, spent = right.mean(axis=0), cost.mean(axis=0)
    width = np.diff(spent)
    slope = np.where(width > 0, np.diff(means) / np.where(width > 0, width, 1), 0.0)
    one, other = right[:, :-1] - slope * cost[:, :-1], right[:, 1:] - slope * cost[:, 1:]
    values = (one[..., None] * (1 - weight) + other[..., None] * weight).reshape(n, -1)
    place = (spent[:-1, None] + weight * width[:, None]).ravel()
    height = (means[:-1, None] + weight * np.diff(means)[:, None]).ravel()
    values = values - values.mean(axis=0)
    length = np.sqrt((values**2).sum(axis=0))
    # Wilson's error, which is that at the target: see share_interval.
    scale = target * (1 - target) / np.maximum(height * (1 - height), 1e-9)
    error = np.where(length > 0, length / np.sqrt((n - 1) * n) * np.sqrt(scale), np.sqrt(target * (1 - target) / n))
    off = (height - target) / np.maximum(error, 1e-12)
    off[0] = min(off[0], 0.0)
    values = values / np.where(length > 0, length, 1)
    return (
        np.append(place, np.inf),
        np.append(off, max(off[-1], 0.0)),
        np.column_stack([values, values[:, -1]]),
    )
