"""Tree search against best-of-N on numbers games, with the same checker and at equal thinking tokens.

    python benchmarks/countdown.py --simulated
    python benchmarks/countdown.py

Simulated: a player that moves by lot, on the 24 game, whose arithmetic is wrong with some probability. Else the
bundled model (or the server at ``--base-url``) on the suite ``countdown``. Each search stands against best-of-N at the
smallest N that costs as many thinking tokens as the search did, or more, on average over the problems: best-of-N is
read off the checkpoints of one run, so that it pays for no sample behind the first that passes, while a search pays for
whole waves. ``rules`` checks the moves; ``oracle`` (``countdown:reachable=true``) knows besides whether the target is
still in reach, which is more than an honest checker knows. Best-of-N gains nothing by it: it scores whole solutions.

The table: solved (accuracy by reasoning-gym's own scorer, 95% interval), thinking tokens, N of best-of-N at that cost
with what it solves and costs ('fewer': the largest N that was run costs less), the paired difference with its 95%
interval over problems, and all tokens that were read and generated (a search reads its prompt again at each step; most
of that comes from the prefix cache).

No puzzle on which the suite's prompt was tuned (``TUNED_ON``) is among the problems.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from ttc.cli.connection import connect
from ttc.evals.config import EvalConfig
from ttc.evals.records import UnitRecord
from ttc.evals.runner import RunProgress, run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.suites.countdown import puzzle_key
from ttc.models.base import LiveModel
from ttc.models.scripted import Scripted
from ttc.statistics import mean, paired_difference
from ttc.strategy import make_strategy
from ttc.types import Sampling
from ttc.verifiers.games import RandomPlayer, read_puzzle

CHECKERS = {"rules": "countdown", "oracle": "countdown:reachable=true"}
STEPS = "separator=\\n,step_tokens=24,max_steps=4"
SEARCHES = (
    "beam:n=8,m=2",
    "beam:n=16,m=4",
    "dvts:n=8,m=2",
    "dvts:n=16,m=4",
    "best_first:n=24,m=4,wave=2,solutions=64",
    "best_first:n=32,m=4,wave=2,solutions=64",
)

TUNED_ON = "countdown:numbers=3,size=20,seed=50"
"""The problems on which the prompt of ``countdown`` was tuned: no accuracy is reported on them."""

COLUMNS = (
    "search",
    "checker",
    "solved",
    "thinking",
    "N",
    "solved by N",
    "its thinking",
    "difference",
    "",
    "all tokens",
)


@dataclass(frozen=True)
class At:
    """What a configuration did: by problem, right or not, and the mean cost of a query."""

    right: dict[str, list[float]]
    thinking: float
    total: float

    @property
    def solved(self) -> str:
        found = mean(self.right)
        return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def untuned(spec: str, *, size: int, seed: int, tuned: str = TUNED_ON) -> tuple[Suite, int]:
    """Draw so many puzzles, none of which the suite ``tuned`` holds (target and numbers, in any order).

    Returns them, and how many were left out on the way.
    """
    known = {_puzzle(problem) for problem in load_suite(tuned).problems}
    drawn = load_suite(f"{spec}{',' if ':' in spec else ':'}size={size + len(known)},seed={seed}")
    kept = [problem for problem in drawn.problems if _puzzle(problem) not in known][:size]
    left_out = drawn.problems.index(kept[-1]) + 1 - size
    return replace(drawn, name=f"{spec} without {tuned}", problems=kept), left_out


def _puzzle(problem: Problem) -> object:
    puzzle = read_puzzle(problem.query.prompt)
    return puzzle and puzzle_key(puzzle)


def whole(units: Sequence[UnitRecord]) -> At:
    """A configuration as it ran."""
    return At(
        {u.problem: [float(u.correct)] for u in units},
        _mean([u.outcome.thinking_tokens for u in units]),
        _mean([u.outcome.total_usage.total for u in units]),
    )


def prefix(units: Sequence[UnitRecord], n: int) -> At:
    """Best-of-n read off a run of more: at the last checkpoint of so many samples."""
    right: dict[str, list[float]] = {}
    thinking, total = list[float](), list[float]()
    for unit in units:
        found = [i for i, c in enumerate(unit.outcome.checkpoints) if c.samples <= n]
        right[unit.problem] = [float(bool(found) and unit.checkpoints_correct[found[-1]])]
        at = unit.outcome.checkpoints[found[-1]] if found else None
        thinking.append(at.thinking_tokens if at else 0)
        total.append(at.prefix.total if at else 0)
    return At(right, _mean(thinking), _mean(total))


def table(
    units: Sequence[UnitRecord], checkers: dict[str, Sequence[UnitRecord]], args: argparse.Namespace
) -> list[list[str]]:
    """Every search of every checker against best-of-N at its cost; before them best-of-N and one sample alone."""
    best = [u for u in units if u.spec.startswith("best_of_n")]
    most = args.most
    single = whole([u for u in units if u.spec == "single"])
    rows = [["single", "", single.solved, f"{single.thinking:.0f}", *[""] * 5, f"{single.total:.0f}"]]
    curve = {n: prefix(best, n) for n in range(1, most + 1)}
    for n in (2**i for i in range(most.bit_length())):
        at = curve[n]
        rows.append([f"best_of_n:n={n}", "rules", at.solved, f"{at.thinking:.0f}", *[""] * 5, f"{at.total:.0f}"])
    for checker, of_it in checkers.items():
        for search in args.searches:
            spec = make_strategy(f"{search},{STEPS}").spec
            found = whole([u for u in of_it if u.spec == spec])
            n = next((n for n, at in curve.items() if at.thinking >= found.thinking), most)
            d = paired_difference(found.right, curve[n].right)
            word = ("above" if d.value > 0 else "below") if d.credible else "not resolved"
            fewer = ", fewer" if curve[n].thinking < found.thinking else ""
            rows.append([
                search, checker, found.solved, f"{found.thinking:.0f}",
                f"{n}{fewer}", f"{mean(curve[n].right).value:.3f}", f"{curve[n].thinking:.0f}",
                f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]", word, f"{found.total:.0f}",
            ])  # fmt: skip
    return rows


async def measure(model: LiveModel, suite: Suite, args: argparse.Namespace, *, runs: str = "") -> None:
    """Run everything on a suite, and print the table."""
    began, found = time.perf_counter(), dict[str, Sequence[UnitRecord]]()
    with nullcontext(runs) if runs else tempfile.TemporaryDirectory() as directory:
        for i, (name, checker) in enumerate(CHECKERS.items()):
            alone = ("single", f"best_of_n:n={args.most}") if not i else ()
            config = EvalConfig(
                suites=(suite,),
                strategies=(*alone, *(f"{s},{STEPS}" for s in args.searches)),
                verifier=checker,
                sampling=Sampling(max_tokens=args.max_tokens, temperature=args.temperature, force_answer=0),
                seed=args.seed,
                concurrency=args.concurrency,
                runs=Path(directory),
                run_id=f"countdown-{i}",
            )
            run = await run_eval(config, model, on_progress=tell)
            found[name] = list(read_units(run.directory))
    rows = table(found["rules"], found, args)
    widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    for row in (COLUMNS, ["-" * w for w in widths], *rows):
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |", flush=True)
    problems = len({u.problem for u in found["rules"]})
    print(f"{problems} problems, T={args.temperature}, {time.perf_counter() - began:.0f} s\n", flush=True)


def tell(progress: RunProgress) -> None:
    """Say every so often how far the run is."""
    if progress.done % 100 == 0:
        print(f"{progress.done}/{progress.total} queries", file=sys.stderr, flush=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


async def main(args: argparse.Namespace) -> None:
    """Play, simulated or for real."""
    if args.simulated:
        for illegal in (0.0, 0.4):
            model = Scripted(RandomPlayer(illegal=illegal), interval=64)
            spec = f"game24:size={args.problems},seed={args.suite_seed}"
            print(f"a player by lot, P(wrong arithmetic) = {illegal}, on {spec}")
            await measure(model, load_suite(spec), args)
        return
    suite, left_out = untuned(args.suite, size=args.problems, seed=args.suite_seed)
    async with connect(args.base_url, None, up=None if args.base_url else "smollm2") as model:
        print(f"{model.name} on {args.suite},seed={args.suite_seed}; left out: {left_out} of {TUNED_ON}")
        await measure(model, suite, args, runs=args.runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--simulated", action="store_true", help="the player by lot instead of a served model")
    parser.add_argument("--base-url", default="", help="a vLLM server; by default one is started for smollm2")
    parser.add_argument("--suite", default="countdown:numbers=3")
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--suite-seed", type=int, default=0, help="draws the problems")
    parser.add_argument("--most", type=int, default=64, help="samples of best-of-N")
    parser.add_argument("--searches", nargs="+", default=SEARCHES, help="specs, without what all have in common")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--concurrency", type=int, default=24, help="queries at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="", help="keep those of a served model here: what was interrupted goes on")
    anyio.run(main, parser.parse_args())
