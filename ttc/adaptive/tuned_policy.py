"""Tune, and write down what was found: a policy with what each row is expected to bring, and what tuning cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Any

import numpy as np
import orjson

from ttc.adaptive.bench import Bench, Mask
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.fitting import Fitted, Settings
from ttc.adaptive.plans import Plan, Results, run_plan
from ttc.adaptive.policy import Escalation, Estimation, Expected, Policy, Provenance, Row, SourcePool, hashes_of
from ttc.adaptive.trajectories import Floats
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
from ttc.statistics import bootstrap_mean, mean
from ttc.strategy import make_strategy

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
    rows = tuple(_rows(fitted, bench, shown))
    models = list(dict.fromkeys(pool.model for pool in bench.pools))
    pools = list({id(pool): pool for pool in bench.pools if not _is_cut(pool, bench.pools)}.values())
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
        stops=dict(_stops(fitted, bench)),
        confidence=dict(_confidences(fitted, bench)) or None,
        hashes=hashes_of(p for pool in pools for p in pool.problems),
        provenance=Provenance(
            pools=tuple(_source(pool) for pool in pools),
            problems=len(set(bench.groups)),
            folds=settings.folds,
            seeds=(settings.seed, bench.seed),
            aim=aimed or f"{aim.kind}={aim.value:g}",
            search=_search(bench, settings),
            expected=_expected(shown.results, bench, everything),
            against=against,
            expected_against=_expected(fixed, bench, everything),
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
    name = _spec(bench, plan) + (f" @ {way.name.partition('@')[2]}" if "@" in way.name else "")
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


def _spec(bench: Bench, plan: Plan) -> str:
    """The spec of a plan's strategy."""
    way = bench.ways[plan.way]
    made = make_strategy(way.strategy)
    changes: dict[str, Any] = {"n": plan.n}
    if plan.beta is not None:
        changes |= {"stop": "beta", "confidence": plan.beta, "wave": 1}
    given = {name: getattr(made, name) for name in made.model_fields_set}
    spec = type(made)(**{**given, **changes}).spec
    # A number of samples that is the default is said all the same: a policy says what it does, whatever the defaults.
    return spec if "n=" in spec else f"{spec.replace(':', f':n={plan.n},', 1)}" if ":" in spec else f"{spec}:n={plan.n}"


def _stop_name(bench: Bench, plan: Plan) -> str:
    """What a plan's learned stop is called: by its way, its waves, and what a point of accuracy may cost."""
    if plan.stop is None:
        return ""
    on = f", then {bench.ways[plan.escalate.way].name}" if plan.escalate else ""
    price = f"{0.01 / plan.stop.rate:.3g}" if plan.stop.rate else "any"
    return f"{bench.ways[plan.way].name} in {len(plan.stop.points)} waves, {price} a point{on}"


def _rows(fitted: Fitted, bench: Bench, shown: CrossValidated) -> Iterator[Row]:
    """Rows of neighbouring bins with the same plan are one."""
    edges = [0.0, *fitted.bounds, 1.0]
    classes = list(dict.fromkeys(name for name, _ in fitted.rows))
    known = set(classes)
    sorted_into = bench.of_path([c if c in known else DEFAULT for c in bench.classes])
    bins = fitted.bin_of(shown.estimates)
    for name in sorted(classes, key=lambda c: (c == DEFAULT, c)):
        start = 0
        for number in range(len(edges) - 1):
            plan = fitted.rows[name, number]
            if number + 2 < len(edges) and fitted.rows[name, number + 1].kind == plan.kind:
                continue
            there = (sorted_into == name) & (bins >= start) & (bins <= number)
            yield _row(bench, plan, name, (edges[start], edges[number + 1]), shown.results, there)
            start = number + 1


def _row(bench: Bench, plan: Plan, name: str, difficulty: tuple[float, float], results: Results, there: Mask) -> Row:
    way = bench.ways[plan.way]
    escalate = plan.escalate
    then = None
    if escalate is not None:
        other = Plan(way=escalate.way, n=bench.ways[escalate.way].paths.width, stop=escalate.stop)
        then = Escalation(
            below=escalate.below,
            strategy=_spec(bench, other),
            stop=_stop_name(bench, other),
            model=bench.ways[escalate.way].model,
            thinking=bench.ways[escalate.way].thinking,
        )
    return Row(
        query_class=name,
        difficulty=difficulty,
        strategy=_spec(bench, plan),
        stop=_stop_name(bench, plan),
        thinking=way.thinking,
        model=way.model,
        verifier=way.verifier,
        escalate=then,
        expected=_expected(results, bench, there) if there.any() else None,
    )


def _stops(fitted: Fitted, bench: Bench) -> Iterator[tuple[str, dict[str, Any]]]:
    for plan in fitted.rows.values():
        if plan.stop is not None:
            yield _stop_name(bench, plan), plan.stop.model_dump(mode="json")
        if plan.escalate is not None:
            other = Plan(way=plan.escalate.way, n=0, stop=plan.escalate.stop)
            yield _stop_name(bench, other), plan.escalate.stop.model_dump(mode="json")


def _confidences(fitted: Fitted, bench: Bench) -> Iterator[tuple[str, dict[str, Any]]]:
    for plan in fitted.rows.values():
        if plan.escalate is not None:
            yield _stop_name(bench, plan), plan.escalate.confidence.model_dump(mode="json")


def _expected(results: Results, bench: Bench, there: Mask) -> Expected:
    """Accuracy and cost of some paths, with intervals over problems: those of one group count as one."""
    groups = np.array(bench.groups)[bench.problem[there]]
    right, cost = _by_group(groups, results.right[there]), _by_group(groups, results.cost[there])
    accuracy = mean({name: [value] for name, value in right.items()})
    low, high = bootstrap_mean(list(cost.values()))
    spent = float(np.mean(list(cost.values())))
    return Expected(
        accuracy=accuracy.value,
        accuracy_interval=(min(accuracy.low, accuracy.value), max(accuracy.high, accuracy.value)),
        cost=spent,
        cost_interval=(min(low, spent), max(high, spent)),
        problems=len(right),
    )


def _by_group(groups: np.ndarray[Any, Any], values: Floats) -> dict[str, float]:
    names, place = np.unique(groups, return_inverse=True)
    means = np.bincount(place, weights=values) / np.bincount(place)
    return dict(zip(names.tolist(), means.tolist(), strict=True))


def _gain(results: Results, single: Floats, bench: Bench) -> tuple[float, float, float]:
    """Accuracy of the policy less that of one sample, paired on problems."""
    groups = np.array(bench.groups)[bench.problem]
    differences = list(_by_group(groups, results.right - single).values())
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


def _is_cut(pool: Pool, pools: Sequence[Pool]) -> bool:
    return not pool.cuts and any(pool.thinking in map(str, other.cuts) for other in pools if other.name == pool.name)


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
    for pool in {id(pool): pool for pool in bench.pools}.values():
        if "gold_free" in pool.info:
            yield str(pool.info["gold_free"]["told"])
    if len(set(bench.groups)) < 50:
        yield f"{len(set(bench.groups))} problems are few: intervals are wide"
