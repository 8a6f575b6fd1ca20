"""Tune, and write down what was found: a policy with what each row is expected to bring, and what tuning cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any

import numpy as np
import orjson

from ttc.adaptive.bench import Bench
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.fitting import Settings
from ttc.adaptive.plans import Plan, Results, run_plan
from ttc.adaptive.policy import Estimation, Policy, Provenance, SourcePool, hashes_of
from ttc.adaptive.trajectories import Floats
from ttc.adaptive.tuned_rows import by_group, confidences_of, expected_of, rows_of, spec_of, stops_of
from ttc.adaptive.tuning import (
    Aim,
    CrossValidated,
    cross_validated,
    point_of,
    rates_for,
    refuse_what_cannot_be_tuned,
    tuned,
)
from ttc.pools import Pool
from ttc.statistics import bootstrap_mean

__all__ = ["Tuning", "tune_policy"]

_NOT_GENERATED = frozenset({"prompt_tokens", "cached_tokens", "calls", "seconds"})
"""What else a pool's cost counts, beside generated tokens by kind of call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tuning brought.

    Attributes:
        policy: with what it is expected to bring.
        cross_validated: where those figures come from.
        bench: what was tried.
        gain: accuracy of the policy less that of one sample, with a 95% interval.
    """

    policy: Policy
    cross_validated: CrossValidated
    bench: Bench
    gain: tuple[float, float, float]


def tune_policy(
    bench: Bench,
    settings: Settings,
    aim: Aim,
    *,
    model: str = "",
    made: date | None = None,
    aimed: str = "",
    calibrated: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Choose the policy for an aim, and measure by nested cross-validation what it brings.

    Args:
        bench: what is tried.
        settings: what is searched.
        aim: what for.
        model: the served name that the policy is for; empty: that of the pools.
        made: the day; today by default.
        aimed: the aim as it was asked for.
        calibrated: whether verdicts are the grader's, and no estimates of agreement.
        on_progress: called with the folds done and their number.

    Raises:
        ConfigurationError: too few problems, or an aim that cannot be met.
    """
    began = perf_counter()
    refuse_what_cannot_be_tuned(bench, settings, aim)
    everything = np.ones(len(bench.problem), dtype=bool)
    fitted = tuned(bench, everything, settings, aim, rates=rates_for(bench, aim))  # says first what cannot be met
    shown = cross_validated(bench, settings, aim, on_progress=on_progress)
    against, fixed = _against(bench, shown)
    rows = tuple(rows_of(fitted, bench, shown))
    models = list(dict.fromkeys(pool.model for pool in bench.recorded))
    pools = bench.recorded
    recording = _recording(pools)
    saved = float(np.average(fixed.cost - shown.results.cost, weights=bench.weights))
    # Like thinking tokens, what was generated: prompts are read by every strategy, and are not in what is saved.
    spent = sum(n for kind, n in recording.items() if kind.partition(" of ")[0] not in _NOT_GENERATED)
    estimator = fitted.estimator
    base = bench.ways[fitted.base]
    unit = {"tokens": "thinking tokens"}.get(bench.unit, bench.unit)
    policy = Policy(
        model=model or "+".join(models),
        made=made or date.today(),
        unit=unit,
        rate=fitted.rate,
        calibrated=calibrated,
        classes=bench.query_classes,
        difficulty=Estimation(
            estimator=settings.estimator,
            probe=fitted.probe,
            cap=int(base.thinking) if base.thinking.isdigit() else None,
            thinking="" if base.thinking.isdigit() else base.thinking,
            model=base.model,
            verifier=estimator.verifier if estimator is not None and settings.estimator == "verifier" else "",
        ),
        rows=rows,
        estimator=orjson.loads(estimator.to_json()) if estimator is not None else None,
        stops=dict(stops_of(fitted, bench)),
        confidence=dict(confidences_of(fitted, bench)) or None,
        hashes=hashes_of(p for pool in pools for p in pool.problems),
        provenance=Provenance(
            pools=tuple(_source(pool) for pool in pools),
            problems=len(set(bench.groups)),
            folds=settings.folds,
            seeds=(settings.seed, bench.seed),
            aim=aimed or f"{aim.kind}={aim.value:g}",
            search=_search(bench, settings),
            expected=expected_of(shown.results, bench, everything),
            against=against,
            expected_against=expected_of(fixed, bench, everything),
            calibration=(
                bench.calibration(settings.estimator, fitted.base, probe=settings.probe)
                if settings.estimator != "none"
                else {}
            ),
            recording=dict(recording),
            tuning={"seconds": round(perf_counter() - began, 1)},
            earned_back=round(spent / saved, 1) if saved > 0 and spent and bench.unit == "tokens" else None,
            warnings=(
                *_warnings(bench, settings),
                *_dominated(against, fixed, shown, bench),
                *(_about_seconds(shown, pools, bench) if aim.kind == "p95_seconds" else ()),
            ),
        ),
    )
    return Tuning(
        policy=policy, cross_validated=shown, bench=bench, gain=_gain(shown.results, base.paths.right[:, 0], bench)
    )


