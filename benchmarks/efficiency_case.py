"""One pool of the efficiency benchmark: strategies replayed, an oracle, and policies held against fixed N."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.classes import AnyClasses
from ttc.adaptive.fitting import Settings
from ttc.adaptive.plans import Way, beta_stops
from ttc.adaptive.tuning import Aim, cross_validated
from ttc.evals.economics import (
    CostCurve,
    Measured,
    OracleFrontier,
    Paths,
    PolicyResult,
    Ratios,
    compare,
    fixed_curve,
    oracle_bin_policy,
)
from ttc.evals.economics.verdict import measured_policy
from ttc.pools import Pool

__all__ = ["TUNED", "Case", "Found", "curves_table", "solve_case", "targets_table"]

Floats = NDArray[np.float64]

TUNED = "adaptive"
LOSS = 0.01
"""Accuracy that tuning may give up against the best fixed N; the margin of the verdict is twice as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One pool, or several models on the same problems, which are compared in dollars.

    Attributes:
        name: of it.
        pools: one for each model and way of thinking, the baseline's last.
        strategies: specs without ``n``, the baseline's last.
        verifier: whose recorded scores they read; empty for none.
        known: pass@1 of each problem, for the oracle; in the order of the last pool's groups where there are several.
        source: from what it is known.
        unit: how costs are labelled.
        orders: of each problem.
        classes: sort queries; None: all are of one class.
    """

    name: str
    pools: tuple[Pool, ...]
    strategies: tuple[str, ...] = ("majority",)
    verifier: str = ""
    known: Floats
    source: str
    unit: str
    orders: int = 8
    classes: AnyClasses | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a case came to: curves by strategy, the oracle's frontier, and a verdict per policy."""

    case: str
    curves: dict[str, Measured]
    oracle: OracleFrontier
    verdicts: tuple[Ratios, ...]
    seconds: float


async def solve_case(
    case: Case, *, estimators: Sequence[str] = ("none",), seed: int = 0, repetitions: int = 500
) -> Found:
    """Replay the strategies of a case, and hold the Beta rule and tuned policies against full N of the last one.

    Args:
        case: what to replay.
        estimators: of difficulty, for a tuned policy each: ``none``, ``prompt``, ``probe`` or ``verifier``.
        seed: of orders, folds and the bootstrap.
        repetitions: of the bootstrap.
    """
    start = time.perf_counter()
    bench = await gather(
        case.pools,
        strategies=case.strategies,
        verifier=case.verifier,
        classes=case.classes,
        orders=case.orders,
        seed=seed,
    )
    paths = [_paths(way, case.unit) for way in bench.ways]
    whole = paths[-1]
    if len(case.pools) > 1:  # one curve of all models: the cheapest fixed N may be of any
        small, large = paths
        whole = small.beside(large, names=("small", "large"))
    fixed = fixed_curve(whole)
    oracle = oracle_bin_policy(whole, case.known, source=case.source, seed=seed)
    beta = next(_beta(way, p) for way, p in zip(reversed(bench.ways), reversed(paths), strict=True) if way.beta_stops)
    policies = [(beta, None), *(_tuned(bench, case, kind, seed=seed) for kind in estimators)]
    verdicts = tuple(
        compare(
            fixed,
            measured_policy(result, fixed),
            pool=case.name,
            name=result.name,
            oracle=oracle,
            frontier=frontier,
            repetitions=repetitions,
            seed=seed,
        )
        for result, frontier in policies
    )
    names = [
        way.name if len(case.pools) == 1 else f"{n}: {way.name}" for way, n in zip(bench.ways, _SIZES, strict=False)
    ]
    curves = {name: fixed_curve(p) for name, p in zip(names, paths, strict=True)}
    return Found(case=case.name, curves=curves, oracle=oracle, verdicts=verdicts, seconds=time.perf_counter() - start)


_SIZES = ("small", "large", "", "")


def _paths(way: Way, unit: str) -> Paths:
    t = way.paths
    return Paths(right=t.right, cost=way.cost, problem=t.problem, groups=t.groups, unit=unit)


def _beta(way: Way, paths: Paths) -> PolicyResult:
    """The stop of Adaptive-Consistency at .95, one sample at a time, so that nothing is in flight when it fires."""
    last = beta_stops(way.paths, 0.95) - 1
    rows = np.arange(len(last))
    return PolicyResult(
        right=paths.right[rows, last], cost=paths.cost[rows, last], problem=paths.problem, name="beta .95"
    )


def _tuned(bench: Bench, case: Case, estimator: str, *, seed: int) -> tuple[PolicyResult, CostCurve]:
    """What ``ttc tune`` chooses, each problem by a tuning that has not seen it; and what other going rates come to."""
    found = cross_validated(bench, Settings(estimator=estimator, seed=seed), Aim("loss", LOSS))
    frontier = CostCurve(
        settings=tuple(f"{point.rate:.3g}" for point in found.frontier),
        cost=np.array([point.cost for point in found.frontier]),
        accuracy=np.array([point.accuracy for point in found.frontier]),
        unit=case.unit,
    )
    name = TUNED if estimator == "none" else f"{TUNED}, {estimator}"
    results = found.results
    return PolicyResult(right=results.right, cost=results.cost, problem=bench.problem, name=name), frontier


# -- what is printed -----------------------------------------------------------------------------------------------


def curves_table(found: Found) -> Table:
    """Accuracy and cost of each strategy at N = 1, 2, 4, ..., and of the oracle at the accuracies of the last one."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), title=found.case, title_justify="left"
    )
    table.add_column("strategy")
    sizes = sorted({*(2**i for i in range(8)), *(len(m.settings) for m in found.curves.values())})
    sizes = [n for n in sizes if n <= max(len(m.settings) for m in found.curves.values())]
    for n in sizes:
        table.add_column(f"N={n}", justify="right")
    oracle = found.oracle.measured.curve()
    for name, measured in found.curves.items():
        curve = measured.curve()
        cells = [
            f"{curve.accuracy[n - 1]:.3f}\n{_cost(curve.cost[n - 1])}" if n <= len(curve.cost) else "" for n in sizes
        ]
        table.add_row(f"{name}\n({measured.unit})", *cells)
    last = list(found.curves.values())[-1].curve()
    table.add_row(
        "oracle bins:\ncost of the same",
        *(_cost(oracle.interpolated_cost(float(last.accuracy[n - 1]))) if n <= len(last.cost) else "" for n in sizes),
    )
    return table


def targets_table(rows: Sequence[Ratios]) -> Table:
    """Cost at accuracies up to full N's, of fixed N and of the tuned policies' frontier, and the areas under both."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("pool")
    table.add_column("policy")
    for points in ("-5", "-2", "-1", "full N"):
        table.add_column(f"{points}:\nfixed / policy", justify="right", no_wrap=True)
    table.add_column("area, fixed\n/ policy", justify="right", no_wrap=True)
    for r in rows:
        pairs = zip(r.to_target_fixed, r.to_target_policy, strict=True)
        cells = [f"{_cost(fixed)} / {_cost(policy)}" for fixed, policy in pairs]
        table.add_row(r.pool, r.policy, *cells, f"{r.area_fixed:.3f} / {r.area_policy:.3f}")
    return table


def _cost(value: float) -> str:
    if not np.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
