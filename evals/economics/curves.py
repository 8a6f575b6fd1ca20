"""Accuracy against realised cost: what a target costs, and how much a curve holds in one number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError

__all__ = ["CostCurve", "Floats", "reached_cost"]

Floats = NDArray[np.float64]
NEARLY = 1e-9  # accuracies that differ by less are one: they are means of the same numbers in another order


@dataclass(frozen=True)
class CostCurve:
    """Points of accuracy and mean realised cost, in any order.

    Between two points lies what choosing one of them by lot gives, query by query: accuracy is linear in cost. Fixed-N
    curves saturate and may fall; the non-decreasing hull is what one would run, the best that costs no more.

    Attributes:
        settings: what each point is called, ``8`` of N=8.
        cost: mean per query; shape (settings,).
        accuracy: shape (settings,).
        unit: of the cost.
    """

    settings: tuple[str, ...]
    cost: Floats
    accuracy: Floats
    unit: str = "tokens"

    def __post_init__(self) -> None:
        if not len(self.settings) == len(self.cost) == len(self.accuracy) or not self.settings:
            raise ConfigurationError("a curve needs a cost and an accuracy for each of its settings, and one at least")

    def at(self, setting: str) -> tuple[float, float]:
        """Return accuracy and cost at a setting.

        Raises:
            ConfigurationError: the curve has no such point.
        """
        if setting not in self.settings:
            raise ConfigurationError(f"the curve has no point '{setting}': {', '.join(self.settings)}")
        i = self.settings.index(setting)
        return float(self.accuracy[i]), float(self.cost[i])

    @cached_property
    def hull(self) -> tuple[Floats, Floats]:
        """Costs and accuracies of the corners of the non-decreasing hull, by cost.

        Where a point falls behind a cheaper one the hull stays level, until the curve comes up to it again: so it moves
        little where accuracies do, whatever point is the best by a hair.
        """
        order = np.lexsort((-self.accuracy, self.cost))
        cost, accuracy = self.cost[order], self.accuracy[order]
        corners = [(float(cost[0]), float(accuracy[0]))]
        last = 0
        for i in range(1, len(cost)):
            best = corners[-1][1]
            if accuracy[i] > best + NEARLY:
                if last < i - 1:
                    part = (best - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
                    corners.append((float(cost[i - 1] + part * (cost[i] - cost[i - 1])), best))
                corners.append((float(cost[i]), float(accuracy[i])))
                last = i
        costs, heights = np.array(corners).T
        return costs, heights

    def cheapest(self, accuracy: float) -> str | None:
        """Return the cheapest setting that reaches an accuracy; None if none does."""
        reached = np.flatnonzero(self.accuracy >= accuracy - NEARLY)
        return self.settings[int(reached[np.argmin(self.cost[reached])])] if len(reached) else None

    def cost_to_reach(self, accuracy: float) -> float:
        """Return the realised cost of the cheapest setting that reaches an accuracy; infinite if none does."""
        reached = self.cost[self.accuracy >= accuracy - NEARLY]
        return float(reached.min()) if len(reached) else inf

    def interpolated_cost(self, accuracy: float) -> float:
        """Return what an accuracy costs on the non-decreasing hull, between settings too; infinite above its top.

        Below the first point nothing cheaper is known: it costs what the first point costs.
        """
        return float(reached_cost(*self.hull, accuracy))

    def accuracy_at(self, cost: float) -> float:
        """Return the accuracy that a cost buys on the non-decreasing hull; flat behind its last point.

        Raises:
            ConfigurationError: less than the first point costs.
        """
        costs, height = self.hull
        if cost < costs[0] * (1 - NEARLY):
            raise ConfigurationError(f"a cost of {cost:.6g} lies below the curve's first point ({costs[0]:.6g})")
        return float(np.interp(cost, costs, height))

    def area_under(self, low: float, high: float) -> float:
        """Return the mean accuracy over the logarithm of cost from ``low`` to ``high``, on the non-decreasing hull.

        Curves are compared over one range that both of them reach into: from the dearer of their first points on.

        Raises:
            ConfigurationError: an empty range, or one that starts below the first point.
        """
        if not 0 < low < high:
            raise ConfigurationError(f"an area needs a range of costs from low to high, got {low:.6g} to {high:.6g}")
        first = self.accuracy_at(low)
        costs, height = self.hull
        inside = (costs > low) & (costs < high)
        x = np.concatenate([[low], costs[inside], [high]])
        y = np.concatenate([[first], height[inside], [self.accuracy_at(high)]])
        width = np.diff(x)
        slope = np.diff(y) / np.where(width > 0, width, 1)
        start = y[:-1] - slope * x[:-1]  # accuracy is start + slope * cost between two points
        area = start * np.log(x[1:] / x[:-1]) + slope * width
        return float(area.sum()) / log(high / low)


def reached_cost(cost: Floats, accuracy: Floats, target: float) -> Floats:
    """Return what a target costs where many curves first come up to it; infinite above their tops.

    Args:
        cost: by rising cost; shape (..., settings).
        accuracy: of the same shape.
        target: the accuracy to reach.
    """
    reached = accuracy >= target - NEARLY
    at = np.argmax(reached, axis=-1)[..., None]
    before = np.maximum(at - 1, 0)
    start, below = np.take_along_axis(cost, before, -1), np.take_along_axis(accuracy, before, -1)
    rise = np.take_along_axis(accuracy, at, -1) - below
    part = np.clip((target - below) / np.where(rise > 0, rise, 1), 0, 1)
    found = start + part * (np.take_along_axis(cost, at, -1) - start)
    return np.where(reached.any(axis=-1), found[..., 0], inf)
