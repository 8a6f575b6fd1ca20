"""Ways to answer and plans to stop them, scored on recorded paths: what tuning chooses among. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.stopping import Confidence, LearnedStop
from ttc.adaptive.trajectories import Floats, Trajectories
from ttc.strategies.vote import leads_beyond_doubt

__all__ = ["Escalate", "Plan", "PlanKind", "Results", "Way", "beta_stops", "run_plan"]

_SHARE, _SECOND = EVIDENCE.index("share"), EVIDENCE.index("second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to draw and to choose: a strategy without its ``n``, on one model, at one amount of thinking.

    Attributes:
        name: in words, unique among the ways of a tuning.
        strategy: spec without ``n`` and stops.
        verifier: what it needs, or empty.
        model: of a fleet; empty where there is only one.
        thinking: how its samples think, as a policy says it; empty: as they are drawn otherwise.
        paths: what it did; the paths of all ways of a tuning are of the same problems in the same order.
        cost: of each path after each sample, in the currency of the tuning.
        beta_stops: by confidence, where a plain vote ends by the Beta rule (see :func:`beta_stops`).
        decided: since when no further sample can change a plain vote of all; None: it is no plain vote.
        probed: where a sample that passes ends it: a plain vote of the same samples, which is what a probe draws of
            them. Such a way draws one sample at a time, so that no sibling is in flight when one passes.
    """

    name: str
    strategy: str
    verifier: str
    model: str
    thinking: str
    paths: Trajectories
    cost: Floats
    beta_stops: Mapping[float, NDArray[np.int64]] = field(default_factory=dict[float, NDArray[np.int64]])
    decided: NDArray[np.int64] | None = None
    probed: Way | None = None

    @property
    def probing(self) -> Way:
        """Itself as a probe draws: whatever passes."""
        return self.probed or self

    def draws_like(self, other: Way) -> bool:
        """Whether samples drawn the one way may be handed on to the other."""
        return (self.model, self.thinking) == (other.model, other.thinking)

    def of(self, kept: NDArray[np.bool_]) -> Way:
        """The same on these paths alone."""
        stops = {confidence: stop[kept] for confidence, stop in self.beta_stops.items()}
        decided = None if self.decided is None else self.decided[kept]
        probed = self.probed and self.probed.of(kept)
        return replace(
            self, paths=self.paths.of(kept), cost=self.cost[kept], beta_stops=stops, decided=decided, probed=probed
        )

    def with_prior(self, p: Floats) -> Way:
        """The same with an estimate made before the first sample of each path."""
        return replace(self, paths=self.paths.with_prior(p))


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Hand on to another way where the answer is doubtful.

    Attributes:
        way: index of the other way.
        below: P(the answer is right) below which it is done.
        confidence: estimates that.
        stop: ends the other way.
    """

    way: int
    below: float
    confidence: Confidence
    stop: LearnedStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One way with what ends it.

    Attributes:
        way: its index.
        n: samples at the most.
        beta: confidence of a Beta stop; None: no such stop.
        stop: a learned one; None: none.
        escalate: who is asked next.
    """

    way: int
    n: int
    beta: float | None = None
    stop: LearnedStop | None = None
    escalate: Escalate | None = None

    @property
    def kind(self) -> PlanKind:
        """What tells it from other plans, what was learned left aside."""
        points = self.stop.points if self.stop else ()
        return PlanKind(self.way, self.n, self.beta, points, self.escalate.way if self.escalate else None)


class PlanKind(NamedTuple):
    """What tells plans apart, what was learned left aside."""

    way: int
    n: int
    beta: float | None
    points: tuple[int, ...]
    other: int | None


class Results(NamedTuple):
    """What a plan does on each path: the verdict, what it costs, the samples that it draws, the seconds that it takes.

    Seconds are those of its waves, each as long as its slowest sample; zeros where they were not recorded.
    """

    right: Floats
    cost: Floats
    samples: NDArray[np.int64]
    seconds: Floats

    def of(self, kept: NDArray[np.bool_]) -> Results:
        """The same on these paths alone."""
        return Results(self.right[kept], self.cost[kept], self.samples[kept], self.seconds[kept])

    @classmethod
    def empty(cls, paths: int) -> Results:
        """Zeros, to put results of parts into."""
        return cls(np.zeros(paths), np.zeros(paths), np.zeros(paths, dtype=np.int64), np.zeros(paths))

    def put(self, there: NDArray[np.bool_], part: Results) -> None:
        """Put the results of some paths in their places."""
        for column, values in zip(self, part, strict=True):
            column[there] = values

    def value(self, rate: float) -> Floats:
        """What each path is worth at a going rate."""
        return self.right - rate * self.cost


