"""What a model is, and the part that every live one shares: leases, permits, issue order, forced answers.

A model opens a batch of requests as one stream of samples. The model owns concurrency: a live one runs a task per
request, a replayed one pulls. Samples finish in any order and are handed on in issue order, since taking first
finishers would select for length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self

import anyio

from ttc.budget import Price
from ttc.continuation import partial_message
from ttc.errors import BudgetExhausted, ConfigurationError, ModelError
from ttc.ledger import Lease, Ledger
from ttc.models.in_flight import InFlight, Permit
from ttc.models.meter import Meter
from ttc.models.stream import LiveStream
from ttc.types import ForcedAnswer, Message, Request, Sample, Usage

__all__ = ["LiveModel", "Meter", "Model", "SampleStream"]


class SampleStream(Protocol):
    """Samples of a batch of requests, in issue order. Leaving the block cancels what is in flight."""

    async def __aenter__(self) -> Self:
        """Start what was issued."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        """Cancel what is in flight; charge it."""
        ...

    def __aiter__(self) -> Self:
        """Iterate in issue order."""
        ...

    async def __anext__(self) -> Sample:
        """Wait for the next sample in issue order; requests that the budget refused are left out."""
        ...

    def issue(self, requests: Sequence[Request]) -> None:
        """Add requests behind those that were issued."""
        ...


class Model(Protocol):
    """What answers requests: a server, an engine, a pool of recorded samples, a simulation."""

    @property
    def name(self) -> str:
        """The model's name, part of the key of every call."""
        ...

    @property
    def price(self) -> Price | None:
        """Dollars per token, where it has any."""
        ...

    def price_of(self, name: str) -> Price | None:
        """The price of one of several models; of the only one under the empty name."""
        ...

    def open(self, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False) -> SampleStream:
        """Open a batch: every call leases from ``ledger`` before it is sent and settles after.

        Samples come in issue order, or with ``by_finish`` in the order in which they finish.
        """
        ...

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Return how many tokens a text is, and who counted: ``tokenizer`` or ``estimate``."""
        ...


class LiveModel(ABC):
    """A model that answers now: one task, one lease and one permit per request.

    Subclasses say how one call is made (:meth:`call`). ``recorded`` and ``remember`` let a run's store answer and
    keep calls.
    """

    #: tokens a growing lease starts with and grows by
    chunk = 256

    def __init__(
        self,
        name: str,
        *,
        in_flight: int = 64,
        price: Price | None = None,
        limiter: anyio.CapacityLimiter | InFlight | None = None,
    ) -> None:
        self._name = name
        self._price = price
        self.limiter: anyio.CapacityLimiter | InFlight = limiter or anyio.CapacityLimiter(in_flight)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def price(self) -> Price | None:
        """Dollars per token, where it has any."""
        return self._price

    def price_of(self, name: str) -> Price | None:
        """Return its own price.

        Raises:
            ConfigurationError: a model is named as if it were a fleet.
        """
        if name:
            raise ConfigurationError(
                f"'{self.name}' is one model, and no fleet with a model '{name}': "
                f"make one with Fleet({{'{name}': ..., 'other': ...}}), or leave 'models=' out"
            )
        return self._price

    @property
    def waiting(self) -> bool:
        """Whether calls pause until a server that stopped answering is back."""
        return False

    @property
    def overrun(self) -> int:
        """Tokens that may be generated beyond what was seen when a stream is cut: two stream intervals."""
        return 2

    @abstractmethod
    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Make one call, with retries; ask ``meter`` before going on and return ``request.n`` samples.

        Raises:
            ModelError: the call failed for good.
        """

    @abstractmethod
    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Return how many tokens a text is, and who counted."""

    @abstractmethod
    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any] | None = None) -> int:
        """Return how many tokens a chat prompt is, template included, or an upper bound.

        Args:
            messages: the chat.
            extra: further fields of the request, since arguments of the template may change the prompt.
        """

    async def recorded(self, request: Request) -> Sample | None:
        """Return the sample of a request that was paid for before, if there is one."""
        return None

    async def remember(self, request: Request, samples: Sequence[Sample]) -> None:
        """Keep what a call brought; returns once it is safe. A model without a record keeps nothing."""
        return

    def open(self, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False) -> SampleStream:
        """Open a batch of requests; nothing is sent before the block is entered."""
        return LiveStream(self.complete, requests, ledger, by_finish=by_finish)

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request under a lease: from the record, or with a call.

        Raises:
            BudgetExhausted: the ledger refused the call.
        """
        prompt = await self.count_prompt(request.messages, request.extra) if ledger.counts_prompts else 0
        known = await self.recorded(request)
        if known is not None and await self._charged(known, charged_as(request), ledger):
            return [known]
        reserve = request.force.max_tokens if request.force else 0
        cap = request.max_tokens
        streamed = (request.stream or request.watch is not None) and request.n == 1
        kind = charged_as(request)
        enough = min(cap, self.chunk) if streamed else cap * request.n
        lease = await ledger.lease(
            kind,
            # The oldest sample in flight is promised its whole cap, so that a small budget cannot cut them all.
            want=(cap if streamed and is_head() and not request.whole else enough) + reserve,
            enough=enough + reserve,
            least=min(enough, 16) if streamed else enough,
            prompt=prompt,
            price=self.price,
        )
        if lease.generated <= 2 * reserve:
            reserve = 0
        meter = Meter(lease, cap * request.n, reserve, self.chunk, self.overrun, streamed, n=request.n)
        if not request.whole:
            meter.is_head = is_head
        try:
            async with Permit(self.limiter) as permit:
                meter.permit = permit
                samples = await self._call(request, meter)
                permit.answered(sum(sample.usage.generated for sample in samples))
        except BaseException as error:
            # Cancelled or broken: charge the bound of what the server may have generated.
            lost = meter.lost()
            if lease.open:
                if meter.attempts:
                    lease.settle(lost)
                else:
                    lease.release()
            if isinstance(error, ModelError):
                failed = Sample(
                    index=request.index,
                    seed=request.seed,
                    kind=request.kind,
                    finish="failed",
                    attempts=max(1, meter.attempts),
                    usage=lost,
                    error=str(error),
                    error_type=type(error).__name__,
                )
                samples = [failed]
            else:
                if meter.attempts and isinstance(error, anyio.get_cancelled_exc_class()):
                    await self._remember_cancelled(request, meter, lost)
                raise
        if request.model:
            samples = [replace(sample, model=request.model) for sample in samples]
        await self.remember(request, samples)
        return samples

    async def _remember_cancelled(self, request: Request, meter: Meter, lost: Usage) -> None:
        """Keep a call that was sent and then given up: it is paid, and would be in no record else."""
        given_up = Sample(
            index=request.index,
            seed=request.seed,
            kind=request.kind,
            finish="cancelled",
            attempts=meter.attempts,
            usage=lost,
            model=request.model,
        )
        with anyio.CancelScope(shield=True):
            await self.remember(request, [given_up])

    async def _charged(self, known: Sample, kind: str, ledger: Ledger) -> bool:
        """Charge a sample that was paid for before as it was then; False where it does not fit whole.

        The call is made in that case, and cut where the budget ends.
        """
        used = known.usage
        try:
            lease = await ledger.lease(
                kind, want=used.generated, least=used.generated, prompt=used.prompt_tokens, price=self.price
            )
        except BudgetExhausted:
            return False
        forcing = lease.split(0) if known.forced else None  # forcing its answer was a call of its own
        if known.forced and forcing is None:
            lease.release()
            return False
        lease.settle(used)
        if forcing is not None:
            forcing.settle(Usage())
        return True

    async def _call(self, request: Request, meter: Meter) -> list[Sample]:
        samples = _with_broken(await self.call(request, meter), meter)
        used = sum((s.usage for s in samples), Usage())
        force = request.force
        first = samples[0]
        ask: Request | None = None
        extra: Lease | None = None
        if force and len(samples) == 1 and first.finish in ("length", "cut") and not force.answered(first.text):
            room = meter.lease.generated - used.generated
            if room > 0:
                ask = _answer_now(request, force, first)
                prompt = await self.count_prompt(ask.messages, ask.extra) if meter.lease.prompt else 0
                extra = meter.lease.split(min(force.max_tokens, room), prompt=prompt)
        meter.lease.settle(used)
        meter.paid = used
        if force and ask is not None and extra is not None:
            ask = replace(ask, max_tokens=extra.generated)
            samples = [await self._force(ask, extra, first, cue=force.cue, of=meter)]
        return samples

    async def _force(self, ask: Request, lease: Lease, sample: Sample, *, cue: str, of: Meter) -> Sample:
        """Go on from a text that was cut off, behind the words that ask for the answer."""
        meter = Meter(lease, lease.generated, streamed=False, permit=of.permit)
        try:
            (more,) = _with_broken(await self.call(ask, meter), meter)
        except ModelError:
            lost = meter.lost()
            lease.settle(lost)
            return replace(sample, usage=sample.usage + lost)  # it abstains
        except BaseException:
            lost = meter.lost()
            of.paid = (of.paid or Usage()) + lost
            lease.settle(lost)
            raise
        lease.settle(more.usage)
        return replace(
            sample,
            text=sample.text + cue + more.text,
            usage=sample.usage + more.usage,
            latency=sample.latency + more.latency,
            forced=True,
        )


def charged_as(request: Request) -> str:
    """The kind that a call is charged under: with the model's name where there are several."""
    return f"{request.kind}@{request.model}" if request.model else request.kind


def _with_broken(samples: list[Sample], meter: Meter) -> list[Sample]:
    """Add what the broken attempts of a call cost to its first sample, each with the prompt that it was sent."""
    if not meter.broken:
        return samples
    first, *others = samples
    used = first.usage
    prompts = (1 + meter.broken) * used.prompt_tokens
    used = replace(used, prompt_tokens=prompts, answer_tokens=used.answer_tokens + meter.wasted, upper_bound=True)
    return [replace(first, usage=used), *others]


def _answer_now(request: Request, force: ForcedAnswer, sample: Sample) -> Request:
    """The request that goes on from a text that was cut off, behind the words that ask for the answer."""
    messages = partial_message(request.messages, sample, force.cue, close_thought=True)
    return replace(
        request,
        messages=tuple(messages),
        temperature=0.0,
        stream=False,
        continue_final=True,
        thinking_tokens=None,
        logprobs=None,
        force=None,
        watch=None,
    )
