"""What one execution costs in the sandbox: alone, one after the other, and with all workers busy.

Prints the median and 95th percentile in milliseconds of programs that print, of checks of one function, and, where the
data set is there (TTC_TEST_DATA names another folder), of the canonical solutions of HumanEval; then executions a
second. ``python benchmarks/sandbox.py [REPEATS]``.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from ttc.verifiers.code import Sandbox, TestResult

FOLDER = Path(os.environ.get("TTC_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
HUMANEVAL = FOLDER / "datasets" / "HumanEval.jsonl.gz"
Job = Callable[[int], Awaitable[None]]


def jobs(sandbox: Sandbox) -> dict[str, tuple[Job, int]]:
    """The jobs by name, each with how many different ones there are."""

    async def program(number: int) -> None:
        run = await sandbox.execute("print(1)")
        assert run.stdout == "1\n", run

    async def function(number: int) -> None:
        await passes(sandbox.check("def add(a, b): return a + b", [f"assert add({number}, 1) == {number + 1}"]))

    found: dict[str, tuple[Job, int]] = {"execute print(1)": (program, 200), "check one assert": (function, 200)}
    if HUMANEVAL.exists():
        problems = [json.loads(line) for line in gzip.decompress(HUMANEVAL.read_bytes()).splitlines()]

        async def canonical(number: int) -> None:
            problem = problems[number % len(problems)]
            name, test = problem["entry_point"], problem["test"]
            source = problem["prompt"] + problem["canonical_solution"]
            await passes(sandbox.check(source, [f"{test}\ncheck({name})"], entry_point=name, setup=problem["prompt"]))

        found["check HumanEval"] = (canonical, len(problems))
    else:
        print(f"no {HUMANEVAL}: its solutions are left out")
    return found


async def passes(check: Awaitable[list[TestResult]]) -> None:
    results = await check
    assert all(result.passed for result in results), results


async def main(repeats: int) -> None:
    sandbox = Sandbox()
    began = time.perf_counter()
    await sandbox.execute("")
    started = time.perf_counter() - began
    print(f"isolation {sandbox.isolation}, {sandbox.size} workers; the first call {started * 1e3:.0f} ms")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    for name, (job, several) in jobs(sandbox).items():
        times: list[float] = []
        for number in range(several * repeats):
            began = time.perf_counter()
            await job(number)
            times.append((time.perf_counter() - began) * 1e3)
        p95 = statistics.quantiles(times, n=20)[-1]
        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            for number in range(several * repeats):
                group.start_soon(job, number)
        rate = several * repeats / (time.perf_counter() - began)
        print(f"{name:18} median {statistics.median(times):5.2f} ms, p95 {p95:6.2f} ms; {rate:4.0f} a second")
    sandbox.close()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
