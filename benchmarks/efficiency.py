"""What adaptive compute saves, by pool: full N, each fixed N, an oracle of difficulty, a plain Beta rule, a policy.

    python benchmarks/efficiency.py [--data ../shared/data/recorded] [--pool FILE ...] [--only NAME] [--json FILE]

Strategies are replayed on recorded samples by their own code (``ttc.adaptive.replay``), without replacement, each
problem in several seeded orders. The policy is cross-validated: nothing of it, its going rate included, was chosen on
the problems that it is measured on, and probes are charged. Two ratios decide: cost at full N over the policy's, and
cost of the cheapest fixed N with at least the policy's accuracy over the policy's; with both, the policy has to be
non-inferior to full N by two points. Tuning aims at that: at the cheapest rate at which, out of fold, as many problems
have a power of .9 to show it; the rule is the same for all pools. Where a pool cannot give them, the oracle-bin policy
says what difficulty alone is worth: it knows the bin of pass@1, and never an answer.

Pools: otis_aime over its runs and codet (recorded), GSM8K-like, short-answer and AIME-like populations (simulated, see
benchmarks/populations.py), cascades of two models of otis_aime in dollars or FLOPs, and any pool of ``ttc record``
(``--pool``). A policy tuned on half of the models of otis_aime is also tried on the other half.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import orjson
from cascades_of_data import cascades
from efficiency_case import TUNED, Case, ProbeCost, solve_case
from efficiency_tables import curves_table, probes_table, targets_table
from efficiency_transfer import across_models, transfer_table
from pools_of_data import codet, halves, otis, rows_of
from populations import aime_like, gsm8k_like, short_answers, truth
from rich.console import Console

from ttc.adaptive.classes import TagClasses
from ttc.evals.economics import Ratios, ratios_table
from ttc.evals.economics.tables import ratios_notes
from ttc.pool_files import read_pool
from ttc.pools import Pool

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "recorded"
POOL = "the pool's own pass@1: the samples of the path are among those, which makes it a little too good"
APART = "samples that are on no path"
BEST_OF_N = ("majority", "best_of_n")
ACROSS = "otis-across-models"


def simulated(pool: Pool, *, orders: int = 8, verifier: str = "") -> Case:
    """A case of a simulated pool, where the oracle knows the truth; with a verifier best-of-N is the baseline."""
    return dataclasses.replace(recorded(pool, orders=orders, verifier=verifier), known=truth(pool), source="the truth")


def recorded(pool: Pool, *, orders: int = 8, verifier: str = "", by: str = "") -> Case:
    """A case of a recorded pool, where the oracle knows what all of its samples say; ``by``: the tag of classes."""
    return Case(
        name=pool.name,
        pools=(pool,),
        strategies=BEST_OF_N if verifier else ("majority",),
        verifier=verifier,
        known=np.array([p.accuracy or 0.0 for p in pool.problems]),
        source=POOL,
        unit=str(pool.info.get("counts", pool.unit)),
        orders=orders,
        classes=TagClasses(tags=(by,)) if by else None,
    )


def apart(pool: Pool, *, orders: int = 8, verifier: str = "", by: str = "") -> Case:
    """A case of half of each problem's samples, where the oracle knows the other half."""
    half, known = halves(pool)
    return dataclasses.replace(recorded(half, orders=orders, verifier=verifier, by=by), known=known, source=APART)


def cases(data: Path, pools: Sequence[Path], *, seed: int = 0) -> Iterator[tuple[str, Callable[[], Case]]]:
    """All cases, each made when it is its turn; those whose data are absent are named and left out."""
    yield "gsm8k", lambda: simulated(gsm8k_like(seed=seed), orders=4)
    yield "short", lambda: simulated(short_answers(seed=seed), orders=4)
    yield "aime", lambda: simulated(aime_like(seed=seed))
    yield "aime-reward", lambda: simulated(aime_like(seed=seed, auc=0.8), verifier="reward")
    file, meta, programs = (
        data / name
        for name in ("otis_aime.jsonl.gz", "otis_aime.meta.json", "codet_humaneval_codegen16b_n100.jsonl.gz")
    )
    if file.exists():
        rows = rows_of(file)
        of_runs = partial(recorded, orders=4, by="run")  # which model answers is known beforehand
        yield "otis-16", lambda: of_runs(otis(rows, width=16))
        yield "otis-16-characters", lambda: of_runs(otis(rows, width=16, unit="characters"))
        yield "otis-16-half", lambda: apart(otis(rows, width=16), orders=4, by="run")
        yield "otis-8", lambda: of_runs(otis(rows, width=8))
        yield "otis-8-tokens", lambda: of_runs(otis(rows, width=8, unit="tokens"))
    if programs.exists():
        yield "codet", lambda: recorded(codet(rows_of(programs)), orders=2, verifier="gen_pass_rate")
        yield "codet-half", lambda: apart(codet(rows_of(programs)), orders=4, verifier="gen_pass_rate")
    if file.exists() and meta.exists():
        for i, pair in enumerate(cascades(rows_of(file), orjson.loads(meta.read_bytes())["runs"])):
            unit = f"{pair.unit}, tokens estimated" if pair.estimated else pair.unit
            both = dataclasses.replace(
                recorded(pair.large, orders=16),
                name=f"cascade {pair.name}",
                pools=(pair.small, pair.large),
                unit=unit if pair.small.model != pair.large.model else "tokens",
            )
            yield f"cascade-{i}", partial(_same, both)
    for missing in (path for path in (file, programs) if not path.exists()):
        print(f"left out: no {missing.name} in {data} (--data FOLDER)", file=sys.stderr)
    for path in pools:
        yield path.name, partial(_of_file, path)


def _same(case: Case) -> Case:
    return case


def _of_file(path: Path) -> Case:
    pool = read_pool(path)
    return recorded(pool, verifier=pool.verifiers[0] if pool.verifiers else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the recorded samples")
    parser.add_argument("--pool", type=Path, action="append", default=[], help="a pool of ttc record; more than once")
    parser.add_argument("--only", action="append", default=[], help="names of cases; more than once")
    parser.add_argument(
        "--estimator", action="append", default=[], help="of difficulty: none, prompt, probe, verifier; more than once"
    )
    parser.add_argument("--seed", type=int, default=0, help="of populations, orders, folds and the bootstrap")
    parser.add_argument("--json", type=Path, help="write the verdicts here")
    args = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    rows: list[Ratios] = []
    probes: list[ProbeCost] = []
    for name, make in cases(args.data, args.pool, seed=args.seed):
        if args.only and name not in args.only:
            continue
        found = anyio.run(partial(solve_case, make(), estimators=args.estimator, seed=args.seed))
        rows += found.verdicts
        probes += found.probes
        console.print(curves_table(found))
        console.print(f"[dim]{name}: {found.seconds:.0f} s[/dim]\n")
        if args.json:  # after each case: the whole takes minutes
            args.json.write_bytes(orjson.dumps([dataclasses.asdict(r) for r in rows], option=orjson.OPT_INDENT_2))
    runs = args.data / "otis_aime.jsonl.gz"
    if runs.exists() and (not args.only or ACROSS in args.only):
        found = anyio.run(partial(across_models, otis(rows_of(runs), width=8), seed=args.seed))
        console.print(transfer_table(found), "")
        if args.only == [ACROSS]:
            return
    if not rows:
        sys.exit("no case of that name, or no data: see --help")
    console.print(ratios_table(rows))
    if probes:
        console.print(probes_table(probes))
    console.print(targets_table([r for r in rows if r.policy.startswith(TUNED)]))
    for note in ratios_notes(rows):
        console.print(f"- {note}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
