"""Which configurations of two runs are held against each other, in what cost, and what that shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import fmean

from ttc.errors import RunError, UnknownName
from ttc.evals.axes import AXES
from ttc.evals.comparison.compared_runs import ComparedRun, same_model
from ttc.evals.comparison.differences import RunDifference, Side, TargetRatio
from ttc.evals.economics.of_runs import run_economics
from ttc.evals.equal_cost import Measured, compare_at_equal_cost
from ttc.evals.points import Series
from ttc.evals.summary import EqualCost
from ttc.power import detectable_difference, problems_for_difference
from ttc.statistics import holm, mean, paired_difference

__all__ = ["SHARED_COSTS", "Pairing"]

SHARED_COSTS = ("flops", "dollars")
"""Costs that mean the same for every model."""
_COSTS = ("thinking", "generated", "total", "calls", *SHARED_COSTS)


@dataclass(slots=True)
class Pairing:
    """The configurations of two runs that are held against each other.

    Attributes:
        one: the first run, on the common problems.
        other: the second.
        strategy: of the first run alone; None: every one that both have.
        against: the second run's strategy that it is held against; None: the same.
        pairs: models of both, and whether they are one model.
    """

    one: ComparedRun
    other: ComparedRun
    strategy: str | None
    against: str | None
    pairs: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])

    def __post_init__(self) -> None:
        mine, its = self.one.models, self.other.models
        if shared := [model for model in mine if model in its]:
            named = [(model, model) for model in shared]
        else:
            named = [(m, i) for m in mine for i in its]
        self.pairs = [(m, i, same_model(self.one, self.other, m, i)) for m, i in named]
        for name, run in ((self.strategy, self.one), (self.against or self.strategy, self.other)):
            known = sorted({point.strategy for point in run.points})
            if name is not None and name not in known:
                raise UnknownName(f"strategy of run '{run.name}'", name, known)

    @property
    def axis(self) -> str | None:
        """What costs are compared in: thinking tokens of one model, else what both know of FLOPs and dollars."""
        if all(same for _, _, same in self.pairs):
            return "thinking"
        points = [*self.one.points, *self.other.points]
        return next((axis for axis in SHARED_COSTS if all(_cost(point, axis) is not None for point in points)), None)

    def matched(self) -> list[tuple[Series, Series, bool]]:
        """Every configuration with its counterpart, and whether one model answered both."""
        found: list[tuple[Series, Series, bool]] = []
        for mine, its, same in self.pairs:
            left = [p for p in self.one.points if p.model == mine and self.strategy in (None, p.strategy)]
            right = [p for p in self.other.points if p.model == its]
            rows = [
                (p, q)
                for p in left
                for q in right
                if q.strategy == (self.against or p.strategy) and q.setting == p.setting
            ]
            if self.against is not None and not rows and left:
                others = [q for q in right if q.strategy == self.against]
                rows = [(left[-1], others[-1])] if others else []  # the largest of each
            found += [(p, q, same) for p, q in rows]
        return found

    def differences(self) -> list[RunDifference]:
        """Return every difference with its interval; p-values are adjusted for all of them.

        Raises:
            RunError: the runs share no configuration.
        """
        matched = [(p, q, s) for p, q, s in self.matched() if not p.scores().keys().isdisjoint(q.scores())]
        if not matched:
            mine, its = (", ".join(dict.fromkeys(map(_named, run.points))) for run in (self.one, self.other))
            raise RunError(
                f"the runs share no strategy with the same setting: '{self.one.name}' has {mine}; '{self.other.name}' "
                f"has {its}. --strategy A --against B compares two of them"
            )
        found = [_difference(p, q, same, self.one.name, self.other.name) for p, q, same in matched]
        adjusted = holm([d.p for d in found])
        return [replace(d, p_holm=p) for d, p in zip(found, adjusted, strict=True)]

    def at_equal_cost(self) -> list[EqualCost]:
        """Hold what chooses its own spending in one run against the curves of the other, where they cost as much."""
        axis = self.axis
        if axis is None:
            return []
        found: list[EqualCost] = []
        for mine, its, _ in self.pairs:
            sides = ((self.one, mine, self.strategy), (self.other, its, self.against or self.strategy))
            for (run, model, wanted), (rival, its_model, against) in (sides, sides[::-1]):
                lone = [
                    p
                    for p in run.points
                    if p.model == model
                    and p.setting is None
                    and p.strategy != "single"
                    and wanted in (None, p.strategy)
                ]
                curve = [
                    p
                    for p in rival.points
                    if p.model == its_model and p.setting is not None and against in (None, p.strategy)
                ]
                points = [_measured(p, axis, run.name) for p in lone] + [_measured(p, axis, rival.name) for p in curve]
                measured = compare_at_equal_cost([point for point in points if point is not None])
                found += [replace(c, model=self._which(model, its_model)) for c in measured]
        adjusted = holm([c.p for c in found])
        return [replace(c, p_holm=p) for c, p in zip(found, adjusted, strict=True)]

    def targets(self) -> list[TargetRatio]:
        """What accuracies cost in the first run over the second, for every pair of curves."""
        axis = self.axis
        if axis is None:
            return []
        names = dict.fromkeys((p.model, p.strategy, q.model, q.strategy) for p, q, _ in self.matched() if p.setting)
        found: list[TargetRatio] = []
        for model, strategy, its_model, its_strategy in names:
            left = _curve(self.one, model, strategy, axis)
            right = _curve(self.other, its_model, its_strategy, axis)
            if len(left) < 2 or len(right) < 2:
                continue
            economics = run_economics([*left, *right], axis=axis, baseline=right[0].strategy)
            if economics is None:
                continue
            its = {t.target: t.cost for t in economics.to_target if t.strategy == right[0].strategy}
            for t in economics.to_target:
                if t.strategy == left[0].strategy:
                    found.append(
                        TargetRatio(
                            a=strategy,
                            b=its_strategy,
                            axis=axis,
                            target=t.target,
                            cost=t.cost,
                            its_cost=its.get(t.target),
                            ratio=t.ratio,
                            low=t.ratio_low,
                            high=t.ratio_high,
                            model=self._which(model, its_model),
                        )
                    )
        return found

    def _which(self, model: str, its_model: str) -> str:
        """Whose curves are held against each other, where it has to be said."""
        if len(self.pairs) < 2:
            return ""
        return model if model == its_model else f"{model} against {its_model}"


def _difference(p: Series, q: Series, same: bool, run: str, other: str) -> RunDifference:
    d = paired_difference(p.scores(), q.scores())
    common = frozenset(p.scores()) & frozenset(q.scores())
    a, b = _side(p.of(common), run), _side(q.of(common), other)
    axes = _COSTS if same else SHARED_COSTS
    ratios = {axis: x / y for axis in axes if (x := a.cost.get(axis)) is not None and (y := b.cost.get(axis))}
    spread = d.se * sqrt(d.n)
    measurable = spread > 0 and d.n > 1
    needed = None
    if measurable and not d.credible and 0 < abs(d.value) < 1:
        needed = problems_for_difference(d.value, spread)
    return RunDifference(
        a=a,
        b=b,
        same_model=same,
        n=d.n,
        difference=d.value,
        low=d.low,
        high=d.high,
        credible=d.credible,
        p=d.p,
        p_holm=d.p,
        ratios=ratios,
        problems_needed=needed,
        detectable=detectable_difference(d.n, spread) if measurable else None,
    )


def _side(point: Series, run: str) -> Side:
    m = mean(point.scores())
    return Side(
        run=run,
        model=point.model,
        strategy=point.strategy,
        setting="" if point.setting is None else f"n={point.setting}",
        accuracy=m.value,
        low=m.low,
        high=m.high,
        cost={axis: _cost(point, axis) for axis in AXES if axis != "seconds"},
    )


def _cost(point: Series, axis: str) -> float | None:
    values = [reading.cost.get(axis) for reading in point.readings]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _measured(point: Series, axis: str, run: str) -> Measured | None:
    """A point by problem, named with its run, and with no model: what is compared was made sure of before."""
    found = point.measured(axis)
    if found is None:
        return None
    return replace(found, model="", strategy=f"{point.strategy} of {run}")


def _curve(run: ComparedRun, model: str, strategy: str, axis: str) -> list[Measured]:
    points = [p for p in run.points if (p.model, p.strategy) == (model, strategy) and p.setting is not None]
    found = [_measured(point, axis, run.name) for point in points]
    return [point for point in found if point is not None]


def _named(point: Series) -> str:
    return f"{point.strategy} n={point.setting}" if point.setting is not None else point.strategy
