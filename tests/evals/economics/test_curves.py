"""Curves of accuracy against realised cost: what a target costs, on points and between them."""

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.evals.economics import CostCurve
from ttc.evals.economics.curves import reached_cost


def curve(*points: tuple[float, float], unit: str = "tokens") -> CostCurve:
    cost, accuracy = (np.array(column) for column in zip(*points, strict=True))
    return CostCurve(tuple(str(i + 1) for i in range(len(points))), cost, accuracy, unit)


SATURATING = curve((100, 0.5), (200, 0.6), (300, 0.58), (400, 0.62), (800, 0.62))


@pytest.mark.parametrize(
    ("accuracy", "cost"), [(0.4, 100), (0.5, 100), (0.55, 200), (0.6, 200), (0.61, 400), (0.62, 400), (0.63, inf)]
)
def test_the_cheapest_setting_that_reaches_an_accuracy(accuracy: float, cost: float) -> None:
    assert SATURATING.cost_to_reach(accuracy) == cost


@pytest.mark.parametrize(("accuracy", "cost"), [(0.4, 100), (0.55, 150), (0.6, 200), (0.61, 375), (0.63, inf)])
def test_between_settings_a_lot_decides_and_cost_is_interpolated(accuracy: float, cost: float) -> None:
    assert SATURATING.interpolated_cost(accuracy) == pytest.approx(cost)


def test_what_is_no_better_than_something_cheaper_is_not_on_the_hull() -> None:
    cost, accuracy = SATURATING.hull
    assert cost.tolist() == pytest.approx([100, 200, 350, 400])  # level until the curve is back
    assert accuracy.tolist() == [0.5, 0.6, 0.6, 0.62]


def test_the_cheapest_setting_has_a_name_or_there_is_none() -> None:
    assert SATURATING.cheapest(0.62) == "4"
    assert SATURATING.cheapest(0.7) is None


def test_points_may_come_in_any_order() -> None:
    turned = curve((400, 0.62), (100, 0.5), (800, 0.62), (300, 0.58), (200, 0.6))
    assert turned.interpolated_cost(0.61) == SATURATING.interpolated_cost(0.61)
    assert turned.area_under(100, 800) == SATURATING.area_under(100, 800)


def test_the_area_of_a_flat_curve_is_its_accuracy() -> None:
    assert curve((10, 0.4)).area_under(10, 5000) == pytest.approx(0.4)


def test_the_area_of_a_line_is_its_integral_over_log_cost() -> None:
    # accuracy = cost / 100 from 10 to 50: (50 - 10) / 100 / log 5
    assert curve((10, 0.1), (50, 0.5)).area_under(10, 50) == pytest.approx(0.4 / log(5))


def test_an_area_over_part_of_the_range_cuts_segments() -> None:
    line = curve((10, 0.1), (30, 0.3), (50, 0.5))
    assert line.area_under(20, 40) == pytest.approx(0.2 / log(2))


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_area_lies_between_the_ends_of_the_hull(points: list[tuple[float, float]]) -> None:
    c = curve(*points)
    low = float(c.hull[0][0])
    area = c.area_under(low, 2000)
    assert c.hull[1][0] - 1e-9 <= area <= c.hull[1][-1] + 1e-9


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 1)), min_size=1, max_size=12), st.floats(0, 1))
def test_between_settings_is_never_dearer_than_a_setting(points: list[tuple[float, float]], accuracy: float) -> None:
    c = curve(*points)
    assert c.interpolated_cost(accuracy) <= c.cost_to_reach(accuracy) + 1e-9


@pytest.mark.parametrize(("low", "high"), [(50, 800), (0, 800), (400, 400), (400, 100)])
def test_an_area_below_the_first_point_or_over_nothing_is_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigurationError):
        SATURATING.area_under(low, high)


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0, 1))
def test_what_a_target_costs_is_the_hull_read_sideways(points: list[tuple[float, float]], target: float) -> None:
    c = curve(*points)
    cost = c.interpolated_cost(target)
    assert (cost == inf) == (target > c.accuracy.max() + 1e-9)
    if cost < inf:
        assert c.hull[0][0] <= cost <= c.hull[0][-1]
        assert c.accuracy_at(cost) == pytest.approx(max(target, c.hull[1][0]), abs=1e-6)


def test_many_curves_are_read_at_once() -> None:
    cost = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    accuracy = np.array([[0.2, 0.4, 0.6], [0.5, 0.4, 0.7], [0.1, 0.2, 0.3]])
    assert reached_cost(cost, accuracy, 0.5).tolist() == pytest.approx([3, 1, inf])
    assert reached_cost(cost, accuracy, 0.6).tolist() == pytest.approx([4, 10 / 3, inf])


def test_a_curve_has_points() -> None:
    with pytest.raises(ConfigurationError):
        CostCurve((), np.array([]), np.array([]))
    with pytest.raises(ConfigurationError, match="no point"):
        SATURATING.at("9")
