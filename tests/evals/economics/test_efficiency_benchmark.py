"""The efficiency benchmark end to end on small pools: every row is there, and says what it compares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from ttc.budget import Price
from ttc.pool_files import write_pool
from ttc.pools import Pool, RecordedProblem

Modules = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def efficiency(benchmark_module: Modules) -> ModuleType:
    return benchmark_module("efficiency")


@pytest.fixture(scope="module")
def populations(benchmark_module: Modules) -> ModuleType:
    return benchmark_module("populations")


@pytest.mark.anyio
async def test_a_case_has_the_beta_rule_and_the_tuned_policy(efficiency: ModuleType, populations: ModuleType) -> None:
    case = efficiency.simulated(populations.gsm8k_like(120, 12), orders=2)
    found = await efficiency.solve_case(case, repetitions=50)
    beta, tuned = found.verdicts
    assert (beta.policy, tuned.policy) == ("beta .95", "adaptive")
    for row in (beta, tuned):
        assert (row.pool, row.unit, row.full, row.problems) == ("gsm8k-like", "tokens", "12", 120)
        assert row.ratio_full.value > 1.2  # both stop where all agree
        assert row.accuracy_policy > row.accuracy_full - 0.05
        assert row.oracle == "the truth"
        assert row.cost_oracle is not None
        assert row.cost_oracle <= row.cost_full
    assert beta.non_inferior.n == 120


@pytest.mark.anyio
async def test_the_beta_rule_is_what_numpy_makes_of_it(
    efficiency: ModuleType, populations: ModuleType, benchmark_module: Modules
) -> None:
    pool = populations.gsm8k_like(300, 20)
    case = efficiency.simulated(pool, orders=4)
    beta = (await efficiency.solve_case(case, repetitions=10)).verdicts[0]
    votes = benchmark_module("vote_replay")
    result, _ = votes.beta_stop(votes.replay_votes(pool, orders=4))
    assert beta.cost_policy == pytest.approx(result.cost.mean(), rel=0.05)
    assert beta.accuracy_policy == pytest.approx(result.right.mean(), abs=0.015)


def two_models() -> tuple[Pool, Pool]:
    rng = np.random.default_rng(0)
    made: list[Pool] = []
    for name, p, price in (("tiny", 0.4, 1.0), ("huge", 0.8, 20.0)):
        problems: list[RecordedProblem] = []
        for i in range(60):
            right = rng.random(6) < p
            answers = tuple("yes" if r else f"no {rng.integers(9)}" for r in right)
            columns: dict[str, Any] = {"generated": (100.0,) * 6, "prompt_tokens": (50,) * 6}
            problems.append(RecordedProblem(id=str(i), answers=answers, right=tuple(right.astype(float)), **columns))
        made.append(Pool(name=name, model=name, problems=tuple(problems), price=Price(prompt=0, generated=price)))
    return made[0], made[1]


@pytest.mark.anyio
async def test_two_models_are_compared_in_dollars_and_in_no_tokens(efficiency: ModuleType) -> None:
    pools = two_models()
    case = replace(efficiency.recorded(pools[1], orders=2), pools=pools, unit="dollars")
    found = await efficiency.solve_case(case, repetitions=20)
    assert found.verdicts[0].full == "large 6"
    assert found.verdicts[0].cost_full == pytest.approx(6 * 100 * 20 / 1e6)
    small, large = found.curves.values()
    assert small.curve().cost[0] == pytest.approx(100 * 1 / 1e6)
    assert large.curve().cost[0] == pytest.approx(100 * 20 / 1e6)
    assert {v.unit for v in found.verdicts} == {"dollars"}


@pytest.mark.anyio
async def test_with_a_verifier_best_of_n_is_the_baseline(efficiency: ModuleType, populations: ModuleType) -> None:
    case = efficiency.simulated(populations.aime_like(80, 8, auc=0.9), orders=2, verifier="reward")
    found = await efficiency.solve_case(case, repetitions=10)
    vote, best = found.curves.values()
    assert best.curve().accuracy[-1] > vote.curve().accuracy[-1]
    assert found.verdicts[-1].accuracy_full == pytest.approx(best.curve().accuracy[-1])


@pytest.mark.anyio
async def test_a_probe_is_set_against_what_its_policy_saves(efficiency: ModuleType, populations: ModuleType) -> None:
    case = efficiency.simulated(populations.gsm8k_like(120, 12), orders=2)
    found = await efficiency.solve_case(case, estimators=("none", "probe"), repetitions=10)
    (probe,) = found.probes
    row = found.verdicts[-1]
    assert (probe.policy, probe.samples) == ("adaptive, probe", 4)
    assert probe.saved_full == pytest.approx(row.cost_full - row.cost_policy)
    four = found.curves["majority"].curve().cost[3]
    assert 0 < probe.extra < four  # a policy without a probe ends some before four samples, and none before the first
    assert probe.extra <= 0.1 * probe.saved_full


def test_samples_of_a_probe_that_are_drawn_anyway_cost_nothing_extra(benchmark_module: Modules) -> None:
    case = benchmark_module("efficiency_case")
    cost = np.cumsum(np.full((3, 8), 10.0), axis=1)
    bench = SimpleNamespace(ways=[SimpleNamespace(cost=cost, paths=SimpleNamespace(width=8))], weights=np.ones(3))
    without = SimpleNamespace(cost=np.array([10.0, 40.0, 80.0]))  # one, four and eight samples
    row = SimpleNamespace(pool="p", policy="x", unit="t", cost_cheapest=float("inf"), cost_full=80.0, cost_policy=50.0)
    found = case.probe_cost(bench, without, row)
    assert found.extra == pytest.approx(30 / 3)
    assert (found.saved_full, found.saved_cheapest, found.share) == (30.0, 30.0, pytest.approx(1 / 3))


@pytest.mark.anyio
async def test_what_was_tuned_on_other_models_is_tried_on_problems_that_it_has_not_seen(
    benchmark_module: Modules,
) -> None:
    rng = np.random.default_rng(0)
    problems = [
        RecordedProblem(
            id=f"{run}/{i}",
            group=str(i),
            tags={"run": f"run {run}", "model": f"model {run // 2}"},
            answers=tuple("yes" if r else f"no {rng.integers(9)}" for r in right),
            right=tuple(right.astype(float)),
        )
        for run in range(8)
        for i in range(20)
        for right in [rng.random(6) < (0.9 if i % 2 else 0.2)]
    ]
    pool = Pool(name="runs", model="several", problems=tuple(problems), unit="samples")
    transfer = benchmark_module("efficiency_transfer")
    found = await transfer.across_models(pool, halvings=1, repetitions=10)
    assert [row.runs for row in found] == [4, 4]  # two runs a model, which stay together
    for row in found:
        assert row.own.accuracy_full == row.other.accuracy_full
        assert row.own.cost_full == row.other.cost_full == 6
        assert (row.own.problems, row.own.groups) == (80, 20)
        assert row.other.cost_policy < 6
    assert transfer.transfer_table(found).row_count == 4


def test_any_pool_of_ttc_record_is_a_case(efficiency: ModuleType, populations: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl.gz"
    write_pool(populations.aime_like(12, 6, auc=0.8), path)
    make = dict(efficiency.cases(tmp_path, [path]))["pool.jsonl.gz"]
    case = make()
    assert (case.name, case.verifier, case.unit) == ("aime-like, reward of AUC 0.8", "reward", "tokens")
    assert case.strategies == ("majority", "best_of_n")


def test_it_runs_as_a_script_without_recorded_data(
    efficiency: ModuleType,
    populations: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(efficiency, "gsm8k_like", lambda seed: populations.gsm8k_like(60, 8, seed=seed))
    told = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", ["efficiency.py", "--data", str(tmp_path), "--only", "gsm8k", "--json", str(told)])
    efficiency.main()
    out, err = capsys.readouterr()
    assert "left out: no otis_aime.jsonl.gz" in err
    assert "x less than" in out
    assert "known from the truth" in out
    rows = orjson.loads(told.read_bytes())
    assert [row["policy"] for row in rows] == ["beta .95", "adaptive"]


def test_an_unknown_case_is_named(efficiency: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["efficiency.py", "--data", str(tmp_path), "--only", "nothing"])
    with pytest.raises(SystemExit, match="no case of that name"):
        efficiency.main()
