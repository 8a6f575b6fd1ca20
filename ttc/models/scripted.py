"""A model that is a function: for tests of strategies, by us and by those who write their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from ttc.budget import Price
from ttc.models.base import LiveModel, Meter
from ttc.types import Message, Piece, Request, Sample, Usage

__all__ = ["Scripted"]


class Scripted(LiveModel):
    """Answers by calling ``reply(request)``, with leases and issue order like any live model.

    A reply is a text (one token a word), or a whole :class:`~ttc.types.Sample`. Streamed requests "generate" in steps
    of ``interval`` tokens and ask their meter after each, so that budgets cut them as they cut a server's stream, and
    a watcher sees each step with the reply's logprobs of it.

    Attributes:
        requests: every request, in the order in which it was sent.
        generated: tokens generated so far, those of cut and cancelled calls among them.
        running: calls under way.
    """

    def __init__(
        self,
        reply: Callable[[Request], str | Sample],
        *,
        name: str = "scripted",
        latency: Callable[[Request], float] | None = None,
        interval: int = 1,
        in_flight: int = 64,
        price: Price | None = None,
    ) -> None:
        super().__init__(name, in_flight=in_flight, price=price)
        self.requests: list[Request] = []
        self.generated = 0
        self.running = 0
        self._reply = reply
        self._latency = latency
        self._interval = interval

    @property
    def overrun(self) -> int:
        """Two intervals."""
        return 2 * self._interval

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Reply, a step at a time where the request is streamed."""
        self.requests.append(request)
        meter.start()
        self.running += 1
        try:
            if self._latency is not None:
                await anyio.sleep(self._latency(request))
            else:
                await anyio.lowlevel.checkpoint()
            return await self._generate(request, meter)
        finally:
            self.running -= 1

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Count words."""
        return len(text.split()), "tokenizer"

    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any] | None = None) -> int:
        """Count words, and one per message for the template."""
        return sum(len(str(m.get("content", "")).split()) + 1 for m in messages)

    async def _generate(self, request: Request, meter: Meter) -> list[Sample]:
        reply = self._reply(request)
        prompt = meter.prompt = await self.count_prompt(request.messages)
        if isinstance(reply, Sample):
            text, reasoning = reply.text, reply.reasoning
        else:
            text, reasoning, reply = reply, "", Sample(text=reply)
        words, thoughts = text.split(), reasoning.split()
        cap = meter.max_tokens()
        length, finish = len(words) + len(thoughts), reply.finish
        if length > cap:
            length, finish = cap, "length"
        watcher = request.watch.start() if request.watch else None
        done = 0
        while done < length:
            before, done = done, min(done + self._interval, length)
            self.generated += done - before
            meter.seen = done
            halted = watcher is not None and watcher(_piece(words, thoughts, reply, before, done))
            if meter.streamed and done < length:
                if halted or not meter.grow(done):
                    finish = "halted" if halted else "cut"
                    break
                await anyio.lowlevel.checkpoint()
        ended = finish in ("cut", "halted")  # by us, so that nobody says what was generated
        bound = meter.bound() if ended else done
        if finish == "length" and cap < request.max_tokens:
            finish = "cut"  # the budget's cap and not the request's
        whole = done == len(words) + len(thoughts)
        reasoned = min(done, len(thoughts))
        sample = Sample(
            text=text if whole else " ".join(words[: max(0, done - len(thoughts))]),
            reasoning=" ".join(thoughts[:done]),
            usage=Usage(prompt, 0, reasoned, bound - reasoned, ended, "server" if thoughts else ""),
            index=request.index,
            seed=request.seed,
            kind=request.kind,
            finish=finish,
            logprobs=reply.logprobs if whole else reply.logprobs[:done],
            top_logprobs=reply.top_logprobs if whole else reply.top_logprobs[:done],
            first_choices=reply.first_choices,
        )
        return [sample] * request.n


def _piece(words: Sequence[str], thoughts: Sequence[str], reply: Sample, before: int, done: int) -> Piece:
    """What a sample has gained; its thoughts come first."""
    n = len(thoughts)
    return Piece(
        done,
        " ".join(words[max(0, before - n) : max(0, done - n)]),
        " ".join(thoughts[before:done]),
        reply.top_logprobs[before:done],
    )
