"""Figures of estimates against verdicts: Brier score, calibration error with its noise, and rank correlation."""

from __future__ import annotations

import numpy as np
import pytest

from ttc.adaptive.calibration import Calibration, Prediction, calibration_of, rank_correlation


def predictions(p: np.ndarray, estimates: np.ndarray, *, n: int = 8, seed: int = 0) -> list[Prediction]:
    """Draw verdicts on samples of problems with these probabilities."""
    right = np.random.default_rng(seed).binomial(n, p)
    return [
        Prediction(problem=f"q{i}", group=f"q{i}", p=e, low=0.0, high=1.0, right=k, squares=k, total=n)
        for i, (e, k) in enumerate(zip(estimates.tolist(), right.tolist(), strict=True))
    ]


def one(p: float, right: float, total: int, **fields: object) -> Prediction:
    values = {"problem": "q", "group": "q", "low": 0.0, "high": 1.0, "squares": right} | fields
    return Prediction(p=p, right=right, total=total, **values)  # type: ignore[arg-type]


TRUE = np.random.default_rng(1).beta(0.5, 0.5, 2000)


def test_the_brier_score_is_over_samples():
    assert calibration_of([one(0.8, 3, 4)]).brier == pytest.approx((3 * 0.2**2 + 0.8**2) / 4)


def test_half_a_verdict_is_half_a_verdict():
    assert calibration_of([one(0.5, 1.0, 2, squares=0.5)]).brier == pytest.approx(0.0)


def test_saying_the_mean_is_what_it_is_held_against():
    found = calibration_of(predictions(TRUE, np.full(len(TRUE), 0.5)))
    assert found.brier_of_mean == pytest.approx(0.25, abs=0.005)
    assert found.skill == pytest.approx(0.0, abs=0.005)


def test_the_truth_is_calibrated_within_the_noise_that_is_stated():
    found = calibration_of(predictions(TRUE, TRUE))
    assert found.ece < 2 * found.ece_noise
    assert found.ece_noise < 0.02
    assert found.skill > 0.4


@pytest.mark.parametrize("n", [60, 400])
def test_the_noise_is_what_calibrated_estimates_show_on_average(n: int):
    found = [calibration_of(predictions(TRUE[:n], TRUE[:n], seed=s)) for s in range(200)]
    assert np.mean([c.ece_noise for c in found]) == pytest.approx(np.mean([c.ece for c in found]), rel=0.15)


@pytest.mark.parametrize("shift", [0.1, 0.2])
def test_a_shift_is_found(shift: float):
    p = np.clip(TRUE, 0.2, 0.8)
    assert calibration_of(predictions(p, p + shift)).ece == pytest.approx(shift, abs=0.02)


def test_overconfidence_is_found():
    found = calibration_of(predictions(TRUE * 0.4 + 0.3, TRUE))
    assert found.ece > 0.15
    assert found.rank_correlation > 0.5  # what it cannot see


def test_bins_hold_equally_many_problems_and_what_was_estimated_alike_stays_together():
    found = calibration_of(predictions(TRUE, TRUE))
    assert [row.n for row in found.reliability] == [pytest.approx(200, abs=1)] * 10
    alike = calibration_of(predictions(TRUE, np.repeat([0.2, 0.8], 1000)))
    assert [row.predicted for row in alike.reliability] == [pytest.approx(0.2), pytest.approx(0.8)]


def test_repeats_of_a_problem_count_once():
    once = predictions(TRUE[:100], TRUE[:100])
    twice = [
        Prediction(x.problem, x.group, x.p, x.low, x.high, x.right, x.squares, x.total, repeat, 0.5)
        for x in once
        for repeat in (0, 1)
    ]
    a, b = calibration_of(once), calibration_of(twice)
    assert b.n == a.n == 100
    for name in ("brier", "brier_of_mean", "ece", "ece_noise", "rank_correlation"):
        assert getattr(a, name) == pytest.approx(getattr(b, name))


def test_problems_of_one_group_are_one_observation():
    alone = predictions(np.full(80, 0.5), np.full(80, 0.5))
    grouped = [
        Prediction(x.problem, f"g{i // 8}", x.p, x.low, x.high, x.right, x.squares, x.total)
        for i, x in enumerate(alone)
    ]
    together = [
        Prediction(x.problem, x.group, x.p, x.low, x.high, float(8 * (i // 8 % 2)), x.squares, x.total)
        for i, x in enumerate(grouped)
    ]
    ungrouped = [Prediction(x.problem, x.problem, x.p, x.low, x.high, x.right, x.squares, x.total) for x in together]
    assert calibration_of(together).ece_noise > 2 * calibration_of(ungrouped).ece_noise


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 2, 2], [1, 1, 2, 2], 1.0),
        ([1, 1, 1], [1, 2, 3], 0.0),
        ([1], [1], 0.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
    ],
)
def test_rank_correlation(a: list[float], b: list[float], expected: float):
    assert rank_correlation(np.array(a, float), np.array(b, float)) == pytest.approx(expected)


def test_one_problem_has_figures_too():
    found = calibration_of([one(0.5, 1, 2)])
    assert (found.n, found.rank_correlation) == (1, 0.0)
    assert 0 <= found.ece <= 1


def test_a_calibration_goes_into_json_and_back():
    found = calibration_of(predictions(TRUE[:50], TRUE[:50]))
    assert Calibration.model_validate_json(found.model_dump_json()) == found
