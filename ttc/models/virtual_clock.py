"""An event loop whose clock jumps: simulated hours pass in the time that the computing takes.

Everything that waits by the loop's clock (``anyio.sleep``, deadlines, the seconds of a budget) sees virtual time, so
strategies, leases, permits and cancellations run as they do live, and no code has to know.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

__all__ = ["VirtualClockLoop", "run"]

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for I/O without waiting; where there is none, the clock jumps to the next timer instead."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None:
            return ready or super().select(timeout)
        self.jumped += max(0.0, timeout)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop with a clock that starts at zero and moves only when nothing is left to do before it.

    Real I/O and threads take no virtual time; what waits for them beside a timer sees the timer first.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # asyncio takes a timer as due within its clock's resolution; the real one's nanosecond is lost in the rounding
        # of a clock that stands at some million seconds, and the loop would spin for ever.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.jumped


def run(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function under a virtual clock and return its result, as :func:`anyio.run` does."""
    return anyio.run(function, *args, backend_options={"loop_factory": VirtualClockLoop})