def _recording(pools: Sequence[Pool]) -> dict[str, float]:
    """What recording took, by kind; of several models each by itself, since their tokens are never added up."""
    several = len({pool.model for pool in pools}) > 1
    spent: dict[str, float] = {}
    for pool in pools:
        for kind, amount in pool.cost.items():
            name = f"{kind} of {pool.model}" if several and kind != "seconds" else kind
            spent[name] = spent.get(name, 0.0) + amount
    return spent


def _against(bench: Bench, shown: CrossValidated) -> tuple[str, Results]:
    """The fixed strategy that costs least among those of at least the policy's accuracy, or the most accurate one."""
    accuracy = float(np.average(shown.results.right, weights=bench.weights))
    fixed: list[tuple[float, float, Plan]] = []
    for i, way in enumerate(bench.ways):
        for n in range(1, way.paths.width + 1):
            found = run_plan(plan := Plan(way=i, n=n), bench.ways)
            right, cost = np.average(found.right, weights=bench.weights), np.average(found.cost, weights=bench.weights)
            fixed.append((float(right), float(cost), plan))
    able = [f for f in fixed if f[0] >= accuracy]
    _, _, plan = min(able, key=lambda f: f[1]) if able else max(fixed, key=lambda f: (f[0], -f[1]))
    way = bench.ways[plan.way]
    name = spec_of(bench, plan) + (f" @ {way.name.partition('@')[2]}" if "@" in way.name else "")
    return name, run_plan(plan, bench.ways)


def _dominated(against: str, fixed: Results, shown: CrossValidated, bench: Bench) -> Iterator[str]:
    """Say where a fixed strategy is as accurate and cheaper: small pools leave little to learn from."""
    mine, its = (np.average(r.right, weights=bench.weights) for r in (shown.results, fixed))
    if its >= mine and np.average(fixed.cost - shown.results.cost, weights=bench.weights) <= 0:
        yield f"{against} is as accurate here and costs no more: use that, or record more problems"


def _about_seconds(shown: CrossValidated, pools: Sequence[Pool], bench: Bench) -> Iterator[str]:
    """What 95% of the queries take, and at which load that was recorded."""
    p95 = point_of(0.0, shown.results, bench.problem).p95_seconds
    load = sorted({str(pool.info["concurrency"]) for pool in pools if "concurrency" in pool.info})
    at = f"recorded with {' and '.join(load)} problems at a time" if load else "the load of the recording is not known"
    yield f"95% of the queries take {p95:.3g} s at the most, waves one after the other ({at})"


def _gain(results: Results, single: Floats, bench: Bench) -> tuple[float, float, float]:
    """Accuracy of the policy less that of one sample, paired on problems."""
    groups = np.array(bench.groups)[bench.problem]
    differences = list(by_group(groups, results.right - single).values())
    return float(np.mean(differences)), *bootstrap_mean(differences)


def _source(pool: Pool) -> SourcePool:
    return SourcePool(
        name=pool.name,
        model=pool.model,
        digest=pool.digest(),
        problems=len(pool),
        thinking=pool.thinking,
        info=dict(pool.info),
    )


def _search(bench: Bench, settings: Settings) -> dict[str, Any]:
    return {
        "ways": [way.name for way in bench.ways],
        "n": max(way.paths.width for way in bench.ways),
        "orders": int(bench.ways[0].paths.order.max()) + 1,
        "estimator": settings.estimator,
        "probe": settings.drawn_first,
        "bins": settings.bins,
    }


def _warnings(bench: Bench, settings: Settings) -> Iterator[str]:
    yield from bench.notes
    members: dict[str, set[str]] = {}
    for name, group in zip(bench.classes, bench.groups, strict=True):
        members.setdefault(name, set()).add(group)
    for name, groups in sorted(members.items()):
        if name != DEFAULT and len(groups) < settings.least:
            yield (
                f"class '{name}' has too few problems, {len(groups)}: rows of its own take {settings.least}, and the "
                "default rows hold"
            )
    for pool in bench.recorded:
        if "gold_free" in pool.info:
            yield str(pool.info["gold_free"]["told"])
    if len(set(bench.groups)) < 50:
        yield f"{len(set(bench.groups))} problems are few: intervals are wide"
