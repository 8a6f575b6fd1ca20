"""The main job on the real server: `ttc eval` by its command line, killed and resumed; strategies that stop early."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from ttc.budget import Budget
from ttc.evals.store import FILE, read_units
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.types import Query, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]

IN_FLIGHT, CAP = 64, 40
SHOTS = tuple(
    message
    for a, b in ((1, 2), (2, 2), (3, 1))
    for message in (
        {"role": "user", "content": f"What is {a} + {b}?"},
        {"role": "assistant", "content": f"The answer is {a + b}."},
    )
)
SUM = Query.of((*SHOTS, {"role": "user", "content": "What is 2 + 3?"}), answer_type="number")


async def at_rest(model: VLLMServer) -> int:
    """The server's own count of generated tokens, once nothing runs and the count stands still."""
    before = -1.0
    for _ in range(400):
        metrics = await model.metrics()
        if not metrics["vllm:num_requests_running"] and metrics["vllm:generation_tokens_total"] == before:
            return int(before)
        before = metrics["vllm:generation_tokens_total"]
        await anyio.sleep(0.05)
    raise AssertionError("the server does not come to rest")


def ttc(*arguments: str, runs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ttc", "eval", *arguments, "--runs", str(runs), "--no-report"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def paid(run: Path) -> tuple[int, int]:
    """Calls that the store acknowledges, and the tokens that the server generated for them."""
    if not (run / FILE).is_file():
        return 0, 0
    with closing(sqlite3.connect(run / FILE)) as store:
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return 0, 0  # the run is just making its tables
        samples = [json.loads(row[0]) for row in store.execute("SELECT sample FROM calls")]
    tokens = sum(s["usage"]["reasoning_tokens"] + s["usage"]["answer_tokens"] for s in samples)
    return len(samples), tokens


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_stopped_and_resumed_a_run_pays_for_nothing_acknowledged_twice(
    vllm_server: RunningServer, tmp_path: Path, how: signal.Signals
) -> None:
    settings = ("arithmetic:per_family=4", "-s", "single", "-s", "majority:n=6,stop=never", "-s", "knockout:n=3")
    options = ("--base-url", vllm_server.base_url, "--sample-tokens", str(CAP), "--run-id", "r", "--concurrency", "6")
    async with VLLMServer(vllm_server.base_url) as model:
        start = await at_rest(model)
        process = ttc(*settings, *options, runs=tmp_path)
        while paid(tmp_path / "r")[0] < 40:
            assert process.poll() is None, process.communicate()[1].decode()
            await anyio.sleep(0.02)
        process.send_signal(how)
        _, err = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
        if how == signal.SIGINT:
            assert b"--resume r" in err
        stopped = await at_rest(model)
        calls, tokens = paid(tmp_path / "r")
        # What is not acknowledged was under way: no more than the calls in flight, and none beyond its cap.
        assert tokens <= stopped - start <= tokens + IN_FLIGHT * (CAP + 16)

        again = ttc("--resume", "r", "--base-url", vllm_server.base_url, runs=tmp_path)
        out, err = await anyio.to_thread.run_sync(again.communicate)
        assert again.returncode == 0, err.decode()
        assert b"majority" in out
        # The server generated for the rest of the run exactly what the store gained: nothing was paid for again.
        more_calls, more_tokens = paid(tmp_path / "r")
        assert more_calls > calls
        assert await at_rest(model) - stopped == more_tokens - tokens

    units = Counter((u.problem, u.spec) for u in read_units(tmp_path / "r"))
    assert len(units) == 24 * 3
    assert set(units.values()) == {1}


async def test_a_decided_vote_stops_the_server(vllm_server: RunningServer) -> None:
    async with VLLMServer(vllm_server.base_url, in_flight=32) as model:
        before = await at_rest(model)
        outcome = await solve(SUM, "majority:n=100", model, sampling=Sampling(max_tokens=400), seed=1)
        # At once, but for a prefill that is under way: such a step takes seconds on a slow machine.
        for _ in range(200):
            if not (await model.metrics())["vllm:num_requests_running"]:
                break
            await anyio.sleep(0.05)
        else:
            pytest.fail("the vote is decided, and the server goes on")
        measured = await at_rest(model) - before
    assert outcome.ended_by == "stopped_early"
    assert outcome.checkpoints[-1].samples < 100
    assert sum(outcome.calls.values()) < 100  # what waited for a permit was never sent
    assert measured <= outcome.generated_tokens


@pytest.mark.parametrize("spec", ["single", "majority:n=5", "best_of_n:n=4", "knockout:n=4", "adaptive"])
@pytest.mark.parametrize("verifier", ["self_certainty", "judge"])
async def test_every_strategy_counts_what_the_server_counts(
    vllm_server: RunningServer, spec: str, verifier: str
) -> None:
    async with VLLMServer(vllm_server.base_url) as model:
        before = await at_rest(model)
        outcome = await solve(
            SUM,
            spec,
            model,
            budget=Budget(generated_tokens=400),
            verifier=verifier,
            comparator="judge",
            sampling=Sampling(max_tokens=CAP),
        )
        measured = await at_rest(model) - before
    assert outcome.answer is not None
    assert outcome.generated_tokens <= 400
    assert measured <= outcome.generated_tokens
    if not outcome.total_usage.upper_bound:
        assert measured == outcome.generated_tokens
    assert 0 <= outcome.thinking_tokens < outcome.generated_tokens


async def test_the_command_line_solves_against_any_server(vllm_server: RunningServer) -> None:
    command = [sys.executable, "-m", "ttc", "solve", "What is 2 + 3?", "--base-url", vllm_server.base_url, "--json"]
    done = await anyio.run_process([*command, "-s", "majority:n=4", "--sample-tokens", "60", "--budget", "200"])
    outcome = json.loads(done.stdout)
    assert outcome["generated_tokens"] <= 200
    assert outcome["usage"]["generate"]["prompt_tokens"] > 0
    too_long = await anyio.run_process([*command, "--sample-tokens", "100000"], check=False)
    assert too_long.returncode == 2
    assert too_long.stderr.decode().count("\n") == 1
    assert "do not fit" in too_long.stderr.decode()
