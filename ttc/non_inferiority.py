"""Equal accuracy as something that can be shown: no worse by more than a margin, with the power to show it.

"No credible difference" shows nothing: a small sample never finds any. Here the margin is stated first, and the bound
of the difference has to lie above it. How likely that was, had there been no difference, is reported beside it, as is
the number of problems that it takes. The problem is the unit, as in :mod:`ttc.statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf, floor, sqrt
from statistics import NormalDist

import numpy as np

from ttc.errors import ConfigurationError
from ttc.statistics import paired_difference, t_quantile

__all__ = ["NonInferiority", "non_inferior", "non_inferiority_power", "problems_needed"]


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether ``a`` was shown to be no worse than ``b`` by more than a margin, and how likely that was from the start.

    Attributes:
        value: the mean of ``a - b`` over the problems that both have.
        se: its standard error, paired and clustered on problems.
        low: one-sided lower bound of the difference.
        margin: how much worse still counts as no worse.
        level: confidence of the bound.
        n: problems that both have.
        power: the probability of showing it with so many problems of this spread, if there were no difference.
        problems_needed: problems for a power of .8, at this spread.
    """

    value: float
    se: float
    low: float
    margin: float
    level: float
    n: int
    power: float
    problems_needed: int

    @property
    def shown(self) -> bool:
        """Whether the bound lies above the margin. Where it does not, nothing is shown: least of all inferiority."""
        return self.low > -self.margin


def non_inferior(
    a: Mapping[str, Sequence[float]],
    b: Mapping[str, Sequence[float]],
    *,
    margin: float = 0.02,
    level: float = 0.95,
) -> NonInferiority:
    """Test whether ``a`` is no worse than ``b`` by more than a margin: the lower bound of ``a - b`` lies above it.

    The bound is one-sided: the lower end of the interval of :func:`paired_difference` that covers ``2 level - 1``.
    So a claim at .95 is made wrongly in at most one of twenty cases in which ``a`` is worse by the whole margin.

    Raises:
        ConfigurationError: no common problem, or a margin or level that means nothing.
    """
    _check_margin(margin, level)
    d = paired_difference(a, b, level=2 * level - 1)
    if d.method == "wilson":  # no two scores differed: what n problems without any difference can show, and no spread
        least = _problems_without_difference(margin, level)
        return NonInferiority(d.value, d.se, d.low, margin, level, d.n, float(d.n >= least), least)
    sd = d.se * sqrt(d.n)
    power = non_inferiority_power(sd, d.n, margin=margin, level=level)
    return NonInferiority(
        d.value, d.se, d.low, margin, level, d.n, power, problems_needed(sd, margin=margin, level=level)
    )


def non_inferiority_power(sd: float, n: int, *, margin: float = 0.02, level: float = 0.95) -> float:
    """Return the probability to show non-inferiority over ``n`` problems if there is no difference.

    The t statistic against the margin is then a non-central t with n - 1 degrees of freedom around
    ``margin / (sd / sqrt(n))``; here integrated over the spread that ``n`` problems would show. It holds for
    differences that are near to normal, and for averages of many that are not.

    Args:
        sd: standard deviation of the differences between problems; 0: all are equal.
        n: problems.
        margin: how much worse still counts as no worse.
        level: one-sided confidence.

    Raises:
        ConfigurationError: a margin or level that means nothing.
    """
    _check_margin(margin, level)
    if sd <= 0:
        return float(n >= _problems_without_difference(margin, level))
    if n < 2:
        return 0.0
    df, centre = n - 1, margin * sqrt(n) / sd
    bar = t_quantile(2 * level - 1, df)
    if df > 2000:
        return NormalDist().cdf(centre - bar)
    # s / sd has the density of sqrt(chi2(df) / df): ever narrower around 1.
    spread = 8 / sqrt(2 * df)
    u = np.linspace(max(1e-6, 1 - spread), 1 + spread, 801)
    weight = np.exp((df - 1) * np.log(u) - df * (u * u - 1) / 2)
    passed = np.array([0.5 * (1 + erf((centre - bar * x) / sqrt(2))) for x in u.tolist()])
    return float(weight @ passed / weight.sum())


def problems_needed(sd: float, *, margin: float = 0.02, level: float = 0.95, power: float = 0.8) -> int:
    """Return the least number of problems that shows non-inferiority with this power if there is no difference.

    Args:
        sd: standard deviation of the differences between problems; 0: all are equal.
        margin: how much worse still counts as no worse.
        level: one-sided confidence.
        power: the probability to show it.

    Raises:
        ConfigurationError: a margin, level or power that means nothing.
    """
    _check_margin(margin, level)
    if not 0 < power < 1:
        raise ConfigurationError(f"power is a probability between 0 and 1, got {power}")
    if sd <= 0:
        return _problems_without_difference(margin, level)
    low, high = 1, 2
    while non_inferiority_power(sd, high, margin=margin, level=level) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = non_inferiority_power(sd, middle, margin=margin, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _check_margin(margin: float, level: float) -> None:
    if not 0 < margin < 1:
        raise ConfigurationError(f"a margin is a difference of accuracies between 0 and 1, got {margin}")
    if not 0.5 < level < 1:
        raise ConfigurationError(f"the level of a one-sided bound lies between .5 and 1, got {level}")


def _problems_without_difference(margin: float, level: float) -> int:
    """Problems without any difference that bound it above the margin: Wilson's z^2 / (n + z^2) < margin."""
    z2 = NormalDist().inv_cdf(level) ** 2
    return floor(z2 * (1 / margin - 1)) + 1
