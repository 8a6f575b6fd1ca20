"""The tokens of a batch of queries in equal shares: what an allocation has to beat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pydantic
from pydantic import BaseModel, ConfigDict, Field

from ttc import registry
from ttc.adaptive.purse import NOTHING_LEFT, Purse
from ttc.ledger import Ledger
from ttc.session import Session
from ttc.types import Candidate

__all__ = ["Settings", "Shares", "Uniform", "is_pass_fail"]

GOLDEN = 0.6180339887498949
"""Multiples of it are spread evenly over [0, 1), however many they are."""

MEASURED = 16
"""Queries whose first samples tell how long samples are, before anybody draws a second one."""


class Settings(BaseModel):
    """The settings of an allocation; registered under the name of their class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:

        def __init__(self, **parameters: Any) -> None:
            """Make it; raises ConfigurationError for an unknown parameter or a value out of its range."""
            try:
                super().__init__(**parameters)
            except pydantic.ValidationError as error:
                raise registry.complaint("allocation", type(self).__name__.lower(), type(self), error) from None


class Uniform(Settings):
    """Give every query the same share of what is left when it begins: what one does not use goes to later ones."""

    wave: int | None = Field(
        default=None, ge=1, description="samples at a time; by default 1 with a pass/fail verifier, else the share"
    )

    def over(self, queries: int, ledger: Ledger, *, concurrency: int) -> Shares:
        """Begin a batch."""
        return Shares(ledger, self, queries=queries, concurrency=concurrency)


@dataclass(slots=True, eq=False)
class _Share:
    """One query of a batch with its share of the tokens."""

    batch: Shares
    purse: Purse
    position: int
    tokens: float
    rounding: float
    wave: int | None
    samples: int = 0
    session: Session | None = None
    drawn: Sequence[Candidate] = ()

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        """As many as the share carries at the mean length of the batch's samples; one at the least."""
        self.session, self.drawn = session, drawn
        if drawn:
            self.batch.came_back(self)
        if not drawn and not session._whole.left():
            session.warn(NOTHING_LEFT)  # it asks for its sample all the same, and the ledger refuses
        if not self.batch.measured.is_set():
            if not drawn:
                return 1
            await self.batch.measured.wait()
        if not self.samples:  # once: whoever asks again and again would take the most that it is ever told
            self.samples = max(1, int(self.tokens / self.batch.mean + self.rounding))
        samples = min(self.samples - len(drawn), self.wave or (1 if is_pass_fail(session) else left), left)
        if samples < 1:
            session.progress.out_of_budget = True
            session.note("allocated", samples=0, why="these are as many as the query's share carries")
            return 0
        session.note("allocated", samples=samples, share=self.samples)
        return samples

    def unspent(self) -> float:
        """What of the share is still to be spent."""
        return max(0.0, self.tokens - (self.purse.spent_by(self.session) if self.session else 0))


class Shares:
    """One batch in equal shares. Queries begin in their order, each with an equal part of what is not promised yet.

    A share is a number of samples: what its tokens carry at the mean length of the batch's samples so far. Whoever
    draws until its tokens are spent would draw more of short samples, and stop after a long one. How long samples are
    is measured in the order of the queries, up to the first one that has nothing yet, and nobody draws a second sample
    before the first sixteen have one: by whoever comes back first, samples are short.
    """

    def __init__(self, ledger: Ledger, how: Uniform, *, queries: int, concurrency: int) -> None:
        """Begin a batch; arguments as for :class:`Allocator`."""
        self._wave = how.wave
        self._purse = Purse(ledger)
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._to_come = queries
        self._open: dict[int, _Share] = {}
        self._needed = min(MEASURED, queries, concurrency)
        self._came: dict[int, tuple[int, int]] = {}  # samples and tokens by position
        self._first_out = 0  # the first position that has nothing yet
        self._samples = self._tokens = 0  # of those before it
        self.measured = anyio.Event()

    @property
    def mean(self) -> float:
        """Tokens of a sample, over the queries before the first one that has none yet."""
        return max(1.0, self._tokens / max(1, self._samples))

    def came_back(self, share: _Share) -> None:
        """Count what a query has drawn."""
        before = self._came.get(share.position, (0, 0))
        now = (len(share.drawn), self._purse.spent_by(share.session) if share.session else 0)
        self._came[share.position] = now
        if share.position < self._first_out:
            self._samples += now[0] - before[0]
            self._tokens += now[1] - before[1]
        while (there := self._came.get(self._first_out)) is not None:
            self._samples += there[0]
            self._tokens += there[1]
            self._first_out += 1
        if self._first_out >= self._needed:
            self.measured.set()

    @asynccontextmanager
    async def place(self, position: int) -> AsyncGenerator[_Share]:
        """Wait until a query may begin, and give it its share."""
        async with self._limiter:
            promised = sum(share.unspent() for share in self._open.values())
            tokens = max(0.0, self._purse.left - promised) / max(1, self._to_come)
            # Rounded up as often as it takes for the mean to be right, evenly spread over the batch.
            share = _Share(self, self._purse, position, tokens, position * GOLDEN % 1 + 1e-9, self._wave)
            self._to_come -= 1
            self._open[position] = share
            try:
                yield share
            finally:
                del self._open[position]
                self.came_back(share)


def is_pass_fail(session: Session) -> bool:
    """Whether a query has a verifier that lets samples pass, so that each may be the last one."""
    return getattr(session.verifier, "pass_fail", False)
