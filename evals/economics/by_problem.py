"""What each problem adds to a number that follows from a curve, so that the number has an interval and is paired."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ttc.evals.economics.curves import CostCurve, Floats

__all__ = ["by_problem"]

STEP = 1e-6


def by_problem(number: Callable[[CostCurve], float], right: Floats, cost: Floats) -> Floats:
    """Return what each problem adds: the mean is the number on the mean curve, the spread its error.

    A problem counts with how the number changes with each mean accuracy and mean cost (the delta method, at the hull
    that the means have). Shape (problems,).

    Args:
        number: what is read off a curve, such as its accuracy at some cost.
        right: share right by problem and setting, settings by rising mean cost; shape (problems, settings).
        cost: of the same shape.
    """
    accuracy, spent = right.mean(axis=0), np.maximum.accumulate(cost.mean(axis=0))
    names = tuple(map(str, range(len(spent))))
    value = number(CostCurve(names, spent, accuracy))
    values = np.full(len(right), value)
    for i in range(len(spent)):
        up, cheaper = accuracy.copy(), spent.copy()
        up[i] += STEP
        cheaper[i] *= 1 - STEP  # downwards: what is read may begin at a first point
        values += (number(CostCurve(names, spent, up)) - value) / STEP * (right[:, i] - accuracy[i])
        if spent[i] > 0:
            change = (value - number(CostCurve(names, cheaper, accuracy))) / (STEP * float(spent[i]))
            values += change * (cost[:, i] - spent[i])
    return values
