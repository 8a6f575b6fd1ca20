"""An aim of non-inferiority: the rate is the cheapest at which as many problems have the power to show it."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.tuning import Aim, FrontierPoint, choose_rate, margin_of
from ttc.non_inferiority import non_inferiority_power
from ttc.pools import Pool, RecordedProblem


@pytest.fixture(scope="module")
def bench() -> Bench:
    rng = np.random.default_rng(0)
    problems = tuple(
        RecordedProblem(
            id=str(i),
            answers=("yes",) * 3,
            right=(float(rng.random() < 0.7),) * 3,
            generated=(10.0,) * 3,
        )
        for i in range(400)
    )
    return anyio.run(lambda: gather([Pool(name="pool", model="m", problems=problems)], orders=2))


def everything(bench: Bench) -> np.ndarray:
    return np.ones(len(bench.problem), dtype=bool)


def test_all_samples_are_no_worse_than_themselves(bench: Bench) -> None:
    assert margin_of(bench, everything(bench), bench.ways[0].paths.right[:, -1]) == 0


def test_at_the_margin_the_test_has_a_power_of_nine_tenths(bench: Bench) -> None:
    right = bench.ways[0].paths.right[:, -1].copy()
    lost = (bench.problem % 40 == 0) & (right > 0)
    right[lost] = 0
    by_problem = np.bincount(bench.problem, bench.ways[0].paths.right[:, -1] - right) / 2
    margin = margin_of(bench, everything(bench), right)
    assert margin > by_problem.mean() > 0
    power = non_inferiority_power(float(by_problem.std(ddof=1)), 400, margin=margin - float(by_problem.mean()))
    assert power == pytest.approx(0.9, abs=0.01)


def test_what_part_of_the_problems_shows_it_is_meant_for_all_of_them(bench: Bench) -> None:
    right = bench.ways[0].paths.right[:, -1] * (bench.problem % 20 > 0)
    some = bench.problem < 200  # the same share of them is lost
    assert margin_of(bench, some, right[some]) == pytest.approx(margin_of(bench, everything(bench), right), rel=0.15)


def points(*margins: float) -> list[FrontierPoint]:
    """Going rates of 1, 2, 3, ...: the higher, the cheaper."""
    return [FrontierPoint(i + 1, 0.5, 10.0 - i, 0.0, margin) for i, margin in enumerate(margins)]


@pytest.mark.parametrize(
    ("margins", "rate"),
    [((0.0, 0.01, 0.02, 0.03), 3), ((0.0, 0.03, 0.01), 3), ((0.05, 0.03, 0.04), 2), ((0.03, 0.03), 2)],
)
def test_the_cheapest_rate_within_the_margin_is_chosen_or_the_nearest_one(
    margins: tuple[float, ...], rate: float
) -> None:
    assert choose_rate(points(*margins), Aim("no_worse", 0.02), best_fixed=0.5) == pytest.approx(rate)


def test_between_two_rates_the_margin_is_met_in_proportion() -> None:
    assert choose_rate(points(0.0, 0.01, 0.03), Aim("no_worse", 0.02), best_fixed=0.5) == pytest.approx(6**0.5)
