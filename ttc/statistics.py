"""Error bars: means clustered on problems, paired differences, and what several comparisons at once are worth.

Pure functions on plain numbers. The problem is the unit that was sampled; epochs repeat it and are no new evidence,
so standard errors are clustered on problems, and two strategies are compared on the problems that both saw.
Formulas: E. Miller, "Adding Error Bars to Evals" (arXiv 2411.00640); E. B. Wilson (1927) for shares near 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import atan, cos, pi, sin, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError

__all__ = [
    "Difference",
    "Mean",
    "bootstrap_difference",
    "bootstrap_mean",
    "expected_difference_se",
    "expected_se",
    "holm",
    "mean",
    "paired_difference",
]

Method = Literal["wilson", "t", "exact", "bootstrap", "none"]
"""How an interval was made; ``exact``: binomial; ``none``: too few problems for one, it spans everything."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of scores in [0, 1] with its error.

    Attributes:
        value: the mean over all scores.
        se: its standard error, clustered on problems.
        low: lower end of the interval.
        high: upper end.
        n: problems (not scores).
        method: how the interval was made.
    """

    value: float
    se: float
    low: float
    high: float
    n: int
    method: Method


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of mean scores, ``a - b``.

    Attributes:
        value: the mean difference over the problems that both have.
        se: its standard error.
        low: lower end of the interval.
        high: upper end.
        n: problems that both have.
        p: two-sided p-value of no difference.
        method: how the interval was made.
    """

    value: float
    se: float
    low: float
    high: float
    n: int
    p: float
    method: Method

    @property
    def credible(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def expected_se(p: float, n: int) -> float:
    """Return the standard error of a share ``p`` over ``n`` independent problems: sqrt(p (1-p) / n)."""
    return sqrt(p * (1 - p) / n)


def expected_difference_se(p: float, q: float, *, n: int, correlation: float = 0.0) -> float:
    """Return the standard error of ``p - q`` over the same ``n`` problems whose outcomes correlate (0: unpaired)."""
    a, b = p * (1 - p), q * (1 - q)
    return sqrt((a + b - 2 * correlation * sqrt(a * b)) / n)


def mean(scores: Mapping[str, Sequence[float]], *, level: float = 0.95) -> Mean:
    """Return the mean score over problems, with a standard error clustered on them.

    With one 0/1 score per problem the interval is Wilson's; with repeated or graded scores it is Student's t over
    problems; where all scores are equal, and t would claim certainty, it is Wilson's again.

    Args:
        scores: the scores of each problem, one per epoch.
        level: coverage of the interval.

    Raises:
        ConfigurationError: no scores at all.
    """
    groups = [np.asarray(scores[key], dtype=float) for key in sorted(scores) if len(scores[key])]
    if not groups:
        raise ConfigurationError("a mean needs at least one score")
    n, total = len(groups), sum(len(g) for g in groups)
    value = float(sum(g.sum() for g in groups)) / total
    binary = all(len(g) == 1 and g[0] in (0.0, 1.0) for g in groups)
    equal = all(bool(np.all(g == groups[0][0])) for g in groups)
    if binary:
        return Mean(value, expected_se(value, n), *_wilson(value, n, level), n, "wilson")
    if equal:
        return Mean(value, 0.0, *_wilson(value, n, level), n, "wilson")
    if n == 1:
        return Mean(value, 0.0, 0.0, 1.0, 1, "none")
    residuals = np.array([(g - value).sum() for g in groups])
    if np.allclose(residuals, 0):  # every problem at the mean: t would claim certainty
        return Mean(value, 0.0, *_wilson(value, n, level), n, "wilson")
    se = sqrt(float(residuals @ residuals) * n / (n - 1)) / total
    half = t_quantile(level, n - 1) * se
    return Mean(value, se, max(0.0, value - half), min(1.0, value + half), n, "t")


def paired_difference(
    a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]], *, level: float = 0.95
) -> Difference:
    """Compare two strategies on the problems that both have: the mean difference with a paired t interval.

    Each problem counts once, as the difference of its two means over epochs. Where all differences are equal, t would
    claim certainty; the interval then bounds the share of problems that could still differ, as far as they can: by
    Wilson around no difference, else exactly, so that it excludes zero no sooner than a sign test does.

    Raises:
        ConfigurationError: no common problem.
    """
    d = _differences(a, b)
    n, value = len(d), float(d.mean())
    if bool(np.all(d == d[0])):
        if value == 0:
            z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
            return Difference(0.0, 0.0, -z2 / (n + z2), z2 / (n + z2), n, 1.0, "wilson")
        share = 1 - ((1 - level) / 2) ** (1 / n)
        low, high = value - share * (value + 1), value + share * (1 - value)
        p = min(1.0, 2.0 ** (1 - n))  # a sign test: all n point the same way
        return Difference(value, 0.0, low, high, n, p, "exact")
    se = float(d.std(ddof=1)) / sqrt(n)
    half = t_quantile(level, n - 1) * se
    return Difference(value, se, value - half, value + half, n, 1 - t_mass(abs(value) / se, n - 1), "t")


