"""What a run says of how much its strategies differ from problem to problem: what the size of the next one rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from ttc.errors import RunError
from ttc.evals.records import UnitRecord
from ttc.evals.tournaments import problem_key

__all__ = ["MeasuredSpread", "spreads_of_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpread:
    """Two configurations of a run on the problems that both had.

    Attributes:
        spec: the strategy's.
        against: that of the other one.
        model: that answered; empty in a run of one model.
        problems: that both had.
        accuracy: of the first.
        difference: to the second.
        spread: standard deviation of the differences between problems.
        correlation: of the two's shares right over problems; None where one of them is the same everywhere.
    """

    spec: str
    against: str
    model: str
    problems: int
    accuracy: float
    difference: float
    spread: float
    correlation: float | None


def spreads_of_run(units: Iterable[UnitRecord]) -> list[MeasuredSpread]:
    """Hold the largest configuration of each strategy against ``single``, or against voting where that was not run.

    Raises:
        RunError: there are no two strategies on two problems or more.
    """
    scores: dict[tuple[str, str], tuple[int, str, dict[str, list[float]]]] = {}
    for unit in units:
        key, n = (unit.model, unit.strategy), unit.setting or 0
        if key not in scores or n > scores[key][0]:
            scores[key] = (n, unit.spec, {})
        if n == scores[key][0]:
            scores[key][2].setdefault(problem_key(unit), []).append(float(unit.correct))
    found: list[MeasuredSpread] = []
    models = sorted({model for model, _ in scores})
    for model in models:
        mine = {strategy: of_it for (m, strategy), of_it in sorted(scores.items()) if m == model}
        base = next((name for name in ("single", "majority") if name in mine), next(iter(mine)))
        for strategy, (_, spec, by_problem) in mine.items():
            common = sorted(set(by_problem) & set(mine[base][2]))
            if strategy != base and len(common) > 1:
                found.append(
                    _spread(
                        by_problem,
                        mine[base][2],
                        common,
                        spec=spec,
                        against=mine[base][1],
                        model=model if len(models) > 1 else "",
                    )
                )
    if not found:
        raise RunError("the run holds no two strategies on two problems or more: there is no difference to plan for")
    return found


def _spread(
    mine: Mapping[str, list[float]],
    its: Mapping[str, list[float]],
    common: list[str],
    *,
    spec: str,
    against: str,
    model: str,
) -> MeasuredSpread:
    a, b = (np.array([fmean(scores[p]) for p in common]) for scores in (mine, its))
    varies = a.std() > 0 and b.std() > 0
    return MeasuredSpread(
        spec=spec,
        against=against,
        model=model,
        problems=len(common),
        accuracy=float(a.mean()),
        difference=float((a - b).mean()),
        spread=float((a - b).std(ddof=1)),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varies else None,
    )
