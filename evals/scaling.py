"""From the units of a run to accuracy against realised cost: plain data, a pure function of the store.

Two kinds of curves, never joined:

- ``prefix``: the strategy's state after k samples is what a run with k samples would have returned, so the points
  n = 1, 2, 4, ... are read off the checkpoints of one run. A point costs what the samples consumed by then cost.
- ``explicit``: every point is a configuration of its own that was run as such, and costs what the run paid.

Costs are means per query. Wall time is kept out of the summary (see :func:`timings`), so that on a model that repeats
itself a run that was interrupted and resumed has the very summary of one that was not. One thing no run repeats: what
calls cost that were under way when a strategy stopped early. It is in the explicit points of such a strategy, since
it was paid, and not in the points of a prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from ttc.budget import Price
from ttc.evals.axes import timing_key
from ttc.evals.equal_cost import Measured, compare_at_equal_cost, measured
from ttc.evals.records import UnitRecord
from ttc.evals.summary import Comparison, Curve, Point, Summary, summary_from_json, summary_to_json
from ttc.evals.tournaments import events, judging_of, problem_key
from ttc.statistics import holm, mean, paired_difference
from ttc.types import Outcome, Usage

__all__ = ["Comparison", "Curve", "Point", "Summary", "summarise", "summary_from_json", "summary_to_json", "timings"]

LEVELS = ("easy", "medium", "hard")
SAMPLE_KINDS = frozenset({"generate", "revise", "probe"})


@dataclass(slots=True)
class _Reading:
    """What one unit says about one point: the verdict and the cost at that place."""

    problem: str
    correct: bool
    answered: bool
    cost: dict[str, float | None]
    kinds: dict[str, float]
    cut: int
    failed: bool
    undecided: bool = False


@dataclass(slots=True)
class _Series:
    """The readings of one point before they are summed up."""

    strategy: str
    spec: str
    setting: int | None
    how: Literal["prefix", "explicit"]
    readings: list[_Reading] = field(default_factory=list[_Reading])

    def scores(self) -> dict[str, list[float]]:
        scores: dict[str, list[float]] = {}
        for r in self.readings:
            scores.setdefault(r.problem, []).append(float(r.correct))
        return scores

    def measured(self) -> Measured:
        readings = [(r.problem, r.correct, r.cost["thinking"] or 0.0) for r in self.readings]
        return measured(self.strategy, self.spec, readings, n=self.setting, prefix=self.how == "prefix")

    def of(self, problems: frozenset[str]) -> _Series:
        kept = [r for r in self.readings if r.problem in problems]
        return _Series(self.strategy, self.spec, self.setting, self.how, kept)


def summarise(units: Iterable[UnitRecord], run: Mapping[str, Any] | None = None) -> Summary:
    """Sum up a run. The order of the units does not matter.

    Args:
        units: what the store holds (:meth:`ttc.evals.store.Store.units`).
        run: what to say of the run; its ``price`` (dollars per million tokens) prices the points of a prefix.
    """
    run = dict(run or {})
    price = Price(**run["price"]) if run.get("price") else None
    ordered = sorted(units, key=lambda u: (u.suite, u.problem, u.epoch, u.strategy, u.setting or 0, u.spec))
    groups = _groups(ordered)
    series = _series(ordered, price)
    curves: list[Curve] = []
    comparisons: list[Comparison] = []
    with_majority: list[Comparison] = []
    for group, problems in groups.items():
        mine = [s for s in (x.of(problems) for x in series) if s.readings]
        points = [(s, _point(s, group)) for s in mine]
        for first in {(s.strategy, s.how): s for s in mine}.values():
            of_it = tuple(p for s, p in points if (s.strategy, s.how) == (first.strategy, first.how))
            curves.append(Curve(strategy=first.strategy, group=group, how=first.how, points=of_it))
        comparisons += _compare(points, group)
        with_majority += _compare_with_majority(points, group) if group == "all" else []
    return Summary(
        run=run,
        curves=tuple(curves),
        comparisons=tuple(comparisons),
        problems={group: len(problems) for group, problems in groups.items()},
        classes={
            tag: tuple(g.partition("=")[2] for g in groups if g.startswith(f"{tag}=")) for tag in ("level", "family")
        },
        judging=tuple(judging_of(ordered)),
        against_majority=tuple(with_majority),
        at_equal_cost=tuple(compare_at_equal_cost([s.measured() for s in series])),
    )


def timings(units: Iterable[UnitRecord]) -> dict[str, dict[str, float]]:
    """What depends on the clock, by configuration: mean seconds per query, and mean thinking tokens as really spent.

    The latter counts what was in flight when a vote was decided, which a prefix point leaves out. Both differ from
    run to run, and a call that the store answered takes no time: that is why they are not in the summary.

    Returns:
        By :func:`~ttc.evals.axes.timing_key`: ``queries``, ``seconds``, ``thinking_realised``, ``generated_realised``,
        and the mean ``seconds, GROUP`` of each group of problems.
    """
    known = list(units)
    groups = {g: problems for g, problems in _groups(known).items() if g != "all"}
    by_spec: dict[str, list[UnitRecord]] = {}
    several = len({u.model for u in known}) > 1
    for unit in known:
        by_spec.setdefault(timing_key(unit.spec, unit.model if several else ""), []).append(unit)
    found: dict[str, dict[str, float]] = {}
    for key, of_it in sorted(by_spec.items()):
        found[key] = {
            "queries": len(of_it),
            "seconds": fmean(u.outcome.seconds for u in of_it),
            "thinking_realised": sum(u.outcome.thinking_tokens for u in of_it) / len(of_it),
            "generated_realised": sum(u.outcome.generated_tokens for u in of_it) / len(of_it),
        }
        for group, problems in groups.items():
            if here := [u.outcome.seconds for u in of_it if problem_key(u) in problems]:
                found[key][f"seconds, {group}"] = fmean(here)
    return found


# -- groups and series ------------------------------------------------------------------------------------------------


def _groups(units: Sequence[UnitRecord]) -> dict[str, frozenset[str]]:
    """Problems by group: all, the levels from easy to hard, the families by name."""
    members: dict[tuple[str, str], set[str]] = {}
    for unit in units:
        for tag in ("level", "family"):
            if tag in unit.tags:
                members.setdefault((tag, unit.tags[tag]), set()).add(problem_key(unit))

    def order(key: tuple[str, str]) -> tuple[bool, int, str]:
        tag, value = key
        return tag == "family", LEVELS.index(value) if tag == "level" and value in LEVELS else len(LEVELS), value

    named = {f"{tag}={value}": frozenset(members[tag, value]) for tag, value in sorted(members, key=order)}
    return {"all": frozenset(map(problem_key, units)), **named}


def _series(units: Sequence[UnitRecord], price: Price | None) -> list[_Series]:
    """Sort the readings into points: ``single`` first, then by strategy and rising n."""
    series: dict[tuple[str, int, str], _Series] = {}
    for unit in units:
        if not unit.prefix or unit.setting is None:
            key = (unit.strategy, unit.setting or 0, unit.spec)
            home = series.setdefault(key, _Series(unit.strategy, unit.spec, unit.setting, "explicit"))
            home.readings.append(_whole(unit))
            continue
        for k in _powers(unit.setting):
            home = series.setdefault((unit.strategy, k, unit.spec), _Series(unit.strategy, unit.spec, k, "prefix"))
            home.readings.append(_prefix(unit, k, price))
    return [series[key] for key in sorted(series, key=lambda key: (key[0] != "single", key))]


def _powers(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [2**i for i in range(n.bit_length()) if 2**i < n] + [n]


def _whole(unit: UnitRecord) -> _Reading:
    o = unit.outcome
    cost: dict[str, float | None] = {
        "thinking": o.thinking_tokens,
        "generated": o.generated_tokens,
        "total": o.total_usage.total,
        "calls": sum(o.calls.values()),
        "dollars": o.dollars,
    }
    cut = sum(e.get("finish") == "cut" for e in events(o.trace, "sample"))
    kinds = {kind: float(usage.generated) for kind, usage in o.usage.items()}
    answered = o.answer is not None
    return _Reading(problem_key(unit), unit.correct, answered, cost, kinds, cut, _failed(unit), unit.undecided)


def _prefix(unit: UnitRecord, k: int, price: Price | None) -> _Reading:
    """Read a unit at its first k samples.

    The answer is that of the last checkpoint with at most k samples. The tokens are those consumed by then, by the
    trace where the k-th sample proposed nothing.
    """
    o = unit.outcome
    at = max((i for i, c in enumerate(o.checkpoints) if c.samples <= k), default=None)
    draws = [e for e in o.trace if e.get("event") == "sample"][:k]
    prefix = o.checkpoints[at].prefix if at is not None else Usage()
    answer_tokens = o.checkpoints[at].answer_tokens if at is not None else 0
    consumed = int(draws[-1]["tokens"]) if draws else 0
    generated = max(prefix.generated, consumed)
    drawn: dict[str, float] = {}
    for event in draws:
        drawn[event["kind"]] = drawn.get(event["kind"], 0.0) + event["generated"]
    others = [kind for kind in (*o.usage, *o.foreign) if kind not in SAMPLE_KINDS]
    if (rest := generated - sum(drawn.values())) > 0:
        drawn[others[0] if len(others) == 1 else "other"] = float(rest)
    cost: dict[str, float | None] = {
        "thinking": max(0, generated - answer_tokens),
        "generated": generated,
        "total": prefix.prompt_tokens + generated,
        "calls": None if others else sum(1 + e.get("forced", False) for e in draws),  # forcing is a call of its own
        "dollars": _dollars(o, at, prefix, price),
    }
    answered = at is not None and o.checkpoints[at].answer is not None
    correct = answered and at is not None and unit.checkpoints_correct[at]
    cut = sum(e.get("finish") == "cut" for e in draws)
    return _Reading(problem_key(unit), correct, answered, cost, drawn, cut, _failed(unit))


def _dollars(outcome: Outcome, at: int | None, prefix: Usage, price: Price | None) -> float | None:
    """What a prefix cost; calls to other models' servers are in the checkpoint alone."""
    if outcome.foreign:
        return outcome.checkpoints[at].dollars if at is not None else None
    return price.of(prefix) if price else None


