"""Recording on the real server: cuts agree with their samples, the server counts what is charged, once."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.evals.test_real_server_run import at_rest, paid
from tests.evals.test_recording import assert_cuts_are_consistent
from ttc.evals.store import FILE
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.pool_files import read_pool

pytestmark = [pytest.mark.anyio, pytest.mark.server]

CUTS, CAP, IN_FLIGHT = (8, 16), 40, 64


def ttc(*arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ttc", "record", *arguments, "--out", "pool.jsonl", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)


def kinds(run: Path) -> dict[str, tuple[int, int]]:
    """Calls and generated tokens that the store holds, by kind."""
    found: dict[str, tuple[int, int]] = {}
    with closing(sqlite3.connect(run / FILE)) as store:
        for kind, raw in store.execute("SELECT kind, sample FROM calls"):
            usage = json.loads(raw)["usage"]
            calls, tokens = found.get(kind, (0, 0))
            found[kind] = calls + 1, tokens + usage["reasoning_tokens"] + usage["answer_tokens"]
    return found


async def test_killed_and_resumed_it_pays_once_and_its_cuts_agree_with_its_samples(
    vllm_server: RunningServer, tmp_path: Path
) -> None:
    options = ("--base-url", vllm_server.base_url, "--sample-tokens", str(CAP), "--run-id", "r", "--concurrency", "4")
    suite = ("arithmetic:per_family=2", "-n", "4", "--cuts", ",".join(map(str, CUTS)), "--verifier", "mean_logprob")
    async with VLLMServer(vllm_server.base_url) as model:
        start = await at_rest(model)
        process = ttc(*suite, *options, folder=tmp_path)
        while paid(tmp_path / "runs" / "r")[0] < 50:
            assert process.poll() is None, process.communicate()[1].decode()
            await anyio.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(process.communicate)
        assert not (tmp_path / "pool.jsonl").exists()
        stopped = await at_rest(model)
        calls, tokens = paid(tmp_path / "runs" / "r")
        assert tokens <= stopped - start <= tokens + IN_FLIGHT * (CAP + 16)

        again = ttc("--resume", "r", "--base-url", vllm_server.base_url, folder=tmp_path)
        out, err = await anyio.to_thread.run_sync(again.communicate)
        assert again.returncode == 0, err.decode()
        # The server generated for the rest exactly what the store gained: nothing was paid for again.
        more_calls, more_tokens = paid(tmp_path / "runs" / "r")
        assert more_calls > calls
        assert await at_rest(model) - stopped == more_tokens - tokens

    pool, facts = read_pool(tmp_path / "pool.jsonl"), json.loads(out)
    assert (len(pool), pool.width, pool.cuts, pool.verifiers) == (12, 4, CUTS, ("mean_logprob",))
    for problem in pool.problems:
        assert_cuts_are_consistent(problem, CUTS)
        assert max(problem.generated) <= CAP + 16
        assert len(set(problem.prompt_tokens)) <= 2  # read once, and once more where the cap forced an answer
        assert all(0 < s <= 1 for s in problem.scores["mean_logprob"] if s is not None)
        for i, answer in enumerate(problem.answers):
            assert (problem.scores["mean_logprob"][i] is None) == (answer is None)
    # Both kinds were there to be looked at: samples that a cut met, and samples that had ended by then.
    assert {generated > CUTS[0] for p in pool.problems for generated in p.generated} == {True, False}
    in_store = kinds(tmp_path / "runs" / "r")
    assert {kind: pool.cost[kind] for kind in in_store} == {kind: tokens for kind, (_, tokens) in in_store.items()}
    assert facts["cost"]["probe"] > 0
    assert pool.cost["cached_tokens"] <= pool.cost["prompt_tokens"]
    print(f"prompt tokens {pool.cost['prompt_tokens']:.0f}, cached {pool.cost['cached_tokens']:.0f}")