def bootstrap_difference(
    a: Mapping[str, Sequence[float]],
    b: Mapping[str, Sequence[float]],
    *,
    level: float = 0.95,
    repetitions: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Compare as :func:`paired_difference` does, with a percentile bootstrap over problems."""
    d = _differences(a, b)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [d[rng.integers(0, len(d), (size, len(d)))].mean(axis=1) for size in _chunks(repetitions, len(d))]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    tail = min(float((means <= 0).mean()), float((means >= 0).mean()))
    p = min(1.0, max(2 * tail, 1 / repetitions))
    return Difference(float(d.mean()), float(means.std()), float(low), float(high), len(d), p, "bootstrap")


def bootstrap_mean(
    values: Sequence[float], *, level: float = 0.95, repetitions: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Return a percentile bootstrap interval of a mean of values of any size, such as costs of problems.

    Raises:
        ConfigurationError: there are none.
    """
    if not len(values):
        raise ConfigurationError("a mean needs at least one value")
    x = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [x[rng.integers(0, len(x), (size, len(x)))].mean(axis=1) for size in _chunks(repetitions, len(x))]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several comparisons by Holm's step-down rule, in the given order.

    Each adjusted value may be held against the same threshold as one comparison alone; the chance that any of the
    comparisons is called by luck then stays below it.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted


def t_mass(t: float, df: int) -> float:
    """Return P(-t < T < t) of Student's t with a whole number of degrees of freedom (Abramowitz, Stegun 26.7.3-4)."""
    if df > 2000:  # the finite series is long, and the normal distribution agrees to four digits
        return 2 * NormalDist().cdf(t) - 1
    angle = atan(t / sqrt(df))
    s, c2 = sin(angle), cos(angle) ** 2
    term = cos(angle) if df % 2 else 1.0
    total = 0.0
    for k in range(2 if df % 2 == 0 else 3, df + 2, 2):
        total += term
        term *= c2 * (k - 1) / k
    return 2 / pi * (angle + s * total) if df % 2 else s * total


@cache
def t_quantile(level: float, df: int) -> float:
    """Return the t for which ``level`` of the mass lies in (-t, t)."""
    low, high = 0.0, 1.0
    while t_mass(high, df) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_mass(middle, df) < level else (low, middle)
    return (low + high) / 2


def _wilson(p: float, n: int, level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def _differences(a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    common = sorted(k for k in a if k in b and len(a[k]) and len(b[k]))
    if not common:
        raise ConfigurationError("a paired difference needs problems that both strategies have")
    return np.array([sum(a[k]) / len(a[k]) - sum(b[k]) / len(b[k]) for k in common])


def _chunks(repetitions: int, n: int) -> list[int]:
    size = max(1, 4_000_000 // n)
    return [min(size, repetitions - start) for start in range(0, repetitions, size)]
