"""Rows are chosen by what plans did on problems that they were not fitted on, and a small class leans on the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import anyio
import numpy as np
import pytest

import ttc.adaptive.fitting
from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.classes import TagClasses
from ttc.adaptive.fitting import Fitted, Settings, apply, estimated, fit
from ttc.adaptive.plans import Plan, PlanKind, run_plan
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.budget import Price
from ttc.folds import folds_of
from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem

FIXED = Settings(estimator="none", learned=False)


def certain(name: str, answers: str, right: str, *, tags: Mapping[str, str] | None = None) -> RecordedProblem:
    return RecordedProblem(
        id=name,
        answers=tuple(answers),
        right=tuple(float(a == right) for a in answers),
        generated=(10.0,) * len(answers),
        tags=tags or {},
    )


def bench_of(*pools: Pool, **given: Any) -> Bench:
    return anyio.run(lambda: gather(list(pools), **given))


def everything(bench: Bench) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.ones(len(bench.problem), dtype=bool)


@pytest.fixture(scope="module")
def votes() -> Bench:
    return bench_of(simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=60, width=8), orders=2)


# -- folds -------------------------------------------------------------------------------------------------------------


def test_folds_are_of_equal_size_and_keep_groups_together():
    groups = [f"g{i // 2}" for i in range(40)]
    folds = folds_of(groups, 5, seed=1)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).tolist() == [8] * 5
    assert (folds == folds_of(groups, 5, seed=1)).all()
    assert (folds != folds_of(groups, 5, seed=2)).any()


# -- the rate ----------------------------------------------------------------------------------------------------------


def test_the_dearer_tokens_are_the_less_is_spent(votes: Bench):
    sample = float(votes.ways[0].cost[:, 0].mean())
    spent = [
        apply(fit(votes, everything(votes), bar / sample, Settings(estimator="none")), votes, everything(votes)).cost
        for bar in (1e-4, 1e-2, 1.0)
    ]
    assert spent[0].mean() >= spent[1].mean() > spent[2].mean()
    assert spent[2].mean() == pytest.approx(sample)  # nothing is worth a second sample


def test_without_an_estimator_there_is_one_row(votes: Bench):
    found = fit(votes, everything(votes), 1e-5, FIXED)
    assert list(found.rows) == [("default", 0)]
    assert (found.bounds, found.estimator, found.probe) == ((), None, 0)
    assert (estimated(found, votes, everything(votes)) == 0.5).all()


# -- out of sample -----------------------------------------------------------------------------------------------------


def test_plans_are_judged_on_problems_that_they_were_not_fitted_on(votes: Bench, monkeypatch: pytest.MonkeyPatch):
    fitted_on: list[set[int]] = []
    pairs: list[tuple[set[int], set[int]]] = []
    plans = ttc.adaptive.fitting._plans

    def watched_plans(ways: Any, paths: Any, *args: Any, **given: Any) -> Any:
        fitted_on.append(set(votes.problem[paths].tolist()))
        return plans(ways, paths, *args, **given)

    def watched_run(plan: Plan, ways: Any, **given: Any) -> Any:
        pairs.append((fitted_on[-1], set(ways[0].paths.problem.tolist())))
        return run_plan(plan, ways, **given)

    monkeypatch.setattr(ttc.adaptive.fitting, "_plans", watched_plans)
    monkeypatch.setattr(ttc.adaptive.fitting, "run_plan", watched_run)
    train = votes.problem < 45
    fit(votes, train, 1e-5, Settings(estimator="none"))
    assert len(fitted_on) == 4  # three parts, and then all of it
    for learned, tried in pairs:
        assert not learned & tried
        assert learned | tried == set(range(45))
    assert fitted_on[-1] == set(range(45))


def test_estimates_that_sort_problems_are_of_fits_on_others(votes: Bench, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[frozenset[int], set[int]]] = []
    known: dict[int, frozenset[int]] = {}

    def fits(self: Bench, kind: str, way: int, paths: Any, *, probe: int) -> Any:
        made = dataclasses.make_dataclass("Made", ["probe", "verifier"])(probe, "")
        known[id(made)] = frozenset(self.problem[paths].tolist())
        kept.append(made)
        return made

    def estimates(self: Bench, estimator: Any, way: int, paths: Any) -> Any:
        asked.append((known[id(estimator)], set(self.problem[paths].tolist())))
        return np.linspace(0.1, 0.9, int(paths.sum()))

    kept: list[Any] = []
    monkeypatch.setattr(Bench, "fit_estimator", fits)
    monkeypatch.setattr(Bench, "estimates", estimates)
    found = fit(votes, votes.problem < 45, 1e-5, Settings(estimator="probe", probe=2, learned=False))
    assert len(asked) == 3
    assert all(not learned & tried for learned, tried in asked)
    assert set().union(*(tried for _, tried in asked)) == set(range(45))
    assert known[id(found.estimator)] == set(range(45))  # what is written down knows all of them
    assert len(found.bounds) == 1  # 45 problems make two bins of 20 at the least


# -- classes -----------------------------------------------------------------------------------------------------------


def classes_bench(rare: int) -> Bench:
    """Votes help the one class, whose samples are right three times of five, and are lost on the other."""
    rng = np.random.default_rng(0)
    problems = [
        certain(f"h{i}", "".join(rng.permutation(list("aaabc"))), "a", tags={"family": "helped"}) for i in range(40)
    ]
    problems += [certain(f"l{i}", "aaaaa", "a", tags={"family": "lost"}) for i in range(rare)]
    pool = Pool(name="p", model="m", problems=tuple(problems))
    return bench_of(pool, classes=TagClasses(tags=("family",)), orders=4)


def test_each_class_has_the_plan_that_it_is_worth():
    bench = classes_bench(rare=40)
    found = fit(bench, everything(bench), 0.005, FIXED)
    assert {name for name, _ in found.rows} == {"default", "helped", "lost"}
    assert found.rows["lost", 0].n == 1
    assert found.rows["lost", 0].beta is None
    assert found.rows["helped", 0].n > 1
    done = apply(found, bench, everything(bench))
    lost = bench.problem >= 40
    assert (done.samples[lost] == 1).all()
    assert (done.samples[~lost] > 1).all()


def test_a_class_of_few_problems_has_the_default_rows():
    bench = classes_bench(rare=5)
    found = fit(bench, everything(bench), 0.005, FIXED)
    assert {name for name, _ in found.rows} == {"default", "helped"}
    rare = apply(found, bench, bench.problem >= 40)
    by_default = run_plan(found.rows["default", 0], [way.of(bench.problem >= 40) for way in bench.ways])
    assert rare.cost.tolist() == by_default.cost.tolist()


def test_the_fewer_problems_a_class_has_the_more_it_leans_on_the_others():
    bench = classes_bench(rare=10)
    own, shrunk = (
        fit(bench, everything(bench), 0.005, dataclasses.replace(FIXED, least=5, shrink=shrink))
        for shrink in (0.0, 1e9)
    )
    assert own.rows["lost", 0].n == 1
    assert shrunk.rows["lost", 0].kind == shrunk.rows["default", 0].kind


# -- bins --------------------------------------------------------------------------------------------------------------


def test_a_bound_belongs_to_the_bin_above_it():
    found = Fitted(rate=0.0, base=0, probe=0, bounds=(0.3, 0.7), rows={}, estimator=None)
    assert found.bin_of(np.array([0.0, 0.29, 0.3, 0.5, 0.7, 1.0])).tolist() == [0, 0, 1, 1, 2, 2]


# -- cascades ----------------------------------------------------------------------------------------------------------


def two_models(*, dear: float) -> Bench:
    """A small model that knows the even problems and guesses at the others, and a large one that knows them all."""
    rng = np.random.default_rng(1)
    guesses = ["".join(rng.choice(list("abcdef"), 4)) for _ in range(60)]
    small = [certain(f"p{i}", "aaaa" if i % 2 == 0 else guesses[i], "a") for i in range(60)]
    large = [certain(f"p{i}", "aaaa", "a") for i in range(60)]
    return bench_of(
        Pool(name="s", model="small", problems=tuple(small), price=Price(prompt=0.0, generated=1.0)),
        Pool(name="l", model="large", problems=tuple(large), price=Price(prompt=0.0, generated=dear)),
        orders=2,
    )


def test_what_the_small_model_does_not_know_goes_to_the_large_one():
    bench = two_models(dear=20.0)
    found = fit(bench, everything(bench), 0.2 / 20e-5, Settings(estimator="none"))
    plan = found.rows["default", 0]
    assert bench.ways[plan.way].model == "small"
    assert plan.escalate is not None
    assert bench.ways[plan.escalate.way].model == "large"
    done = apply(found, bench, everything(bench))
    assert done.right.mean() > 0.95
    assert done.cost.mean() < 0.75 * bench.ways[1].cost[:, 0].mean()  # less than the large one for all


def test_all_parts_try_the_same_plans_where_models_cost_about_the_same(monkeypatch: pytest.MonkeyPatch):
    """Which of them is the cheaper one differs between parts of the problems."""
    bench = two_models(dear=1.0)
    rng = np.random.default_rng(0)
    costs = [np.cumsum(rng.uniform(1, 19, way.cost.shape), axis=1) for way in bench.ways]
    even = dataclasses.replace(
        bench, ways=tuple(dataclasses.replace(way, cost=cost) for way, cost in zip(bench.ways, costs, strict=True))
    )
    tried: list[set[PlanKind]] = []
    plans = ttc.adaptive.fitting._plans

    def watched(*args: Any, **given: Any) -> list[Plan]:
        found = list(plans(*args, **given))
        tried.append({plan.kind for plan in found})
        return found

    monkeypatch.setattr(ttc.adaptive.fitting, "_plans", watched)
    for seed in range(4):
        tried.clear()
        fit(even, everything(even), 1e-3, Settings(estimator="none", seed=seed))
        assert len(tried) == 4
        assert all(kinds == tried[0] for kinds in tried)
