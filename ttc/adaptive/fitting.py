"""From recorded paths and a going rate to rows: which plan each class and difficulty gets. Pure, and never in sample.

What a plan is worth is estimated on problems that its learned parts were not fitted on; the estimate of difficulty that
a path is sorted by comes from a fit that has not seen its problem. Picking the best of many plans on the very problems
that made them would flatter it: eight identical ones seem to gain 7 points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.bench import Bench, Mask
from ttc.adaptive.choosing import choose_plans
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.difficulty import AnyEstimator
from ttc.adaptive.plans import Escalate, Plan, PlanKind, Results, Way, run_plan
from ttc.adaptive.stopping import Confidence, LearnedStop, points_from
from ttc.adaptive.trajectories import Floats
from ttc.folds import folds_of
from ttc.seeds import hashed

__all__ = ["Fitted", "Settings", "apply", "estimated", "fit"]

PARTS = 3
"""Of the training problems: each is tried with what was fitted on the others. With fewer learned plans look worse than
they are, since they are fitted on less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What tuning searches, and how.

    Attributes:
        estimator: ``none``, ``prompt``, ``probe`` or ``verifier``.
        probe: samples drawn before a row is picked; 0 with ``none`` and ``prompt``.
        bins: of difficulty at the most; each has 20 problems at the least.
        learned: whether learned stops are tried.
        growth: of the waves of learned stops, each a share of the samples drawn by then.
        by_class: whether each class meets the aim by itself, at a going rate of its own.
        least: problems from which a class gets rows of its own.
        shrink: problems by which a class's estimates are drawn toward those of all classes.
        folds: of the problems.
        seed: of the folds.
    """

    estimator: Literal["none", "prompt", "probe", "verifier"] = "none"
    probe: int = 4
    bins: int = 5
    learned: bool = True
    growth: tuple[float, ...] = (0.25,)
    by_class: bool = False
    least: int = 20
    shrink: float = 20.0
    folds: int = 5
    seed: int = 0

    @property
    def drawn_first(self) -> int:
        """Samples that are drawn before a row is picked."""
        return self.probe if self.estimator in ("probe", "verifier") else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A policy before it is written down.

    Attributes:
        rate: the going rate.
        base: the way that probes.
        probe: samples drawn first.
        bounds: between bins of difficulty, ascending.
        rows: plan by class and bin; every class of it has all bins.
        estimator: what sorts queries into bins; None: there is one bin.
    """

    rate: float
    base: int
    probe: int
    bounds: tuple[float, ...]
    rows: Mapping[tuple[str, int], Plan]
    estimator: AnyEstimator | None

    def bin_of(self, p: Floats) -> NDArray[np.int64]:
        """Return the bin of each estimate, 0 for the hardest; what lies on a bound belongs to the easier bin."""
        return np.searchsorted(np.array(self.bounds), p, side="right")


def fit(bench: Bench, train: Mask, rate: float, settings: Settings, *, base: int | None = None) -> Fitted:
    """Choose the rows for a going rate, on some of the paths.

    Args:
        bench: what is tried.
        train: the paths to learn from; whole problems.
        rate: accuracy that one unit of cost has to bring.
        settings: what is searched.
        base: the way that probes; by default the one that is worth most by itself.
    """
    parts = _parts(bench, train, settings)
    if base is None:
        base = _base(bench.ways, parts, rate, settings)
    estimates, bounds = _sorted_out_of_fold(bench, train, parts, settings, base=base)
    ways = bench.ways
    if estimates is not None and not settings.drawn_first:
        ways = tuple(way.with_prior(np.where(train, estimates, 0.5)) for way in ways)
    firsts = [float(way.cost[train, 0].mean()) for way in ways]  # the same in all parts, so that all try the same plans
    scored: dict[PlanKind, Results] = {}
    for fitted_on, tried_on in parts:
        there = [way.of(tried_on) for way in ways]
        for plan in _plans(ways, fitted_on, rate, settings, base=base, firsts=firsts):
            found = run_plan(plan, there, probe=settings.drawn_first, base=base)
            scored.setdefault(plan.kind, Results.empty(len(train))).put(tried_on, found)
    chosen = choose_plans(bench, train, estimates, bounds, scored, rate, least=settings.least, shrink=settings.shrink)
    final = {plan.kind: plan for plan in _plans(ways, train, rate, settings, base=base, firsts=firsts)}
    kind = settings.estimator
    return Fitted(
        rate=rate,
        base=base,
        probe=settings.drawn_first,
        bounds=bounds,
        rows={place: final[kind] for place, kind in chosen.items()},
        estimator=bench.fit_estimator(kind, base, train, probe=settings.probe) if kind != "none" else None,
    )


def estimated(fitted: Fitted, bench: Bench, test: Mask) -> Floats:
    """P(one sample is correct) of each path, as what was fitted estimates it; 1/2 on paths that are not of the test."""
    estimates = np.full(len(test), 0.5)
    if fitted.estimator is not None:
        estimates[test] = bench.estimates(fitted.estimator, fitted.base, test)
    return estimates


def apply(fitted: Fitted, bench: Bench, test: Mask, *, estimates: Floats | None = None) -> Results:
    """Run what was fitted on paths, as the ``adaptive`` strategy would: estimate, pick a row, run its plan.

    Args:
        fitted: what was fitted.
        bench: of the tuning.
        test: the paths.
        estimates: of :func:`estimated`, where they are known.
    """
    if estimates is None:
        estimates = estimated(fitted, bench, test)
    ways = bench.ways
    if fitted.estimator is not None and not fitted.probe:
        ways = tuple(way.with_prior(estimates) for way in ways)
    bins = fitted.bin_of(estimates)
    known = {name for name, _ in fitted.rows}
    classes = bench.of_path([c if c in known else DEFAULT for c in bench.classes])
    whole = Results.empty(len(test))
    for (name, number), plan in fitted.rows.items():
        here = test & (classes == name) & (bins == number)
        if here.any():
            whole.put(here, run_plan(plan, [way.of(here) for way in ways], probe=fitted.probe, base=fitted.base))
    return whole.of(test)


