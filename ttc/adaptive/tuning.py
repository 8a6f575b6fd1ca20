"""Tune a policy on recorded samples: the plans that a budget, an accuracy or a price asks for, cross-validated.

Accuracy for tokens at a going rate: at each rate every class and difficulty gets the plan that is worth most, which is
the Lagrangian of a mean budget over all queries. The rate is then the one that meets the aim. Folds are nested: what is
reported was measured on problems that had no part in the plans, in what was learned for them, or in the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import floor, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.bench import Bench, Mask
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.fitting import Fitted, Settings, apply, estimated, fit, folds_of
from ttc.adaptive.plans import Results
from ttc.adaptive.trajectories import Floats
from ttc.errors import ConfigurationError

__all__ = [
    "Aim",
    "CrossValidated",
    "FrontierPoint",
    "cross_validated",
    "frontier",
    "point_of",
    "rates_for",
    "refuse_what_cannot_be_tuned",
    "tuned",
]

FEWEST = 10
"""Problems; of fewer nothing can be held out that says anything."""

FEWEST_TO_ESTIMATE = 30
"""Problems where difficulty is estimated: folds are dealt three times before an estimator is fitted on what is left."""

RATES = 11
"""Going rates that are tried."""

DEAREST = (0.1, 0.2, 0.5, 1.5)
"""What one sample has to bring at further rates, where costs are limited: at the last one nothing more is bought."""

ROOM = NormalDist().inv_cdf(0.95) + NormalDist().inv_cdf(0.9)
"""Standard errors between a loss and the margin within which it is shown to lie, with a power of .9."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a policy is tuned for.

    Attributes:
        kind: ``cost`` (mean cost of a query, at the most), ``accuracy`` (at the least, at the lowest cost), ``loss``
            (accuracy that may be lost against the best fixed number of samples), ``no_worse`` (the margin of a test of
            non-inferiority to all samples, which is to be passed on as many problems with a power of .9), or
            ``p95_seconds`` (of a query).
        value: the limit.
    """

    kind: Literal["cost", "accuracy", "loss", "no_worse", "p95_seconds"]
    value: float


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """What a going rate brings, out of fold: means over problems.

    Attributes:
        rate: the going rate.
        accuracy: mean over problems.
        cost: of a query, in the mean.
        p95_seconds: that 95% of the queries take at the most.
        margin: the least margin of a test of non-inferiority to all samples that is passed with a power of .9.
    """

    rate: float
    accuracy: float
    cost: float
    p95_seconds: float
    margin: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """What tuning does on problems that it has not seen.

    Attributes:
        results: of each path, by what was tuned on the other folds.
        estimates: P(one sample is correct) of each path, by those.
        rates: that each fold's tuning chose.
        frontier: accuracy and cost at each going rate, each problem by a fit on the others.
    """

    results: Results
    estimates: Floats
    rates: tuple[float, ...]
    frontier: tuple[FrontierPoint, ...]


def rates_for(bench: Bench, aim: Aim | None = None) -> tuple[float, ...]:
    """Going rates from where nothing is saved to where little is bought, or nothing, where an aim limits costs."""
    sample = min(float(way.cost[:, 0].mean()) for way in bench.ways)
    if sample <= 0:
        raise ConfigurationError("the recorded samples cost nothing: there is nothing to tune")
    dearest = DEAREST if aim is not None and aim.kind in ("cost", "p95_seconds") else ()
    return tuple((np.array([*np.geomspace(2e-4, 5e-2, RATES), *dearest]) / sample).tolist())


def frontier(
    bench: Bench, train: Mask, settings: Settings, *, rates: Sequence[float], folds: int | None = None
) -> dict[float, Results]:
    """What each going rate does on the paths of a mask, each fold by a fit on the other ones."""
    dealt = folds_of(bench.groups, folds or settings.folds, seed=settings.seed)[bench.problem]
    found: dict[float, Results] = {}
    for rate in rates:
        whole = Results.empty(len(train))
        for fold in np.unique(dealt[train]):
            held = train & (dealt == fold)
            rest = train & (dealt != fold)
            whole.put(held, apply(fit(bench, rest, rate, settings), bench, held))
        found[rate] = whole
    return found


def choose_rate(
    points: Sequence[FrontierPoint], aim: Aim, *, best_fixed: float, unit: str = "", of: str = "", strict: bool = True
) -> float:
    """The going rate that meets an aim.

    Args:
        points: at each going rate.
        aim: what for.
        best_fixed: accuracy of the best fixed number of samples.
        unit: of the costs, for messages.
        of: the query class, for messages.
        strict: whether an aim that none meets is an error; else the rate that comes nearest is taken.

    Raises:
        ConfigurationError: none does; says the least that would do.
    """
    of = f" of class '{of}'" if of else ""
    if aim.kind in ("cost", "p95_seconds"):
        taken = {p: p.cost if aim.kind == "cost" else p.p95_seconds for p in points}
        able = [p for p in points if taken[p] <= aim.value]
        if not able and not strict:
            return min(points, key=lambda p: taken[p]).rate
        if not able:
            least = min(taken.values())
            asked = f"a mean cost of {aim.value:,g} {unit}" if aim.kind == "cost" else f"95% within {aim.value:g} s"
            took = f"{least:,.4g} s" if aim.kind != "cost" else f"{least:,.0f}" if least >= 100 else f"{least:.4g}"
            raise ConfigurationError(f"{asked}{of} is out of reach: the least of any plan is {took}")
        return max(able, key=lambda p: (p.accuracy, -p.cost)).rate
    if aim.kind == "no_worse":
        return _rate_within(points, aim.value)
    goal = aim.value if aim.kind == "accuracy" else best_fixed - aim.value
    able = [p for p in points if p.accuracy >= goal]
    if not able and aim.kind == "accuracy" and strict:
        most = floor(max(p.accuracy for p in points) * 1000) / 1000
        raise ConfigurationError(f"an accuracy of {goal:g}{of} is out of reach: the most of any plan is {most:.3f}")
    return min(able, key=lambda p: p.cost).rate if able else max(points, key=lambda p: p.accuracy).rate


def _rate_within(points: Sequence[FrontierPoint], margin: float) -> float:
    """The cheapest rate that keeps within a margin, between two of those tried; else the one that is nearest to it."""
    able = [p for p in points if p.margin <= margin]
    if not able:
        return min(points, key=lambda p: (p.margin, p.cost)).rate
    best = min(able, key=lambda p: p.cost)
    after = min((p for p in points if p.rate > best.rate), key=lambda p: p.rate, default=best)
    if after.margin <= margin:
        return best.rate
    part = (margin - best.margin) / (after.margin - best.margin)
    return best.rate ** (1 - part) * after.rate**part


def point_of(rate: float, results: Results, problem: NDArray[np.int64]) -> FrontierPoint:
    """Sum up results: every problem counts once."""
    weights = 1.0 / np.bincount(problem)[problem]
    weights = weights / weights.sum()
    order = np.argsort(results.seconds)
    reached = np.searchsorted(np.cumsum(weights[order]), 0.95)
    p95 = float(results.seconds[order][min(int(reached), len(order) - 1)])
    return FrontierPoint(rate, float(weights @ results.right), float(weights @ results.cost), p95)


def margin_of(bench: Bench, paths: Mask, right: Floats) -> float:
    """The least margin of non-inferiority to all samples of the best way that verdicts on paths leave room to show.

    A one-sided bound at .95 is to lie above it with a power of .9, on as many groups of problems as all pools hold, if
    the policy loses no more there than here: that is the mean loss and (1.64 + 1.28) of its standard errors.
    """
    problem, groups = bench.problem[paths], np.array(bench.groups)[bench.problem[paths]]
    whole = max((way.paths.right[paths, -1] for way in bench.ways), key=lambda r: float(_by_problem(r, problem)))
    _, first, place = np.unique(problem, return_index=True, return_inverse=True)
    lost = np.bincount(place, whole - right) / np.bincount(place)
    group = np.unique(groups[first], return_inverse=True)[1]
    by_group = np.bincount(group, lost) / np.bincount(group)
    if len(by_group) < 2:
        return float(by_group.mean())
    return float(by_group.mean() + ROOM * by_group.std(ddof=1) / sqrt(len(set(bench.groups))))


def tuned(
    bench: Bench, train: Mask, settings: Settings, aim: Aim, *, rates: Sequence[float], strict: bool = True
) -> Fitted:
    """Choose the going rate by cross-validation on some paths, and fit all of them at it; or one for each class.

    Raises:
        ConfigurationError: no rate meets the aim, and it is ``strict``.
    """
    shown = frontier(bench, train, settings, rates=rates, folds=4)

    def rate_of(paths: Mask, name: str = "") -> float:
        points = [
            replace(
                point_of(rate, results.of(paths), bench.problem[paths]),
                margin=margin_of(bench, paths, results.right[paths]),
            )
            for rate, results in shown.items()
        ]
        fixed = best_fixed(bench, paths)
        return choose_rate(points, aim, best_fixed=fixed, unit=bench.unit, of=name, strict=strict)

    whole = fit(bench, train, rate_of(train), settings)
    if not settings.by_class:
        return whole
    classes = bench.of_path(bench.classes)
    fits = {whole.rate: whole}
    rows = dict(whole.rows)
    for name in sorted({name for name, _ in whole.rows} - {DEFAULT}):
        rate = rate_of(train & (classes == name), name)
        if rate not in fits:
            fits[rate] = fit(bench, train, rate, settings, base=whole.base)
        rows |= {place: plan for place, plan in fits[rate].rows.items() if place[0] == name}
    return replace(whole, rows=rows)


def best_fixed(bench: Bench, paths: Mask) -> float:
    """Accuracy of the best fixed number of samples of any way, on some paths."""
    return max(float(_by_problem(way.paths.right[paths], bench.problem[paths]).max()) for way in bench.ways)


def refuse_what_cannot_be_tuned(bench: Bench, settings: Settings, aim: Aim) -> None:
    """Make sure that there is something to learn from and something to look at.

    Raises:
        ConfigurationError: too few problems, or an aim in seconds that nobody recorded.
    """
    fewest = FEWEST if settings.estimator == "none" else FEWEST_TO_ESTIMATE
    if (there := len(set(bench.groups))) < fewest:
        less = f"; {FEWEST} where no difficulty is estimated (--estimator none)" if fewest > FEWEST else ""
        problems = "1 problem" if there == 1 else f"{there} problems"
        raise ConfigurationError(f"{problems}: it takes {fewest} to tune on some and to look at others{less}")
    if aim.kind == "p95_seconds" and any(way.paths.seconds is None for way in bench.ways):
        raise ConfigurationError(
            "the pool does not say how long its samples took: seconds cannot be an aim. Record one (ttc record)"
        )


def cross_validated(
    bench: Bench, settings: Settings, aim: Aim, *, on_progress: Callable[[int, int], None] | None = None
) -> CrossValidated:
    """Tune on all folds but one, rate included, and measure on that one; each in turn.

    Args:
        bench: what is tried.
        settings: what is searched.
        aim: what for.
        on_progress: called with the folds done and their number.

    Raises:
        ConfigurationError: too few problems, or an aim that cannot be met.
    """
    everything = np.ones(len(bench.problem), dtype=bool)
    refuse_what_cannot_be_tuned(bench, settings, aim)
    dealt = folds_of(bench.groups, settings.folds, seed=settings.seed)[bench.problem]
    rates = rates_for(bench, aim)
    whole, estimates = Results.empty(len(everything)), np.full(len(everything), 0.5)
    chosen: list[float] = []
    folds = np.unique(dealt)
    for done, fold in enumerate(folds):
        if on_progress is not None:
            on_progress(done, len(folds) + 1)
        held = dealt == fold
        fitted = tuned(bench, ~held, settings, aim, rates=rates, strict=False)
        chosen.append(fitted.rate)
        estimates[held] = estimated(fitted, bench, held)[held]
        whole.put(held, apply(fitted, bench, held, estimates=estimates))
    if on_progress is not None:
        on_progress(len(folds), len(folds) + 1)
    points = frontier(bench, everything, settings, rates=rates)
    return CrossValidated(
        results=whole,
        estimates=estimates,
        rates=tuple(chosen),
        frontier=tuple(point_of(rate, results, bench.problem) for rate, results in points.items()),
    )


def _by_problem(values: Floats, problem: NDArray[np.int64]) -> Floats:
    """Mean over problems, each counting once; shape (samples,)."""
    weights = 1.0 / np.bincount(problem)[problem]
    return weights @ values / weights.sum()
