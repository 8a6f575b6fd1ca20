"""A policy that was tuned on some models and runs on others: what it loses against one tuned on their own samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from efficiency_case import AIM
from numpy.typing import NDArray
from rich.table import Table

from ttc.adaptive.bench import Bench, Mask, gather
from ttc.adaptive.fitting import Settings, apply
from ttc.adaptive.plans import Results
from ttc.adaptive.tuning import rates_for, tuned
from ttc.evals.economics import Paths, PolicyResult, Ratios, compare, fixed_curve
from ttc.evals.economics.verdict import measured_policy
from ttc.folds import folds_of
from ttc.pools import Pool
from ttc.seeds import hashed

__all__ = ["Transfer", "across_models", "transfer_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Two policies on the runs of one half of the models.

    Attributes:
        half: number of the halving.
        runs: on which both are measured.
        own: tuned on the samples of these runs, on other problems.
        other: tuned on the samples of the other half's runs, on other problems too.
    """

    half: int
    runs: int
    own: Ratios
    other: Ratios


async def across_models(
    pool: Pool, *, halvings: int = 3, orders: int = 2, repetitions: int = 200, seed: int = 0
) -> list[Transfer]:
    """Deal the models of a pool into halves, and try on one what was tuned on the other.

    Problems are held out as well: neither policy was tuned on the problem that it is measured on, asked of any model.
    Nothing is known of the model that answers. Runs of one model stay together.

    Args:
        pool: of several runs, by the tags ``run`` and ``model``.
        halvings: seeded, each used both ways.
        orders: of the samples of each problem.
        repetitions: of the bootstrap.
        seed: of orders, folds and halves.
    """
    bench = await gather([pool], orders=orders, seed=seed)
    model = [p.tags["model"] for p in pool.problems]
    names = sorted(set(model))
    found: list[Transfer] = []
    for halving in range(halvings):
        order = sorted(names, key=lambda name: hashed(seed, "half", halving, name))
        first = set(order[: len(order) // 2])
        here = np.array([name in first for name in model])[bench.problem]
        found += [_transfer(bench, pool, half, halving, repetitions, seed) for half in (here, ~here)]
    return found


def _transfer(bench: Bench, pool: Pool, here: Mask, halving: int, repetitions: int, seed: int) -> Transfer:
    settings = Settings(estimator="none", seed=seed)
    folds = folds_of(bench.groups, settings.folds, seed=seed)[bench.problem]
    own, other = Results.empty(len(here)), Results.empty(len(here))
    for fold in np.unique(folds):
        held = here & (folds == fold)
        for whole, train in ((own, here & (folds != fold)), (other, ~here & (folds != fold))):
            fitted = tuned(bench, train, settings, AIM, rates=rates_for(bench))
            whole.put(held, apply(fitted, bench, held))
    there, place = np.unique(bench.problem[here], return_inverse=True)
    way = bench.ways[0]
    groups = tuple(bench.groups[i] for i in there)
    unit = str(pool.info.get("counts", pool.unit))
    paths = Paths(right=way.paths.right[here], cost=way.cost[here], problem=place, groups=groups, unit=unit)
    runs = len({pool.problems[i].tags["run"] for i in there})

    def held_against(results: Results, name: str) -> Ratios:
        return _held_against(paths, place, results.of(here), name, f"{pool.name}, half {halving}", repetitions, seed)

    return Transfer(half=halving, runs=runs, own=held_against(own, "own"), other=held_against(other, "other"))


def _held_against(
    paths: Paths, place: NDArray[np.int64], results: Results, name: str, pool: str, repetitions: int, seed: int
) -> Ratios:
    fixed = fixed_curve(paths)
    result = PolicyResult(right=results.right, cost=results.cost, problem=place, name=name)
    return compare(fixed, measured_policy(result, fixed), pool=pool, name=name, repetitions=repetitions, seed=seed)


def transfer_table(rows: Sequence[Transfer]) -> Table:
    """Accuracy and cost of both policies, and what each saves, on each half of the models."""
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
        title="tuned on the models of one half, and on those of the other: same problems held out of both",
        title_justify="left",
    )
    headings = (
        "half",
        "runs",
        "tuned on",
        "accuracy full",
        "policy",
        "cost full",
        "policy",
        "x full N",
        "x cheapest N",
    )
    for heading in (*headings, "no worse by 2 points"):
        table.add_column(heading, justify="left" if heading == "tuned on" else "right", no_wrap=True)
    for row in rows:
        for name, r in (("these models", row.own), ("the others", row.other)):
            test = r.non_inferior
            table.add_row(
                str(row.half),
                str(row.runs),
                name,
                f"{r.accuracy_full:.3f}",
                f"{r.accuracy_policy:.3f}",
                f"{r.cost_full:.4g}",
                f"{r.cost_policy:.4g}",
                f"{r.ratio_full.value:.2f}",
                f"{'' if r.cheapest else '≥'}{r.ratio_cheapest.value:.2f}",
                f"{'shown' if test.shown else 'not shown'} ({100 * test.low:+.2f})",
            )
    return table
