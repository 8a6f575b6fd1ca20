"""What a run showed, as plain data: points, curves, comparisons; the form in which reports and tables read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import orjson

from ttc.evals.economics.findings import Economics, economics_from_json

__all__ = ["Comparison", "Curve", "EqualCost", "Judging", "Point", "Summary", "summary_from_json", "summary_to_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Accuracy and cost of one configuration on one group of problems.

    Attributes:
        strategy: the strategy's spec without its ``n``; names the curve.
        spec: the spec that ran (for a prefix point: the run that it was read off).
        setting: ``n=4``, or empty where the strategy has no ``n``.
        group: ``all``, a value of a tag (``level=easy``), or a bin of difficulty (``difficulty=1 of 5``).
        n: problems.
        accuracy: share of right answers; an abstention is a wrong one.
        se: standard error of it, clustered on problems.
        low: lower end of the 95% interval.
        high: upper end.
        cost: means per query: ``thinking`` (generated tokens outside the returned answer), ``generated``, ``total``
            (with prompts), ``calls``, ``dollars`` and ``flops``; None where it is not known (calls of a judge within a
            prefix, dollars of a model without a price, FLOPs of one whose parameters nobody said).
        abstained: share of queries that ended without an answer.
        cut: mean number of samples per query that the budget cut.
        failed: share of queries of which every call failed.
        kinds: mean generated tokens per query by kind of call.
        method: how the interval was made: ``wilson``, or ``none`` with one problem.
        undecided: share of queries that the grader could not decide.
        model: that answered; empty in a run of one model.
        refused: share of the samples that decline to answer, see :mod:`ttc.refusals`.
        unparsed: share of the samples that ended by themselves without an answer that could be read.
        cut_thoughts: share of the samples that were cut while still thinking.
    """

    strategy: str
    spec: str
    setting: str
    group: str
    n: int
    accuracy: float
    se: float
    low: float
    high: float
    cost: Mapping[str, float | None]
    abstained: float
    cut: float
    failed: float
    kinds: Mapping[str, float]
    method: str
    undecided: float = 0.0
    model: str = ""
    refused: float = 0.0
    unparsed: float = 0.0
    cut_thoughts: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The points of one strategy on one group, by rising ``n``.

    Attributes:
        how: ``prefix`` (anytime curve of one run) or ``explicit`` (separate configurations).
        model: that answered; empty in a run of one model.
    """

    strategy: str
    group: str
    how: Literal["prefix", "explicit"]
    points: tuple[Point, ...]
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A point against another strategy's, paired on problems.

    Attributes:
        difference: accuracy of this one minus that of ``against``.
        credible: the 95% interval excludes zero.
        p: two-sided p-value.
        p_holm: the same, adjusted for all comparisons of the group.
        cost_ratio: thinking tokens of this one over those of ``against``; None where those are zero.
        model: that answered; empty in a run of one model.
    """

    strategy: str
    setting: str
    against: str = "single"
    group: str
    n: int
    difference: float
    low: float
    high: float
    credible: bool
    p: float
    p_holm: float
    cost_ratio: float | None
    model: str = ""

    @property
    def verdict(self) -> str:
        """In words: ``above single``, ``below single`` or ``not resolved``."""
        if not self.credible:
            return "not resolved"
        return f"{'above' if self.difference > 0 else 'below'} {self.against}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualCost:
    """A strategy that chooses its own spending against a fixed one that costs as much, paired on problems.

    Attributes:
        strategy: the strategy's spec.
        spec: the spec that ran.
        against: the fixed strategy's spec without its ``n``.
        settings: where that costs as much: between two of its settings, or at one.
        where: ``equal``; ``cheaper`` where the fixed one's dearest setting costs less; ``dearer`` where its cheapest
            one costs more.
        n: problems.
        cost: thinking tokens per query.
        its_cost: those of the fixed one at the place that it is read at.
        accuracy: share of right answers.
        its_accuracy: that of the fixed one there.
        difference: this one's accuracy less that of the fixed one.
        low: lower end of the 95% interval.
        high: upper end.
        credible: the interval excludes zero.
        p: two-sided p-value.
        p_holm: the same, adjusted for all comparisons at equal cost.
        model: that answered; empty in a run of one model.
    """

    strategy: str
    spec: str
    against: str
    settings: tuple[str, ...]
    where: Literal["equal", "cheaper", "dearer"]
    n: int
    cost: float
    its_cost: float
    accuracy: float
    its_accuracy: float
    difference: float
    low: float
    high: float
    credible: bool
    p: float
    p_holm: float
    model: str = ""

    @property
    def verdict(self) -> str:
        """In words: ``above majority``, ``below majority`` or ``not resolved``."""
        if not self.credible:
            return "not resolved"
        return f"{'above' if self.difference > 0 else 'below'} {self.against}"

    @property
    def place(self) -> str:
        """Where the fixed strategy is read, in words."""
        at = " to ".join(self.settings)
        if self.where == "equal":
            return at
        end = "most" if self.where == "cheaper" else "least"
        ratio = f" {self.its_cost / self.cost:.2f} of the tokens" if self.cost else ""
        return f"{at}, its {end},{ratio}".rstrip(",")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How well the comparisons of one configuration told right from wrong. What a tournament lives by.

    Attributes:
        strategy: the strategy's spec without its ``n``.
        spec: the spec that ran.
        setting: ``n=4``, or empty.
        comparisons: those of a right and a wrong candidate.
        problems: problems that had such.
        q: share of them that the right one won, a verdict that could not be read counting half; None: there were none.
        low: lower end of its 95% interval, clustered on problems.
        high: upper end.
        swap_consistency: share of pairs with the same winner in both orders; None: none met twice in turn.
        first_slot: share of all comparisons that the candidate in the first slot won, 1/2 where there is no bias; None:
            nobody met.
        model: that answered; empty in a run of one model.
    """

    strategy: str
    spec: str
    setting: str
    comparisons: int
    problems: int
    q: float | None
    low: float
    high: float
    swap_consistency: float | None
    first_slot: float | None
    model: str = ""

    @property
    def verdict(self) -> str:
        """What q means for the tournament, in words; empty where it is credibly above 1/2."""
        if self.q is None:
            return "no right candidate met a wrong one, so q is not known"
        name = self.strategy.partition(":")[0]
        it = f"a {name}" if name in ("knockout", "league") else "a tournament"
        if self.high < 0.5:
            return f"q is below 1/2: {it} loses to voting there"
        return "" if self.low > 0.5 else f"q is not credibly above 1/2: {it} does not beat voting there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a report shows of a run.

    Attributes:
        run: what was run: id, model, suites, seeds, sampling (the parts of the run card that hold no time).
        curves: by strategy and group.
        comparisons: of every point with ``single`` of the same model, where that was run.
        against_majority: of every other strategy's largest point with the majority of as many samples, or of the most.
        problems: number of problems by group.
        classes: the groups of each tag, in the order to show them: ``{"level": ("easy", ...), "family": (...)}``.
        judging: of every configuration that compared candidates, how well it told right from wrong.
        at_equal_cost: of every strategy that chooses its own spending, beside every fixed one that costs as much.
        economics: of each model that has a curve, on all problems, in thinking tokens: what a target accuracy costs,
            the areas under the curves, and which points are worth running. Of several models one in dollars and one in
            FLOPs follow, where all know them: there a curve is named ``MODEL: STRATEGY``.
    """

    run: Mapping[str, Any]
    curves: tuple[Curve, ...]
    comparisons: tuple[Comparison, ...]
    problems: Mapping[str, int]
    classes: Mapping[str, tuple[str, ...]]
    judging: tuple[Judging, ...] = ()
    against_majority: tuple[Comparison, ...] = ()
    at_equal_cost: tuple[EqualCost, ...] = ()
    economics: tuple[Economics, ...] = ()


