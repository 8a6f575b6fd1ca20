"""The tokens of a batch of queries, handed out where the next ones buy most.

Greedy marginal gain: give the next sample to the query that gains most by it, per token. On concave gains that are
known it is optimal ("Learning How Hard to Think", arXiv 2410.04707). Gains that are not known are estimated from a
query's own samples as they come (:mod:`ttc.adaptive.gains`), so that compute leaves queries that are solved, and
queries that are hopeless, for those where one more sample may still change something.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from math import inf

import anyio
from pydantic import Field, InstanceOf

from ttc.adaptive.gains import GainModel, Learning, PosteriorGains
from ttc.adaptive.purse import NOTHING_LEFT, Purse
from ttc.adaptive.shares import Settings, is_pass_fail
from ttc.ledger import Ledger
from ttc.session import Session
from ttc.types import Candidate

__all__ = ["Allocator", "Greedy", "coverage", "greedy", "marginal_gains"]


def coverage(p: float, samples: int) -> float:
    """P(one of so many samples is right), each with ``p``."""
    return 1 - (1 - p) ** samples


def marginal_gains(p: float, most: int) -> list[float]:
    """What the first, the second, ... of ``most`` samples adds to :func:`coverage`: p (1 - p)^(b - 1)."""
    return [p * (1 - p) ** b for b in range(most)]


def greedy(gains: Sequence[Sequence[float]], budget: int) -> list[int]:
    """Hand out ``budget`` samples, each where it gains most. Ties go to the earlier query.

    Optimal where every query's gains fall (its curve is concave). Where they do not, the concave hull of the curve is
    followed: samples that gain only together are handed out together, at their mean gain. A group that the budget does
    not carry any more is passed over for smaller ones; so what is lost against the best choice is less than one group.

    Args:
        gains: of each query what its first, its second, ... sample adds; it gets no more than there are.
        budget: samples in all. What gains nothing is not handed out.

    Returns:
        Samples per query.
    """
    groups = [_hull(curve) for curve in gains]
    given, at = [0] * len(gains), [0] * len(gains)
    heap = [(-of_it[0][0], i) for i, of_it in enumerate(groups) if of_it]
    heapify(heap)
    while heap and budget:
        _, i = heap[0]
        size = groups[i][at[i]][1]
        if size <= budget:
            given[i] += size
            budget -= size
            at[i] += 1
        else:
            at[i] = len(groups[i])  # the next group of this query stands behind this one
        heapreplace(heap, (-groups[i][at[i]][0], i) if at[i] < len(groups[i]) else (0.0, i))
        if heap[0][0] >= 0:
            break
    return given


def _hull(curve: Sequence[float]) -> list[tuple[float, int]]:
    """The concave hull of a curve as (mean gain, samples), falling; what gains nothing at its end is left out."""
    groups: list[tuple[float, int]] = []
    for gain in curve:
        size = 1
        while groups and groups[-1][0] < gain:
            before, n = groups.pop()
            gain, size = (before * n + gain * size) / (n + size), n + size
        groups.append((gain, size))
    return [group for group in groups if group[0] > 0]


# -- a batch that runs ------------------------------------------------------------------------------------------------


class Greedy(Settings):
    """Give every query a first wave, and each further one to the query that gains most by it per token.

    A query whose next samples gain less than ``least`` each is ended: it is decided, or hopeless.
    """

    first: int | None = Field(
        default=None, ge=1, description="samples of a first wave; by default 1 with a pass/fail verifier, else 4"
    )
    wave: int | None = Field(
        default=None, ge=1, description="samples of a further wave; by default 1 with a pass/fail verifier, else 2"
    )
    least: float = Field(default=0.0, ge=0, lt=1, description="gain of a sample, in accuracy, below which it ends")
    share: float = Field(
        default=0.25, gt=0, le=1, description="of the queries that go on, how many may have a further wave in flight"
    )
    gains: InstanceOf[GainModel] | None = Field(default=None, description="what says the gains, in Python alone")

    def over(self, queries: int, ledger: Ledger, *, concurrency: int) -> Allocator:
        """Begin a batch."""
        return Allocator(ledger, self, queries=queries, concurrency=concurrency)


@dataclass(slots=True, eq=False)
class _Place:
    """One query of a batch: it runs, or waits for its turn. It is the pace of the query."""

    allocator: Allocator
    position: int
    turn: anyio.Event = field(default_factory=anyio.Event)
    running: bool = False
    waiting: bool = False
    began: bool = False
    session: Session | None = None
    drawn: Sequence[Candidate] = ()
    left: int = 0
    rate: float = inf
    granted: int = 0

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        """Say what a wave would gain, and wait until it is its turn."""
        self.session, self.drawn, self.left = session, drawn, left
        return await self.allocator.turn_of(self)


class Allocator:
    """One batch under greedy allocation: queries run, or wait until theirs is the wave that gains most per token.

    At most ``concurrency`` queries run, that is, have a wave in flight or work on it. A place that becomes free goes
    first to a query that has not had its first wave, in their order, and then to the best of those that wait *now*:
    nobody waits for the slower ones that are still in flight, whose next gain may be higher. So a server stays busy as
    long as enough queries gain something; and where calls take time, which of two near gains goes first depends on who
    came back first. Where calls take no time the order follows from the seeds.

    A wave is handed out if what is left carries it beside what is in flight, at the mean length of the query's samples
    (shrunk to the batch's), and at the length of its longest one. When nothing in flight can bring anything back, the
    queries that wait are ended with their last proposals. The ledger keeps the limit in any case.
    """

    def __init__(self, ledger: Ledger, how: Greedy, *, queries: int, concurrency: int) -> None:
        """Begin a batch.

        Args:
            ledger: of the whole batch, with a limit of tokens.
            how: the settings.
            queries: how many there are.
            concurrency: how many run at a time.
        """
        self._how = how
        self._gains = how.gains or PosteriorGains()
        self._learning = self._gains if isinstance(self._gains, Learning) else None
        self._revision = 0
        self._purse = Purse(ledger)
        self._concurrency = concurrency
        self._fresh = self._going_on = queries
        self._running = 0
        self._entering: list[tuple[int, _Place]] = []
        self._heap: list[tuple[float, int, int, _Place]] = []
        self._turns = 0

    @asynccontextmanager
    async def place(self, position: int) -> AsyncGenerator[_Place]:
        """Wait until a query may begin; leaving the block gives its place to another one."""
        place = _Place(self, position)
        heappush(self._entering, (position, place))
        place.waiting = True
        try:
            self._serve()
            await place.turn.wait()
            yield place
        finally:
            self._leave(place)
            self._going_on -= 1
            self._purse.close(place, place.drawn)
            self._begun(place)
            if self._learning is not None and place.session is not None and place.drawn:
                self._learning.learn(place.session, place.drawn)
            self._serve()

    async def turn_of(self, place: _Place) -> int:
        """Return the samples that a query may draw now, once it is its turn; 0 ends it."""
        assert place.session is not None
        self._purse.note(place, place.session, place.drawn)
        place.rate = inf
        if place.drawn:
            self._begun(place)  # with samples of a probe, it may be
            samples = min(self._wave(place), place.left)
            gain = self._gains.gain(place.session, place.drawn, samples)
            if gain <= 0 or gain < self._how.least * samples:
                place.session.stop_early("more samples gain nothing" if gain <= 0 else "more samples gain too little")
                return 0
            place.rate = gain / (samples * self._purse.cost(place, place.session))
        self._leave(place)
        place.waiting, place.turn, place.granted = True, anyio.Event(), 0
        self._push(place)
        self._serve()
        try:
            await place.turn.wait()
        except BaseException:
            self._leave(place)
            self._serve()
            raise
        return place.granted

    # What follows never awaits.

    def _wave(self, place: _Place) -> int:
        assert place.session is not None
        if place.began:
            return self._how.wave or (1 if is_pass_fail(place.session) else 2)
        return self._how.first or (1 if is_pass_fail(place.session) else 4)

    def _push(self, place: _Place) -> None:
        self._turns += 1
        heappush(self._heap, (-place.rate, place.position, self._turns, place))

    def _leave(self, place: _Place) -> None:
        self._running -= place.running
        place.running = place.waiting = False

    def _serve(self) -> None:
        """Hand out free places, as long as there are any and somebody to take them."""
        self._refresh()
        while self._running < self._concurrency:
            while self._heap and not self._heap[0][-1].waiting:
                heappop(self._heap)
            while self._entering and not self._entering[0][-1].waiting:
                heappop(self._entering)
            if self._entering and not (self._heap and self._heap[0][-1].rate == inf):
                self._start(heappop(self._entering)[-1])
                continue
            if not self._heap:
                return
            best = self._heap[0][-1]
            if best.began and self._running and self._running >= self._how.share * self._going_on:
                return  # tokens are scarce, if not places: what is in flight may come back as the better one
            samples = self._carried(best)
            if not samples and self._running:
                return  # what is in flight may bring something back
            heappop(self._heap)
            self._grant(best, samples)

    def _begun(self, place: _Place) -> None:
        self._fresh -= not place.began
        place.began = True

    def _start(self, place: _Place) -> None:
        self._running += 1
        place.running, place.waiting = True, False
        place.turn.set()

    def _grant(self, place: _Place, samples: int) -> None:
        session = place.session
        assert session is not None
        if samples:
            self._purse.promise(place, samples * self._purse.cost(place, session))
            session.note("allocated", samples=samples, rate=None if place.rate == inf else place.rate)
        else:
            session.progress.out_of_budget = True
            if not place.drawn:
                session.warn(NOTHING_LEFT)
            session.note("allocated", samples=0, why="what is left of the batch's tokens carries no more")
        self._begun(place)
        place.granted = samples
        self._start(place)

    def _carried(self, place: _Place) -> int:
        """How many samples of its wave the batch carries now."""
        session = place.session
        assert session is not None
        wave, left = min(self._wave(place), place.left), self._purse.free(alone=not self._running)
        cost = self._purse.cost(place, session)
        if not place.began:
            if not self._purse.samples and not self._running:
                return int(left > 0)  # how long samples are has to be seen
            wave = max(1, min(wave, int(left // (self._fresh * cost))))
        need = max(cost, self._purse.longest(place.drawn))
        return min(wave, 1 + int((left - need) // cost)) if left >= need else 0

    def _refresh(self) -> None:
        """Ask for the gains anew where the batch has taught something that changes them."""
        if self._learning is None or self._learning.revision == self._revision:
            return
        self._revision = self._learning.revision
        waiting = [entry[-1] for entry in self._heap if entry[-1].waiting]
        self._heap = []
        for place in waiting:
            if place.rate != inf and place.session is not None:
                samples = min(self._wave(place), place.left)
                gain = self._gains.gain(place.session, place.drawn, samples)
                place.rate = gain / (samples * self._purse.cost(place, place.session))
            self._push(place)
