"""Best-of-8 selected by public tests against one sample and against voting, on the suite ``tiny_code``.

    python benchmarks/selection.py

It runs docs/demo_code.toml on all 100 problems, on the bundled model (or the server that runs already; ``--base-url``
names another), and prints the table of the run with what stands below it: paired differences with their 95% intervals,
and the part of the thinking tokens that they cost. Revision that is told of failing public tests runs beside it. Ends
with 1 unless best-of-8 is credibly above both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import anyio
from rich.console import Console

from ttc.cli.connection import connect
from ttc.evals.config import read_config
from ttc.evals.runner import RunProgress, run_eval
from ttc.evals.tables import footnotes, summary_table

SETTINGS = Path(__file__).resolve().parents[1] / "docs" / "demo_code.toml"


def tell(progress: RunProgress) -> None:
    """Say every so often how far the run is."""
    if progress.done % 20 == 0:
        print(f"{progress.done}/{progress.total} queries", file=sys.stderr, flush=True)


async def main(args: argparse.Namespace) -> int:
    """Run, print, and say whether the claim holds."""
    config = read_config(SETTINGS).model_copy(update={"limit": args.limit, "seed": args.seed, "run_id": "selection"})
    with tempfile.TemporaryDirectory() as runs:
        async with connect(args.base_url, None, up=None if args.base_url else "smollm2") as model:
            run = await run_eval(config.model_copy(update={"runs": Path(runs)}), model, on_progress=tell)
    out = Console(width=130)
    out.print(summary_table(run.summary))
    for note in footnotes(run.summary):
        out.print(note, soft_wrap=True, highlight=False)
    rivals = (*run.summary.comparisons, *run.summary.against_majority)
    best = [c for c in rivals if (c.strategy, c.setting, c.group) == ("best_of_n", "n=8", "all")]
    holds = {c.against: c.credible and c.difference > 0 for c in best}
    out.print(f"best_of_n n=8 is credibly above: {', '.join(name for name, above in holds.items() if above) or 'none'}")
    return 0 if len(holds) == 2 and all(holds.values()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base-url", default="", help="a vLLM server; by default one is started for smollm2")
    parser.add_argument("--limit", type=int, default=None, help="problems; all by default")
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(anyio.run(main, parser.parse_args()))