# -- inside ----------------------------------------------------------------------------------------------------------


def _parts(bench: Bench, train: Mask, settings: Settings) -> list[tuple[Mask, Mask]]:
    """Parts of the training problems: those to fit on, and those that what was fitted is tried on."""
    part = folds_of(bench.groups, PARTS, seed=hashed("part", settings.seed, bits=32))[bench.problem]
    held = [train & (part == i) for i in range(PARTS)]
    if not all(paths.any() for paths in held):
        return [(train, train)]
    return [(train & ~paths, paths) for paths in held]


def _sorted_out_of_fold(
    bench: Bench, train: Mask, parts: Sequence[tuple[Mask, Mask]], settings: Settings, *, base: int
) -> tuple[Floats | None, tuple[float, ...]]:
    """Estimates of the training paths by fits on the other parts, and the bounds of bins of equal size."""
    if settings.estimator == "none":
        return None, ()
    estimates = np.full(len(train), 0.5)
    for fitted_on, tried_on in parts:
        estimator = bench.fit_estimator(settings.estimator, base, fitted_on, probe=settings.probe)
        estimates[tried_on] = bench.estimates(estimator, base, tried_on)
    problems = len(np.unique(bench.group[train]))
    bins = max(1, min(settings.bins, problems // 20))
    bounds = np.quantile(estimates[train], np.arange(1, bins) / bins)
    return estimates, tuple(sorted({round(float(b), 4) for b in bounds if 0 < round(float(b), 4) < 1}))


def _base(ways: Sequence[Way], parts: Sequence[tuple[Mask, Mask]], rate: float, settings: Settings) -> int:
    """The way that is worth most by itself, stopped well: the one that probes."""
    if len(ways) == 1:
        return 0
    fitted_on, tried_on = parts[0]
    values: list[float] = []
    for i, way in enumerate(ways):
        stop = _learn(way.of(fitted_on), rate, settings, settings.growth[0])
        found = run_plan(Plan(way=i, n=way.paths.width, stop=stop), [w.of(tried_on) for w in ways])
        values.append(float(found.value(rate).mean()))
    return int(np.argmax(values))


def _learn(way: Way, rate: float, settings: Settings, growth: float, worth: Floats | None = None) -> LearnedStop:
    points = points_from(max(1, settings.drawn_first), way.paths.width, growth=growth)
    return LearnedStop.fit(way.paths, rate=rate, points=points, costs=way.cost, worth=worth)


def _confidence(way: Way, settings: Settings) -> Confidence:
    return Confidence.fit(way.paths, points=points_from(max(1, settings.drawn_first), way.paths.width))


def _plans(
    ways: Sequence[Way], fitted_on: Mask, rate: float, settings: Settings, *, base: int, firsts: Sequence[float]
) -> Iterator[Plan]:
    """All plans, their learned parts fitted on some paths; ``firsts``: what one sample of each way costs."""
    there = [way.of(fitted_on) for way in ways]
    stops: dict[int, LearnedStop] = {}
    for i, way in enumerate(there):
        handed = settings.drawn_first if way.draws_like(there[base]) else 1
        sizes = {*range(1, 9), *(2**k for k in range(way.paths.width.bit_length())), way.paths.width, max(1, handed)}
        yield from (Plan(way=i, n=n) for n in sorted(sizes) if handed <= n <= way.paths.width)
        yield from (Plan(way=i, n=way.paths.width, beta=beta) for beta in way.beta_stops)
        if settings.learned:
            for growth in settings.growth:
                stops[i] = _learn(way, rate, settings, growth)
                yield Plan(way=i, n=way.paths.width, stop=stops[i])
    if settings.learned:
        yield from _cascades(there, stops, rate, settings, firsts=firsts)


def _cascades(
    ways: Sequence[Way], stops: Mapping[int, LearnedStop], rate: float, settings: Settings, *, firsts: Sequence[float]
) -> Iterator[Plan]:
    """Plans that begin on a cheaper model, or with less thinking, and hand on what stays doubtful."""
    for (i, way), (j, other) in product(enumerate(ways), repeat=2):
        if way.draws_like(other) or firsts[i] >= firsts[j]:
            continue
        row = np.arange(len(other.paths.problem))
        m = stops[j].stops(other.paths)
        handed_on = other.paths.right[row, m - 1] - rate * other.cost[row, m - 1]
        confidence = _confidence(way, settings)
        sure = np.stack([confidence.at(k, way.paths.features[:, k - 1]) for k in range(1, way.paths.width + 1)], axis=1)
        best: tuple[float, Plan] | None = None
        for below in np.arange(0.1, 1.0, 0.1).round(2).tolist():
            worth = np.where(sure < below, handed_on[:, None], way.paths.right)
            stop = _learn(way, rate, settings, settings.growth[0], worth)
            n = stop.stops(way.paths)
            value = float((worth[row, n - 1] - rate * way.cost[row, n - 1]).mean())
            if best is None or value > best[0]:
                escalate = Escalate(way=j, below=below, confidence=confidence, stop=stops[j])
                best = value, Plan(way=i, n=way.paths.width, stop=stop, escalate=escalate)
        if best is not None:
            yield best[1]
