"""What a replay of recorded samples costs: samples a second on one core, raw and through ``solve``.

The raw stream is a batch that is handed on and charged, which is what a model costs a strategy; through ``solve``
everything else is counted too: seeds, answers, votes, checkpoints, trace. The best of some rounds counts, by the CPU's
time of this process; the wall's time stands beside it. Numbers of the machine at hand.
"""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Awaitable, Callable

import anyio

from ttc import solve
from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.recorded import Recorded
from ttc.pools import Pool, RecordedProblem, replay_model
from ttc.request import Numbered, Request

ROUNDS = 5
WIDTH = 64
PROBLEMS = 200


def made(problems: int, width: int) -> Pool:
    """A pool of long-tailed lengths, of which six tenths are right."""
    rng = random.Random(0)
    return Pool(
        name="made",
        model="made",
        problems=tuple(
            RecordedProblem(
                id=f"p{i}",
                answers=tuple("right" if rng.random() < 0.6 else str(rng.randrange(5)) for _ in range(width)),
                right=(None,) * width,
                generated=tuple(float(round(rng.lognormvariate(6, 1))) for _ in range(width)),
            )
            for i in range(problems)
        ),
    )


async def raw(pool: Pool, model: Recorded, budget: Budget | None) -> int:
    """Pull every sample of every problem."""
    handed_on = 0
    for problem in pool.problems:
        request = Request(messages=problem.query().messages, max_tokens=1024)
        batch = Numbered(request, problem.id, range(len(problem)))
        async with model.open(batch, Ledger(budget)) as stream:
            async for _ in stream:
                handed_on += 1
    return handed_on


async def solved(pool: Pool, model: Recorded, spec: str) -> int:
    """Solve every problem."""
    return sum([sum((await solve(p.query(), spec, model)).calls.values()) for p in pool.problems])


def main() -> None:
    pool, wide = made(PROBLEMS, WIDTH), made(10, 5000)
    model, wide_model = replay_model(pool), replay_model(wide)
    cases: dict[str, Callable[[], Awaitable[int]]] = {
        "raw stream, batches of 64": lambda: raw(pool, model, None),
        "raw stream, batches of 5,000": lambda: raw(wide, wide_model, None),
        "raw stream, batches of 64, under a budget": lambda: raw(pool, model, Budget(generated_tokens=10**9)),
        "solve, majority:n=64,stop=never": lambda: solved(pool, model, "majority:n=64,stop=never"),
        "solve, majority:n=64": lambda: solved(pool, model, "majority:n=64"),
        "solve, majority:n=64,stop=beta,wave=4": lambda: solved(pool, model, "majority:n=64,stop=beta,wave=4"),
    }
    print(f"Python {platform.python_version()}, one core; best of {ROUNDS} rounds\n")
    print("| case | samples | samples/s (CPU) | samples/s (wall) |\n|---|--:|--:|--:|")
    for name, case in cases.items():
        rounds: list[tuple[int, float, float]] = []
        for _ in range(ROUNDS):
            cpu, wall = time.process_time(), time.perf_counter()
            n = anyio.run(case)
            rounds.append((n, time.process_time() - cpu, time.perf_counter() - wall))
        n = rounds[0][0]
        print(f"| {name} | {n:,} | {n / min(r[1] for r in rounds):,.0f} | {n / min(r[2] for r in rounds):,.0f} |")


if __name__ == "__main__":
    main()
