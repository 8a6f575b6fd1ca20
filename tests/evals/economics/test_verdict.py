"""The verdict on a policy: both ratios, non-inferiority, the oracle, and a table that says what it compares."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from ttc.errors import ConfigurationError
from ttc.evals.economics import (
    CostCurve,
    Paths,
    PolicyResult,
    Ratios,
    compare,
    fixed_curve,
    oracle_bin_policy,
    ratios_table,
)
from ttc.evals.economics.tables import ratios_notes
from ttc.evals.economics.verdict import measured_policy

N, PROBLEMS = 8, 400


def fixed(seed: int = 0) -> Paths:
    """Accuracy saturates: right from a sample of 1 to 4 on, or never."""
    rng = np.random.default_rng(seed)
    first = rng.choice([1, 2, 4, 99], size=PROBLEMS, p=[0.5, 0.2, 0.1, 0.2])
    right = (np.arange(1, N + 1)[None, :] >= first[:, None]).astype(float)
    cost = np.tile(100.0 * np.arange(1, N + 1), (PROBLEMS, 1))
    groups = tuple(map(str, range(PROBLEMS)))
    return Paths(right=right, cost=cost, problem=np.arange(PROBLEMS), groups=groups, unit="tokens")


def policy(right: np.ndarray, cost: float) -> PolicyResult:
    return PolicyResult(right=right, cost=np.full(right.shape, cost), problem=np.arange(PROBLEMS))


def verdict(right: np.ndarray, cost: float, **how: object) -> Ratios:
    curve = fixed_curve(fixed())
    return compare(curve, measured_policy(policy(right, cost), curve), pool="made up", **how)  # type: ignore[arg-type]


def test_a_policy_that_is_as_good_for_less_has_both_ratios() -> None:
    found = verdict(fixed().right[:, -1], 100)
    assert found.accuracy_policy == found.accuracy_full
    assert found.ratio_full.value == 8
    assert (found.cheapest, found.cost_cheapest, found.ratio_cheapest.value) == ("4", 400, 4)
    assert found.ratio_interpolated.value == pytest.approx(4)
    assert found.non_inferior.shown
    assert found.claim


@pytest.mark.parametrize(("cost", "holds"), [(200, True), (201, False)])
def test_a_quarter_of_full_n_and_half_of_the_cheapest_are_asked(cost: float, holds: bool) -> None:
    assert verdict(fixed().right[:, -1], cost).claim == holds


def test_a_policy_that_is_worse_by_the_margin_is_not_shown_to_be_no_worse() -> None:
    right = fixed().right[:, -1].copy()
    right[np.flatnonzero(right)[:12]] = 0  # three points
    found = verdict(right, 100)
    assert found.ratio_full.value == 8
    assert not found.non_inferior.shown
    assert not found.claim


def test_full_n_stands_in_where_no_n_reaches_the_policy() -> None:
    found = verdict(np.ones(PROBLEMS), 160)
    assert (found.cheapest, found.cost_cheapest) == ("", float("inf"))
    assert found.ratio_cheapest.value == found.ratio_full.value == 5
    shown = rendered(found)
    assert "≥5.0" in shown


def test_between_two_settings_the_hull_is_interpolated() -> None:
    right = fixed().right[:, 1].copy()
    right[np.flatnonzero(fixed().right[:, 3] - right)[:10]] = 1  # part of the way from N=2 to N=4
    found = verdict(right, 100)
    assert found.cheapest == "4"
    assert 2 < found.ratio_interpolated.value < 4


def test_the_oracle_is_what_a_policy_is_held_against() -> None:
    paths = fixed()
    known = np.where(paths.right[:, 0] > 0, 1.0, np.where(paths.right[:, -1] > 0, 0.4, 0.0))
    oracle = oracle_bin_policy(paths, known, source="the truth")
    found = verdict(paths.right[:, -1], 180, oracle=oracle)
    assert found.cost_oracle is not None
    assert found.ratio_oracle is not None
    assert found.ratio_oracle.value == pytest.approx(180 / found.cost_oracle)
    assert found.near_oracle
    assert not verdict(paths.right[:, -1], 500, oracle=oracle).near_oracle
    assert "known from the truth" in " ".join(ratios_notes([found]))


@pytest.mark.parametrize(("cost", "near"), [(400, True), (800, False)])
def test_where_the_oracle_never_gets_there_its_best_stands_in(cost: float, near: bool) -> None:
    paths = fixed()
    oracle = oracle_bin_policy(paths, paths.right[:, -1], source="the truth")
    found = verdict(np.ones(PROBLEMS), cost, oracle=oracle)
    best = float(oracle.measured.curve().hull[0][-1])
    assert found.cost_oracle == float("inf")
    assert found.ratio_oracle is not None
    assert found.ratio_oracle.value == pytest.approx(cost / best)
    assert found.near_oracle == near
    assert f"≤{cost / best:.2f}" in rendered(found)


def test_an_oracle_is_ahead_by_points_where_its_cost_hangs_on_a_hair() -> None:
    paths = fixed()
    oracle = oracle_bin_policy(paths, paths.right[:, -1], source="the truth")
    curve = oracle.measured.curve()
    found = verdict(paths.right[:, -1], 600, oracle=oracle)
    assert found.gap_oracle is not None
    assert found.gap_oracle.value == pytest.approx(curve.accuracy_at(400) - found.accuracy_policy)
    assert found.gap_oracle.low <= found.gap_oracle.value <= found.gap_oracle.high


def test_without_an_oracle_nothing_is_said_of_one() -> None:
    found = verdict(np.ones(PROBLEMS), 100)
    assert (found.ratio_oracle, found.gap_oracle, found.cost_oracle) == (None, None, None)
    assert not found.near_oracle


def test_targets_and_areas_of_a_policy_at_several_rates() -> None:
    curve = fixed_curve(fixed())
    right = fixed().right[:, [0, 1, 3]]
    result = PolicyResult(
        right=right,
        cost=np.tile([50.0, 100.0, 150.0], (PROBLEMS, 1)),
        problem=np.arange(PROBLEMS),
        settings=("cheap", "middle", "dear"),
    )
    found = compare(curve, measured_policy(result, curve), pool="made up", setting="dear")
    assert found.cost_policy == 150
    assert found.to_target_policy[-1] == 150
    assert found.to_target_fixed[-1] == 400
    assert found.area_policy > found.area_fixed
    assert found.area_range == (100, 800)
    with pytest.raises(ConfigurationError, match="name the setting"):
        compare(curve, measured_policy(result, curve), pool="made up")


def test_a_frontier_of_other_rates_stands_in_for_targets_and_areas() -> None:
    frontier = CostCurve(("cheap", "dear"), np.array([50.0, 300.0]), np.array([0.4, 0.9]))
    found = verdict(fixed().right[:, -1], 100, frontier=frontier)
    assert found.cost_policy == 100
    assert found.to_target_policy[-1] == pytest.approx(frontier.interpolated_cost(found.accuracy_full))
    assert found.area_policy == pytest.approx(frontier.area_under(100, 800))


def test_intervals_of_ratios_hold_their_value() -> None:
    rng = np.random.default_rng(4)
    curve = fixed_curve(fixed())
    result = PolicyResult(
        right=fixed().right[:, -1], cost=rng.lognormal(4.6, 0.7, PROBLEMS), problem=np.arange(PROBLEMS)
    )
    found = compare(curve, measured_policy(result, curve), pool="made up")
    for ratio in (found.ratio_full, found.ratio_cheapest):
        assert ratio.low < ratio.value < ratio.high
        assert ratio.high / ratio.low < 1.4


def test_costs_in_other_units_are_not_compared() -> None:
    curve = fixed_curve(fixed())
    with pytest.raises(ConfigurationError, match="costs are not compared"):
        compare(curve, dataclasses.replace(curve, unit="samples"), pool="made up", setting="8")


def rendered(found: Ratios) -> str:
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(ratios_table([found]))
    return console.export_text()


def test_the_table_says_what_it_compares() -> None:
    shown = rendered(verdict(fixed().right[:, -1], 100))
    assert "made up" in shown
    assert "tokens" in shown
    assert "4.0 (N=4)" in shown
    assert "holds" in shown
