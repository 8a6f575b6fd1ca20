"""Killed at any moment, a run goes on: nothing that was acknowledged is paid for twice, and nothing is missing."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
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
KILLS, RUNS = 50, 5
WORKER = f"""
import os, sys
from pathlib import Path
import anyio
from ttc import registry
from ttc.evals.config import EvalConfig, check
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.vllm_server import VLLMServer
from ttc.types import Query

number = registry.create("answer type", "number")
queries = [Query.of(f"problem {{i}}", answer_type=number, tags={{"level": "easy"}}) for i in range({PROBLEMS})]
suite = Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])
judges = dict(comparator="judge", verifier="self_certainty")

def settings(runs):
    return EvalConfig(suites=(suite,), strategies={STRATEGIES}, runs=Path(runs), run_id="r", concurrency=3, **judges)

async def main(url, runs):
    async with VLLMServer(url) as model:
        await run_eval(settings(runs), model)

check(settings("."))  # imports what a run needs
for line in sys.stdin:
    if (pid := os.fork()) == 0:
        anyio.run(main, *line.split())
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Runs:
    """Starts the run in a process of its own, again and again: a fork of one that has everything imported already."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._child = 0

    def start(self, server: FakeServer, runs: Path) -> None:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        print(server.url, runs, file=self._parent.stdin, flush=True)
        self._child = int(self._parent.stdout.readline())

    def send(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(self._child, how)

    @property
    def ended(self) -> bool:
        assert self._parent.stdout is not None
        return bool(select.select([self._parent.stdout], [], [], 0)[0])

    async def code(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        assert self._parent.stdout is not None
        code = int(await anyio.to_thread.run_sync(self._parent.stdout.readline))
        self._child = 0
        return code

    def close(self) -> None:
        if self._child:
            self.send(signal.SIGKILL)
        self._parent.kill()
        self._parent.communicate()


@pytest.fixture(scope="module")
def worker() -> Iterator[Runs]:
    runs = Runs()
    yield runs
    runs.close()


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


async def finish(worker: Runs, server: FakeServer, runs: Path) -> None:
    worker.start(server, runs)
    assert await worker.code() == 0


async def kill_at(
    worker: Runs,
    server: FakeServer,
    runs: Path,
    calls: int,
    *,
    after: float = 0.0,
    how: signal.Signals = signal.SIGKILL,
) -> int:
    """Start the run, and kill it once so many different calls were asked for; return its exit code."""
    worker.start(server, runs)
    asked_for, seen = {asked(body) for body in server.requests}, len(server.requests)
    while len(asked_for) < calls and not worker.ended:
        asked_for.update(asked(body) for body in server.requests[seen:])
        seen = len(server.requests)
        await anyio.sleep(0.001)
    await anyio.sleep(after)
    worker.send(how)
    return await worker.code()


@pytest.fixture(scope="module")
async def calm(worker: Runs, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, set[tuple[str, int]]]:
    """The summary of a run that nobody disturbed, and the calls that it made."""
    runs = tmp_path_factory.mktemp("calm")
    async with FakeServer(reply=reply, token_delay=0.0005) as server:
        await finish(worker, server, runs)
        sent = Counter(asked(body) for body in server.requests)
    assert max(sent.values()) == 1  # strategies share their calls at the server too
    return (runs / "r" / "summary.json").read_bytes(), set(sent)


@pytest.mark.parametrize("seed", range(RUNS))
async def test_killed_at_random_points_a_run_pays_for_nothing_acknowledged_twice(
    seed: int, worker: Runs, calm: tuple[bytes, set[tuple[str, int]]], tmp_path: Path
) -> None:
    summary, calls = calm
    rng = random.Random(seed)
    # Spread over the life of the run, the moments after its last call among them, in which it grades and sums up.
    points = [*sorted(rng.randrange(1, len(calls) + 1) for _ in range(KILLS // RUNS - 1)), len(calls)]
    codes: list[int] = []
    known = set[tuple[str, int]]()
    async with FakeServer(reply=reply, token_delay=0.0005) as server:
        for point in points:
            mark = len(server.requests)
            codes.append(await kill_at(worker, server, tmp_path, point, after=rng.uniform(0, 0.03)))
            assert known.isdisjoint(asked(body) for body in server.requests[mark:])
            assert acknowledged(tmp_path) >= known  # nothing is lost
            known = acknowledged(tmp_path)
        mark = len(server.requests)
        await finish(worker, server, tmp_path)
        assert known.isdisjoint(asked(body) for body in server.requests[mark:])
        assert codes[:-1].count(-signal.SIGKILL) >= len(points) - 2  # they were killed, and had not ended before

        # Every call is either acknowledged once, or was under way at a kill and is sent once more.
        assert {asked(body) for body in server.requests} == calls
        assert acknowledged(tmp_path) == calls

        # Once complete there is nothing left to do.
        mark = len(server.requests)
        await finish(worker, server, tmp_path)
        assert server.requests[mark:] == []

    units = read_units(resolve(tmp_path, "r"))
    assert Counter((u.problem, u.spec) for u in units).most_common(1)[0][1] == 1
    assert len(units) == PROBLEMS * len(STRATEGIES)
    assert (tmp_path / "r" / "summary.json").read_bytes() == summary


async def test_an_interrupted_run_leaves_nothing_running(worker: Runs, tmp_path: Path) -> None:
    async with FakeServer(reply=reply, token_delay=0.005) as server:
        await kill_at(worker, server, tmp_path, 12, how=signal.SIGINT)
        with anyio.fail_after(20):
            while server.running:  # noqa: ASYNC110 -- a counter
                await anyio.sleep(0.01)
        known, mark = acknowledged(tmp_path), len(server.requests)
        await finish(worker, server, tmp_path)
        assert known.isdisjoint(asked(body) for body in server.requests[mark:])
    assert len(read_units(tmp_path / "r")) == PROBLEMS * len(STRATEGIES)
