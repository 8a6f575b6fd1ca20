"""From the units of a run to accuracy against realised cost: plain data, a pure function of the store.

Two kinds of curves, never joined:

- ``prefix``: the strategy's state after k samples is what a run with k samples would have returned, so the points
  n = 1, 2, 4, ... are read off the checkpoints of one run. A point costs what the samples consumed by then cost.
- ``explicit``: every point is a configuration of its own that was run as such, and costs what the run paid.

Every model has curves of its own: tokens of two models are never added, averaged or compared.

Costs are means per query. Wall time is kept out of the summary (see :func:`timings`), so that on a model that repeats
itself a run that was interrupted and resumed has the very summary of one that was not. One thing no run repeats: what
calls cost that were under way when a strategy stopped early. It is in the explicit points of such a strategy, since
it was paid, and not in the points of a prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any, Literal

from ttc.budget import Price
from ttc.evals.axes import parameters_of, timing_key
from ttc.evals.equal_cost import compare_at_equal_cost
from ttc.evals.points import Series, compare_with_majority, compare_with_single, point_of
from ttc.evals.points_economics import economics_of
from ttc.evals.problem_groups import class_groups
from ttc.evals.readings import Reading, readings_of
from ttc.evals.records import UnitRecord
from ttc.evals.summary import Comparison, Curve, Point, Summary, summary_from_json, summary_to_json
from ttc.evals.tournaments import judging_of, problem_key
from ttc.types import Outcome

__all__ = [
    "Comparison",
    "Curve",
    "Point",
    "RunReadings",
    "Summary",
    "summarise",
    "summary_from_json",
    "summary_to_json",
    "timings",
]

_Place = tuple[str, str, int, str, Literal["prefix", "explicit"]]  # model, strategy, n or 0, spec, how
_Placed = tuple[tuple[str, int, str], Reading]  # with problem, epoch and key, to sort by
_NOTHING = Outcome(query_id="", answer=None, candidate=None, ended_by="finished", usage={}, calls={})


class RunReadings:
    """What the curves of a run need of its units, read one by one; the units themselves, with their traces, may go.

    Args:
        run: what to say of the run. Its ``price`` (dollars per million tokens) prices the points of a prefix, its
            ``parameters`` make FLOPs; both may stand in ``models``, by model.
    """

    def __init__(self, run: Mapping[str, Any] | None = None) -> None:
        self.run = dict(run or {})
        self._series: dict[_Place, list[_Placed]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._met: list[UnitRecord] = []
        self._clock: dict[tuple[str, str], list[tuple[str, float, int, int]]] = {}
        self._suites: set[str] = set()
        self._costs: dict[str, tuple[Price | None, float | None]] = {}

    def add(self, unit: UnitRecord) -> None:
        """Take a unit into account. The order of the units does not matter."""
        problem, outcome = problem_key(unit), unit.outcome
        if unit.model not in self._costs:
            self._costs[unit.model] = _price_of(self.run, unit.model), parameters_of(self.run, unit.model)
        price, parameters = self._costs[unit.model]
        how: Literal["prefix", "explicit"] = "prefix" if unit.prefix and unit.setting is not None else "explicit"
        for n, reading in readings_of(unit, price=price, parameters=parameters):
            home = self._series.setdefault((unit.model, unit.strategy, n or 0, unit.spec, how), [])
            home.append(((problem, unit.epoch, unit.key), reading))
        self._tags.setdefault(problem, dict(unit.tags))["suite"] = unit.suite
        self._suites.add(unit.suite)
        if unit.meetings is not None:
            self._met.append(replace(unit, outcome=_NOTHING))
        spent = (problem, outcome.seconds, outcome.thinking_tokens, outcome.generated_tokens)
        self._clock.setdefault((unit.model, unit.spec), []).append(spent)

    def add_all(self, units: Iterable[UnitRecord]) -> RunReadings:
        """Take units into account, and return the same object."""
        for unit in units:
            self.add(unit)
        return self

    @property
    def problems(self) -> list[tuple[str, str]]:
        """The problems so far, each as its suite's spec and the query's id."""
        return [(suite, problem) for suite, _, problem in (key.partition("\x1f") for key in sorted(self._tags))]

    def summary(self, *, difficulty: Mapping[str, str] | None = None) -> Summary:
        """Sum up the run.

        Args:
            difficulty: the bin of each problem, by :func:`~ttc.evals.tournaments.problem_key`, from
                :mod:`ttc.evals.difficulty_bins`.
        """
        groups, classes = class_groups(self._classes(), difficulty)
        series = self._sorted()
        curves: list[Curve] = []
        comparisons: list[Comparison] = []
        with_majority: list[Comparison] = []
        for group, problems in groups.items():
            mine = [s for s in (x.of(problems) for x in series) if s.readings]
            points = [(s, point_of(s, group)) for s in mine]
            for s in {(s.model, s.strategy, s.how): s for s in mine}.values():
                of_it = tuple(p for x, p in points if (x.model, x.strategy, x.how) == (s.model, s.strategy, s.how))
                curves.append(Curve(model=s.model, strategy=s.strategy, group=group, how=s.how, points=of_it))
            for model in dict.fromkeys(s.model for s in mine):
                of_model = [(s, p) for s, p in points if s.model == model]
                comparisons += compare_with_single(of_model, group)
                with_majority += compare_with_majority(of_model, group) if group == "all" else []
        known = [m for s in series if (m := s.measured()) is not None]
        return Summary(
            run=self.run,
            curves=tuple(curves),
            comparisons=tuple(comparisons),
            problems={group: len(problems) for group, problems in groups.items()},
            classes=classes,
            judging=tuple(judging_of(self._meetings())),
            against_majority=tuple(with_majority),
            at_equal_cost=tuple(compare_at_equal_cost(known)),
            economics=tuple(economics_of(series)),
        )

    def timings(self, *, difficulty: Mapping[str, str] | None = None) -> dict[str, dict[str, float]]:
        """Return what depends on the clock, see :func:`timings`; with bins of difficulty also for them."""
        groups, _ = class_groups(self._classes(), difficulty)
        names = self._names()
        by_key: dict[str, list[tuple[str, float, int, int]]] = {}
        for (model, spec), spent in self._clock.items():
            by_key.setdefault(timing_key(spec, names[model]), []).extend(spent)
        found: dict[str, dict[str, float]] = {}
        for key, spent in sorted(by_key.items()):
            found[key] = {
                "queries": len(spent),
                "seconds": fmean(seconds for _, seconds, _, _ in spent),
                "thinking_realised": fmean(thinking for _, _, thinking, _ in spent),
                "generated_realised": fmean(generated for _, _, _, generated in spent),
            }
            for group, problems in groups.items():
                here = [seconds for problem, seconds, _, _ in spent if problem in problems]
                if here and group != "all":
                    found[key][f"seconds, {group}"] = fmean(here)
        return found

    def _names(self) -> dict[str, str]:
        """The models by the name that units have: empty where there is one; units of older stores have no name."""
        named = {model for model in self._costs if model}
        if len(named) < 2:
            return dict.fromkeys(self._costs, "")
        return {model: model or str(self.run.get("model", "")) for model in self._costs}

    def _classes(self) -> dict[str, dict[str, str]]:
        """The tags of each problem, with its suite where there are several."""
        if len(self._suites) > 1:
            return self._tags
        return {problem: {t: v for t, v in tags.items() if t != "suite"} for problem, tags in self._tags.items()}

    def _meetings(self) -> list[UnitRecord]:
        names = self._names()
        met = [replace(unit, model=names[unit.model]) for unit in self._met]
        return sorted(met, key=lambda u: (u.suite, u.problem, u.epoch, u.key))

    def _sorted(self) -> list[Series]:
        """The readings by point: model by model, ``single`` first, then by strategy and rising n."""
        names = self._names()
        by_point: dict[_Place, list[_Placed]] = {}
        for (model, strategy, n, spec, how), readings in self._series.items():
            by_point.setdefault((names[model], strategy, n, spec, how), []).extend(readings)
        return [
            Series(model, strategy, spec, n or None, how, [r for _, r in sorted(by_point[key], key=lambda x: x[0])])
            for key in sorted(by_point, key=lambda key: (key[0], key[1] != "single", key))
            for model, strategy, n, spec, how in [key]
        ]


def summarise(
    units: Iterable[UnitRecord], run: Mapping[str, Any] | None = None, *, difficulty: Mapping[str, str] | None = None
) -> Summary:
    """Sum up a run, in one pass over its units; their order does not matter.

    Args:
        units: what the store holds (:meth:`ttc.evals.store.Store.units`); an iterator will do.
        run: what to say of the run, see :class:`RunReadings`.
        difficulty: the bin of each problem, where it is known, see :meth:`RunReadings.summary`.
    """
    return RunReadings(run).add_all(units).summary(difficulty=difficulty)


def timings(units: Iterable[UnitRecord]) -> dict[str, dict[str, float]]:
    """What depends on the clock, by configuration: mean seconds per query, and mean thinking tokens as really spent.

    The latter counts what was in flight when a vote was decided, which a prefix point leaves out. Both differ from
    run to run, and a call that the store answered takes no time: that is why they are not in the summary.

    Returns:
        By :func:`~ttc.evals.axes.timing_key`: ``queries``, ``seconds``, ``thinking_realised``, ``generated_realised``,
        and the mean ``seconds, GROUP`` of each group of problems.
    """
    return RunReadings().add_all(units).timings()


def _price_of(run: Mapping[str, Any], model: str) -> Price | None:
    """The price of a model of a run: its own, or the run's."""
    models: Mapping[str, Mapping[str, Any]] = run.get("models") or {}
    price = models.get(model or str(run.get("model", "")), {}).get("price") or run.get("price")
    return Price(**price) if price else None
