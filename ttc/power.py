"""How many problems it takes to see a difference between two strategies, and what difference so many can show.

The difference is paired on problems; its spread follows from the accuracies and from how their outcomes correlate, or
was measured. Formulas: E. Miller, "Adding Error Bars to Evals" (arXiv 2411.00640), section 5.
"""

from __future__ import annotations

from math import ceil, sqrt
from statistics import NormalDist

from ttc.errors import ConfigurationError

__all__ = ["detectable_difference", "difference_power", "difference_spread", "problems_for_difference", "share_spread"]


def share_spread(p: float, *, epochs: int = 1, between: float = 1.0) -> float:
    """Return the standard deviation between problems of a share right ``p``.

    Args:
        p: how often an answer is right.
        epochs: answers to each problem.
        between: what part of the variance p (1 - p) lies between problems (their difficulty), 0 to 1; only the rest of
            it shrinks with epochs. 1: an answer says all of a problem, and epochs bring nothing.

    Raises:
        ConfigurationError: numbers that mean nothing.
    """
    _check_share("accuracy", p)
    _check_share("the part of the variance between problems", between)
    if epochs < 1:
        raise ConfigurationError(f"a problem is answered once at the least, got {epochs} epochs")
    return sqrt(p * (1 - p) * (between + (1 - between) / epochs))


def difference_spread(a: float, b: float, *, correlation: float = 0.0) -> float:
    """Return the standard deviation of paired differences, from those of both sides and their correlation.

    Over ``n`` problems the standard error is that over sqrt(n): p .7 against .65, correlation .6, n = 500: .0187.

    Raises:
        ConfigurationError: a correlation outside [-1, 1].
    """
    if not -1 <= correlation <= 1:
        raise ConfigurationError(f"a correlation lies between -1 and 1, got {correlation:g}")
    return sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b))


def problems_for_difference(difference: float, spread: float, *, level: float = 0.95, power: float = 0.8) -> int:
    """Return the least number of problems that shows a difference with this power.

    Args:
        difference: the true difference of accuracies.
        spread: standard deviation of the paired differences between problems (:func:`difference_spread`).
        level: confidence of the two-sided interval that has to exclude zero.
        power: the probability that it does.

    Raises:
        ConfigurationError: numbers that mean nothing.
    """
    _check_difference(difference)
    return max(2, ceil((_quantiles(level, power) * spread / abs(difference)) ** 2))


def detectable_difference(n: int, spread: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the least difference that ``n`` problems show with this power; may exceed 1: then they show none.

    Raises:
        ConfigurationError: numbers that mean nothing.
    """
    _check_problems(n)
    return _quantiles(level, power) * spread / sqrt(n)


def difference_power(difference: float, n: int, spread: float, *, level: float = 0.95) -> float:
    """Return the probability that ``n`` problems show a difference, with its right sign.

    Raises:
        ConfigurationError: numbers that mean nothing.
    """
    _check_difference(difference)
    _check_problems(n)
    if spread <= 0:
        return 1.0
    return NormalDist().cdf(abs(difference) * sqrt(n) / spread - NormalDist().inv_cdf((1 + level) / 2))


def _quantiles(level: float, power: float) -> float:
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise ConfigurationError(f"{name} is a probability between 0 and 1, got {value:g}")
    return NormalDist().inv_cdf((1 + level) / 2) + NormalDist().inv_cdf(power)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{name} lies between 0 and 1, got {value:g}")


def _check_difference(difference: float) -> None:
    if not 0 < abs(difference) < 1:
        raise ConfigurationError(f"a difference of accuracies lies between 0 and 1 and is not 0, got {difference:g}")


def _check_problems(n: int) -> None:
    if n < 1:
        raise ConfigurationError(f"it takes one problem at the least, got {n}")
