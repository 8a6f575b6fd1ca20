"""The stream of a model that takes no time: a pull iterator without tasks, which is what makes simulations fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio.lowlevel

from ttc.errors import BudgetExhausted
from ttc.ledger import Ledger
from ttc.models.base import charged_as
from ttc.models.population import stated
from ttc.request import Numbered
from ttc.types import Request, Sample, Usage

if TYPE_CHECKING:
    from ttc.models.simulated import Simulated

__all__ = ["InstantStream"]

_BREATH = 256
"""Samples between two looks at the event loop: deadlines and other tasks get their turn."""


class InstantStream:
    """The stream of a simulated model whose calls take no time: it draws a sample when it is asked for one.

    Plain requests are drawn, leased and settled in one go; whatever has more to it (a watch, several choices) takes
    the way of a live call.
    """

    def __init__(self, model: Simulated, requests: Sequence[Request], ledger: Ledger) -> None:
        self._model = model
        self._ledger = ledger
        self._batches: deque[Sequence[Request]] = deque()
        self._at = self._end = 0
        self._plain: Numbered | None = None
        self._ready: deque[Sample] = deque()
        self.issue(requests)

    async def __aenter__(self) -> Self:
        """Nothing to start."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        """Nothing is ever in flight."""
        return None

    def issue(self, requests: Sequence[Request]) -> None:
        """Add requests behind those that were issued."""
        if requests:
            self._batches.append(requests)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sample:
        while True:
            if self._ready:
                return self._ready.popleft()
            at = self._at
            if at == self._end:
                self._next_batch()
                continue
            self._at = at + 1
            if at % _BREATH == _BREATH - 1:
                await anyio.lowlevel.checkpoint()
            if (batch := self._plain) is not None:
                if (made := self._draw(batch, at)) is not None:
                    return made
                continue
            try:
                self._ready.extend(await self._model.complete(self._batches[0][at], self._ledger, lambda: True))
            except BudgetExhausted:
                continue

    def _next_batch(self) -> None:
        """Work out what all samples of the next batch have in common."""
        if self._end:
            self._batches.popleft()
        self._at = self._end = 0
        if not self._batches:
            raise StopAsyncIteration
        batch, model = self._batches[0], self._model
        self._end = len(batch)
        self._plain = None
        if isinstance(batch, Numbered):
            request = batch.request
            if request.n == 1 and request.watch is None and request.force is None and not model.failures:
                self._plain = batch
                self._prompt = model.prompt_of(request.messages)
                self._problem = model.population.problem(stated(request.messages))
                self._kind = charged_as(request)
                self._limited = self._ledger.limited

    def _draw(self, batch: Numbered, at: int) -> Sample | None:
        """Draw one sample within the budget, or None where the ledger refuses it."""
        model, ledger, request, prompt = self._model, self._ledger, batch.request, self._prompt
        cap = request.max_tokens
        room = ledger.left(prompt, price=model.price) if self._limited else None
        if room is not None and room < min(cap, 16):
            ledger.refused = True
            return None
        index = batch.positions[at]
        seed = batch.seed(index)
        draw = model.draw(request, seed, index, self._problem)
        tokens, finish = draw.tokens, draw.finish
        if tokens > cap:
            tokens, finish = cap, "length"
        if room is not None and tokens > room:
            tokens, finish = room, "cut"
        model.sent += 1
        model.generated += tokens
        used = Usage(prompt, 0, 0, tokens)
        ledger.pay(self._kind, used, price=model.price)
        if request.logprobs:
            return model.sample(request, index, seed, draw, used, finish)
        text = draw.text if finish in ("stop", "step") else ""
        return Sample(text=text, usage=used, index=index, seed=seed, kind=request.kind, finish=finish)
