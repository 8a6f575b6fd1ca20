"""A live model behind a run's store: what was paid for once answers the same request ever after.

The key of a call is the model, what is asked, the seed and the position: not the strategy. Since the seed follows from
(run, query, content, position), the k-th sample of a problem is the same request in every strategy of a run, and is
paid for once. Each strategy's ledger is still charged in full, as if it had paid alone: costs on a curve are those of
running that strategy by itself, and the run as a whole costs less than their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio

from ttc.errors import ServerUnreachable
from ttc.evals.call_keys import call_key
from ttc.evals.store import Store
from ttc.ledger import Ledger
from ttc.models.base import LiveModel, Meter
from ttc.types import Message, Request, Sample

if TYPE_CHECKING:
    from ttc.evals.response_cache import CachedResponses

__all__ = ["CallCounts", "StoredCalls", "call_key", "working_on"]

working_on: ContextVar[tuple[str, str, str]] = ContextVar("working_on", default=("", "", ""))
"""Query, strategy and unit (its key) that this task works for: noted beside a call, never part of its key."""


@dataclass(slots=True)
class CallCounts:
    """What a run's model did since it was started.

    Attributes:
        made: calls that were sent; making a model answer a text that was cut off is a call of its own.
        replayed: calls that the store answered.
        cached: calls that the response cache answered, which other runs paid for.
        generated: generated tokens of calls that were sent and came back.
        retries: how often a call was sent again.
        failed: calls that failed for good.
        in_flight: calls under way.
        dollars: what the calls cost that were sent and came back; 0 where the model has no price.
    """

    made: int = 0
    replayed: int = 0
    cached: int = 0
    generated: int = 0
    retries: int = 0
    failed: int = 0
    in_flight: int = 0
    dollars: float = 0.0


class StoredCalls(LiveModel):
    """Wraps a live model: answers from the store, and keeps what the model answers before handing it on.

    Two strategies that ask for the same call at the same time share it: the second waits, and makes the call itself
    only if the first was cancelled or got nothing that can be replayed. What was cut, cancelled or failed is logged,
    and is never replayed.

    Attributes:
        counts: what was sent and what was replayed.
        unreachable: the error of a server that stopped answering. It is raised to whoever asks next, so that a run
            stops instead of taking it for a result.
    """

    def __init__(self, model: LiveModel, store: Store, *, name: str = "", cache: CachedResponses | None = None) -> None:
        """Wrap ``model`` under the name that the run knows it by, its own by default; ask ``cache`` after the store."""
        super().__init__(name or model.name, price=model.price, limiter=model.limiter)
        self.counts = CallCounts()
        self.unreachable: ServerUnreachable | None = None
        self.chunk = model.chunk
        self._model = model
        self._store = store
        self._cache = cache
        self._flights: dict[str, anyio.Event] = {}

    @property
    def waiting(self) -> bool:
        """Whether the wrapped model waits for its server."""
        return self._model.waiting

    @property
    def overrun(self) -> int:
        """That of the wrapped model."""
        return self._model.overrun

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Ask the wrapped model."""
        return await self._model.count_tokens(text)

    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any] | None = None) -> int:
        """Ask the wrapped model."""
        return await self._model.count_prompt(messages, extra)

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Make the call with the wrapped model, and count it.

        Raises:
            ModelError: the call failed for good.
        """
        self.counts.in_flight += 1
        before = meter.attempts
        try:
            samples = await self._model.call(request, meter)
        except ServerUnreachable as error:
            self.unreachable = error
            raise
        finally:
            self.counts.in_flight -= 1
            self.counts.made += meter.attempts > before
            self.counts.retries += max(0, meter.attempts - before - 1)
        self.counts.generated += sum(s.usage.generated for s in samples)
        if self.price is not None:
            self.counts.dollars += sum(self.price.of(s.usage) for s in samples)
        return samples

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request: from the store, from a call that is under way already, or with a call.

        Raises:
            BudgetExhausted: the ledger refused the call.
            ServerUnreachable: the server has stopped answering.
        """
        if self.unreachable is not None:
            raise self.unreachable
        key, logprobs = call_key(self.name, request), request.logprobs or 0
        while not self._store.has_call(key, logprobs=logprobs) and (flight := self._flights.get(key)) is not None:
            await flight.wait()
        if self._store.has_call(key, logprobs=logprobs):
            samples = await super().complete(request, ledger, is_head)
        else:
            landed = self._flights[key] = anyio.Event()
            try:
                samples = await super().complete(request, ledger, is_head)
            finally:
                del self._flights[key]
                landed.set()
        if self.unreachable is not None:
            raise self.unreachable
        return samples

    async def recorded(self, request: Request) -> Sample | None:
        """Return the sample of the same request, with the logprobs that are asked for, where store or cache have it.

        What the cache has goes into the store first: a run holds all that it is made of, and goes on without the cache.
        """
        if request.n != 1:
            return None
        key, logprobs = call_key(self.name, request), request.logprobs or 0
        known = self._store.call(key, logprobs=logprobs)
        if known is not None:
            self.counts.replayed += 1
        elif self._cache is not None and (known := self._cache.find(request)) is not None:
            await self._keep(key, request, known, source="cache")
            self.counts.cached += 1
        return None if known is None else replace(known, kind=request.kind)

    async def remember(self, request: Request, samples: Sequence[Sample]) -> None:
        """Keep what a call brought; returns once it is committed."""
        key = call_key(self.name, request)
        for sample in samples:
            self.counts.failed += sample.finish == "failed"
            replay = (
                request.n == 1
                and sample.finish in ("stop", "step", "length", "halted")
                and not _unforced(request, sample)
            )
            await self._keep(key, request, sample, replay=replay)
            if replay and self._cache is not None:
                await self._cache.keep(request, sample)

    async def _keep(self, key: str, request: Request, sample: Sample, *, source: str = "", replay: bool = True) -> None:
        query, strategy, unit = working_on.get()
        await self._store.add_call(
            key,
            request,
            sample,
            query=query,
            strategy=strategy,
            unit=unit,
            model=self.name,
            source=source,
            replay=replay,
        )


def _unforced(request: Request, sample: Sample) -> bool:
    """Whether an answer should have been forced and was not: the budget or a failure was in the way."""
    force = request.force
    return force is not None and sample.finish == "length" and not sample.forced and not force.answered(sample.text)
