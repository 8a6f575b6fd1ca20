"""How good estimates of difficulty are out of fold: Brier score, calibration error and rank correlation.

    python benchmarks/difficulty.py [--data FOLDER]

On simulated populations whose truth is known (lengths have a long tail and grow with difficulty), and on recorded
samples: OTIS Mock AIME by run and pooled over runs, and MATH with the scores of an outcome reward model. Each problem
is estimated by a fit on other problems, and held against the verdicts on samples that the estimate did not look at;
runs of the same problem are held out together. ``--data`` names the folder that holds ``recorded/``; without it, the
simulated populations are reported alone. Ends with 1 where a calibration error on those is .05 or above.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ttc.adaptive.calibration import Calibration
from ttc.adaptive.classes import TagClasses
from ttc.adaptive.difficulty import cross_fit
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.models.population import Population, SimulatedAnswer
from ttc.pool_columns import import_pool
from ttc.pools import Pool, Unit
from ttc.seeds import hashed
from ttc.types import Query

DATA = Path(os.environ.get("TTC_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
HARD, EASY = ("integral", "topology", "olympiad"), ("sum", "total", "count")
WRONG = (3.0, 2.0, 1.0, 1.0)
PROBES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Case:
    """A pool, with the estimators that are tried on it."""

    name: str
    pool: Pool
    estimators: tuple[tuple[str, int], ...]
    classes: TagClasses | None = None


def told_by_a_word(prompt: str) -> float:
    """P depends on a word of the prompt, and on luck."""
    a, b = (1, 4) if any(word in prompt for word in HARD) else (4, 1)
    return random.Random(hashed("p", prompt)).betavariate(a, b)


def asked(i: int) -> Query:
    word = (HARD + EASY)[hashed("word", i) % 6]
    prompt = f"Problem {i}: find the {word} of these {hashed('number', i) % 7} things."
    return Query.of(prompt, answer_type=SimulatedAnswer(), id=f"asked-{i}")


def simulated(n: int) -> Iterator[Case]:
    probes = tuple(("probe", m) for m in PROBES)
    populations = {
        "told by a word": Population(p=told_by_a_word, wrong=WRONG),
        "beta(.5,.5)": Population(p=(0.5, 0.5), wrong=WRONG),
        "easy, beta(4,1)": Population(p=(4.0, 1.0), wrong=WRONG),
        "hard, beta(.3,1.2)": Population(p=(0.3, 1.2), wrong=(1.0,) * 10),
    }
    for name, population in populations.items():
        query = asked if name == "told by a word" else None
        pool = simulated_pool(population, problems=n, width=16, query=query)
        yield Case(name, pool, (("prompt", 0), *probes, ("verifier", 4), ("oracle", 0)))


def otis(file: Path) -> list[Pool]:
    """A pool for each run whose lengths were recorded, in characters where there are any, else in tokens."""
    columns = {"id": "problem"}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    units: dict[str, Unit] = {}
    for record in rows:
        if record.get("chars") or record.get("tokens_out"):
            units.setdefault(record["run"], "characters" if record.get("chars") else "tokens")
    return [
        import_pool(file, columns=columns, where={"run": [run]}, unit=unit, name=run) for run, unit in units.items()
    ]


def pooled(pools: list[Pool], name: str) -> Pool:
    """One pool of several runs, whose model is a tag; runs of a problem are held out together."""
    problems = [
        replace(p, id=f"{pool.name}/{p.id}", group=p.id, prompt="", tags={"model": pool.model})
        for pool in pools
        for p in pool.problems
    ]
    return Pool(name=name, model="several", problems=tuple(problems), unit=pools[0].unit)


def recorded(folder: Path) -> Iterator[Case]:
    file = folder / "otis_aime.jsonl.gz"
    pools = otis(file)
    alike = [pool for pool in pools if pool.unit == "characters"]
    yield Case(
        f"otis_aime, {len(alike)} runs pooled",
        pooled(alike, "otis_aime"),
        (("prompt", 0), ("probe", 1), ("probe", 2), ("probe", 4), ("oracle", 0)),
        TagClasses(tags=("model",)),
    )
    for pool in pools:
        if pool.width >= 8 and 0.1 < np.mean([p.accuracy or 0.0 for p in pool.problems]) < 0.9:
            yield Case(f"otis_aime {pool.model.rpartition('/')[2]}", pool, (("probe", 4), ("oracle", 0)))
    pool = import_pool(
        folder / "qwen_math_rm8.jsonl.gz",
        columns={"prompt": "question"},
        unit="characters",
        tags=["level"],
        scores={"rm": "rm_score"},
        model="qwen2.5-math",
    )
    kinds = (("prompt", 0), ("probe", 1), ("probe", 2), ("probe", 4), ("verifier", 4), ("oracle", 0))
    yield Case("qwen_math_rm8", pool, kinds)


def row(case: Case, kind: str, probe: int, found: Calibration) -> list[str]:
    return [
        case.name,
        f"{kind} of {probe}" if probe else kind,
        f"{found.n}",
        f"{found.brier:.3f}",
        f"{found.brier_of_mean:.3f}",
        f"{found.skill:.2f}",
        f"{found.ece:.3f}",
        f"{found.ece_noise:.3f}",
        f"{found.rank_correlation:.2f}",
    ]


def report(cases: Iterator[Case], console: Console, title: str) -> list[tuple[Case, str, int, Calibration]]:
    table = Table(title=title, title_justify="left")
    for name in ("pool", "estimator", "n", "Brier", "of the mean", "saved", "ECE", "its noise", "rank"):
        table.add_column(name, justify="left" if name in ("pool", "estimator") else "right", no_wrap=True)
    found: list[tuple[Case, str, int, Calibration]] = []
    for case in cases:
        for kind, probe in case.estimators:
            fit = cross_fit(kind, case.pool, probe=probe or 4, classes=case.classes)
            found.append((case, kind, probe, fit.calibration))
            table.add_row(*row(case, kind, probe, fit.calibration))
            print(".", end="", file=sys.stderr, flush=True)
        table.add_section()
    print(file=sys.stderr)
    console.print(table)
    return found


def main(args: argparse.Namespace) -> int:
    console = Console(width=120)
    found = report(simulated(args.problems), console, "simulated populations")
    worst = max(c.ece for case, kind, _, c in found if kind != "prompt" or case.name == "told by a word")
    console.print(f"largest calibration error of an estimator that has something to look at: {worst:.3f}")
    if not (args.data / "recorded").exists():
        console.print(f"no recorded samples at {args.data / 'recorded'}: pass --data FOLDER to report them as well")
    else:
        held = report(recorded(args.data / "recorded"), console, "recorded samples")
        runs = [c for case, kind, _, c in held if kind == "probe" and case.pool.model != "several" and c.n == 45]
        ece, noise, rank, saved = np.mean([(c.ece, c.ece_noise, c.rank_correlation, c.skill) for c in runs], axis=0)
        console.print(
            f"probe of 4 on {len(runs)} single runs of otis_aime, means: ECE {ece:.3f} (noise {noise:.3f}), rank "
            f"correlation {rank:.2f}, Brier score saved {saved:.2f}"
        )
    return 0 if worst < 0.05 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds recorded/")
    parser.add_argument("--problems", type=int, default=600, help="problems of a simulated population")
    sys.exit(main(parser.parse_args()))
