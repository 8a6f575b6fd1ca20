"""A policy that was written down does live what tuning said of it, path by path, and says where it comes from."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttc.adaptive.fitting
import ttc.adaptive.tuned_policy
import ttc.strategies.vote
from ttc import solve
from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.classes import TagClasses
from ttc.adaptive.fitting import Fitted, Settings, apply, estimated, fit
from ttc.adaptive.policy import Policy
from ttc.adaptive.recorded_scores import RecordedScores
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.tuned_policy import tune_policy
from ttc.adaptive.tuning import Aim, CrossValidated, point_of
from ttc.models.population import Population
from ttc.pools import CutColumns, Pool, replay_model
from ttc.seeds import problem_hash
from ttc.strategies.best_of_n import BestOfN
from ttc.strategy import make_strategy
from ttc.types import Query

pytestmark = pytest.mark.anyio

POPULATION = Population(p=(0.5, 0.7), wrong=(1,) * 5)


def asked(i: int) -> Query:
    return dataclasses.replace(POPULATION.query(i), tags={"family": "ab"[i % 2]})


POOL = simulated_pool(POPULATION, problems=40, width=8, query=asked, verifier=3.0)
PASSING = dataclasses.replace(
    POOL,
    problems=tuple(dataclasses.replace(p, scores={"tests": p.right}) for p in POOL.problems),
    pass_fail=frozenset({"tests"}),
)


def with_cut(pool: Pool, cut: int) -> Pool:
    """Samples that take longer answer something wrong when they are cut."""
    problems = [
        dataclasses.replace(
            p,
            cuts={
                cut: CutColumns(
                    answers=tuple(a if g <= cut else "cut" for a, g in zip(p.answers, p.generated, strict=True)),
                    right=tuple(r if g <= cut else 0.0 for r, g in zip(p.right, p.generated, strict=True)),
                    generated=tuple(float(min(g, cut)) for g in p.generated),
                )
            },
        )
        for p in pool.problems
    ]
    return dataclasses.replace(pool, problems=tuple(problems))


class Lots:
    """Of answers that are tied the one that was first wins, whatever the strategy is called."""

    def __init__(self) -> None:
        self.drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return 1 / self.drawn


@pytest.fixture
def ties_go_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots are seeded with the spec of the strategy, which is another one live; here they do not differ."""
    opened = ttc.strategies.vote.Vote.__init__
    monkeypatch.setattr(ttc.strategies.vote.Vote, "__init__", lambda self, kind, rng: opened(self, kind, Lots()))
    chosen = BestOfN._choice
    monkeypatch.setattr(BestOfN, "_choice", lambda self, query, lots: chosen(self, query, 0.5))


def everything(bench: Bench) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.ones(len(bench.problem), dtype=bool)


def written(
    bench: Bench, fitted: Fitted, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Policy, CrossValidated]:
    """Write down what was fitted, as tuning does, and leave out to cross-validate it."""
    paths = everything(bench)
    results = apply(fitted, bench, paths)
    shown = CrossValidated(
        results=results,
        estimates=estimated(fitted, bench, paths),
        rates=(fitted.rate,),
        frontier=(point_of(fitted.rate, results, bench.problem),),
    )
    monkeypatch.setattr(ttc.adaptive.tuned_policy, "cross_validated", lambda *args, **settings: shown)
    monkeypatch.setattr(ttc.adaptive.tuned_policy, "tuned", lambda *args, **settings: fitted)
    policy = tune_policy(bench, settings, Aim("loss", 0.02)).policy
    policy.write(path)
    return policy, shown


CASES = {
    "none": (POOL, "majority", "", Settings(estimator="none")),
    "prompt": (POOL, "majority", "", Settings(estimator="prompt", bins=2)),
    "probe": (POOL, "majority", "", Settings(estimator="probe", probe=3, bins=2)),
    "probe with scores": (POOL, "best_of_n", "simulated", Settings(estimator="probe", probe=3, bins=2)),
    "verifier": (POOL, "majority", "simulated", Settings(estimator="verifier", probe=3, bins=2)),
    "best": (POOL, "best_of_n:weighted=false", "simulated", Settings(estimator="none")),
    "passing": (PASSING, "best_of_n", "tests", Settings(estimator="none")),
    "probe and passing": (PASSING, "best_of_n", "tests", Settings(estimator="probe", probe=3, bins=2)),
    "cuts": (with_cut(POOL, 400), "majority", "", Settings(estimator="none")),
    "probe and cuts": (with_cut(POOL, 400), "majority", "", Settings(estimator="probe", probe=3, bins=2)),
}