def _failed(unit: UnitRecord) -> bool:
    return unit.outcome.ended_by == "all_calls_failed"


# -- points and comparisons -------------------------------------------------------------------------------------------


def _point(series: _Series, group: str) -> Point:
    readings = series.readings
    m = mean(series.scores())
    kinds = sorted({kind for r in readings for kind in r.kinds})
    return Point(
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
        cut=sum(r.cut for r in readings) / len(readings),
        failed=sum(r.failed for r in readings) / len(readings),
        undecided=sum(r.undecided for r in readings) / len(readings),
        kinds={kind: sum(r.kinds.get(kind, 0.0) for r in readings) / len(readings) for kind in kinds},
        method=m.method,
    )


def _average(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _compare(points: Sequence[tuple[_Series, Point]], group: str) -> list[Comparison]:
    """Compare every point with ``single``, and adjust for their number."""
    base = next(((s, p) for s, p in points if s.strategy == "single"), None)
    if base is None:
        return []
    rivals = [(s, p) for s, p in points if s is not base[0]]
    return _paired([(rival, base, "single") for rival in rivals], group)


def _compare_with_majority(points: Sequence[tuple[_Series, Point]], group: str) -> list[Comparison]:
    """Compare the largest point of every other strategy with the majority of as many samples, or of the most."""
    votes = [(s, p) for s, p in points if s.strategy == "majority"]
    if not votes:
        return []
    largest = {s.strategy: (s, p) for s, p in points if s.strategy not in ("single", "majority")}
    pairs = [
        (rival, next((v for v in votes if v[1].setting == rival[1].setting), votes[-1])) for rival in largest.values()
    ]
    return _paired([(rival, vote, f"majority {vote[1].setting}".strip()) for rival, vote in pairs], group)


def _paired(pairs: Sequence[tuple[tuple[_Series, Point], tuple[_Series, Point], str]], group: str) -> list[Comparison]:
    """Differences of points on the problems that both have, adjusted for how many are compared."""
    scores = [(rival[0].scores(), base[0].scores()) for rival, base, _ in pairs]
    met = [(pair, s) for pair, s in zip(pairs, scores, strict=True) if not s[0].keys().isdisjoint(s[1])]
    found = [paired_difference(*s) for _, s in met]
    comparisons: list[Comparison] = []
    for ((rival, base, against), _), d, p_holm in zip(met, found, holm([d.p for d in found]), strict=True):
        mine, its = rival[1].cost["thinking"], base[1].cost["thinking"]
        comparisons.append(
            Comparison(
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
