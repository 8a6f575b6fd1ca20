"""Cluster bootstrap: intervals of whatever is computed from curves, by resampling groups of problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ttc.errors import ConfigurationError
from ttc.evals.economics.curves import CostCurve, Floats
from ttc.evals.economics.paths import Measured

__all__ = ["Interval", "intervals", "resampled_weights"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its percentile interval over resampled groups of problems.

    Attributes:
        value: on the problems as they are.
        low: lower end.
        high: upper end; infinite where the number is in too many resamples.
    """

    value: float
    low: float
    high: float


def resampled_weights(groups: Sequence[str], *, repetitions: int, seed: int) -> Floats:
    """Return how often each problem is drawn when whole groups are, with replacement; (repetitions, problems)."""
    names, place = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=repetitions)
    return drawn[:, place].astype(float)


def intervals(
    statistics: Callable[[Sequence[CostCurve]], Mapping[str, float]],
    *measured: Measured,
    repetitions: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute numbers from curves, and their intervals when the same groups are drawn for all curves.

    Args:
        statistics: from the curves, in the order given, to named numbers; they may be infinite.
        measured: curves by problem, all over the same problems in the same order.
        repetitions: of the bootstrap.
        level: coverage.
        seed: of the bootstrap.

    Raises:
        ConfigurationError: the curves are of different problems.
    """
    first, *others = measured
    if any(m.groups != first.groups for m in others):
        raise ConfigurationError("curves are compared on the same problems, in the same order")
    values = statistics([m.curve() for m in measured])
    weights = resampled_weights(first.groups, repetitions=repetitions, seed=seed)
    rows = [statistics([m.curve(w) for m in measured]) for w in weights]
    tails = [(1 - level) / 2, (1 + level) / 2]
    found: dict[str, Interval] = {}
    for name, value in values.items():
        # By rank, not interpolated: between a number and an infinite one lies nothing.
        low, high = np.quantile([row[name] for row in rows], tails, method="inverted_cdf")
        found[name] = Interval(value, float(low), float(high))
    return found
