"""How long the summary and the page of a large run take, how much memory, and how large the page is.

A run is made on the simulated model, through the runner and its store, so that every sample is a stored call: by
default 500 problems and four strategies, n up to 64. Then ``ttc report`` is run on it in a process of its own, whose
seconds and peak memory are measured, and the page is counted in bytes. For 100,000 stored samples that should be under
20 seconds, 1 GiB and 5 MB. Numbers of the machine at hand.

    python benchmarks/large_run.py
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.population import Population
from ttc.models.simulated import Lengths, Simulated
from ttc.types import Query

STRATEGIES = ("single", "majority:n=64,stop=never", "knockout:n=64,k=3", "revision:chains=8,length=8")
LEVELS = ("easy", "medium", "hard")
SHARES = {"easy": 0.8, "medium": 0.55, "hard": 0.25}
FAMILIES = 8


def suite_of(population: Population, problems: int) -> Suite:
    """Simulated problems of three levels and some families."""
    made: list[Problem] = []
    for i in range(problems):
        level = LEVELS[i % 3]
        tags = {"level": level, "family": f"family_{i % FAMILIES}"}
        asked = population.query(i)
        query = Query.of(f"{asked.prompt} {level}", answer_type=asked.answer_type, id=asked.id, tags=tags)
        made.append(Problem(query, population.problem(query.prompt).right))
    return Suite("simulated", made)


def make_run(runs: Path, problems: int, strategies: tuple[str, ...] = STRATEGIES) -> Path:
    """Make the run, and return its directory."""
    population = Population(p=lambda prompt: SHARES.get(prompt.rpartition(" ")[2], 0.5), wrong=(3, 2, 2, 1, 1, 1, 1, 1))
    model = Simulated(population, lengths=Lengths(mean=400, sigma=0.7))
    config = EvalConfig(
        suites=(suite_of(population, problems),),
        strategies=strategies,
        comparator="judge",
        run_id="large",
        runs=runs,
        concurrency=64,
    )

    async def run() -> Path:
        return (await run_eval(config, model)).directory

    return anyio.run(run)


def stored_samples(directory: Path) -> int:
    with sqlite3.connect(f"file:{directory / 'store.sqlite'}?mode=ro", uri=True) as store:
        return int(store.execute("SELECT count(*) FROM calls").fetchone()[0])


def report(directory: Path) -> tuple[float, float]:
    """Run ``ttc report`` in a process of its own; return its seconds, and its peak memory in MiB."""
    command = [
        sys.executable,
        "-c",
        "from ttc.cli import main; main()",
        "report",
        directory.name,
        "--runs",
        str(directory.parent),
    ]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "MPLBACKEND": "agg"})
    seconds = time.perf_counter() - begun
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--runs", type=Path, help="keep the run here (default: a folder that is removed)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs: Path = given.runs or Path(folder)
        begun = time.perf_counter()
        directory = runs / "large" if (runs / "large").is_dir() else make_run(runs, given.problems)
        made = time.perf_counter() - begun
        seconds, memory = report(directory)
        page = (directory / "report.html").stat().st_size
        beside = [path.stat().st_size for path in (directory / "problems").glob("*.html")]
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
        print(f"{given.problems:,} problems, {len(STRATEGIES)} strategies: {', '.join(STRATEGIES)}")
        print(f"the run: {stored_samples(directory):,} stored samples in {made:.0f} s, ", end="")
        print(f"a store of {(directory / 'store.sqlite').stat().st_size / 1e6:.0f} MB")
        print(f"ttc report: {seconds:.1f} s, {memory:.0f} MiB at most")
        print(f"the page: {page / 1e6:.2f} MB; beside it {len(beside)} files of {sum(beside) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
