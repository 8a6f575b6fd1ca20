"""When a failed attempt is worth another: full jitter, Retry-After, a retry budget and a breaker. One layer only.

Stacked retry layers multiply an outage (45 sends per call were measured, 1.1 with one budgeted layer), so nothing
above or below this one retries.

* **Attempts**: at most 4 per call, none of them begun later than ``within`` seconds after the first.
* **Wait**: drawn evenly from 0 to ``min(30, .5 * 2**(k-1))`` seconds after the k-th failure (full jitter); where the
  server says Retry-After, exactly that, 120 s at the most.
* **Retry budget**: a token bucket. Every call puts a tenth of a token in, every retry takes one out, so in the long
  run at most 10% of the sends are retries. It starts full, with a tenth of the calls in flight (20 at least: what it
  takes to open the breaker). When it is empty, failures are final.
* **Breaker**: after 20 transport failures in a row new attempts pause while one caller probes the server. A call that
  comes back out of such a pause is sent once more, whatever the retry budget holds: the pause is the brake.
* **Refusals**: where the limit of the calls in flight adapts, a 429 or 503 takes it down and the call queues for its
  permit again (:mod:`ttc.models.in_flight`). That is a brake as well, and takes nothing out of the retry budget.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import tenacity

from ttc.errors import ModelError, ServerUnreachable

__all__ = ["Breaker", "Broken", "RetryBudget", "RetryPolicy", "retry_after"]

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
LONGEST_RETRY_AFTER = 120.0


class Broken(Exception):
    """An attempt failed in a way that another one may not.

    Attributes:
        error: what to raise when there is no other attempt.
        transport: the server could not be reached, or fell over: counts towards the breaker.
        generated: the server may have generated tokens before it failed.
        after: seconds that the server asked us to wait.
        paused: the next attempt waits elsewhere: at the open breaker, or for its permit.
    """

    def __init__(
        self, error: ModelError, *, transport: bool = False, generated: bool = False, after: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.transport = transport
        self.generated = generated
        self.after = after
        self.paused = False


def retry_after(header: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; 120 s at the most, None where it cannot be read."""
    if not header:
        return None
    header = header.strip()
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER) if seconds == seconds else None


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: calls fill it by ``share``, retries empty it by one."""

    capacity: float
    share: float = 0.1
    tokens: float = -1.0

    def __post_init__(self) -> None:
        if self.tokens < 0:
            self.tokens = self.capacity

    def call(self) -> None:
        """Note a call's first attempt."""
        self.tokens = min(self.capacity, self.tokens + self.share)

    def take(self) -> bool:
        """Take a retry out, if there is one."""
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class RetryPolicy:
    """Runs a call with retries.

    Attributes:
        budget: shared by all calls to a server.
        attempts: the most sends per call.
        within: no attempt begins later than so many seconds after the first.
        sleep: how to wait; injectable, so that tests need not.
        rng: draws the jitter.
    """

    budget: RetryBudget
    attempts: int = 4
    within: float = 900.0
    base: float = 0.5
    cap: float = 30.0
    sleep: Sleep = anyio.sleep
    rng: random.Random = field(default_factory=random.Random)

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await ``attempt()`` until it returns, raises something other than :class:`Broken`, or is given up.

        Raises:
            ModelError: the error inside the last :class:`Broken`.
        """
        self.budget.call()

        async def pause(seconds: float) -> None:
            await self.sleep(seconds)

        async def send() -> T:
            return await attempt()

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_any(tenacity.stop_after_attempt(self.attempts), tenacity.stop_after_delay(self.within)),
            wait=self._wait,
            retry=self._worth_it,
            sleep=pause,
            reraise=True,
        )
        try:
            return await retrying(send)
        except Broken as broken:
            raise broken.error from broken.error.__cause__

    def _worth_it(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, Broken):
            return False
        if state.attempt_number >= self.attempts:
            return True  # the last one: tenacity stops by itself, and no token is taken for what is not sent
        return error.paused or self.budget.take()

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Broken) and error.after is not None:
            return error.after
        return self.rng.uniform(0, min(self.cap, self.base * 2.0 ** (state.attempt_number - 1)))


class Breaker:
    """Pauses calls to a server that stopped answering, and lets them go on when it answers again.

    One of those who wait probes every ``every`` seconds; when it is cancelled, the next one takes over. After
    ``patience`` seconds all who wait get :class:`~ttc.errors.ServerUnreachable`; a call that comes later probes once,
    and is refused at once if that fails.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[bool]],
        *,
        where: str = "the server",
        threshold: int = 20,
        every: float = 2.0,
        patience: float = 60.0,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self._probe = probe
        self._where = where
        self._threshold = threshold
        self._every = every
        self._patience = patience
        self._sleep = sleep
        self._failures = 0
        self._open = False
        self._given_up = False
        self._waited = 0.0
        self._lock = anyio.Lock()

    @property
    def open(self) -> bool:
        """Whether calls pause now."""
        return self._open

    def succeeded(self) -> None:
        """The server answered something."""
        self._failures = 0
        self._open = self._given_up = False

    def failed(self) -> None:
        """A transport failure; so many in a row open the breaker."""
        self._failures += 1
        if self._failures >= self._threshold and not self._open:
            self._open, self._given_up, self._waited = True, False, 0.0

    async def ready(self) -> None:
        """Return when calls may be made.

        Raises:
            ServerUnreachable: it did not come back within ``patience`` seconds.
        """
        if not self._open:
            return
        if self._given_up and await self.look():
            return
        async with self._lock:
            while self._open:
                if self._given_up:
                    raise ServerUnreachable(
                        f"{self._where} stopped answering and did not come back within {self._patience:g} s: "
                        "look at the server's log, start it again (`ttc up`), and go on with what was not done"
                    )
                await self._sleep(self._every)
                self._waited += self._every
                if not await self.look() and self._waited >= self._patience:
                    self._given_up = True

    async def look(self) -> bool:
        """Probe once; return whether the server is back."""
        began = anyio.current_time()
        if await self._probe():
            self.succeeded()
            return True
        self._waited += anyio.current_time() - began
        return False
