"""A run that is asked to stop lets what is in flight come back: it is paid for, and kept for when the run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

import anyio

from ttc.evals.recorded_calls import StoredCalls, working_on
from ttc.ledger import Ledger
from ttc.models.base import Meter
from ttc.types import Request, Sample

__all__ = ["DrainedCalls", "Stop"]

EVERY = 0.02
"""Seconds between looks at what is still under way."""


class Stop:
    """Asks a run to stop: no call is sent any more, and those in flight are waited for and kept.

    A unit that would need a further call is left as it is; what it has paid for answers when the run is resumed.

    Attributes:
        in_flight: calls that were sent, and whose result is not kept yet.
    """

    def __init__(self) -> None:
        self._asked = anyio.Event()
        self.in_flight = 0
        self._held: set[str] = set()
        self._asking: Counter[str] = Counter()

    @property
    def requested(self) -> bool:
        """Whether the run was asked to stop."""
        return self._asked.is_set()

    def request(self) -> None:
        """Ask, from a task of the loop that the run is on."""
        self._asked.set()

    def held(self, unit: str) -> bool:
        """Whether a call of a unit was not sent, so that whatever came of the unit is no result."""
        return unit in self._held

    async def hold(self, unit: str) -> None:
        """Wait for ever with a call of a unit, once the run was asked to stop."""
        if self.requested:
            self._held.add(unit)
            await anyio.sleep_forever()

    def asks(self, unit: str, by: int) -> None:
        """Count the calls of a unit that have not been answered."""
        self._asking[unit] += by

    async def drained(self, open_units: Callable[[], set[str]]) -> None:
        """Return when the run was asked to stop, nothing is in flight, and every open unit waits for a call."""
        await self._asked.wait()
        quiet = 0
        while quiet < 3:  # a call that the store answers lets its unit go on
            await anyio.sleep(EVERY)
            still = not self.in_flight and all(self._asking[unit] > 0 for unit in open_units())
            quiet = quiet + 1 if still else 0


@dataclass(slots=True)
class _Flight:
    sent: bool = False


_flight: ContextVar[_Flight | None] = ContextVar("flight", default=None)


class DrainedCalls(StoredCalls):
    """The calls of a run that may be asked to stop.

    Attributes:
        stop: what asks it; set before the first call.
    """

    stop: Stop

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request, and count it as in flight from when it is sent until it is kept."""
        unit, flight = working_on.get()[2], _Flight()
        mark = _flight.set(flight)
        self.stop.asks(unit, 1)
        try:
            return await super().complete(request, ledger, is_head)
        finally:
            _flight.reset(mark)
            self.stop.asks(unit, -1)
            self.stop.in_flight -= flight.sent

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Make the call, unless the run was asked to stop; forcing an answer belongs to the call that was sent."""
        flight = _flight.get()
        if flight is None or not flight.sent:
            await self.stop.hold(working_on.get()[2])
        if flight is not None and not flight.sent:
            flight.sent = True
            self.stop.in_flight += 1
        return await super().call(request, meter)
