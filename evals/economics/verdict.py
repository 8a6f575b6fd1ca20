"""The verdict on a policy: what it saves against full N and against the cheapest N that does as well, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from ttc.errors import ConfigurationError
from ttc.evals.economics.curves import CostCurve
from ttc.evals.economics.intervals import Interval, intervals
from ttc.evals.economics.oracle import OracleFrontier
from ttc.evals.economics.paths import Measured, PolicyResult, measure
from ttc.non_inferiority import NonInferiority, non_inferior

__all__ = ["Ratios", "compare", "measured_policy"]

FULL, CHEAPEST, ORACLE = 4.0, 2.0, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """A policy against fixed N on one pool. Costs are means per query, in the pool's unit.

    Attributes:
        pool: its name.
        policy: what was compared.
        unit: of the costs.
        full: the setting that is full N.
        problems: of the pool.
        groups: of problems, which is what intervals resample.
        accuracy_full: at full N.
        cost_full: at full N.
        accuracy_policy: of the policy.
        cost_policy: of the policy.
        ratio_full: cost at full N over the policy's.
        cheapest: the cheapest fixed setting that reaches the policy's accuracy; empty where none does.
        cost_cheapest: what it costs; infinite where none does.
        ratio_cheapest: its cost over the policy's. Where no N reaches it, full N stands in, and it is a lower bound.
        ratio_interpolated: the same between two N, on the non-decreasing hull; a lower bound likewise.
        cost_oracle: what the oracle-bin policy pays for the policy's accuracy; infinite where it never reaches it, None
            without an oracle.
        ratio_oracle: the policy's cost over that: 1.5 or less is what is asked; None without an oracle. Where the
            oracle never gets there, the cost of the best that it does stands in, and it is an upper bound.
        gap_oracle: by how much accuracy the oracle is ahead at 1.5 times less than the policy's cost; the same question
            where the oracle's curve is flat, and its cost at an accuracy hangs on a hair.
        oracle: from what its bins were known.
        targets: accuracies below full N's by 5, 2, 1 and 0 points.
        to_target_fixed: what fixed N costs at each target, interpolated on the hull.
        to_target_policy: what the policy's curve costs there; infinite where it does not reach it.
        area_fixed: mean accuracy over log cost, from the dearer of the first points to full N.
        area_policy: the same of the policy's curve.
        area_range: from which cost to which.
        non_inferior: to full N, clustered on groups.
    """

    pool: str
    policy: str
    unit: str
    full: str
    problems: int
    groups: int
    accuracy_full: float
    cost_full: float
    accuracy_policy: float
    cost_policy: float
    ratio_full: Interval
    cheapest: str
    cost_cheapest: float
    ratio_cheapest: Interval
    ratio_interpolated: Interval
    cost_oracle: float | None
    ratio_oracle: Interval | None
    gap_oracle: Interval | None
    oracle: str
    targets: tuple[float, ...]
    to_target_fixed: tuple[float, ...]
    to_target_policy: tuple[float, ...]
    area_fixed: float
    area_policy: float
    area_range: tuple[float, float]
    non_inferior: NonInferiority

    @property
    def claim(self) -> bool:
        """At most a quarter of full N and half of the cheapest N that does as well, and no worse by two points."""
        return self.ratio_full.value >= FULL and self.ratio_cheapest.value >= CHEAPEST and self.non_inferior.shown

    @property
    def near_oracle(self) -> bool:
        """At most 1.5 times what the oracle pays for the same accuracy, or for the best that it reaches."""
        return self.ratio_oracle is not None and self.ratio_oracle.value <= ORACLE


def measured_policy(result: PolicyResult, fixed: Measured) -> Measured:
    """Average a policy's paths over the problems of a fixed curve."""
    right, cost = result.right, result.cost
    if right.ndim == 1:
        right, cost = right[:, None], cost[:, None]
    settings = result.settings or tuple(str(i) for i in range(right.shape[1]))
    return measure(right, cost, problem=result.problem, groups=fixed.groups, settings=settings, unit=fixed.unit)


