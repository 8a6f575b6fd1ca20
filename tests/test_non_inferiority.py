"""No worse by more than a margin: the claim errs no more often than it says, and its power is what is simulated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.non_inferiority import non_inferior, non_inferiority_power, problems_needed
from ttc.statistics import paired_difference, t_quantile


def scored(values: np.ndarray) -> dict[str, list[float]]:
    return {f"{i:05}": [float(v)] for i, v in enumerate(values)}


def test_the_bound_of_non_inferiority_is_the_lower_end_of_a_paired_interval_of_ninety_percent() -> None:
    rng = np.random.default_rng(3)
    a, b = scored(rng.random(200)), scored(rng.random(200))
    found = non_inferior(a, b, margin=0.05)
    two_sided = paired_difference(a, b, level=0.9)
    assert (found.value, found.se, found.n) == (two_sided.value, two_sided.se, 200)
    assert found.low == pytest.approx(two_sided.low)
    assert found.shown == (found.low > -0.05)


def test_epochs_of_a_problem_are_averaged_and_are_no_new_evidence() -> None:
    once = non_inferior({"a": [1.0], "b": [0.0], "c": [1.0]}, {"a": [1.0], "b": [1.0], "c": [0.5]})
    often = non_inferior({"a": [1.0] * 9, "b": [0.0] * 9, "c": [1.0] * 9}, {"a": [1.0], "b": [1.0], "c": [0.5]})
    assert once == often


@pytest.mark.parametrize("n", [60, 200])
def test_the_claim_is_wrong_in_at_most_one_of_twenty_when_it_is_worse_by_the_whole_margin(n: int) -> None:
    rng = np.random.default_rng(n)
    shown = [
        non_inferior(scored(rng.normal(-0.05, 0.2, n)), scored(np.zeros(n)), margin=0.05).shown for _ in range(1000)
    ]
    assert np.mean(shown) == pytest.approx(0.05, abs=0.021)


@pytest.mark.parametrize(("n", "both", "only_b"), [(300, 0.6, 0.1), (600, 0.7, 0.08)])
def test_the_claim_holds_its_error_on_answers_that_are_right_or_wrong(n: int, both: float, only_b: float) -> None:
    # a is worse by exactly two points: it alone is right in two points less of the problems than b alone
    rng = np.random.default_rng(n)
    wrong = 0
    for _ in range(800):
        u = rng.random(n)
        a = (u < both) | ((u >= both + only_b) & (u < both + 2 * only_b - 0.02))
        b = u < both + only_b
        wrong += non_inferior(scored(a), scored(b)).shown
    assert wrong / 800 < 0.05 + 3 * (0.05 * 0.95 / 800) ** 0.5


@pytest.mark.parametrize(("sd", "n", "margin"), [(0.1, 45, 0.02), (0.2, 45, 0.05), (0.25, 600, 0.02), (0.3, 12, 0.2)])
def test_power_is_how_often_it_is_shown_without_a_difference(sd: float, n: int, margin: float) -> None:
    rng = np.random.default_rng(n)
    d = rng.normal(0, sd, (20_000, n))
    bar = t_quantile(0.9, n - 1)
    often = float((d.mean(axis=1) - bar * d.std(axis=1, ddof=1) / n**0.5 > -margin).mean())
    assert non_inferiority_power(sd, n, margin=margin) == pytest.approx(often, abs=0.012)


def test_power_is_stated_at_the_spread_that_was_seen() -> None:
    rng = np.random.default_rng(5)
    found = non_inferior(scored(rng.normal(0, 0.1, 80)), scored(np.zeros(80)))
    assert found.power == non_inferiority_power(found.se * 80**0.5, 80)
    assert found.problems_needed == problems_needed(found.se * 80**0.5)


@given(sd=st.floats(0.01, 0.6), margin=st.floats(0.01, 0.2), power=st.floats(0.5, 0.95))
@settings(max_examples=25, deadline=None)
def test_problems_needed_are_the_least_that_reach_the_power(sd: float, margin: float, power: float) -> None:
    n = problems_needed(sd, margin=margin, power=power)
    assert non_inferiority_power(sd, n, margin=margin) >= power
    assert n == 2 or non_inferiority_power(sd, n - 1, margin=margin) < power


def test_problems_needed_approach_the_normal_formula() -> None:
    # ((z(.95) + z(.8)) sd / margin)^2 = (2.4865 * .5 / .02)^2
    assert problems_needed(0.5) == pytest.approx(3864, abs=3)


@pytest.mark.parametrize(("n", "shown"), [(132, False), (133, True)])
def test_answers_that_never_differ_show_it_over_enough_problems_alone(n: int, shown: bool) -> None:
    same = scored(np.ones(n))
    found = non_inferior(same, same)
    assert (found.value, found.se) == (0.0, 0.0)
    assert (found.shown, found.power, found.problems_needed) == (shown, float(shown), 133)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_one_problem_shows_nothing(a: float, b: float) -> None:
    found = non_inferior({"a": [a]}, {"a": [b]})
    assert not found.shown
    assert found.power == 0.0


@pytest.mark.parametrize("changes", [{"margin": 0.0}, {"margin": 1.5}, {"level": 0.5}, {"level": 1.0}])
def test_margins_and_levels_that_mean_nothing_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"margin|level"):
        non_inferior({"a": [1.0]}, {"a": [1.0]}, **changes)


def test_a_power_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="power"):
        problems_needed(0.1, power=1.0)
