"""Which of the plans that were tried each class and difficulty gets: what looks best by luck is not picked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from ttc.adaptive.bench import Bench, Mask
from ttc.adaptive.classes import DEFAULT
from ttc.adaptive.plans import PlanKind, Results
from ttc.adaptive.trajectories import Floats

__all__ = ["choose_plans"]


def choose_plans(
    bench: Bench,
    train: Mask,
    estimates: Floats | None,
    bounds: Sequence[float],
    scored: Mapping[PlanKind, Results],
    rate: float,
    *,
    least: int,
    shrink: float,
) -> dict[tuple[str, int], PlanKind]:
    """Pick the plan of most worth for each class and bin; what a class says is drawn toward what all classes say.

    Args:
        bench: what was tried.
        train: the paths to choose on.
        estimates: of the difficulty of each path; None: there is one bin.
        bounds: between bins.
        scored: what each plan did on paths that it was not fitted on.
        rate: the going rate.
        least: problems from which a class gets rows of its own.
        shrink: problems by which estimates are drawn toward those of more paths.
    """
    bins = np.zeros(len(train), dtype=np.int64)
    if estimates is not None:
        bins = np.searchsorted(np.array(bounds), estimates, side="right")
    classes = bench.of_path(bench.classes)
    own = [
        name
        for name in sorted(set(bench.classes) - {DEFAULT})
        if len(np.unique(bench.group[train & (classes == name)])) >= least
    ]
    values = {kind: found.value(rate) for kind, found in scored.items()}
    overall = {kind: float(v[train].mean()) for kind, v in values.items()}
    chosen: dict[tuple[str, int], PlanKind] = {}
    for number in range(len(bounds) + 1):
        here = train & (bins == number)
        pooled = _shrunk(bench, here, values, overall, shrink)
        chosen[DEFAULT, number] = _preferred(bench, here, values, pooled)
        for name in own:
            theirs = here & (classes == name)
            mine = _shrunk(bench, theirs, values, pooled, shrink)
            chosen[name, number] = _preferred(bench, theirs, values, mine)
    return chosen


def _shrunk(
    bench: Bench,
    here: Mask,
    values: Mapping[PlanKind, Floats],
    toward: Mapping[PlanKind, float],
    shrink: float,
) -> dict[PlanKind, float]:
    """Mean value of each plan on some paths, drawn toward a mean over more of them, as if by so many problems."""
    n = len(np.unique(bench.group[here]))
    if not n:
        return dict(toward)
    return {k: (n * float(v[here].mean()) + shrink * toward[k]) / (n + shrink) for k, v in values.items()}


def _preferred(
    bench: Bench, here: Mask, values: Mapping[PlanKind, Floats], worth: Mapping[PlanKind, float]
) -> PlanKind:
    """The plan of most worth; one without a learned stop only if it beats those with one by a standard error.

    Of a dozen plans that are alike, the one that looks best is so by luck; learned ones can do all that the others can.
    """
    best = max(worth, key=lambda k: worth[k])
    learned = [k for k in worth if k.points]
    if not learned or best in learned:
        return best
    usual = max(learned, key=lambda k: worth[k])
    group = np.unique(bench.group[here], return_inverse=True)[1]
    counts = np.bincount(group)
    if len(counts) < 2:
        return usual
    gain = np.bincount(group, (values[best] - values[usual])[here]) / counts
    return best if worth[best] - worth[usual] > gain.std(ddof=1) / sqrt(len(gain)) else usual
