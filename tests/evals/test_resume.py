"""Killed at any moment, a run goes on: nothing that was acknowledged is paid for twice, and nothing is missing."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.evals.run_directory import resolve
from ttc.evals.store import FILE, read_units
from ttc.testing import FakeServer, Reply

pytestmark = pytest.mark.anyio

PROBLEMS = 10
# None of them cancels calls under way: what those cost depends on the moment, which no resumed run can repeat.
STRATEGIES = (
    "single",
    "majority:n=6,stop=never",
    "knockout:n=4,k=2",
    "adaptive:medium=(majority:n=5,stop=never),hard=(majority:n=6,stop=never)",
    "beam:n=4,m=2,step_tokens=64",
)
WORKER = f"""
import sys
from pathlib import Path
import anyio
from ttc import registry
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.vllm_server import VLLMServer
from ttc.types import Query

number = registry.create("answer type", "number")
queries = [Query.of(f"problem {{i}}", answer_type=number, tags={{"level": "easy"}}) for i in range({PROBLEMS})]
suite = Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])
judges = dict(comparator="judge", verifier="self_certainty")
config = EvalConfig(suites=(suite,), strategies={STRATEGIES}, runs=Path(sys.argv[2]), run_id="r", concurrency=3,
                    **judges)

async def main():
    async with VLLMServer(sys.argv[1]) as model:
        await run_eval(config, model)

anyio.run(main)
"""


def reply(body: dict[str, Any], _: int) -> Reply:
    """Follows from prompt and seed alone, so that a call that is repeated says the same."""
    rng = random.Random(f"{body['seed']}{body['messages'][-1]['content']}")
    words = str(body["messages"][-1]["content"]).split()
    right = words[1] if words[0] == "problem" else "7"
    step = "so far so good\n\n" if body.get("stop") and rng.random() < 0.6 else ""
    return Reply(
        text=step + "so " * rng.randrange(3, 12) + f"the answer is {right if rng.random() < 0.6 else rng.randrange(99)}"
    )


def asked(body: dict[str, Any]) -> tuple[str, int]:
    return orjson.dumps(body["messages"]).decode(), body["seed"]


def acknowledged(runs: Path) -> set[tuple[str, int]]:
    """The calls that the store holds as replayable: what was asked and with which seed."""
    if not (runs / "r" / FILE).is_file():
        return set()
    with sqlite3.connect(runs / "r" / FILE) as store:
        rows = store.execute(
            "SELECT request, seed FROM calls JOIN requests USING (content) WHERE key NOT LIKE '%:%'"
        ).fetchall()
    store.close()
    return {(orjson.dumps(orjson.loads(request)["messages"]).decode(), seed) for request, seed in rows}


def start(server: FakeServer, runs: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, server.url, str(runs)], stderr=subprocess.PIPE)


async def finish(server: FakeServer, runs: Path) -> None:
    process = start(server, runs)
    _, err = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0, err.decode()


async def kill_after(server: FakeServer, runs: Path, requests: int, how: signal.Signals = signal.SIGKILL) -> int:
    """Start the run, and kill it as soon as it has sent so many requests; return its exit code."""
    until = len(server.requests) + requests
    process = start(server, runs)
    while len(server.requests) < until and process.poll() is None:  # noqa: ASYNC110 -- a process, and a counter
        await anyio.sleep(0.001)
    process.send_signal(how)
    await anyio.to_thread.run_sync(process.communicate)
    return process.returncode


async def test_killed_again_and_again_a_run_pays_for_nothing_acknowledged_twice(tmp_path: Path) -> None:
    async with FakeServer(reply=reply, token_delay=0.0005) as calm:
        await finish(calm, tmp_path / "calm")
    async with FakeServer(reply=reply, token_delay=0.0005) as server:
        sent_before_kill: list[int] = []
        for requests in (*(random.randrange(1, 16) for _ in range(3)), 60):  # the last one when some have come back
            known = acknowledged(tmp_path / "killed")
            mark = len(server.requests)
            code = await kill_after(server, tmp_path / "killed", requests)
            assert code == -signal.SIGKILL
            again = [asked(body) for body in server.requests[mark:]]
            assert known.isdisjoint(again)
            sent_before_kill.append(len(again))
            assert acknowledged(tmp_path / "killed") >= known
        known, mark = acknowledged(tmp_path / "killed"), len(server.requests)
        assert known
        await finish(server, tmp_path / "killed")
        assert known.isdisjoint(asked(body) for body in server.requests[mark:])
        assert min(sent_before_kill) >= 1

        # Every call is either acknowledged once, or was under way at a kill and is sent once more.
        sent = Counter(asked(body) for body in server.requests)
        assert set(sent) == {asked(body) for body in calm.requests}

        # Once complete there is nothing left to do.
        mark = len(server.requests)
        await finish(server, tmp_path / "killed")
        assert server.requests[mark:] == []

    units = read_units(resolve(tmp_path / "killed", "r"))
    assert Counter((u.problem, u.spec) for u in units).most_common(1)[0][1] == 1
    assert len(units) == PROBLEMS * len(STRATEGIES)
    summary = (tmp_path / "killed" / "r" / "summary.json").read_bytes()
    assert summary == (tmp_path / "calm" / "r" / "summary.json").read_bytes()


async def test_strategies_share_their_calls_at_the_server_too(tmp_path: Path) -> None:
    async with FakeServer(reply=reply) as server:
        await finish(server, tmp_path)
        assert max(Counter(asked(body) for body in server.requests).values()) == 1


async def test_an_interrupted_run_leaves_nothing_running(tmp_path: Path) -> None:
    async with FakeServer(reply=reply, token_delay=0.005) as server:
        await kill_after(server, tmp_path, 12, signal.SIGINT)
        with anyio.fail_after(20):
            while server.running:  # noqa: ASYNC110 -- a counter
                await anyio.sleep(0.01)
        known, mark = acknowledged(tmp_path), len(server.requests)
        await finish(server, tmp_path)
        assert known.isdisjoint(asked(body) for body in server.requests[mark:])
    assert len(read_units(tmp_path / "r")) == PROBLEMS * len(STRATEGIES)
