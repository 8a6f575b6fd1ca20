"""How long it takes to draw curves from a pool: 500 problems, 4 strategies, n up to 64, 20 orders, 200 resamples.

    taskset -c 0 python benchmarks/replayed_curves.py

The strategies themselves run, through ``solve``, on recorded samples; intervals and the economics resample the problems
of those replays 200 times. Pins itself to one core where the system lets it. Ends with 1 where it takes over 60 s.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import anyio
from rich.console import Console

from ttc.adaptive.simulated_pools import simulated_pool
from ttc.evals.recordings.replayed_curves import replayed_curves
from ttc.evals.tables import console_width, summary_table
from ttc.models.population import Population

STRATEGIES = ("majority", "best_of_n", "majority:weights=score", "short_m_at_k:k=64,m=9")
LIMIT = 60.0


async def main(args: argparse.Namespace) -> int:
    """Replay, and print the curves and the seconds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pool = simulated_pool(Population(p=(2.0, 1.3), wrong=(3, 2, 1, 1), seed=0), problems=args.problems, width=64)
    began, cpu = time.perf_counter(), time.process_time()
    summary = await replayed_curves(
        pool, args.strategies.split(), budgets=(1, 2, 4, 8, 16, 32, 64), orders=args.orders, verifier="simulated"
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    table = summary_table(summary)
    Console(width=console_width(table)).print(table)
    print(f"{args.problems} problems, {args.orders} orders, n up to 64: {seconds:.1f} s ({cpu:.1f} s of one core)")
    return int(cpu > LIMIT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=500, help="of the pool")
    parser.add_argument("--orders", type=int, default=20, help="of each problem's samples")
    parser.add_argument("--strategies", default=" ".join(STRATEGIES), help="specs, with blanks between them")
    sys.exit(anyio.run(main, parser.parse_args()))
