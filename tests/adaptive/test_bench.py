"""What tuning tries plans on: ways aligned by problem, in one currency, and nothing that pools cannot show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ttc.adaptive.bench import BETAS, gather
from ttc.adaptive.classes import TagClasses
from ttc.adaptive.difficulty import fit_estimator
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.pools import CutColumns, Pool, candidate_of

pytestmark = pytest.mark.anyio

POOL = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=12, width=6)
PRICE = Price(prompt=0.0, generated=2.0)


def of_model(model: str, *, price: Price | None = PRICE, reverse: bool = False, skip: int = 0) -> Pool:
    problems = POOL.problems[skip:]
    return dataclasses.replace(
        POOL, name=model, model=model, price=price, problems=problems[::-1] if reverse else problems
    )


async def test_one_pool_and_one_strategy_are_one_way():
    bench = await gather([POOL], orders=3)
    (way,) = bench.ways
    assert (way.name, way.strategy, way.model, way.thinking, way.verifier) == ("majority", "majority", "", "", "")
    assert (bench.unit, bench.classes) == ("tokens", ("default",) * 12)
    assert (way.cost == way.paths.cost).all()
    assert tuple(way.beta_stops) == BETAS
    assert bench.weights.sum() == pytest.approx(12)  # every problem counts once


async def test_costs_of_several_models_are_dollars():
    bench = await gather([of_model("small"), of_model("large", price=Price(prompt=0.0, generated=20.0))], orders=2)
    assert bench.unit == "dollars"
    assert [way.model for way in bench.ways] == ["small", "large"]
    assert bench.ways[0].cost == pytest.approx(2e-6 * bench.ways[0].paths.cost)
    assert bench.ways[1].cost == pytest.approx(10 * bench.ways[0].cost)


async def test_tokens_of_different_models_are_never_added_up():
    with pytest.raises(
        ConfigurationError, match=r"model large has no price.*tokens of different models are never added"
    ):
        await gather([of_model("small"), of_model("large", price=None)])


async def test_pools_are_aligned_by_what_names_their_problems():
    bench = await gather([of_model("small", reverse=True), of_model("large", skip=3)], orders=2)
    small, large = bench.ways
    assert small.paths.groups == large.paths.groups
    assert len(bench.problems) == 9
    assert (small.paths.problem == large.paths.problem).all()


async def test_pools_without_a_problem_in_common_are_refused():
    other = dataclasses.replace(
        of_model("b"), problems=tuple(dataclasses.replace(p, group=f"x{p.id}") for p in POOL.problems)
    )
    with pytest.raises(ConfigurationError, match="pools a, b have no problem in common"):
        await gather([of_model("a"), other])


async def test_several_runs_in_one_of_several_pools_are_refused():
    twice = dataclasses.replace(
        of_model("b"), problems=tuple(dataclasses.replace(p, group="same") for p in POOL.problems)
    )
    with pytest.raises(ConfigurationError, match="pool 'b' holds problem same several times"):
        await gather([of_model("a"), twice])


async def test_pools_in_different_units_are_refused():
    a, b = dataclasses.replace(of_model("m"), thinking="low"), dataclasses.replace(of_model("m"), unit="samples")
    with pytest.raises(ConfigurationError, match="different units"):
        await gather([a, b])


async def test_nothing_to_tune_on_is_refused():
    with pytest.raises(ConfigurationError, match="name a pool"):
        await gather([])


@pytest.mark.parametrize("spec", ["majority:n=4", "majority:stop=beta", "best_of_n:wave=2"])
async def test_what_tuning_searches_is_not_given(spec: str):
    with pytest.raises(ConfigurationError, match=r"tuning searches how many samples are drawn and when to stop"):
        await gather([POOL], strategies=(spec,))


async def test_every_cut_is_a_way_of_its_own_and_has_no_scores():
    cuts = {64: CutColumns(answers=("x",) * 6, right=(0.0,) * 6, generated=(64.0,) * 6)}
    pool = dataclasses.replace(POOL, problems=tuple(dataclasses.replace(p, cuts=cuts) for p in POOL.problems))
    bench = await gather([pool], strategies=("majority", "best_of_n"), orders=1)
    assert [(way.strategy, way.thinking) for way in bench.ways] == [
        ("majority", ""),
        ("best_of_n", ""),
        ("majority", "64"),
    ]
    assert (bench.ways[2].paths.right == 0).all()
    assert not bench.ways[2].draws_like(bench.ways[0])
    assert bench.ways[1].draws_like(bench.ways[0])


async def test_scores_are_named_where_there_are_several():
    two = dataclasses.replace(
        POOL, problems=tuple(dataclasses.replace(p, scores={**p.scores, "judge": p.right}) for p in POOL.problems)
    )
    with pytest.raises(ConfigurationError, match=r"name the verifier .* judge, simulated"):
        await gather([two], strategies=("best_of_n",))
    assert (await gather([two], strategies=("best_of_n",), verifier="judge", orders=1)).ways[0].verifier == "judge"


async def test_where_samples_pass_one_is_drawn_at_a_time_and_a_probe_is_known_whole():
    pool = dataclasses.replace(
        POOL,
        problems=tuple(dataclasses.replace(p, scores={"tests": p.right}) for p in POOL.problems),
        pass_fail=frozenset({"tests"}),
    )
    bench = await gather([pool], strategies=("best_of_n", "majority"), orders=2)
    passing, plain = bench.ways
    assert passing.strategy == "best_of_n:wave=1"
    assert (passing.paths.drawn == -1).any()
    assert (passing.probing.paths.drawn == plain.paths.drawn).all()
    assert (passing.probing.cost == plain.cost).all()
    assert plain.probing is plain


async def test_classes_are_those_of_the_queries():
    tagged = dataclasses.replace(
        POOL,
        problems=tuple(dataclasses.replace(p, tags={"f": "x"} if i < 5 else {}) for i, p in enumerate(POOL.problems)),
    )
    bench = await gather([tagged], classes=TagClasses(tags=("f",)), orders=2)
    assert bench.classes == ("x",) * 5 + ("default",) * 7
    assert (bench.of_path(bench.classes) == np.repeat(bench.classes, 2)).all()


async def test_estimates_are_made_of_what_a_path_drew_first():
    bench = await gather([POOL], orders=2)
    estimator = fit_estimator("probe", POOL, probe=3, verifier="")
    paths = bench.ways[0].paths
    found = bench.estimates(estimator, 0, bench.problem == 4)
    expected = [
        estimator.estimate(
            POOL.problems[4].query(), [candidate_of(POOL.problems[4].sample(int(i))) for i in paths.drawn[path, :3]]
        ).p
        for path in np.flatnonzero(bench.problem == 4)
    ]
    assert found.tolist() == expected


async def test_an_estimator_knows_the_problems_of_its_paths_alone_and_is_fitted_once():
    bench = await gather([POOL], orders=2)
    some = bench.problem < 8
    first = bench.fit_estimator("probe", 0, some, probe=3)
    assert first.was_trained_on(POOL.problems[7].query())
    assert not first.was_trained_on(POOL.problems[8].query())
    assert bench.fit_estimator("probe", 0, some, probe=3) is first
    assert bench.fit_estimator("probe", 0, some, probe=2) is not first
