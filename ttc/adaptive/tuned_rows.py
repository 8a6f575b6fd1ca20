"""The rows of a tuned policy: plans as specs, learned stops by name, and what each row is expected to bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.bench import Bench, Mask
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.fitting import Fitted
from ttc.adaptive.plans import Plan, Results
from ttc.adaptive.policy_rows import Escalation, Expected, Row
from ttc.adaptive.trajectories import Floats
from ttc.adaptive.tuning import CrossValidated
from ttc.statistics import bootstrap_mean, mean
from ttc.strategy import make_strategy

__all__ = ["by_group", "confidences_of", "expected_of", "rows_of", "spec_of", "stops_of"]


def spec_of(bench: Bench, plan: Plan) -> str:
    """The spec of a plan's strategy."""
    way = bench.ways[plan.way]
    made = make_strategy(way.strategy)
    changes: dict[str, Any] = {"n": plan.n}
    if plan.beta is not None:
        changes |= {"stop": "beta", "confidence": plan.beta, "wave": 1}
    given = {name: getattr(made, name) for name in made.model_fields_set}
    spec = type(made)(**{**given, **changes}).spec
    if re.search(r"[:,]n=", spec):
        return spec
    # A number of samples that is the default is said all the same: a policy says what it does, whatever the defaults.
    name, _, rest = spec.partition(":")
    return f"{name}:" + ",".join(filter(None, (f"n={plan.n}", rest)))


def _stop_name(bench: Bench, plan: Plan) -> str:
    """What a plan's learned stop is called: by its way, its waves, and what a point of accuracy may cost."""
    if plan.stop is None:
        return ""
    on = f", then {bench.ways[plan.escalate.way].name}" if plan.escalate else ""
    price = f"{0.01 / plan.stop.rate:.3g}" if plan.stop.rate else "any"
    return f"{bench.ways[plan.way].name} in {len(plan.stop.points)} waves, {price} a point{on}"


def rows_of(fitted: Fitted, bench: Bench, shown: CrossValidated) -> Iterator[Row]:
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
            strategy=spec_of(bench, other),
            stop=_stop_name(bench, other),
            model=bench.ways[escalate.way].model,
            thinking=bench.ways[escalate.way].thinking,
        )
    return Row(
        query_class=name,
        difficulty=difficulty,
        strategy=spec_of(bench, plan),
        stop=_stop_name(bench, plan),
        thinking=way.thinking,
        model=way.model,
        verifier=way.verifier,
        escalate=then,
        expected=expected_of(results, bench, there) if there.any() else None,
    )


def stops_of(fitted: Fitted, bench: Bench) -> Iterator[tuple[str, dict[str, Any]]]:
    """The learned stops that the rows name, as plain data."""
    for plan in fitted.rows.values():
        if plan.stop is not None:
            yield _stop_name(bench, plan), plan.stop.model_dump(mode="json")
        if plan.escalate is not None:
            other = Plan(way=plan.escalate.way, n=0, stop=plan.escalate.stop)
            yield _stop_name(bench, other), plan.escalate.stop.model_dump(mode="json")


def confidences_of(fitted: Fitted, bench: Bench) -> Iterator[tuple[str, dict[str, Any]]]:
    """P(the answer is right), where a row may escalate, by the name of its stop."""
    for plan in fitted.rows.values():
        if plan.escalate is not None:
            yield _stop_name(bench, plan), plan.escalate.confidence.model_dump(mode="json")


def expected_of(results: Results, bench: Bench, there: Mask) -> Expected:
    """Accuracy and cost of some paths, with intervals over problems: those of one group count as one."""
    groups = np.array(bench.groups)[bench.problem[there]]
    right, cost = by_group(groups, results.right[there]), by_group(groups, results.cost[there])
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


def by_group(groups: NDArray[np.str_], values: Floats) -> dict[str, float]:
    """Mean of the paths of each group."""
    names, place = np.unique(groups, return_inverse=True)
    means = np.bincount(place, weights=values) / np.bincount(place)
    return dict(zip(names.tolist(), means.tolist(), strict=True))