def compare(
    fixed: Measured,
    policy: Measured,
    *,
    pool: str,
    name: str = "adaptive",
    setting: str | None = None,
    oracle: OracleFrontier | None = None,
    frontier: CostCurve | None = None,
    margin: float = 0.02,
    repetitions: int = 1000,
    seed: int = 0,
) -> Ratios:
    """Hold a policy against the fixed-N curve on the same problems.

    Args:
        fixed: the curve (:func:`~ttc.evals.economics.paths.fixed_curve`); its last setting is full N.
        policy: the policy, at one going rate or at several.
        pool: its name.
        name: the policy's.
        setting: which going rate is the policy; needed where there are several. It has to be chosen on other problems.
        oracle: the oracle-bin policy of the same paths.
        frontier: the policy's kind at several going rates, measured out of fold, for targets and areas; by default what
            ``policy`` holds.
        margin: of non-inferiority.
        repetitions: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigurationError: other problems or another unit than the curve's, or no setting is named of several.
    """
    if policy.unit != fixed.unit:
        raise ConfigurationError(f"the policy counts {policy.unit}, the curve {fixed.unit}: costs are not compared")
    first, *others = policy.settings
    if setting is None and others:
        raise ConfigurationError(f"name the setting that is the policy: {', '.join(policy.settings)}")
    at, full = setting or first, fixed.settings[-1]

    def ratios(curves: Sequence[CostCurve]) -> dict[str, float]:
        curve, of_policy = curves[:2]
        accuracy, cost = of_policy.at(at)
        most = curve.at(full)[1]
        found = {
            "full": most / cost,
            "cheapest": _or(curve.cost_to_reach(accuracy), most) / cost,
            "interpolated": _or(curve.interpolated_cost(accuracy), most) / cost,
        }
        if len(curves) > 2:
            of_oracle = curves[2]
            costs = of_oracle.hull[0]
            found["oracle"] = cost / _or(of_oracle.interpolated_cost(accuracy), float(costs[-1]))
            found["gap"] = of_oracle.accuracy_at(max(cost / ORACLE, float(costs[0]))) - accuracy
        return found

    measured = [fixed, policy, *([oracle.measured] if oracle else [])]
    found = intervals(ratios, *measured, repetitions=repetitions, seed=seed)
    curve = fixed.curve()
    accuracy_full, cost_full = curve.at(full)
    accuracy, cost = policy.curve().at(at)
    of_policy = frontier or policy.curve()
    targets = tuple(accuracy_full - x for x in (0.05, 0.02, 0.01, 0.0))
    low = max(curve.hull[0][0], of_policy.hull[0][0])
    high = max(cost_full, low * 1.01)
    return Ratios(
        pool=pool,
        policy=name,
        unit=fixed.unit,
        full=full,
        problems=len(fixed.groups),
        groups=len(set(fixed.groups)),
        accuracy_full=accuracy_full,
        cost_full=cost_full,
        accuracy_policy=accuracy,
        cost_policy=cost,
        ratio_full=found["full"],
        cheapest=curve.cheapest(accuracy) or "",
        cost_cheapest=curve.cost_to_reach(accuracy),
        ratio_cheapest=found["cheapest"],
        ratio_interpolated=found["interpolated"],
        cost_oracle=oracle.cost_at(accuracy) if oracle else None,
        ratio_oracle=found.get("oracle"),
        gap_oracle=found.get("gap"),
        oracle=oracle.source if oracle else "",
        targets=targets,
        to_target_fixed=tuple(curve.interpolated_cost(t) for t in targets),
        to_target_policy=tuple(of_policy.interpolated_cost(t) for t in targets),
        area_fixed=curve.area_under(low, high),
        area_policy=of_policy.area_under(low, high),
        area_range=(float(low), float(high)),
        non_inferior=non_inferior(policy.scores(at), fixed.scores(full), margin=margin),
    )


def _or(cost: float, most: float) -> float:
    """A cost that is not infinite: where no N reaches an accuracy, full N is the least that may be set against it."""
    return cost if isfinite(cost) and cost < inf else most
