"""What two runs show beside each other, as plain data. Every difference is of the first run less the second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ttc.evals.summary import EqualCost

__all__ = ["RunComparison", "RunDifference", "Side", "TargetRatio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two configurations of a difference, on the common problems.

    Attributes:
        run: the run's name.
        model: that answered.
        strategy: the strategy's spec without its ``n``.
        setting: ``n=4``, or empty.
        accuracy: share of right answers.
        low: lower end of its 95% interval.
        high: upper end.
        cost: means per query by axis; None where it is not known.
    """

    run: str
    model: str
    strategy: str
    setting: str
    accuracy: float
    low: float
    high: float
    cost: Mapping[str, float | None]

    @property
    def name(self) -> str:
        """The configuration in words."""
        return f"{self.strategy} {self.setting}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """A configuration of the first run less one of the second.

    Attributes:
        a: of the first run.
        b: of the second.
        same_model: both asked the same model, so that tokens may be compared.
        n: problems that both have.
        difference: of the accuracies.
        low: lower end of the paired 95% interval.
        high: upper end.
        credible: it excludes zero.
        p: two-sided p-value.
        p_holm: the same, adjusted for all differences of the comparison.
        ratios: by axis, the mean cost of the first over that of the second, where they may be compared and are known.
        problems_needed: problems that would show a difference as large as the one observed with a power of 0.8; None
            where it is resolved, or where none was observed.
        detectable: the least difference that the common problems show with that power; None where it is not known.
    """

    a: Side
    b: Side
    same_model: bool
    n: int
    difference: float
    low: float
    high: float
    credible: bool
    p: float
    p_holm: float
    ratios: Mapping[str, float]
    problems_needed: int | None
    detectable: float | None

    @property
    def verdict(self) -> str:
        """In words, the adjusted p-value considered."""
        if not self.credible:
            return "not resolved"
        word = "above" if self.difference > 0 else "below"
        return word if self.p_holm < 0.05 else f"{word}, not after Holm's correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRatio:
    """What a strategy of the first run costs to reach an accuracy, over what the second run's costs.

    Attributes:
        a: the first run's strategy.
        b: the second's.
        axis: what the cost counts.
        target: the accuracy.
        cost: mean per query of the first; None where its curve ends below.
        its_cost: of the second.
        ratio: the first over the second; None where one does not reach the target.
        low: lower end of its paired 95% interval.
        high: upper end; None: infinite.
        model: whose curves they are; empty where there is one pair of models.
    """

    a: str
    b: str
    axis: str
    target: float
    cost: float | None
    its_cost: float | None
    ratio: float | None
    low: float | None
    high: float | None
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
        a: name of the first run.
        b: name of the second.
        problems: that both have solved.
        only_a: that the first alone has.
        only_b: that the second alone has.
        differing: what the runs were not made alike in: name, the first's, the second's.
        notes: what a reader should know first.
        differences: of every configuration that both have.
        equal_cost: a strategy that chooses its own spending against the other run's where that costs as much.
        equal_axis: what that cost counts.
        targets: what accuracies cost, where both have a curve.
    """

    a: str
    b: str
    problems: int
    only_a: int
    only_b: int
    differing: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    differences: tuple[RunDifference, ...]
    equal_cost: tuple[EqualCost, ...] = ()
    equal_axis: str = "thinking"
    targets: tuple[TargetRatio, ...] = ()

    def to_json(self) -> bytes:
        """Return everything as JSON, with verdicts."""
        plain: dict[str, Any] = orjson.loads(orjson.dumps(self))
        for row, found in zip(plain["differences"], self.differences, strict=True):
            row["verdict"] = found.verdict
        return orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
