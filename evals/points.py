"""From readings to points and their comparisons: means over problems with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ttc.evals.equal_cost import Measured, measured
from ttc.evals.readings import Reading
from ttc.evals.summary import Comparison, Point
from ttc.statistics import holm, mean, paired_difference

__all__ = ["Series", "compare_with_majority", "compare_with_single", "point_of"]


@dataclass(slots=True)
class Series:
    """The readings of one point before they are summed up.

    Attributes:
        model: that answered; empty in a run of one model.
        strategy: the strategy's spec without its ``n``.
        spec: the spec that ran.
        setting: its ``n``, or None.
        how: ``prefix`` or ``explicit``, as the curve.
        readings: by problem and epoch.
    """

    model: str
    strategy: str
    spec: str
    setting: int | None
    how: Literal["prefix", "explicit"]
    readings: list[Reading] = field(default_factory=list[Reading])

    def scores(self) -> dict[str, list[float]]:
        """Return the verdicts of each problem, over epochs."""
        scores: dict[str, list[float]] = {}
        for r in self.readings:
            scores.setdefault(r.problem, []).append(float(r.correct))
        return scores

    def measured(self, axis: str = "thinking") -> Measured | None:
        """Return the share of right answers and the cost by problem; None where the cost is not known on the axis."""
        readings = [(r.problem, r.correct, cost) for r in self.readings if (cost := r.cost[axis]) is not None]
        if len(readings) < len(self.readings):
            return None
        return measured(
            self.strategy, self.spec, readings, n=self.setting, prefix=self.how == "prefix", model=self.model
        )

    def of(self, problems: frozenset[str]) -> Series:
        """Return the same on some of the problems."""
        kept = [r for r in self.readings if r.problem in problems]
        return Series(self.model, self.strategy, self.spec, self.setting, self.how, kept)


def point_of(series: Series, group: str) -> Point:
    """Sum up the readings of a point, on one group of problems."""
    readings = series.readings
    m = mean(series.scores())
    kinds = sorted({kind for r in readings for kind in r.kinds})
    samples = sum(r.draws.samples for r in readings) or 1
    return Point(
        model=series.model,
        strategy=series.strategy,
        spec=series.spec,
        setting="" if series.setting is None else f"n={series.setting}",
        group=group,
        n=m.n,
        accuracy=m.value,
        se=m.se,
        low=m.low,
        high=m.high,
        cost={name: _average([r.cost[name] for r in readings]) for name in readings[0].cost},
        abstained=sum(not r.answered for r in readings) / len(readings),
        cut=sum(r.draws.cut for r in readings) / len(readings),
        failed=sum(r.failed for r in readings) / len(readings),
        undecided=sum(r.undecided for r in readings) / len(readings),
        refused=sum(r.draws.refused for r in readings) / samples,
        unparsed=sum(r.draws.unparsed for r in readings) / samples,
        cut_thoughts=sum(r.draws.cut_thoughts for r in readings) / samples,
        kinds={kind: sum(r.kinds.get(kind, 0.0) for r in readings) / len(readings) for kind in kinds},
        method=m.method,
    )


def _average(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def compare_with_single(points: Sequence[tuple[Series, Point]], group: str) -> list[Comparison]:
    """Compare every point of one model with its ``single``, and adjust for their number."""
    base = next(((s, p) for s, p in points if s.strategy == "single"), None)
    if base is None:
        return []
    rivals = [(s, p) for s, p in points if s is not base[0]]
    return _paired([(rival, base, "single") for rival in rivals], group)


def compare_with_majority(points: Sequence[tuple[Series, Point]], group: str) -> list[Comparison]:
    """Compare the largest point of every other strategy with the majority of as many samples, or of the most."""
    votes = [(s, p) for s, p in points if s.strategy == "majority"]
    if not votes:
        return []
    largest = {s.strategy: (s, p) for s, p in points if s.strategy not in ("single", "majority")}
    pairs = [
        (rival, next((v for v in votes if v[1].setting == rival[1].setting), votes[-1])) for rival in largest.values()
    ]
    return _paired([(rival, vote, f"majority {vote[1].setting}".strip()) for rival, vote in pairs], group)


def _paired(pairs: Sequence[tuple[tuple[Series, Point], tuple[Series, Point], str]], group: str) -> list[Comparison]:
    """Differences of points on the problems that both have, adjusted for how many are compared."""
    scores = [(rival[0].scores(), base[0].scores()) for rival, base, _ in pairs]
    met = [(pair, s) for pair, s in zip(pairs, scores, strict=True) if not s[0].keys().isdisjoint(s[1])]
    found = [paired_difference(*s) for _, s in met]
    comparisons: list[Comparison] = []
    for ((rival, base, against), _), d, p_holm in zip(met, found, holm([d.p for d in found]), strict=True):
        mine, its = rival[1].cost["thinking"], base[1].cost["thinking"]
        comparisons.append(
            Comparison(
                model=rival[0].model,
                strategy=rival[0].strategy,
                setting=rival[1].setting,
                against=against,
                group=group,
                n=d.n,
                difference=d.value,
                low=d.low,
                high=d.high,
                credible=d.credible,
                p=d.p,
                p_holm=p_holm,
                cost_ratio=mine / its if mine is not None and its else None,
            )
        )
    return comparisons
