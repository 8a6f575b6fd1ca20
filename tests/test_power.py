"""How many problems show a difference: the closed forms, and that so many do show it as often as was said."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from ttc.errors import ConfigurationError
from ttc.power import (
    detectable_difference,
    difference_power,
    difference_spread,
    plan_difference,
    problems_for_difference,
    share_spread,
)
from ttc.statistics import difference_interval


def test_standard_errors_are_the_closed_forms() -> None:
    assert share_spread(0.8) / sqrt(30) == pytest.approx(0.073, abs=5e-4)  # AIME: 7.3 points
    a, b = share_spread(0.7), share_spread(0.65)
    assert difference_spread(a, b, correlation=0.6) / sqrt(500) == pytest.approx(0.0187, abs=5e-5)
    assert difference_spread(a, b) / sqrt(500) == pytest.approx(0.0296, abs=5e-5)


def test_a_plan_says_them_beside_each_other() -> None:
    planned = plan_difference(accuracy=0.7, difference=0.05, problems=500, correlation=0.6)
    assert (planned.difference, planned.problems) == (0.05, 500)
    assert planned.se == pytest.approx(0.0187, abs=5e-5)
    assert planned.se_unpaired == pytest.approx(0.0296, abs=5e-5)
    assert planned.se_accuracy == pytest.approx(sqrt(0.7 * 0.3 / 500))


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_problems_needed_are_the_least_that_have_the_power(correlation: float, power: float) -> None:
    spread = difference_spread(share_spread(0.7), share_spread(0.65), correlation=correlation)
    n = problems_for_difference(0.05, spread, power=power)
    assert difference_power(0.05, n, spread) >= power
    assert difference_power(0.05, n - 1, spread) < power
    assert detectable_difference(n, spread, power=power) == pytest.approx(0.05, rel=0.01)


def test_what_problems_can_show_is_what_needs_so_many() -> None:
    least = plan_difference(accuracy=0.7, problems=400, correlation=0.4)
    assert least.power == pytest.approx(0.8)
    again = plan_difference(accuracy=0.7, difference=least.difference, correlation=0.4)
    assert again.problems == pytest.approx(400, abs=1)


def test_epochs_shrink_what_lies_within_problems_alone() -> None:
    assert share_spread(0.5, epochs=10**9, between=1 / 3) == pytest.approx(sqrt(1 / 12))  # a uniform difficulty
    assert share_spread(0.5, epochs=4, between=1.0) == share_spread(0.5)
    assert share_spread(0.5, epochs=4, between=0.0) == pytest.approx(share_spread(0.5) / 2)


def test_the_power_is_how_often_the_interval_excludes_zero() -> None:
    planned = plan_difference(accuracy=0.7, difference=0.1, correlation=0.5, power=0.8)
    rng = np.random.default_rng(0)
    both = 0.7 * 0.6 + 0.5 * sqrt(0.21 * 0.24)
    u = rng.random((4000, planned.problems))
    d = (u < 0.7).astype(float) - ((u < both) | ((u >= 0.7) & (u < 1.3 - both)))
    low, _ = difference_interval(d)
    assert float((low > 0).mean()) == pytest.approx(planned.power, abs=0.03)


def test_what_never_differs_is_seen_at_once() -> None:
    assert difference_power(0.1, 5, 0.0) == 1
    assert problems_for_difference(0.1, 0.0) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "how many problems"),
        ({"difference": 0.9}, "at most at the accuracy"),
        ({"difference": 0.0}, "above 0"),
        ({"problems": 2, "accuracy": 0.5}, "no difference with a power of 0.8"),
        ({"problems": 10, "correlation": 1.5}, "between -1 and 1"),
        ({"problems": 10, "epochs": 0}, "answered once"),
        ({"problems": 10, "accuracy": 1.5}, "accuracy lies between"),
        ({"problems": 10, "power": 1.0}, "power is a probability"),
        ({"problems": 0, "difference": 0.1}, "one problem"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(fields: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan_difference(**fields)  # pyright: ignore[reportArgumentType]
