"""What tuning loses where few problems have verdicts, and what it expects of itself: gold_free against all verdicts.

    python benchmarks/gold_free.py [--data ../shared/data/recorded] [--labelled 40] [--draws 4]

Simulated: a policy is tuned on 300 problems of which few are labelled, and on the same with all verdicts. Both run on
600 fresh problems with true verdicts, at every going rate; "lost" is accuracy at equal cost, as a mean over the rates.
"Expected" is what the policies say of themselves at the going rate in the middle, cross-validated on the verdicts that
they were given; "agreement" is the same where agreement itself is taken for P(right). "True" is what the gold-free
policy then had. In the trap population the model is sure of a wrong answer on a third of the problems.

Recorded: a problem is judged by a policy of other problems, and the labelled ones are left out of what is shown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import numpy as np
from numpy.typing import NDArray
from pools_of_data import otis, otis_run, rows_of
from populations import aime_like, gsm8k_like
from rich.console import Console
from rich.table import Table

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.fitting import Settings, apply, fit
from ttc.adaptive.gold_free import GoldFree, gold_free
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.tuning import rates_for
from ttc.folds import folds_of
from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "recorded"
RUN = "o3-mini"
SETTINGS = Settings(estimator="none")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost and accuracy at each going rate."""

    cost: Floats
    right: Floats

    def over(self, other: Curve) -> float:
        """Accuracy that this one has more at equal cost, as a mean over its points that lie within the other's."""
        order = np.argsort(other.cost)
        inside = (self.cost >= other.cost.min()) & (self.cost <= other.cost.max())
        there = np.interp(self.cost[inside], other.cost[order], other.right[order])
        return float((self.right[inside] - there).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one draw of labelled problems came to."""

    found: GoldFree
    lost: float
    expected: float
    expected_of_all: float
    expected_of_agreement: float
    true: float
    cost: float


def bench_of(pool: Pool, *, orders: int) -> Bench:
    return anyio.run(partial(gather, [pool], orders=orders))


def as_agreement(pool: Pool) -> Pool:
    """Agreement taken for P(right)."""

    def taken(p: RecordedProblem) -> RecordedProblem:
        share = {a: p.answers.count(a) / len(p) for a in p.answers if a is not None}
        return replace(p, right=tuple(share.get(a, 0.0) if a is not None else 0.0 for a in p.answers))

    return replace(pool, problems=tuple(map(taken, pool.problems)))


def drawn(pool: Pool, n: int, seed: int) -> list[str]:
    ids = [p.id for p in pool.problems]
    return np.random.default_rng(seed).choice(ids, n, replace=False).tolist()


def held_out(tuned: Bench, judged: Bench, there: NDArray[np.bool_], rates: Sequence[float]) -> Curve:
    """Tune on all folds but one, judge by the verdicts of another bench of the same paths on that one; each in turn."""
    dealt = folds_of(tuned.groups, SETTINGS.folds, seed=0)[tuned.problem]
    points: list[tuple[float, float]] = []
    for rate in rates:
        cost, right = np.zeros(len(dealt)), np.zeros(len(dealt))
        for fold in range(SETTINGS.folds):
            held = dealt == fold
            results = apply(fit(tuned, ~held, rate, SETTINGS), judged, held)
            cost[held], right[held] = results.cost, results.right
        points.append((float(cost[there].mean()), float(right[there].mean())))
    return Curve(*(np.array(column) for column in zip(*points, strict=True)))


def fresh(tuned: Bench, judged: Bench, rates: Sequence[float]) -> Curve:
    """Tune on all of one bench, judge on all of another."""
    train, test = (np.ones(len(b.problem), dtype=bool) for b in (tuned, judged))
    results = [apply(fit(tuned, train, rate, SETTINGS), judged, test) for rate in rates]
    return Curve(np.array([r.cost.mean() for r in results]), np.array([r.right.mean() for r in results]))


def simulated(make: Callable[[int, int], Pool], labelled: int, seed: int) -> Shown:
    """Tuned on 300 problems, judged on 600 others."""
    everything = make(900, seed)
    pool, others = (
        replace(everything, problems=part) for part in (everything.problems[:300], everything.problems[300:])
    )
    found = gold_free(pool, labelled=drawn(pool, labelled, seed), seed=seed)
    mine, all_known, agreement = (bench_of(p, orders=4) for p in (found.pool, pool, as_agreement(pool)))
    judged = bench_of(others, orders=2)
    rates = rates_for(all_known)
    middle = rates[len(rates) // 2]
    free, full = fresh(mine, judged, rates), fresh(all_known, judged, rates)
    ours = np.ones(len(mine.problem), dtype=bool)
    says = [held_out(b, b, ours, [middle]).right[0] for b in (mine, all_known, agreement)]
    at = len(rates) // 2
    return Shown(
        found=found,
        lost=-free.over(full),
        expected=says[0],
        expected_of_all=says[1],
        expected_of_agreement=says[2],
        true=float(free.right[at]),
        cost=float(free.cost[at] / full.cost[at]),
    )


def recorded(pool: Pool, labelled: int, seed: int) -> Shown:
    """Tuned and judged on the same pool, out of fold, and judged on problems without a label."""
    found = gold_free(pool, labelled=drawn(pool, labelled, seed), seed=seed)
    mine, all_known, agreement = (bench_of(p, orders=4) for p in (found.pool, pool, as_agreement(pool)))
    rates = rates_for(all_known)
    at = len(rates) // 2
    ids = set(found.estimated)
    there = np.array([p in ids for p in mine.problems])[mine.problem]
    free, full = held_out(mine, all_known, there, rates), held_out(all_known, all_known, there, rates)
    says = [held_out(b, b, there, [rates[at]]).right[0] for b in (mine, all_known, agreement)]
    return Shown(
        found=found,
        lost=-free.over(full),
        expected=says[0],
        expected_of_all=says[1],
        expected_of_agreement=says[2],
        true=float(free.right[at]),
        cost=float(free.cost[at] / full.cost[at]),
    )


def trap(problems: int, seed: int) -> Pool:
    """On every third problem the model is sure of a wrong answer."""

    def p(prompt: str) -> float:
        i = int(prompt.rpartition(" ")[2])
        return 0.1 if i % 3 == 0 else float(np.random.default_rng((seed, i)).beta(8, 2))

    return simulated_pool(Population(p=p, wrong=(18, 1, 1), seed=seed), problems=problems, verifier=0, seed=seed)


def beta(problems: int, seed: int) -> Pool:
    population = Population(p=(0.5, 0.5), wrong=(3, 2, 1, 1), seed=seed)
    return simulated_pool(population, problems=problems, verifier=0, seed=seed)


def cases(data: Path, labelled: int) -> Iterator[tuple[str, int, int, Callable[[int], Shown]]]:
    """Name, labelled problems, all problems, and what a draw of them comes to."""
    makers: dict[str, Callable[[int, int], Pool]] = {
        "beta(.5,.5)": beta,
        "gsm8k-like": lambda n, seed: gsm8k_like(n, 16, seed=seed),
        "aime-like": lambda n, seed: aime_like(n, 16, seed=seed),
        "aime-like, reward": lambda n, seed: aime_like(n, 16, seed=seed, auc=0.8),
        "trap": trap,
    }
    for name, make in makers.items():
        yield name, labelled, 300, partial(simulated, make, labelled)
    file = data / "otis_aime.jsonl.gz"
    if not file.exists():
        print(f"left out: no {file.name} in {data} (--data FOLDER)", file=sys.stderr)
        return
    rows = rows_of(file)
    run = next(row["run"] for row in rows if len(row["answers"]) == 16 and RUN in row["model"])
    for pool, n in ((otis_run(rows, run), 25), (otis(rows, width=16), labelled)):
        yield pool.name, n, len(pool), partial(recorded, pool, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the recorded samples")
    parser.add_argument("--labelled", type=int, default=40, help="problems with a verdict (25 of the one run)")
    parser.add_argument("--draws", type=int, default=4, help="of them")
    args = parser.parse_args()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in (
        "pool",
        "labelled",
        "Brier",
        "of\nmean",
        "of\nagreement",
        "ECE\n(noise)",
        "lost at\nequal cost",
        "expected",
        "true",
        "expected\nless true",
        "all verdicts\nexpect",
        "agreement\nexpects",
        "cost at\none rate",
    ):
        table.add_column(name, justify="left" if name == "pool" else "right", no_wrap=True)
    for name, labelled, problems, draw in cases(args.data, args.labelled):
        shown = [draw(seed) for seed in range(args.draws)]
        held = [s.found.calibration for s in shown]
        table.add_row(
            name,
            f"{labelled} of {problems}",
            f"{np.mean([c.brier for c in held]):.3f}",
            f"{np.mean([c.brier_of_mean for c in held]):.3f}",
            f"{np.mean([s.found.agreement.brier for s in shown]):.3f}",
            f"{np.mean([c.ece for c in held]):.3f} ({np.mean([c.ece_noise for c in held]):.3f})",
            _spread([s.lost for s in shown]),
            f"{np.mean([s.expected for s in shown]):.3f}",
            f"{np.mean([s.true for s in shown]):.3f}",
            _spread([s.expected - s.true for s in shown]),
            f"{np.mean([s.expected_of_all for s in shown]):.3f}",
            f"{np.mean([s.expected_of_agreement for s in shown]):.3f}",
            f"{np.mean([s.cost for s in shown]):.2f}x",
        )
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    Console(width=180).print(table)
    print(f"Means over {args.draws} draws of the labelled problems, ± their standard deviation.")


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0.0:.3f}"


if __name__ == "__main__":
    main()