def summary_to_json(summary: Summary) -> bytes:
    """The summary as JSON: sorted keys, no time in it, so that equal stores give equal bytes."""
    data: dict[str, Any] = {f.name: getattr(summary, f.name) for f in fields(summary)}
    for name in ("at_equal_cost", "economics"):
        if not data[name]:
            del data[name]  # most runs have no strategy that chooses its spending, some no curve
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def summary_from_json(raw: bytes | str) -> Summary:
    """Read what :func:`summary_to_json` wrote."""
    data: dict[str, Any] = orjson.loads(raw)
    for curve in data["curves"]:
        curve["points"] = tuple(Point(**p) for p in curve["points"])
    return Summary(
        run=data["run"],
        curves=tuple(Curve(**c) for c in data["curves"]),
        comparisons=tuple(Comparison(**c) for c in data["comparisons"]),
        problems=data["problems"],
        classes={tag: tuple(values) for tag, values in data["classes"].items()},
        judging=tuple(Judging(**j) for j in data.get("judging", ())),
        against_majority=tuple(Comparison(**c) for c in data.get("against_majority", ())),
        at_equal_cost=tuple(EqualCost(**c | {"settings": tuple(c["settings"])}) for c in data.get("at_equal_cost", ())),
        economics=tuple(economics_from_json(e) for e in data.get("economics", ())),
    )
