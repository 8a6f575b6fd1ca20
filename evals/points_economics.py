"""The economics of a run's points: model by model in thinking tokens, and across models in what is comparable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ttc.evals.economics.findings import Economics
from ttc.evals.economics.of_runs import run_economics
from ttc.evals.equal_cost import Measured
from ttc.evals.points import Series

__all__ = ["economics_of"]


def economics_of(series: Sequence[Series]) -> Iterator[Economics]:
    """Work out what the points of a run show of cost: of each model that has a curve, then across models.

    Args:
        series: every point of the run, on all problems.
    """
    models = list(dict.fromkeys(s.model for s in series))
    for model in models:
        points = [m for s in series if s.model == model and (m := s.measured()) is not None]
        found = run_economics(points, model=model, baseline=_baseline(points))
        if found is not None and found.baseline:
            yield found
    for axis in ("dollars", "flops") if len(models) > 1 else ():
        points = [s.measured(axis) for s in series]
        known = [replace(m, strategy=f"{m.model}: {m.strategy}") for m in points if m is not None]
        if len(known) < len(points):
            continue
        found = run_economics(known, axis=axis, baseline=_baseline(known))
        if found is not None and found.baseline:
            yield found


def _baseline(points: Sequence[Measured]) -> str:
    """The first majority that there is, with whatever parameters; of several models, that of the first."""
    return next((m.strategy for m in points if _plain_name(m) == "majority" and m.n is not None), "majority")


def _plain_name(point: Measured) -> str:
    return point.strategy.removeprefix(f"{point.model}: ").partition(":")[0]
