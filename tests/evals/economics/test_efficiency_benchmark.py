"""The efficiency benchmark end to end on small pools: every row is there, and says what it compares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest

from ttc.budget import Price
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


def test_it_runs_as_a_script_without_recorded_data(
    efficiency: ModuleType,
    populations: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(efficiency, "gsm8k_like", lambda: populations.gsm8k_like(60, 8))
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
