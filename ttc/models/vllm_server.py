"""A vLLM server (or another OpenAI-compatible one) over HTTP: one retry layer, streams that are cut, aborts.

aiohttp with orjson, measured against the other Python clients: .11 ms of CPU per request at 64 in flight and .24 at
1,500, where httpx takes 3.0 and does not finish.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

import aiohttp
import anyio
import orjson

from ttc.budget import Price
from ttc.errors import BadResponse, ContextOverflow, ModelError, RequestRejected, ServerUnreachable
from ttc.models.base import LiveModel, Meter
from ttc.models.completion import Lag, Reading, read_choices
from ttc.models.continued import loose_end, step_fields
from ttc.models.in_flight import InFlight
from ttc.models.replicas import Replica, Replicas, reason
from ttc.models.retry import RETRIED_STATUS, Broken, RetryBudget, RetryPolicy, Sleep, retry_after
from ttc.models.server_facts import ServerFacts, ask_facts, one_of
from ttc.models.tokenizer import ServerTokenizer
from ttc.models.wire import EventBuffer, StreamedChoice, chat_body, error_message, parse_choices
from ttc.types import Message, Request, Sample

__all__ = ["VLLMServer"]

_OVERFLOW = ("context length", "max_model_len", "maximum model length", "context_length", "context window")


class VLLMServer(LiveModel):
    """A model behind an OpenAI-compatible server, or the same model behind several.

    Use as ``async with VLLMServer("http://localhost:8000") as model: await solve(query, "majority:n=16", model)``.

    Attributes:
        base_url: the first server's URL, without ``/v1``.
        base_urls: those of all servers.
        context: the model's context length in tokens, where the server tells.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        model: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        in_flight: int | None = None,
        price: Price | None = None,
        limiter: anyio.CapacityLimiter | InFlight | None = None,
        stream_interval: int = 1,
        patience: float = 90.0,
        probe_every: float = 2.0,
        read_timeout: float = 600.0,
        sleep: Sleep = anyio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        """Describe a server; nothing is sent before the block is entered.

        Args:
            base_url: with or without ``/v1``; with several, each call goes to the one with the fewest in flight.
            model: the served name; left out, the only one that is served.
            api_key: sent as a bearer token.
            headers: further headers of every request, for gateways that ask for them.
            in_flight: calls at a time; left out, as many as the server carries (:class:`InFlight`).
            price: dollars per million tokens.
            limiter: the permits, where several models share them.
            stream_interval: tokens per streamed chunk, at the least (``--stream-interval`` of the server).
            patience: seconds that calls wait for a server that stopped answering.
            probe_every: seconds between probes of such a server.
            read_timeout: seconds without a byte, after which a call fails (and is not sent again).
            sleep: how to wait between retries and probes.
            rng: draws the jitter of the waits.

        Raises:
            ConfigurationError: a URL that is none.
        """
        if limiter is None:
            limiter = InFlight() if in_flight is None else anyio.CapacityLimiter(in_flight)
        super().__init__(model or "", price=price, limiter=limiter)
        self._most = limiter.most if isinstance(limiter, InFlight) else limiter.total_tokens
        sent = {"Content-Type": "application/json"}
        if api_key:
            sent["Authorization"] = f"Bearer {api_key}"
        sent |= headers or {}
        self._read_timeout = read_timeout
        self._replicas = Replicas(
            [base_url] if isinstance(base_url, str) else base_url,
            sent,
            aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=read_timeout),
            patience=patience,
            probe_every=probe_every,
            sleep=sleep,
        )
        self.base_urls = tuple(self._replicas.urls)
        self.base_url = self.base_urls[0]
        self.context: int | None = None
        self._wanted = model
        self._lag = Lag(stream_interval)
        self._tokenizer = ServerTokenizer(self._replicas.ask)
        # Never less than the failures that open the breaker: an outage alone fails no call.
        budget = RetryBudget(max(20.0, 0.1 * min(self._most, 1e6)))
        self._retry = RetryPolicy(budget, sleep=sleep, rng=rng or random.Random())

    @property
    def waiting(self) -> bool:
        """Whether calls pause until a server that stopped answering is back."""
        return self._replicas.breaker.open

    @property
    def overrun(self) -> int:
        """Two stream intervals: the server may have generated so much beyond what was seen. Learned from the lag."""
        return 2 * self._lag.interval

    # -- the connection ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the connections and find the model.

        Raises:
            ServerUnreachable: nothing answers there.
            ConfigurationError: the model is not served.
        """
        self._replicas.open(self._most)
        try:
            await self.connect()
        except BaseException:
            await self._replicas.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._replicas.close()

    async def connect(self) -> None:
        """Ask every server what it serves, and settle on the model; also to be called again after a restart.

        Raises:
            ServerUnreachable: nothing answers there, or not like an OpenAI-compatible server.
            ConfigurationError: the model is not served, several are and none was named, or the API key is wrong.
        """
        self.context = await self._replicas.connect(self._wanted)
        self._name = self._replicas.served

    async def facts(self) -> ServerFacts:
        """Ask what serves the model: version, weights, tokenizer, template, flags and hardware, as far as it tells.

        Raises:
            ConfigurationError: several servers, and they do not serve the same model.
        """
        ask = self._replicas.ask_one
        found = [
            await ask_facts(url, self.name, get=partial(ask, url), post=partial(ask, url)) for url in self.base_urls
        ]
        return one_of(found)

    @property
    def probe_tokens(self) -> int:
        """Tokens generated by probing a server that had stopped answering: in no ledger."""
        return self._replicas.probe_tokens

    # -- calls ------------------------------------------------------------------------------------------------------

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        """Make one call, with retries; a stream is cut when the meter says so.

        Raises:
            RequestRejected: a 4xx; :class:`~ttc.errors.ContextOverflow` where prompt and max_tokens do not fit.
            BadResponse: nothing readable after all attempts.
            ServerUnreachable: the server went away and did not come back within ``patience``.
            ModelError: no byte came within the read timeout. Such a call is not sent again: that would favour short
                answers.
            ConfigurationError: ``request.extra`` holds fields that are not for it.
        """
        began = time.monotonic()
        end = loose_end(request)
        trimmed = end if end and await self._tokenizer.trims(request.extra) else ""

        permit = meter.permit

        async def attempt() -> Reading:
            if permit is not None:
                await permit.again()
            replica = await self._replicas.pick()
            replica.in_flight += 1
            try:
                reading = await self._send(replica, request, meter, trimmed)
            except Broken as broken:
                self._replicas.note(replica, ok=not broken.transport)
                broken.paused = self._replicas.breaker.open
                if permit is not None and broken.error.status in (429, 503):
                    permit.refused()
                    broken.paused |= permit.adapts
                if not meter.broke(generated=broken.generated):
                    raise broken.error from broken.__cause__
                broken.error.__cause__ = broken.__cause__
                raise
            except ModelError as error:
                rejected = isinstance(error, RequestRejected)
                if rejected:
                    self._replicas.note(replica, ok=True)
                meter.broke(generated=not rejected or meter.seen > 0)
                raise
            finally:
                replica.in_flight -= 1
            self._replicas.note(replica, ok=True)
            return reading

        reading = await self._retry.run(attempt)
        latency = time.monotonic() - began
        return await read_choices(request, meter, reading, self._tokenizer, latency=latency, trimmed=trimmed)

    async def _send(self, replica: Replica, request: Request, meter: Meter, trimmed: str) -> Reading:
        cap = meter.max_tokens()
        steps = step_fields(request, trimmed, max_tokens=cap)
        body = orjson.dumps(chat_body(request, self.name, max_tokens=cap, streamed=meter.streamed, steps=steps))
        meter.start()
        try:
            response = await self._replicas.http.post(f"{replica.url}/v1/chat/completions", data=body)
        except aiohttp.ClientConnectorError as error:  # ConnectionTimeoutError is below: it is no ClientConnectorError
            raise Broken(_lost(replica, error), transport=True) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._broken(replica, error)
        try:
            if response.status != 200:
                await self._refuse(replica, response, request, cap)
            if meter.streamed:
                return await self._read_stream(response, request, meter, cap)
            choices, usage = parse_choices(await response.read())
            return Reading(choices, usage, cap)
        except BadResponse as error:
            raise Broken(error, generated=True) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._broken(replica, error)
        finally:
            response.close()  # aborts what has not come to its end; what has was handed back already

    async def _read_stream(self, response: aiohttp.ClientResponse, request: Request, meter: Meter, cap: int) -> Reading:
        events, stream = EventBuffer(), StreamedChoice()
        watcher = request.watch.start() if request.watch else None

        def take(data: bytes) -> None:
            before = stream.seen
            for event in events.feed(data):
                stream.add(event)
            self._lag.saw(stream.seen - before)
            meter.overrun = max(meter.overrun, self.overrun)
            meter.seen = max(meter.seen, stream.seen)
            meter.prompt = stream.usage.get("prompt_tokens") or meter.prompt

        try:
            async for data in response.content.iter_any():
                take(data)
                halted = watcher is not None and watcher(stream.gain())
                if not stream.finished and (halted or not meter.grow(stream.seen)):
                    response.close()
                    return Reading([stream.collect()], stream.usage, cap, stream=stream, cut=True, halted=halted)
        except anyio.get_cancelled_exc_class():
            # What had come before the cancellation tightens the bound that is charged.
            with contextlib.suppress(Exception):
                take(response.content.read_nowait())
            raise
        except (aiohttp.ClientError, OSError):
            if not stream.finished:  # else what follows the end was lost, and nothing else
                raise
        if not stream.finished:
            raise BadResponse("the stream ended in the middle of a completion")
        return Reading([stream.collect()], stream.usage, cap, stream=stream)

    def _broken(self, replica: Replica, error: Exception) -> NoReturn:
        """Say what a transport error means for the call."""
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise Broken(_lost(replica, error), transport=True) from error
        if isinstance(error, TimeoutError):
            raise ModelError(
                f"{replica.url} sent no byte for {self._read_timeout:g} s: the call is given up and not sent "
                "again, since that would favour short answers"
            ) from error
        raise Broken(_lost(replica, error), transport=True, generated=True) from error

    async def _refuse(self, replica: Replica, response: aiohttp.ClientResponse, request: Request, cap: int) -> NoReturn:
        """Say what a status other than 200 means for the call."""
        status, raw = response.status, await response.read()
        message = error_message(raw)
        if status in RETRIED_STATUS:
            kind = ServerUnreachable if status in (502, 503, 504) else ModelError
            error = kind(f"{replica.url} answered {status}: {message}", status=status)
            after = retry_after(response.headers.get("Retry-After"))
            # 429, 503 and 408 are said before anything is generated.
            raise Broken(error, transport=status >= 500, generated=status in (500, 502, 504), after=after)
        if status in (400, 413) and any(sign in message for sign in _OVERFLOW):
            tokens = await self._tokenizer.measure_prompt(request.messages, request.extra)
            raise ContextOverflow(
                f"the prompt{f' ({tokens} tokens)' if tokens else ''} and max_tokens ({cap}) do not fit the context of "
                f"{self.name}{f' ({self.context} tokens)' if self.context else ''}: lower --sample-tokens or shorten "
                "the prompt",
                status=status,
            )
        raise RequestRejected(f"{replica.url} refused the request ({status}): {message}", status=status)

    # -- counting ---------------------------------------------------------------------------------------------------

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Return how many tokens a text is, and who counted: the server's ``tokenizer``, or an ``estimate``."""
        return await self._tokenizer.count_tokens(text)

    async def count_prompt(self, messages: Sequence[Message], extra: Mapping[str, Any] | None = None) -> int:
        """Return how many tokens a chat prompt is, template included; an upper bound where nobody can tell."""
        return await self._tokenizer.count_prompt(messages, extra or {})

    async def metrics(self) -> dict[str, float]:
        """Read ``/metrics``, summed over labels and servers: ``vllm:generation_tokens_total`` and so on.

        Raises:
            ServerUnreachable: no such page, or nothing answers.
        """
        return await self._replicas.metrics()


def _lost(replica: Replica, error: Exception) -> ServerUnreachable:
    return ServerUnreachable(f"the connection to {replica.url} failed: {reason(error)}")
