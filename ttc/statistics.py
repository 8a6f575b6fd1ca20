"""Error bars: means clustered on problems, paired differences, and what several comparisons at once are worth.

Pure functions on plain numbers. The problem is the unit that was sampled; epochs repeat it and are no new evidence,
so standard errors are clustered on problems, and two strategies are compared on the problems that both saw.
Formulas: E. Miller, "Adding Error Bars to Evals" (arXiv 2411.00640); E. B. Wilson (1927) for shares near 0 and 1.
How often the intervals cover the truth is simulated in ``benchmarks/coverage.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import atan, cos, pi, sin, sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError

__all__ = [
    "Difference",
    "Floats",
    "Mean",
    "bootstrap_mean",
    "difference_interval",
    "holm",
    "mean",
    "paired_difference",
    "share_interval",
    "t_mass",
    "t_quantile",
]

Floats = NDArray[np.float64]
Method = Literal["wilson", "t", "exact", "none"]
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


def mean(scores: Mapping[str, Sequence[float]], *, level: float = 0.95) -> Mean:
    """Return the mean score over problems, with a standard error clustered on them.

    With one 0/1 score per problem the interval is Wilson's; with repeated or graded scores it is Wilson's too, of as
    many independent scores as would have that error (:func:`share_interval`); where all scores are equal, and would
    claim certainty, of as many as there are problems.

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
    if all(len(g) == 1 and g[0] in (0.0, 1.0) for g in groups):
        low, high = _wilson(value, n, _normal(level))
        return Mean(value, sqrt(value * (1 - value) / n), float(low), float(high), n, "wilson")
    residuals = np.array([(g - value).sum() for g in groups])
    if n == 1 and not all(bool(np.all(g == groups[0][0])) for g in groups):
        return Mean(value, 0.0, 0.0, 1.0, 1, "none")
    se = sqrt(float(residuals @ residuals) * n / (n - 1)) / total if n > 1 and not np.allclose(residuals, 0) else 0.0
    low, high = share_interval(value, se, n, level=level)
    return Mean(value, se, float(low), float(high), n, "wilson")


def share_interval(value: Floats | float, se: Floats | float, n: int, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the intervals of means in [0, 1] over ``n`` problems, of any shape, from their standard errors.

    Wilson's interval of as many independent 0/1 scores as would have that standard error, with Student's t for the
    normal quantile, since the error is estimated (in the manner of E. L. Korn and B. I. Graubard 1998). Near 0 and 1,
    where t covers too seldom, it is wide on the side that has room. No error at all is that of ``n`` equal scores.
    """
    value, se = np.asarray(value), np.asarray(se)
    spread = value * (1 - value)
    known = (se > 0) & (spread > 0)
    alike = np.where(known, spread / np.where(known, se, 1) ** 2, n)
    quantile = np.where(known, t_quantile(level, n - 1) if n > 1 else np.inf, _normal(level))
    return _wilson(value, alike, quantile)


def paired_difference(
    a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]], *, level: float = 0.95
) -> Difference:
    """Compare two strategies on the problems that both have: the mean difference with a paired interval.

    Each problem counts once, as the difference of its two means over epochs; see :func:`difference_interval`.

    Raises:
        ConfigurationError: no common problem.
    """
    d = _differences(a, b)
    n, value = len(d), float(d.mean())
    low, high = map(float, difference_interval(d, level=level))
    if not bool(np.all(d == d[0])):
        centre, se = map(float, _with_a_doubt(d))
        return Difference(value, float(d.std(ddof=1)) / sqrt(n), low, high, n, 1 - t_mass(abs(centre) / se, n - 1), "t")
    if value == 0:
        return Difference(0.0, 0.0, low, high, n, 1.0, "wilson")
    return Difference(value, 0.0, low, high, n, min(1.0, 2.0 ** (1 - n)), "exact")  # a sign test: all point one way


def difference_interval(d: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the intervals of mean differences over problems; ``d`` has shape (..., problems).

    Student's t, with half a problem added that speaks for either side: few problems differ where two strategies share
    their luck, and t alone then covers too seldom (in the manner of D. G. Bonett and R. M. Price 2012, who add a whole
    one). What is added differs as much as those that do, so that shares over epochs are not drowned.

    Where all differences are equal, the interval bounds the share of problems that could still differ, as far as they
    can: by Wilson around no difference, else exactly, so that it excludes zero no sooner than a sign test does.

    Differences are of shares, each within [-1, 1], and so are the ends.
    """
    n, value = d.shape[-1], d[..., 0]
    centre, se = _with_a_doubt(d)
    half = t_quantile(level, max(n - 1, 1)) * se
    share = 1 - ((1 - level) / 2) ** (1 / n)
    bound = _normal(level) ** 2 / (n + _normal(level) ** 2)
    alike = (d == d[..., :1]).all(axis=-1)
    low = np.where(value == 0, -bound, value - share * (value + 1))
    high = np.where(value == 0, bound, value + share * (1 - value))
    low, high = np.where(alike, low, centre - half), np.where(alike, high, centre + half)
    return np.clip(low, -1, 1), np.clip(high, -1, 1)


def _with_a_doubt(d: Floats) -> tuple[Floats, Floats]:
    """Mean and standard error of differences, with half a problem for either side."""
    n, squares, sizes = d.shape[-1], (d * d).sum(axis=-1), np.abs(d).sum(axis=-1)
    step = np.where(sizes > 0, squares / np.where(sizes > 0, sizes, 1), 1)
    centre = d.sum(axis=-1) / (n + 1)
    return centre, np.sqrt((squares + step**2) / (n + 1) - centre**2) / sqrt(n + 1)


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


def _normal(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _wilson(p: Floats | float, n: Floats | float, quantile: Floats | float) -> tuple[Any, Any]:
    part = 1 / (1 + np.square(quantile) / n)  # of the mean; the rest is one half
    half = np.sqrt(part * p * (1 - p) * (1 - part) + ((1 - part) / 2) ** 2)
    centre = part * p + (1 - part) / 2
    return np.clip(centre - half, 0, p), np.clip(centre + half, p, 1)


def _differences(a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    common = sorted(k for k in a if k in b and len(a[k]) and len(b[k]))
    if not common:
        raise ConfigurationError("a paired difference needs problems that both strategies have")
    return np.array([sum(a[k]) / len(a[k]) - sum(b[k]) / len(b[k]) for k in common])


def _chunks(repetitions: int, n: int) -> list[int]:
    size = max(1, 4_000_000 // n)
    return [min(size, repetitions - start) for start in range(0, repetitions, size)]
