"""How many problems it takes to see a difference between two strategies, and what difference so many can show.

The difference is paired on problems; its spread follows from the accuracies and from how their outcomes correlate, or
was measured. Formulas: E. Miller, "Adding Error Bars to Evals" (arXiv 2411.00640), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from ttc.errors import ConfigurationError

__all__ = [
    "PlannedDifference",
    "detectable_difference",
    "difference_power",
    "difference_spread",
    "plan_difference",
    "problems_for_difference",
    "share_spread",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDifference:
    """A difference of accuracies, and how many problems show it how surely.

    Attributes:
        difference: of true accuracies.
        problems: over which it is measured, paired.
        power: the probability that the interval of the difference excludes zero, on the right side.
        se: standard error of the difference.
        se_unpaired: what it would be on two sets of problems of that size.
        se_accuracy: standard error of the accuracy of one side.
    """

    difference: float
    problems: int
    power: float
    se: float
    se_unpaired: float
    se_accuracy: float


def plan_difference(
    *,
    accuracy: float = 0.5,
    difference: float | None = None,
    problems: int | None = None,
    correlation: float = 0.0,
    epochs: int = 1,
    between: float = 1 / 3,
    level: float = 0.95,
    power: float = 0.8,
) -> PlannedDifference:
    """Return how many problems show a difference, what difference so many show, or how surely so many show it.

    Args:
        accuracy: of the better side.
        difference: how much less the other side has; left out, the least that the problems show with the power.
        problems: how many; left out, the least that shows the difference with the power.
        correlation: of the scores of both sides over problems.
        epochs: answers to each problem.
        between: what part of the variance of an answer lies between problems (:func:`share_spread`): a third where
            difficulty is spread evenly.
        level: confidence of the interval.
        power: the probability to show it, where one of the two is asked for.

    Raises:
        ConfigurationError: neither of the two is given, or numbers that mean nothing.
    """
    mine = share_spread(accuracy, epochs=epochs, between=between)

    def spreads(d: float) -> tuple[float, float]:
        other = share_spread(max(0.0, accuracy - d), epochs=epochs, between=between)
        return difference_spread(mine, other, correlation=correlation), difference_spread(mine, other)

    if difference is None:
        if problems is None:
            raise ConfigurationError("say how many problems there are, or which difference is to be seen")
        difference = 0.0
        for _ in range(100):  # the other side's spread depends on its accuracy
            difference = detectable_difference(problems, spreads(difference)[0], level=level, power=power)
        if difference > accuracy:
            raise ConfigurationError(f"{problems} problems show no difference with a power of {power:g}: take more")
    elif not 0 < difference <= accuracy:
        raise ConfigurationError(f"a difference lies above 0 and at most at the accuracy, got {difference:g}")
    paired, unpaired = spreads(difference)
    n = problems_for_difference(difference, paired, level=level, power=power) if problems is None else problems
    return PlannedDifference(
        difference=difference,
        problems=n,
        power=difference_power(difference, n, paired, level=level) if difference > 0 else 1.0,
        se=paired / sqrt(n),
        se_unpaired=unpaired / sqrt(n),
        se_accuracy=mine / sqrt(n),
    )


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
    if not 0 < abs(difference) <= 1:
        raise ConfigurationError(f"a difference of accuracies lies between 0 and 1 and is not 0, got {difference:g}")


def _check_problems(n: int) -> None:
    if n < 1:
        raise ConfigurationError(f"it takes one problem at the least, got {n}")
