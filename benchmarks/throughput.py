"""What strategies themselves cost: samples a second on one core, on a model that takes no time.

Everything is counted that ``solve`` does: seeds, leases, answers, votes, checkpoints, trace. The best of some rounds
counts, by the CPU's time of this process; the wall's time stands beside it. Numbers of the machine at hand.
"""

from __future__ import annotations

import platform
import time
from typing import Any, NamedTuple

import anyio

from ttc import solve
from ttc.models.population import Population
from ttc.models.simulated import Simulated
from ttc.verifiers.simulated import SimulatedComparator, SimulatedVerifier

ROUNDS = 5
POPULATION = Population(p=0.6)
VERIFIER = SimulatedVerifier(population=POPULATION, noise="gaussian")
COMPARATOR = SimulatedComparator(population=POPULATION)


class Case(NamedTuple):
    """A strategy, on how many problems it is run in a round, and what it scores or compares with."""

    spec: str
    problems: int
    settings: dict[str, Any]


CASES = (
    Case("majority:n=1000,stop=never", 20, {}),
    Case("majority:n=1000", 20, {}),
    Case("majority:n=64,stop=never", 300, {}),
    Case("majority:n=8,stop=never", 1000, {}),
    Case("best_of_n:n=64", 40, {"verifier": VERIFIER}),
    Case("knockout:n=64,k=1", 20, {"comparator": COMPARATOR}),
)


def measure(case: Case) -> tuple[int, float, float]:
    """Run one round; return its calls, and the seconds of the CPU and of the wall."""

    async def all_problems() -> int:
        return sum([sum((await solve(q, case.spec, model, **case.settings)).calls.values()) for q in queries])

    model, queries = Simulated(POPULATION), POPULATION.queries(case.problems)
    cpu, wall = time.process_time(), time.perf_counter()
    calls = anyio.run(all_problems)
    return calls, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    print(f"Python {platform.python_version()}, one core; best of {ROUNDS} rounds\n")
    print("| strategy | calls | calls/s (CPU) | calls/s (wall) | CPU a query |\n|---|--:|--:|--:|--:|")
    for case in CASES:
        measure(case._replace(problems=2))  # imports and caches
        rounds = [measure(case) for _ in range(ROUNDS)]
        calls, cpu, wall = min(rounds, key=lambda r: r[1] / r[0])
        a_query = cpu / case.problems * 1e3
        print(f"| {case.spec} | {calls:,} | {calls / cpu:,.0f} | {calls / wall:,.0f} | {a_query:.2f} ms |")


if __name__ == "__main__":
    main()
