"""How many calls are in flight: a limit that grows while the server keeps pace, and shrinks when it is overloaded.

Additive increase and multiplicative decrease, as TCP does it (Chiu and Jain 1989), with a slow start and with a test of
what growing paid. Little's law says what a server does under ``limit`` calls: ``limit / seconds per token`` tokens a
second. A server that has room for more gives more; one that queues gives the same, and each call waits longer. A
server that says 429 or 503 has said it, and is not asked for so much for a while.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

__all__ = ["InFlight", "InFlightLaw", "Permit"]

FIRST = 8
"""A window has so many answers at the least, below that pace is luck."""


@dataclass(slots=True)
class InFlightLaw:
    """The limit as a function of what was seen: no clock, no I/O.

    It works in windows of ``limit`` answers to calls that were begun since the last change. A window in which the
    permits were not all taken says nothing of the server and is let pass.

    * It **grows** by half, and looks at what that paid: of a growth of the limit at least a quarter has to come back as
      growth of the rate, else it goes back and waits ``holding`` windows before it tries again.
    * A **refusal** (429, 503) takes it down to seven tenths, once for all calls that were under way. From there it
      grows by a sixteenth a window to just below where it was refused, and after ``holding`` windows beyond that, at
      first by a sixteenth as well.
    * **Overload** without a refusal (tokens take more than twice as long as when the limit was set) takes it down to
      seven tenths as well, not below ``floor``.

    Attributes:
        limit: calls in flight.
        cap: the most that it grows to.
        floor: what a slow server alone does not take it below; a refusal does, down to 1.
        holding: windows that it stays where it is, once it knows.
        growths: how often it grew.
        shrinks: how often it was taken down.
    """

    limit: int = 32
    cap: int = 512
    floor: int = 8
    holding: int = 16
    growths: int = 0
    shrinks: int = 0
    _since: int = 0  # counts the changes: a call belongs to the limit under which it was begun
    _seconds: float = 0.0
    _tokens: int = 0
    _answers: int = 0
    _full: int = 0
    _before: tuple[int, float] | None = None  # limit and rate from which it grew to the present one
    _pace: float = math.inf  # seconds per token when the limit was settled
    _held: int = 0  # windows left to hold
    _refused_at: int = 0
    _step: float = 0.5

    def begin(self) -> int:
        """Return the mark of a call that is begun now."""
        return self._since

    def answered(self, mark: int, *, seconds: float, tokens: int, full: bool) -> bool:
        """Take note of a call that came to its end; return whether the limit is another now.

        Args:
            mark: what :meth:`begin` gave the call.
            seconds: from its permit to its end.
            tokens: that it generated.
            full: whether all permits were taken when it ended.
        """
        if mark != self._since or tokens < 1:
            return False
        self._seconds += seconds
        self._tokens += tokens
        self._answers += 1
        self._full += full
        if self._answers < max(FIRST, self.limit):
            return False
        pace, used = self._seconds / self._tokens, self._full >= 0.8 * self._answers
        self._seconds, self._tokens, self._answers, self._full = 0.0, 0, 0, 0
        return self._judged(pace) if used else False

    def refused(self, mark: int) -> bool:
        """Take note of a 429 or 503; return whether the limit is another now."""
        if mark != self._since:
            return False  # it was begun under a limit that is history
        self._refused_at, self._step = self.limit, 1 / 16
        return self._shrink(1)

    def _judged(self, pace: float) -> bool:
        """Draw the conclusion of a window in which all permits were in use."""
        rate = self.limit / pace if pace > 0 else math.inf
        if self._before is not None:
            (before, rate_before), self._before = self._before, None
            if rate / rate_before - 1 < (self.limit / before - 1) / 4:
                self._held = self.holding
                return self._move(before)
            self._pace = pace
        if pace > 2 * self._pace and self.limit > self.floor:
            return self._shrink(self.floor)
        self._pace = min(pace, self._pace)
        if self._held or self.limit >= self.cap:
            self._held = max(0, self._held - 1)
            return False
        if self._refused_at:
            room = self._refused_at - 1 - self.limit
            if room > 0:
                return self._grow(min(room, math.ceil(self.limit / 16)))
            self._refused_at, self._held = 0, self.holding
            return False
        self._before = self.limit, rate
        by, self._step = math.ceil(self._step * self.limit), min(0.5, 2 * self._step)
        return self._grow(by)

    def _grow(self, by: int) -> bool:
        self.growths += 1
        return self._move(min(self.limit + by, self.cap))

    def _shrink(self, floor: int) -> bool:
        self.shrinks += 1
        self._before, self._held, self._pace = None, 0, math.inf
        return self._move(max(floor, int(0.7 * self.limit)))

    def _move(self, limit: int) -> bool:
        moved, self.limit = limit != self.limit, limit
        self._since += 1
        self._seconds, self._tokens, self._answers, self._full = 0.0, 0, 0, 0
        return moved


class InFlight:
    """Permits for calls in flight, as many as an :class:`InFlightLaw` says; may be shared by several models.

    It stands where a fixed :class:`anyio.CapacityLimiter` may stand.
    """

    def __init__(self, law: InFlightLaw | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.law = law or InFlightLaw()
        self._limiter = anyio.CapacityLimiter(self.law.limit)
        self._clock = clock

    @property
    def total_tokens(self) -> float:
        """The limit now."""
        return self._limiter.total_tokens

    @property
    def most(self) -> int:
        """The most calls that can ever be in flight."""
        return self.law.cap

    @property
    def borrowed_tokens(self) -> int:
        """Calls that hold a permit."""
        return self._limiter.borrowed_tokens

    def statistics(self) -> anyio.CapacityLimiterStatistics:
        """Who holds permits, and how many wait."""
        return self._limiter.statistics()

    async def acquire(self) -> None:
        """Wait for a permit."""
        await self._limiter.acquire()

    def release(self) -> None:
        """Give it back."""
        self._limiter.release()

    def begin(self) -> tuple[int, float]:
        """Return the mark of a call that goes out now."""
        return self.law.begin(), self._clock()

    def answered(self, mark: tuple[int, float], *, tokens: int) -> None:
        """Take note of a call that came to its end."""
        full = self._limiter.borrowed_tokens >= self._limiter.total_tokens
        if self.law.answered(mark[0], seconds=self._clock() - mark[1], tokens=tokens, full=full):
            self._limiter.total_tokens = self.law.limit

    def refused(self, mark: tuple[int, float]) -> None:
        """Take note of a server that has no room. While more are in flight than the limit says, they are the reason."""
        if self._limiter.borrowed_tokens > self._limiter.total_tokens:
            return
        if self.law.refused(mark[0]):
            self._limiter.total_tokens = self.law.limit


class Permit:
    """One call's permit: held for the time of the block, and stepped aside with when the server has no room."""

    __slots__ = ("_adapts", "_held", "_limiter", "_mark", "_refused")

    def __init__(self, limiter: anyio.CapacityLimiter | InFlight) -> None:
        self._limiter = limiter
        self._adapts = limiter if isinstance(limiter, InFlight) else None
        self._held = False
        self._refused = False
        self._mark = (0, 0.0)

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._held:
            self._held = False
            self._limiter.release()

    @property
    def adapts(self) -> bool:
        """Whether a refusal takes the limit down, so that sending again is no storm."""
        return self._adapts is not None

    def answered(self, tokens: int) -> None:
        """The call came to its end, with so many generated tokens."""
        if self._adapts is not None:
            self._adapts.answered(self._mark, tokens=tokens)

    def refused(self) -> None:
        """The server has no room for the call."""
        if self._adapts is not None:
            self._adapts.refused(self._mark)
            self._refused = True

    async def again(self) -> None:
        """Before the call is sent once more: where it was refused, it queues for its permit like any other."""
        if not self._refused:
            return
        self._refused = False
        if self._held and self._limiter.borrowed_tokens > self._limiter.total_tokens:
            self._held = False
            self._limiter.release()
            await self._take()
        elif self._adapts is not None:
            self._mark = self._adapts.begin()

    async def _take(self) -> None:
        await self._limiter.acquire()
        self._held = True
        if self._adapts is not None:
            self._mark = self._adapts.begin()