@pytest.mark.usefixtures("ties_go_to_the_first")
@pytest.mark.parametrize("case", CASES)
async def test_live_it_does_what_tuning_said(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pool, spec, verifier, settings = CASES[case]
    classes = TagClasses(tags=("family",)) if case == "probe" else None
    bench = await gather([pool], strategies=(spec,), verifier=verifier, classes=classes, orders=2)
    fitted = fit(bench, everything(bench), 0.01 / float(bench.ways[0].cost[:, 0].mean()), settings)
    policy, shown = written(bench, fitted, settings, tmp_path / "policy.toml", monkeypatch)
    paths, said = bench.ways[0].paths, shown.results
    scores = RecordedScores.of(pool, verifier) if verifier else None
    certain, strategy = 0, make_strategy(f"adaptive:policy={tmp_path / 'policy.toml'}")
    for path in range(len(said.cost)):
        problem = pool.problems[paths.problem[path]]
        row, _ = policy.row_for(bench.classes[paths.problem[path]], float(shown.estimates[path]))
        live = await solve(
            problem.query(),
            strategy,
            replay_model(pool, seed=int(paths.order[path]), cut=int(row.thinking) if row.thinking else None),
            verifier=scores,
        )
        (noted,) = [event for event in live.trace if event["event"] == "difficulty"]
        assert noted["strategy"] == row.strategy
        assert live.answer is not None
        assert problem.verdicts()[live.answer] == said.right[path]
        if live.thinking_tokens != said.cost[path]:  # nothing could change any more within a wave: it ends sooner
            assert [event["why"] for event in live.trace if event["event"] == "stop"] == ["certain"]
            assert live.thinking_tokens < said.cost[path]
            certain += 1
    assert certain < len(said.cost) / 2


# -- what it says of itself --------------------------------------------------------------------------------------------

AIM = Aim("loss", 0.05)
QUICK = Settings(estimator="none", learned=False)


async def test_it_goes_into_its_files_and_back(tmp_path: Path):
    bench = await gather([POOL], orders=2)
    policy = tune_policy(bench, Settings(estimator="none"), AIM, made=date(2026, 1, 2)).policy
    policy.write(tmp_path / "policy.toml")
    again = Policy.read(tmp_path / "policy.toml")
    assert again.digest() == policy.digest()
    assert again.rows == policy.rows
    assert again.provenance == policy.provenance
    assert again.hashes == policy.hashes
    assert again.made == date(2026, 1, 2)


async def test_it_knows_every_problem_and_what_each_is_a_record_of():
    runs = dataclasses.replace(
        POOL, problems=tuple(dataclasses.replace(p, group=f"g{i // 2}") for i, p in enumerate(POOL.problems))
    )
    policy = tune_policy(await gather([runs], orders=1), QUICK, AIM).policy
    names = {p.id for p in runs.problems} | {p.group for p in runs.problems}
    assert {problem_hash(name) for name in names} <= policy.hashes
    assert all(policy.tuned_on(name) for name in names)
    assert all(policy.tuned_on_query(Query.of(p.prompt, id="another")) for p in runs.problems)
    assert policy.provenance is not None
    assert policy.provenance.problems == 20
    assert policy.provenance.expected is not None
    assert policy.provenance.expected.problems == 20  # records of one problem count as one


async def test_it_says_what_it_was_made_of():
    bench = await gather([dataclasses.replace(POOL, info={"licence": "MIT"})], orders=2, seed=3)
    found = tune_policy(bench, dataclasses.replace(QUICK, seed=4, folds=4), AIM).policy
    assert found.model == "simulated"
    assert found.unit == "thinking tokens"
    assert found.provenance is not None
    (source,) = found.provenance.pools
    assert (source.name, source.problems, source.info) == ("simulated", 40, {"licence": "MIT"})
    assert source.digest == POOL.digest()
    assert found.provenance.folds == 4
    assert found.provenance.seeds == (4, 3)
    assert found.provenance.aim == "loss=0.05"


async def test_rows_expect_what_was_measured_on_problems_that_they_were_not_tuned_on(monkeypatch: pytest.MonkeyPatch):
    bench = await gather([POOL], classes=TagClasses(tags=("family",)), orders=2)
    settings = dataclasses.replace(QUICK, least=10)
    real = ttc.adaptive.tuned_policy.cross_validated
    shown: list[CrossValidated] = []

    def watched(*args: Any, **given: Any) -> CrossValidated:
        found = real(*args, **given)
        marked = found.results._replace(right=np.where(bench.problem % 2, 0.25, 0.75), cost=found.results.cost + 1000)
        shown.append(dataclasses.replace(found, results=marked))
        return shown[-1]

    monkeypatch.setattr(ttc.adaptive.tuned_policy, "cross_validated", watched)
    policy = tune_policy(bench, settings, AIM).policy
    by_class = {row.query_class: row.expected for row in policy.rows}
    for name, accuracy in (("a", 0.75), ("b", 0.25)):
        expected, there = by_class[name], np.array(bench.classes)[bench.problem] == name
        assert expected is not None
        assert expected.accuracy == pytest.approx(accuracy)
        assert expected.cost == pytest.approx(shown[0].results.cost[there].mean(), rel=1e-3)
        assert expected.problems == 20
    assert by_class["default"] is None  # no problem had it


@pytest.mark.parametrize(
    ("cost", "spent"),
    [({"generate": 90_000.0, "probe": 10_000.0, "seconds": 50.0}, 100_000.0), ({"generate": 5_000.0}, 5_000.0)],
)
async def test_recording_is_earned_back_by_what_a_query_saves(
    cost: dict[str, float], spent: float, monkeypatch: pytest.MonkeyPatch
):
    bench = await gather([dataclasses.replace(POOL, cost=cost)], orders=2)
    real = ttc.adaptive.tuned_policy.cross_validated

    def thrifty(*args: Any, **given: Any) -> CrossValidated:
        found = real(*args, **given)
        return dataclasses.replace(found, results=found.results._replace(cost=np.full(len(bench.problem), 7.0)))

    monkeypatch.setattr(ttc.adaptive.tuned_policy, "cross_validated", thrifty)
    found = tune_policy(bench, QUICK, AIM).policy.provenance
    assert found is not None
    assert found.expected is not None
    assert found.expected_against is not None
    assert found.expected.cost == 7.0
    saved = found.expected_against.cost - 7.0
    assert found.earned_back == pytest.approx(spent / saved, rel=0.01, abs=0.06)


async def test_what_was_not_recorded_here_is_earned_back_by_nothing():
    found = tune_policy(await gather([POOL], orders=1), QUICK, AIM).policy.provenance
    assert found is not None
    assert found.earned_back is None


async def test_it_is_held_against_the_cheapest_fixed_number_that_is_as_accurate():
    bench = await gather([POOL], orders=2)
    tuning = tune_policy(bench, QUICK, AIM)
    found = tuning.policy.provenance
    assert found is not None
    assert found.expected is not None
    assert found.expected_against is not None
    right, cost = bench.ways[0].paths.right.mean(axis=0), bench.ways[0].cost.mean(axis=0)
    n = int(found.against.removeprefix("majority:n="))
    assert found.expected_against.cost == pytest.approx(cost[n - 1], rel=1e-3)
    assert all(right[k] < found.expected.accuracy - 1e-9 for k in range(n - 1)) or right.max() < found.expected.accuracy


async def test_few_problems_and_small_classes_are_warned_of():
    tags: list[dict[str, str]] = [{"family": "rare"} if i < 3 else {} for i in range(40)]
    problems = tuple(dataclasses.replace(p, tags=t) for p, t in zip(POOL.problems, tags, strict=True))
    mixed = dataclasses.replace(POOL, problems=problems)
    bench = await gather([mixed], classes=TagClasses(tags=("family",)), orders=1)
    policy = tune_policy(bench, QUICK, AIM).policy
    assert policy.provenance is not None
    said = " ".join(policy.provenance.warnings)
    assert "class 'rare' has too few problems, 3: rows of its own take 20, and the default rows hold" in said
    assert "40 problems are few" in said
    assert {row.query_class for row in policy.rows} == {"default"}


async def test_classes_with_rates_of_their_own_have_their_stops_written_down(tmp_path: Path):
    """Easy queries and hard ones meet one aim at different going rates; a stop is named by its rate."""
    bench = await gather([POOL], classes=TagClasses(tags=("family",)), orders=1)
    settings = Settings(estimator="none")
    cheap, dear = (fit(bench, everything(bench), rate, settings) for rate in (1e-6, 2e-5))
    way = bench.ways[0]
    plans = []
    for found in (cheap, dear):
        kinds = ttc.adaptive.fitting._plans(
            bench.ways, everything(bench), found.rate, settings, base=0, firsts=[float(way.cost[:, 0].mean())]
        )
        plans.append(next(plan for plan in kinds if plan.stop is not None))
    rows = {("a", 0): plans[0], ("b", 0): plans[1], ("default", 0): plans[0]}
    with pytest.MonkeyPatch.context() as patched:
        both = dataclasses.replace(cheap, rows=rows)
        policy, _ = written(bench, both, settings, tmp_path / "policy.toml", patched)
    assert len(policy.stops) == 2
    assert {policy.stops[row.stop]["rate"] for row in policy.rows} == {1e-6, 2e-5}


async def test_estimates_are_never_called_calibrated():
    policy = tune_policy(await gather([POOL], orders=1), QUICK, AIM, calibrated=False).policy
    assert not policy.calibrated
    assert "uncalibrated" in policy.label
