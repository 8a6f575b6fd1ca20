"""Paths come to means per problem, and to intervals over groups of problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ttc.errors import ConfigurationError
from ttc.evals.economics import CostCurve, Interval, Measured, Paths, fixed_curve, intervals, measure


def paths(right: list[list[float]], problem: list[int], groups: tuple[str, ...], unit: str = "tokens") -> Paths:
    values = np.array(right, dtype=float)
    cost = np.cumsum(np.full_like(values, 10.0), axis=1)
    return Paths(right=values, cost=cost, problem=np.array(problem), groups=groups, unit=unit)


def test_orders_are_averaged_first_so_that_a_problem_counts_once() -> None:
    # three orders of the first problem, one of the second
    found = fixed_curve(paths([[0, 1], [0, 1], [0, 0], [1, 1]], [0, 0, 0, 1], ("a", "b"))).curve()
    assert found.accuracy.tolist() == pytest.approx([0.5, (2 / 3 + 1) / 2])
    assert found.cost.tolist() == [10, 20]
    assert found.settings == ("1", "2")


def test_scores_by_group_hold_one_verdict_per_problem_of_it() -> None:
    found = fixed_curve(paths([[0, 1], [1, 1], [1, 0]], [0, 1, 2], ("a", "b", "a")))
    assert found.scores("2") == {"a": [1.0, 0.0], "b": [1.0]}
    with pytest.raises(ConfigurationError, match="measured at"):
        found.scores("3")


def test_a_problem_without_a_path_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="1 of 2 problems"):
        fixed_curve(paths([[0, 1]], [0], ("a", "b")))


def test_a_path_of_a_problem_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        fixed_curve(paths([[0, 1], [1, 1]], [0, 3], ("a", "b")))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="one shape"):
        Paths(right=np.zeros((2, 3)), cost=np.zeros((2, 2)), problem=np.zeros(2, int), groups=("a",), unit="tokens")


def of_problems(right: np.ndarray, groups: list[str]) -> Measured:
    values = right.reshape(-1, 1).astype(float)
    problem = np.arange(len(values))
    return measure(values, np.ones_like(values), problem=problem, groups=groups, settings=["1"], unit="samples")


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for i in range(120):
        # 60 groups of two problems that share their luck: the groups are what was sampled
        found = intervals(
            lambda curves: {"accuracy": curves[0].at("1")[0]},
            of_problems(np.repeat(rng.random(60) < 0.7, 2), [str(j // 2) for j in range(120)]),
            repetitions=200,
            seed=i,
        )["accuracy"]
        covered += found.low <= 0.7 <= found.high
    assert 0.88 <= covered / 120 <= 0.99


def test_problems_of_a_group_are_drawn_together() -> None:
    right = np.repeat(np.arange(40) % 2, 3)

    def accuracy(curves: Sequence[CostCurve]) -> dict[str, float]:
        return {"accuracy": curves[0].at("1")[0]}

    together = intervals(accuracy, of_problems(right, [str(j // 3) for j in range(120)]))["accuracy"]
    apart = intervals(accuracy, of_problems(right, [str(j) for j in range(120)]))["accuracy"]
    assert together.high - together.low == pytest.approx(3**0.5 * (apart.high - apart.low), rel=0.12)


def test_the_same_groups_are_drawn_for_all_curves() -> None:
    right = np.arange(50) % 3 == 0
    one = of_problems(right, [str(j) for j in range(50)])
    found = intervals(lambda c: {"difference": c[0].at("1")[0] - c[1].at("1")[0]}, one, one)["difference"]
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_intervals_are_seeded() -> None:
    one = of_problems(np.arange(50) % 3 == 0, [str(j) for j in range(50)])

    def found(seed: int) -> dict[str, Interval]:
        return intervals(lambda c: {"a": c[0].at("1")[0]}, one, repetitions=99, seed=seed)

    assert found(3) == found(3) != found(4)


def test_infinite_numbers_have_infinite_ends() -> None:
    one = of_problems(np.arange(50) % 2 == 0, [str(j) for j in range(50)])
    found = intervals(lambda c: {"cost": c[0].cost_to_reach(0.5)}, one)["cost"]
    assert (found.value, found.low, found.high) == (1.0, 1.0, float("inf"))


def test_curves_of_other_problems_are_not_compared() -> None:
    with pytest.raises(ConfigurationError, match="same problems"):
        intervals(lambda c: {}, of_problems(np.ones(2), ["a", "b"]), of_problems(np.ones(2), ["a", "c"]))


def test_two_models_stand_side_by_side_in_one_curve() -> None:
    small, large = (paths(r, [0, 1], ("a", "b"), "dollars") for r in ([[0, 1], [0, 0]], [[1, 1], [0, 1]]))
    both = fixed_curve(small.beside(large, names=("small", "large")))
    assert both.settings == ("small 1", "small 2", "large 1", "large 2")
    assert both.curve().accuracy.tolist() == [0, 0.5, 0.5, 1]


def test_what_does_not_match_is_not_set_side_by_side() -> None:
    one = paths([[0, 1], [1, 1]], [0, 1], ("a", "b"))
    with pytest.raises(ConfigurationError, match="dollars"):
        one.beside(paths([[0, 1], [1, 1]], [0, 1], ("a", "b"), "dollars"), names=("one", "other"))
    with pytest.raises(ConfigurationError, match="same problems"):
        one.beside(paths([[0, 1], [1, 1]], [0, 1], ("a", "c")), names=("one", "other"))


def test_settings_have_a_name_each() -> None:
    with pytest.raises(ConfigurationError, match="2 settings"):
        Paths(
            right=np.zeros((1, 2)),
            cost=np.ones((1, 2)),
            problem=np.zeros(1, int),
            groups=("a",),
            unit="",
            settings=("1",),
        )
