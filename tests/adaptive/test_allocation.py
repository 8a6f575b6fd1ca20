"""Greedy allocation: the values of theory, and a batch whose tokens flow to where they buy most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import pi, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.adaptive.allocation import Greedy, coverage, greedy, marginal_gains
from ttc.adaptive.shares import Uniform
from ttc.errors import ConfigurationError
from ttc.pacing import make_allocation

#: 1,000 quantiles of Beta(1/2, 1/2), the arcsine law
QUANTILES = [sin(pi / 2 * (i + 0.5) / 1000) ** 2 for i in range(1000)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# -- exact values -----------------------------------------------------------------------------------------------------


def test_uniform_allocation_of_eight_each():
    assert mean([coverage(p, 8) for p in QUANTILES]) == pytest.approx(0.8036, abs=5e-5)


def test_greedy_allocation_of_eight_each():
    given_out = greedy([marginal_gains(p, 500) for p in QUANTILES], 8000)
    assert sum(given_out) == 8000
    assert mean([coverage(p, b) for p, b in zip(QUANTILES, given_out, strict=True)]) == pytest.approx(0.8655, abs=5e-5)


def test_uniform_needs_eighteen_for_what_greedy_has_at_eight():
    assert mean([coverage(p, 17) for p in QUANTILES]) < 0.8655 <= mean([coverage(p, 18) for p in QUANTILES])


def test_stopping_at_the_first_success_with_a_cap_of_fifty():
    assert mean([coverage(p, 50) for p in QUANTILES]) == pytest.approx(0.9204, abs=5e-5)
    assert mean([coverage(p, 50) / p for p in QUANTILES]) == pytest.approx(7.96, abs=5e-3)


# -- greedy -----------------------------------------------------------------------------------------------------------


def test_marginal_gains_add_up_to_the_coverage():
    assert sum(marginal_gains(0.3, 5)) == pytest.approx(coverage(0.3, 5))


def test_ties_go_to_the_earlier_query():
    assert greedy([[0.5, 0.1], [0.5, 0.1], [0.5, 0.1]], 4) == [2, 1, 1]


def test_what_gains_nothing_is_not_handed_out():
    assert greedy([[0.5, 0.0, 0.0], [0.0], []], 10) == [1, 0, 0]


def test_no_query_gets_more_than_it_has_gains():
    assert greedy([[0.9, 0.8], [0.1]], 10) == [2, 1]


def test_samples_that_gain_only_together_are_handed_out_together():
    # Two samples change nothing, three overturn the vote: .6 over three is more than .15 each.
    assert greedy([[0.0, 0.0, 0.6], [0.15, 0.15, 0.15]], 3) == [3, 0]


def test_a_group_that_is_too_large_is_passed_over():
    assert greedy([[0.0, 0.0, 0.6], [0.15, 0.1]], 2) == [0, 2]


def worth(gains: Sequence[Sequence[float]], given_out: Sequence[int]) -> float:
    return sum(sum(curve[:b]) for curve, b in zip(gains, given_out, strict=True))


def best(gains: Sequence[Sequence[float]], budget: int) -> float:
    """Try every allocation."""
    choices = product(*(range(len(curve) + 1) for curve in gains))
    return max(worth(gains, c) for c in choices if sum(c) <= budget)


curves = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=4)


@given(gains=curves, budget=st.integers(0, 10))
def test_nothing_is_better_on_concave_curves(gains: list[list[float]], budget: int):
    concave = [sorted(curve, reverse=True) for curve in gains]
    assert worth(concave, greedy(concave, budget)) == pytest.approx(best(concave, budget))


@settings(max_examples=200)
@given(gains=curves, budget=st.integers(0, 10))
def test_on_other_curves_less_than_one_group_is_lost(gains: list[list[float]], budget: int):
    given_out = greedy(gains, budget)
    assert sum(given_out) <= budget
    lost = best(gains, budget) - worth(gains, given_out)
    assert -1e-9 <= lost <= max(sum(curve) for curve in gains) + 1e-9


# -- settings ---------------------------------------------------------------------------------------------------------


def test_allocations_are_made_by_name():
    assert make_allocation("greedy") == Greedy()
    assert make_allocation("greedy:first=2,wave=4,least=0.01") == Greedy(first=2, wave=4, least=0.01)
    assert make_allocation("uniform") == Uniform()
    assert make_allocation(greedy := Greedy()) is greedy


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("gredy", "Did you mean 'greedy'"),
        ("greedy:wave=0", "wave=0: must be at least 1"),
        ("greedy:waves=2", "Did you mean 'wave'"),
        ("greedy:least=2", "least=2"),
    ],
)
def test_a_wrong_name_or_value_is_a_clear_error(spec: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        make_allocation(spec)


def test_so_is_one_in_python():
    with pytest.raises(ConfigurationError, match="allocation 'greedy'"):
        Greedy(gains="a name")  # pyright: ignore[reportArgumentType]
