"""One pool of the efficiency benchmark: strategies replayed, an oracle, and policies held against fixed N."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.classes import AnyClasses
from ttc.adaptive.fitting import Settings
from ttc.adaptive.plans import Results, Way, beta_stops
from ttc.adaptive.tuning import Aim, CrossValidated, cross_validated
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

__all__ = [
    "AIM",
    "TUNED",
    "Case",
    "Found",
    "ProbeCost",
    "probe_cost",
    "solve_case",
]

Floats = NDArray[np.float64]

TUNED = "adaptive"
AIM = Aim("no_worse", 0.02)
"""The same for all pools: the cheapest rate at which as many problems have a power of .9 to show the margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One pool, or several models on the same problems, which are compared in dollars.

    Attributes:
        name: of it.
        pools: one for each model and way of thinking, the baseline's last.
        strategies: specs without ``n``, the baseline's last.
        verifier: whose recorded scores they read; empty for none.
        known: pass@1 of each problem of the last pool, for the oracle.
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

    @property
    def estimators(self) -> tuple[str, ...]:
        """Of difficulty: none, and where classes are known what they say before the first sample."""
        return ("none", "prompt") if self.classes is not None else ("none",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a case came to: curves by strategy, the oracle's frontier, a verdict per policy, and what probes cost."""

    case: str
    curves: dict[str, Measured]
    oracle: OracleFrontier
    verdicts: tuple[Ratios, ...]
    probes: tuple[ProbeCost, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCost:
    """What a probe costs beyond what is spent anyway, against what its policy saves. Means per query.

    Attributes:
        pool: name of it.
        policy: that probes.
        unit: of the costs.
        samples: of the probe.
        extra: cost of those samples of the probe that the policy tuned without one, on the same path, does not draw.
        saved_full: what the policy saves against full N.
        saved_cheapest: what it saves against the cheapest fixed N of at least its accuracy (full N where none has it).
    """

    pool: str
    policy: str
    unit: str
    samples: int
    extra: float
    saved_full: float
    saved_cheapest: float

    @property
    def share(self) -> float:
        """Of the smaller saving; infinite where nothing is saved."""
        saved = min(self.saved_full, self.saved_cheapest)
        return self.extra / saved if saved > 0 else float("inf")


async def solve_case(case: Case, *, estimators: Sequence[str] = (), seed: int = 0, repetitions: int = 500) -> Found:
    """Replay the strategies of a case, and hold the Beta rule and tuned policies against full N of the last one.

    Args:
        case: what to replay.
        estimators: of difficulty, for a tuned policy each: ``none``, ``prompt``, ``probe`` or ``verifier``;
            by default the case's.
        seed: of orders, folds and the bootstrap.
        repetitions: of the bootstrap.
    """
    start = time.perf_counter()
    estimators = estimators or case.estimators
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
    by_name = dict(zip((p.id for p in case.pools[-1].problems), case.known.tolist(), strict=True))
    known = [by_name[name] for name in bench.ways[-1].paths.problems]  # those without a verdict are left out
    oracle = oracle_bin_policy(whole, known, source=case.source, seed=seed)
    beta = next(_beta(way, p) for way, p in zip(reversed(bench.ways), reversed(paths), strict=True) if way.beta_stops)
    tuned = {kind: _tuned(bench, kind, seed=seed) for kind in estimators}
    policies = [(beta, None), *(_policy(found, bench, case, kind) for kind, found in tuned.items())]
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
    probes: list[ProbeCost] = []
    if len(case.pools) == 1:  # a probe of one model is not handed on to another: there all of it is extra
        without = tuned.get("none") or (_tuned(bench, "none", seed=seed) if _PROBING & set(estimators) else None)
        probes = [
            probe_cost(bench, without.results, row)
            for kind, row in zip(estimators, verdicts[1:], strict=True)
            if kind in _PROBING and without is not None
        ]
    names = [
        way.name if len(case.pools) == 1 else f"{n}: {way.name}" for way, n in zip(bench.ways, _SIZES, strict=False)
    ]
    curves = {name: fixed_curve(p) for name, p in zip(names, paths, strict=True)}
    return Found(
        case=case.name,
        curves=curves,
        oracle=oracle,
        verdicts=verdicts,
        probes=tuple(probes),
        seconds=time.perf_counter() - start,
    )


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


def _tuned(bench: Bench, estimator: str, *, seed: int) -> CrossValidated:
    """What ``ttc tune`` chooses, each problem by a tuning that has not seen it; and what other going rates come to."""
    return cross_validated(bench, Settings(estimator=estimator, seed=seed), AIM)


def _policy(found: CrossValidated, bench: Bench, case: Case, estimator: str) -> tuple[PolicyResult, CostCurve]:
    frontier = CostCurve(
        settings=tuple(f"{point.rate:.3g}" for point in found.frontier),
        cost=np.array([point.cost for point in found.frontier]),
        accuracy=np.array([point.accuracy for point in found.frontier]),
        unit=case.unit,
    )
    name = TUNED if estimator == "none" else f"{TUNED}, {estimator}"
    results = found.results
    return PolicyResult(right=results.right, cost=results.cost, problem=bench.problem, name=name), frontier


_PROBING = {"probe", "verifier"}


def probe_cost(bench: Bench, without: Results, row: Ratios, *, samples: int = Settings().probe) -> ProbeCost:
    """Set what a probe takes beyond a policy without one against what the policy with it saves."""
    first = bench.ways[0].cost[:, min(samples, bench.ways[0].paths.width) - 1]
    extra = np.average(np.maximum(0.0, first - without.cost), weights=bench.weights)
    cheapest = row.cost_cheapest if np.isfinite(row.cost_cheapest) else row.cost_full
    return ProbeCost(
        pool=row.pool,
        policy=row.policy,
        unit=row.unit,
        samples=samples,
        extra=float(extra),
        saved_full=row.cost_full - row.cost_policy,
        saved_cheapest=cheapest - row.cost_policy,
    )