def run_plan(plan: Plan, ways: Sequence[Way], *, probe: int = 0, base: int | None = None) -> Results:
    """Run a plan on all paths.

    Args:
        plan: what to do.
        ways: of the tuning.
        probe: samples that were drawn before the plan was chosen, and are paid in any case.
        base: the way that drew them; they are handed on to ways that draw alike.
    """
    way = ways[plan.way]
    handed = bool(probe) and (base is None or way.draws_like(ways[base]))
    n, points = _stops(plan, way, first=min(probe, way.paths.width) if handed else 0)
    paid = np.maximum(n, min(probe, way.paths.width)) if handed else n
    row = np.arange(len(n))
    found = Results(
        way.paths.right[row, n - 1], way.cost[row, paid - 1], _drawn(way, paid), _seconds(way, points, paid)
    )
    if handed:  # all of it is paid, whatever passes
        asked = min(probe, way.paths.width)
        found = found._replace(
            cost=np.maximum(found.cost, way.probing.cost[:, asked - 1]), samples=np.maximum(found.samples, asked)
        )
    elif probe and base is not None:
        first, all_of_it = ways[base].probing, np.full(len(n), probe)
        found = Results(
            np.where(_answered(way, n), found.right, first.paths.right[:, probe - 1]),
            found.cost + first.cost[:, probe - 1],
            found.samples + _drawn(first, all_of_it),
            found.seconds + _seconds(first, (probe,), all_of_it),
        )
    return found if plan.escalate is None else _escalated(plan.escalate, ways, way, n, found)


def _escalated(escalate: Escalate, ways: Sequence[Way], way: Way, n: NDArray[np.int64], so_far: Results) -> Results:
    row = np.arange(len(n))
    doubtful = escalate.confidence.at(n, way.paths.features[row, n - 1]) < escalate.below
    other = ways[escalate.way]
    m, points = _learned_stops(escalate.stop, other)
    return Results(
        np.where(doubtful & _answered(other, m), other.paths.right[row, m - 1], so_far.right),
        so_far.cost + np.where(doubtful, other.cost[row, m - 1], 0.0),
        so_far.samples + np.where(doubtful, _drawn(other, m), 0),
        so_far.seconds + np.where(doubtful, _seconds(other, points, m), 0.0),
    )


def _answered(way: Way, n: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether there is an answer after so many samples; where there is none, an earlier one stands."""
    return way.paths.features[np.arange(len(n)), n - 1, _SHARE] > 0


def _drawn(way: Way, n: NDArray[np.int64]) -> NDArray[np.int64]:
    """The samples that were drawn by then: what passed has ended a path before."""
    return np.minimum(n, (way.paths.drawn >= 0).sum(axis=1))


def _stops(plan: Plan, way: Way, *, first: int) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """At how many samples each path ends, and the ends of its waves."""
    paths = way.paths
    if plan.stop is not None:
        return _learned_stops(plan.stop, way)
    # Where a rule or what passes ends it, one sample at a time: so no sibling is in flight then.
    singly = tuple(range(max(1, first), max(first, plan.n) + 1))
    if plan.beta is None:
        return np.full(len(paths.problem), plan.n), singly if way.probed else tuple(
            sorted({first or singly[-1], singly[-1]})
        )
    return way.beta_stops[plan.beta], singly


def _learned_stops(stop: LearnedStop, way: Way) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """At how many samples each path ends by a learned stop, or since it is decided; and the ends of its waves."""
    n = stop.stops(way.paths)
    if way.decided is not None:
        points = np.array(stop.points)
        n = np.minimum(n, points[np.searchsorted(points, np.minimum(way.decided, points[-1]))])
    return n, tuple(range(stop.points[0], stop.points[-1] + 1)) if way.probed else stop.points


def beta_stops(paths: Trajectories, confidence: float) -> NDArray[np.int64]:
    """At how many samples a plain vote ends by the Beta rule, or since it is decided; shape (paths,)."""
    n = paths.width
    stop = np.full(len(paths.problem), n)
    going = np.ones(len(stop), dtype=bool)
    for k in range(1, n):
        a = np.rint(paths.features[:, k - 1, _SHARE] * k).astype(int)
        b = np.rint(paths.features[:, k - 1, _SECOND] * k).astype(int)
        first, second = np.maximum(a, b), np.minimum(a, b)  # of tied ones any may lead
        fires = np.zeros((k + 1, k + 1), dtype=bool)
        for x, y in set(zip(first.tolist(), second.tolist(), strict=True)):
            fires[x, y] = leads_beyond_doubt(x, y, confidence) or x - y > n - k
        done = fires[first, second]
        stop[going & done] = k
        going &= ~done
    return stop


def _seconds(way: Way, points: Sequence[int], n: NDArray[np.int64]) -> Floats:
    """Seconds of each path: the waves up to its end, each as long as its slowest sample."""
    paths = way.paths
    if paths.seconds is None:
        return np.zeros(len(n))
    total = np.zeros(len(n))
    for start, end in zip([0, *points[:-1]], points, strict=True):
        total += np.where(n > start, paths.seconds[:, start:end].max(axis=1), 0.0)
    return total
