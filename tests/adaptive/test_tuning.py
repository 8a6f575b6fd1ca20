"""Tuning gains nothing where there is nothing to gain, sees none of what it is measured on, and says what it lacks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import ttc.adaptive.tuning
from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.fitting import Settings, apply, fit
from ttc.adaptive.plans import Results
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.tuning import Aim, FrontierPoint, choose_rate, cross_validated, frontier, point_of, rates_for, tuned
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem

pytestmark = pytest.mark.anyio

PLAIN = Settings(estimator="none", learned=False)


def coins(name: str, *, problems: int = 100, seed: int = 0) -> Pool:
    """Single samples that are right every other time, whatever is done."""
    right = np.random.default_rng(seed).random(problems) < 0.5
    made = [
        RecordedProblem(id=f"p{i}", answers=("yes" if r else "no",), right=(float(r),), generated=(10.0,))
        for i, r in enumerate(right)
    ]
    return Pool(name=name, model="m", problems=tuple(made), thinking=name)


def masked(bench: Bench) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.ones(len(bench.problem), dtype=bool)


# -- eight ways of equal quality ---------------------------------------------------------------------------------------


async def test_eight_identical_strategies_gain_nothing(monkeypatch: pytest.MonkeyPatch):
    """In sample the best of eight coins has some 7 points more on 100 problems; out of fold it has none."""
    monkeypatch.setattr(ttc.adaptive.tuning, "RATES", 2)
    flattered: list[float] = []
    shown: list[float] = []
    for seed in range(4):
        bench = await gather([coins(f"{k + 1}", seed=100 * seed + k) for k in range(8)], orders=1)
        assert len(bench.ways) == 8
        single = [float(way.paths.right[:, 0].mean()) for way in bench.ways]
        found = cross_validated(bench, dataclasses.replace(PLAIN, seed=seed), Aim("loss", 0.0))
        flattered.append(max(single) - 0.5)
        shown.append(float(found.results.right.mean()) - 0.5)
    assert np.mean(flattered) > 0.05  # what would be reported in sample
    assert abs(np.mean(shown)) < 2.5 * 0.5 / np.sqrt(400)


# -- nested folds ------------------------------------------------------------------------------------------------------

POOL = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=40, width=8)
GROUPED = dataclasses.replace(
    POOL, problems=tuple(dataclasses.replace(p, group=f"g{i // 2}") for i, p in enumerate(POOL.problems))
)


async def test_what_is_measured_had_no_part_in_anything(monkeypatch: pytest.MonkeyPatch):
    bench = await gather([GROUPED], orders=2)
    monkeypatch.setattr(ttc.adaptive.tuning, "RATES", 2)
    groups = np.array(bench.groups)[bench.problem]
    trained: dict[int, set[str]] = {}
    seen: list[set[str]] = []
    pairs: list[tuple[set[str], set[str]]] = []

    def watched_fit(bench: Bench, train: Any, rate: float, settings: Settings, **given: Any) -> Any:
        found = fit(bench, train, rate, settings, **given)
        trained[id(found)] = set(groups[train].tolist())
        seen.append(trained[id(found)])
        kept.append(found)
        return found

    def watched_apply(fitted: Any, bench: Bench, test: Any, **given: Any) -> Any:
        pairs.append((trained[id(fitted)], set(groups[test].tolist())))
        return apply(fitted, bench, test, **given)

    kept: list[Any] = []
    monkeypatch.setattr(ttc.adaptive.tuning, "fit", watched_fit)
    monkeypatch.setattr(ttc.adaptive.tuning, "apply", watched_apply)
    monkeypatch.setattr(ttc.adaptive.tuning, "frontier", _until_the_last(frontier, pairs, marks := []))
    cross_validated(bench, PLAIN, Aim("loss", 0.0))
    assert len(marks) == 6  # in each of five folds, and once for the curve
    for known, held in pairs:
        assert not known & held
    start = 0
    for fold in range(5):
        rate_by = pairs[start : marks[fold]]  # how the rate of the fold was chosen
        known, held = pairs[marks[fold]]  # what was measured
        start = marks[fold] + 1
        for inner, tried in rate_by:
            assert not (inner | tried) & held
        assert known | held == set(groups.tolist())
        assert set().union(*(tried for _, tried in rate_by)) == known
    measured = [pairs[mark][1] for mark in marks[:5]]
    assert sum(map(len, measured)) == len(set().union(*measured)) == 20  # every group once, whole


def _until_the_last(real: Any, pairs: list[Any], marks: list[int]) -> Any:
    def watched(*args: Any, **given: Any) -> Any:
        found = real(*args, **given)
        marks.append(len(pairs))
        return found

    return watched


async def test_verdicts_of_held_out_problems_change_nothing_that_is_tuned():
    bench = await gather([POOL], orders=2)
    held = bench.problem >= 30
    upside_down = dataclasses.replace(
        bench,
        ways=tuple(
            dataclasses.replace(
                way,
                paths=dataclasses.replace(
                    way.paths, right=np.where(held[:, None], 1 - way.paths.right, way.paths.right)
                ),
            )
            for way in bench.ways
        ),
    )
    settings = Settings(estimator="none")
    rates = rates_for(bench)[::4]
    a, b = (tuned(x, ~held, settings, Aim("loss", 0.02), rates=rates) for x in (bench, upside_down))
    assert a.rate == b.rate
    assert a.rows == b.rows


# -- aims --------------------------------------------------------------------------------------------------------------


async def test_a_budget_is_kept_on_problems_that_were_not_tuned_on(monkeypatch: pytest.MonkeyPatch):
    pool = simulated_pool(Population(p=(6, 4), wrong=(1,) * 4), problems=80, width=8)
    monkeypatch.setattr(ttc.adaptive.tuning, "RATES", 5)
    bench = await gather([pool], orders=2)
    budget = 4.5 * float(bench.ways[0].cost[:, 0].mean())
    found = cross_validated(bench, Settings(estimator="none"), Aim("cost", budget))
    error = found.results.cost.std() / np.sqrt(80)
    assert found.results.cost.mean() < budget + 2 * error
    assert found.results.right.mean() > bench.ways[0].paths.right[:, 0].mean()  # and it bought something


POINTS = (
    FrontierPoint(1e-6, 0.8, 900.0, 9.0),
    FrontierPoint(1e-5, 0.79, 500.0, 5.0),
    FrontierPoint(1e-4, 0.6, 100.0, 2.0),
)


@pytest.mark.parametrize(
    ("aim", "rate"),
    [
        (Aim("cost", 1000), 1e-6),
        (Aim("cost", 899), 1e-5),
        (Aim("cost", 100), 1e-4),
        (Aim("accuracy", 0.79), 1e-5),
        (Aim("accuracy", 0.5), 1e-4),
        (Aim("loss", 0.02), 1e-5),
        (Aim("loss", 0.0), 1e-6),
        (Aim("p95_seconds", 5.0), 1e-5),
    ],
)
def test_the_rate_is_the_one_that_meets_the_aim_best(aim: Aim, rate: float):
    assert choose_rate(POINTS, aim, best_fixed=0.8) == rate


def test_where_a_loss_cannot_be_held_the_most_accurate_rate_is_taken():
    assert choose_rate(POINTS, Aim("loss", 0.0), best_fixed=0.9) == 1e-6


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        (Aim("cost", 50), r"a mean cost of 50 .*out of reach: the least .*is 100"),
        (Aim("accuracy", 0.95), r"an accuracy of 0\.950? .*out of reach: the most .*is 0\.800"),
        (Aim("p95_seconds", 1), r"95% .*1.* is out of reach: the least .*is 2"),
    ],
)
def test_an_aim_out_of_reach_says_what_would_do(aim: Aim, said: str):
    with pytest.raises(ConfigurationError, match=said):
        choose_rate(POINTS, aim, best_fixed=0.8)


async def test_a_budget_of_little_more_than_one_sample_is_met_whatever_a_second_one_would_bring(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ttc.adaptive.tuning, "RATES", 2)
    bench = await gather([simulated_pool(Population(p=(6, 4), wrong=(1,) * 4), problems=20, width=8)], orders=2)
    budget = 1.4 * float(bench.ways[0].cost[:, 0].mean())
    found = cross_validated(bench, PLAIN, Aim("cost", budget))
    assert (found.results.samples == 1).all()


async def test_a_budget_under_one_sample_says_the_least_that_would_do():
    bench, aim = await gather([coins("1", problems=20)], orders=1), Aim("cost", 3)
    with pytest.raises(ConfigurationError, match=r"mean cost of 3 .*out of reach: the least .*is 10$"):
        tuned(bench, masked(bench), PLAIN, aim, rates=rates_for(bench, aim))


@pytest.mark.parametrize(("settings", "fewest"), [(PLAIN, 10), (Settings(estimator="probe"), 30)])
@pytest.mark.parametrize("problems", [1, 9])
async def test_too_few_problems_are_refused_with_the_number_that_would_do(
    settings: Settings, fewest: int, problems: int
):
    bench = await gather([coins("1", problems=problems)], orders=1)
    with pytest.raises(ConfigurationError, match=rf"{problems} problems?: it takes {fewest} to tune"):
        cross_validated(bench, settings, Aim("loss", 0.0))


async def test_thirty_problems_are_enough_for_an_estimator(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ttc.adaptive.tuning, "RATES", 1)
    pool = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=30, width=5)
    bench = await gather([pool], orders=1)
    found = cross_validated(bench, Settings(estimator="verifier", probe=2, learned=False), Aim("loss", 0.0))
    assert len(found.rates) == 5
    assert (found.estimates != 0.5).all()


async def test_seconds_that_were_not_recorded_are_no_aim():
    bench = await gather([POOL], orders=1)
    with pytest.raises(ConfigurationError, match="does not say how long its samples took"):
        cross_validated(bench, PLAIN, Aim("p95_seconds", 5.0))


async def test_samples_that_cost_nothing_are_refused():
    bench = await gather([coins("1", problems=20)], orders=1)
    free = dataclasses.replace(bench, ways=(dataclasses.replace(bench.ways[0], cost=np.zeros((20, 1))),))
    with pytest.raises(ConfigurationError, match="cost nothing"):
        rates_for(free)


def test_every_problem_counts_once_in_a_point():
    results = Results(
        np.array([1.0, 1, 1, 0]), np.array([1.0, 1, 1, 9]), np.ones(4, dtype=int), np.array([1.0, 2, 3, 40])
    )
    point = point_of(0.1, results, np.array([0, 0, 0, 1]))
    assert (point.accuracy, point.cost, point.p95_seconds) == pytest.approx((0.5, 5.0, 40.0))
