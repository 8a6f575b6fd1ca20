"""Error bars: closed forms, and that nominal intervals cover what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.statistics import (
    holm,
    mean,
    paired_difference,
    t_quantile,
)


def binary(right: int, n: int) -> dict[str, list[float]]:
    return {f"{i:05}": [float(i < right)] for i in range(n)}


def joint(both: int, only_a: int, only_b: int, neither: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    rows = [(1.0, 1.0)] * both + [(1.0, 0.0)] * only_a + [(0.0, 1.0)] * only_b + [(0.0, 0.0)] * neither
    return {str(i): [a] for i, (a, _) in enumerate(rows)}, {str(i): [b] for i, (_, b) in enumerate(rows)}


def test_a_share_has_its_binomial_error() -> None:
    aime = mean(binary(24, 30))
    assert (aime.value, aime.n, aime.method) == (0.8, 30, "wilson")
    assert aime.se == pytest.approx(0.073, abs=5e-4)
    assert aime.low == pytest.approx(0.6269, abs=1e-4)  # Wilson's interval for 24 of 30
    assert aime.high == pytest.approx(0.9050, abs=1e-4)


def test_pairing_on_problems_shrinks_the_error_of_a_difference() -> None:
    # 500 problems, .7 against .65 with correlation .6: P(both) = .7 * .65 + .6 * sqrt(.21 * .2275) = .5861
    a, b = joint(293, 57, 32, 118)
    d = paired_difference(a, b)
    assert d.value == pytest.approx(0.05)
    assert d.se == pytest.approx(0.0187, abs=1e-4)
    unpaired = (mean(a).se ** 2 + mean(b).se ** 2) ** 0.5
    assert unpaired == pytest.approx(0.0296, abs=1e-4)
    assert d.credible
    assert d.p < 0.05


@pytest.mark.parametrize(
    ("df", "t"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (10, 2.2281), (29, 2.0452), (100, 1.9840), (100_000, 1.9600)]
)
def test_quantiles_of_student_t(df: int, t: float) -> None:
    assert t_quantile(0.95, df) == pytest.approx(t, abs=1e-4)


def test_epochs_are_no_new_problems() -> None:
    once = {str(i): [float(i % 3 == 0), float(i % 2 == 0)] for i in range(40)}
    repeated = {problem: scores * 5 for problem, scores in once.items()}
    assert mean(repeated).se == pytest.approx(mean(once).se)
    assert mean(once).method == "wilson"
    assert mean(repeated).n == 40


def test_clustered_error_of_equal_epochs_is_that_of_the_problem_means() -> None:
    scores = {str(i): [float((i * j) % 3 == 0) for j in range(4)] for i in range(25)}
    means = np.array([np.mean(s) for s in scores.values()])
    assert mean(scores).se == pytest.approx(means.std(ddof=1) / 5)


def test_all_right_is_not_certain() -> None:
    assert mean(binary(10, 10)).low == pytest.approx(0.7225, abs=1e-4)
    repeated = mean({str(i): [1.0, 1.0] for i in range(10)})
    assert (repeated.method, repeated.se) == ("wilson", 0.0)
    assert repeated.low == pytest.approx(0.7225, abs=1e-4)


def test_one_problem_says_nothing_about_others() -> None:
    lone = mean({"a": [1.0, 0.0, 1.0]})
    assert (lone.low, lone.high, lone.method) == (0.0, 1.0, "none")


def test_equal_outcomes_everywhere_resolve_nothing() -> None:
    a = binary(7, 10)
    d = paired_difference(a, a)
    assert (d.value, d.p, d.credible) == (0.0, 1.0, False)
    assert d.low == pytest.approx(-d.high)
    assert d.high == pytest.approx(0.2775, abs=1e-4)  # Wilson's bound on 0 of 10


@pytest.mark.parametrize("n", range(1, 12))
def test_a_few_problems_that_all_differ_are_credible_no_sooner_than_a_sign_test_says(n: int) -> None:
    d = paired_difference(binary(n, n), binary(0, n))
    assert (d.value, d.high) == (1.0, 1.0)
    assert d.credible == (d.p < 0.05) == (n >= 6)
    mirrored = paired_difference(binary(0, n), binary(n, n))
    assert (mirrored.low, mirrored.high) == (-d.high, pytest.approx(-d.low))
    assert mirrored.credible == d.credible


def test_only_common_problems_are_compared() -> None:
    d = paired_difference({"a": [1.0], "b": [1.0], "c": [0.0]}, {"b": [0.0], "c": [0.0], "z": [1.0]})
    assert (d.value, d.n) == (0.5, 2)
    with pytest.raises(ConfigurationError, match="problems that both"):
        paired_difference({"a": [1.0]}, {"b": [1.0]})


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ConfigurationError, match="at least one score"):
        mean({"a": []})


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # the textbook's example
    assert holm([]) == []


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_makes_a_comparison_more_credible(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(a >= raw for a, raw in zip(adjusted, p, strict=True))
    order = sorted(range(len(p)), key=lambda i: p[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=4), min_size=1)
)
def test_an_interval_holds_its_mean_and_stays_a_share(scores: dict[str, list[float]]) -> None:
    m = mean(scores)
    assert 0 <= m.low <= m.value + 1e-12
    assert m.value - 1e-12 <= m.high <= 1
    assert m == mean(dict(reversed(scores.items())))


def test_problems_that_are_all_at_the_mean_claim_no_certainty():
    found = mean({f"problem {i}": [1.0, 0.0] for i in range(10)})
    assert (found.value, found.method) == (0.5, "wilson")
    assert found.low < 0.3
    assert found.high > 0.7


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_the_interval_of_a_difference_of_shares_holds_no_more_than_can_be(n: int) -> None:
    d = paired_difference(*joint(0, n - 1, 1, 0))
    assert -1 <= d.low <= d.value <= d.high <= 1
