"""Record, tune, eval on the real server: refused where it was tuned, charged as the server counts, at equal cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.evals.test_real_server_run import at_rest
from ttc.adaptive.policy import Policy
from ttc.evals.store import read_units
from ttc.evals.summary import summary_from_json
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.pool_files import read_pool

pytestmark = [pytest.mark.anyio, pytest.mark.server]

SUITE = "arithmetic:per_family=8,families=[story,counting,two_digit_addition]"
OTHERS = "arithmetic:per_family=4,families=[story,counting,two_digit_addition],seed=1"
CAP = "40"


async def ttc(*arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return await anyio.run_process([sys.executable, "-m", "ttc", *arguments], cwd=folder, check=False)


async def succeeded(*arguments: str, folder: Path) -> bytes:
    done = await ttc(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def test_a_policy_is_recorded_tuned_and_held_against_fixed_strategies_at_equal_cost(
    vllm_server: RunningServer, tmp_path: Path
) -> None:
    served = ("--base-url", vllm_server.base_url, "--sample-tokens", CAP)
    await succeeded("record", SUITE, "-n", "6", "--out", "pool.jsonl", *served, folder=tmp_path)
    pool = read_pool(tmp_path / "pool.jsonl")
    assert (len(pool), pool.width) == (24, 6)

    said = await succeeded("tune", "pool.jsonl", "--estimator", "none", "--json", folder=tmp_path)
    policy = Policy.read(tmp_path / "policy.toml")
    assert policy.model == pool.model
    assert policy.calibrated
    assert json.loads(said)["warnings"]  # 24 problems are few, and it says so

    # Tuned problems are refused, before anything is paid.
    async with VLLMServer(vllm_server.base_url) as model:
        before = await at_rest(model)
        refused = await ttc("eval", SUITE, "--policy", "policy.toml", *served, folder=tmp_path)
        assert refused.returncode == 2
        assert b"24" in refused.stderr
        assert await at_rest(model) == before

        # What the strategy was charged is what the server generated for it.
        options = ("--policy", "policy.toml", *served, "--no-report")
        await succeeded("eval", OTHERS, "-s", "adaptive", *options, "--run-id", "alone", folder=tmp_path)
        generated = await at_rest(model) - before
    alone = [unit.outcome for unit in read_units(tmp_path / "runs" / "alone")]
    assert len(alone) == 12
    charged = sum(outcome.generated_tokens for outcome in alone)
    if any(outcome.total_usage.upper_bound for outcome in alone):
        assert generated <= charged
    else:
        assert generated == charged
    assert all(not outcome.warnings for outcome in alone)

    fixed = ("-s", "single", "-s", "majority:stop=never", "--budgets", "1,2,6")
    table = await succeeded(
        "eval", OTHERS, *fixed, "--policy", "policy.toml", *served, "--run-id", "r", folder=tmp_path
    )
    run = tmp_path / "runs" / "r"
    (compared,) = summary_from_json((run / "summary.json").read_bytes()).at_equal_cost
    assert (compared.n, compared.against.partition(":")[0]) == (12, "majority")
    mine = [unit for unit in read_units(run) if unit.strategy == compared.strategy]
    assert compared.accuracy == sum(unit.correct for unit in mine) / 12
    assert compared.cost == pytest.approx(sum(unit.outcome.thinking_tokens for unit in mine) / 12)
    assert "cost (" in " ".join(table.decode().split())
    assert "At equal cost" in (run / "report.html").read_text()
