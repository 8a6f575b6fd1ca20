"""The pooling servers behind a reward model: connections, failover, retries, and each call charged to its query.

vLLM serves a reward model with ``--runner pooling``, and answers ``/classify`` and ``/pooling`` with numbers. What is
asked is deterministic, so unlike a sample it may be sent again after a time-out, and to another replica.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from weakref import WeakKeyDictionary

import aiohttp
import anyio
import orjson
from anyio.lowlevel import RunVar

from ttc.budget import Price
from ttc.errors import BadResponse, ContextOverflow, ModelError, RequestRejected, ServerUnreachable
from ttc.models.replicas import Replica, reason
from ttc.models.retry import RETRIED_STATUS, Broken, RetryBudget, RetryPolicy, retry_after
from ttc.models.tokenizer import ServerTokenizer
from ttc.models.wire import error_message
from ttc.session import Session
from ttc.types import Message, Usage
from ttc.verifiers.pooling_replicas import START, PoolingReplicas

__all__ = ["UNTRAINED", "Payload", "ScoringServer", "shared_server"]

UNTRAINED = (
    "is its head trained (a model that was made for generating has none), or does its dtype overflow (--dtype float32)?"
)
"""What to look at where scores are no numbers."""

Payload = str | tuple[Message, ...]
"""What is scored: a plain text, or a chat whose last message is the solution."""

_NO_SUCH_PATH = (404, 405, 501)
_FRAME = 64  # tokens that a chat template adds to a message, at the most


class ScoringServer:
    """One or several pooling servers of the same model, on one event loop.

    Attributes:
        model: the served name, once :meth:`connected` has found it.
        path: where it scores, once a probe has found out.
        probing: held while one finds out.
        probe_tokens: prompt tokens of calls that no query paid for.
    """

    def __init__(
        self, urls: Sequence[str], model: str, *, api_key: str, in_flight: int, timeout: float, price: Price | None
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        wait = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=timeout)
        self._replicas = PoolingReplicas(urls, headers, wait, patience=90, probe_every=2, sleep=anyio.sleep)
        self._wanted = model
        self._price = price
        self._timeout = timeout
        self._limiter = anyio.CapacityLimiter(in_flight)
        self._retry = RetryPolicy(RetryBudget(max(20.0, 0.1 * in_flight)))
        self._tokenizer = ServerTokenizer(self._replicas.ask)
        self._door = anyio.Lock()
        self._users = 0
        self.path = ""
        self.probing = anyio.Lock()
        self._pending: WeakKeyDictionary[Any, dict[bytes, anyio.Event]] = WeakKeyDictionary()
        self.probe_tokens = 0

    @property
    def model(self) -> str:
        """The served name."""
        return self._replicas.served

    @property
    def where(self) -> str:
        """The URLs, for messages."""
        return ", ".join(self._replicas.urls)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Self]:
        """Open the connections, which all who are inside at a time share; the last one to leave closes them.

        Raises:
            ServerUnreachable: none of the servers answers.
            ConfigurationError: the model is not served, several are and none was named, or the API key is wrong.
        """
        async with self._door:
            if not self._users:
                self._replicas.open(self._limiter.total_tokens)
            self._users += 1
        try:
            async with self._door:
                if not self.model:
                    await self._replicas.settle(self._wanted)
            yield self
        finally:
            with anyio.CancelScope(shield=True):
                async with self._door:
                    self._users -= 1
                    if not self._users:
                        await self._replicas.close()

    async def post(
        self, path: str, body: Mapping[str, Any], payloads: Sequence[Payload], session: Session | None
    ) -> list[Any]:
        """Send one request, with retries, each of which is charged; return ``data`` of the answer in its own order.

        Args:
            path: ``/classify`` or ``/pooling``.
            body: without the model.
            payloads: what is in it, for the books.
            session: pays; None for probes.

        Raises:
            BudgetExhausted: no calls or dollars are left for it.
            RequestRejected: a 4xx; :class:`~ttc.errors.ContextOverflow` where a text is too long for the model.
            BadResponse: the answer is not one entry per text, or cannot be read, after all attempts.
            ServerUnreachable: no server answers.
            ModelError: a server answered with an error, or sent nothing in time.
        """
        raw = orjson.dumps({"model": self.model, **body})

        async def attempt() -> list[Any]:
            replica = await self._replicas.pick()
            lease = session and await session.foreign_call(self.model, bound, price=self._price)
            usage: Usage | None = Usage(prompt_tokens=bound, upper_bound=True)
            replica.in_flight += 1
            try:
                data, read = await self._send(replica, path, raw)
                usage = usage if read is None else Usage(prompt_tokens=read)
                _check_order(replica.url + path, data, len(payloads))
            except Broken as broken:
                self._replicas.note(replica, ok=not broken.transport)
                broken.paused = self._replicas.breaker.open
                usage = usage if broken.generated else None
                raise
            except RequestRejected:
                self._replicas.note(replica, ok=True)
                usage = None  # refused before anything was read
                raise
            finally:
                replica.in_flight -= 1
                if lease is not None and usage is None:
                    lease.release()
                elif lease is not None:
                    lease.settle(usage or Usage())
                elif usage is not None:
                    self.probe_tokens += usage.prompt_tokens
            self._replicas.note(replica, ok=True)
            return [entry["probs"] if "probs" in entry else entry["data"] for entry in data]

        async with self._limiter:
            bound = await self._bound(payloads)
            return await self._retry.run(attempt)

    def pending(self, verifier: object) -> dict[bytes, anyio.Event]:
        """The texts that a verifier has sent and has no scores of yet, with what is set once they have come."""
        return self._pending.setdefault(verifier, {})

    async def token_id(self, text: str) -> int | None:
        """Return the id of a text that is one token, or None where it is not, or the server does not tell."""
        answer = await self._replicas.ask("/tokenize", {"prompt": text, "add_special_tokens": False})
        tokens: list[int] = (answer or {}).get("tokens") or []
        return tokens[0] if len(tokens) == 1 else None

    async def _bound(self, payloads: Sequence[Payload]) -> int:
        """How many tokens the server will read at the most: counted where money hangs on it, else one a byte."""
        bound = 0
        for payload in payloads:
            if not isinstance(payload, str) and self._price:
                bound += await self._tokenizer.count_prompt(payload, {})
            elif not isinstance(payload, str):
                bound += _FRAME + sum(_FRAME + len(orjson.dumps(m.get("content"))) for m in payload)
            else:
                count, by = await self._tokenizer.count_tokens(payload) if self._price else (0, "estimate")
                bound += _FRAME + (len(payload.encode(errors="replace")) if by == "estimate" else count)
        return bound

    async def _send(self, replica: Replica, path: str, raw: bytes) -> tuple[list[dict[str, Any]], int | None]:
        """Return the entries of the answer in order, and how many prompt tokens it says it read."""
        url = replica.url + path
        try:
            async with self._replicas.http.post(url, data=raw) as response:
                status, said = response.status, await response.read()
                after = retry_after(response.headers.get("Retry-After"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Broken(
                ServerUnreachable(f"no connection to {replica.url}: {reason(error)}"), transport=True
            ) from error
        except TimeoutError as error:
            late = ModelError(f"{url} sent nothing for {self._timeout:g} s: is it overloaded? Pass a larger timeout")
            raise Broken(late, transport=True, generated=True) from error
        except (aiohttp.ClientError, OSError) as error:
            lost = ServerUnreachable(f"the connection to {replica.url} broke: {reason(error)}")
            raise Broken(lost, transport=True, generated=True) from error
        if status != 200:
            raise _refusal(url, status, error_message(said), after)
        return _read(url, said)


def _refusal(url: str, status: int, message: str, after: float | None) -> Exception:
    """Say what a status other than 200 means."""
    if status in RETRIED_STATUS:
        kind = ServerUnreachable if status in (502, 503, 504) else ModelError
        error = kind(f"{url} answered {status}: {message}", status=status)
        return Broken(error, transport=status >= 500, generated=status in (500, 502, 504), after=after)
    if status in _NO_SUCH_PATH and "does not exist" not in message:
        return RequestRejected(
            f"there is no {url} ({status}): what answers there does not score; {START}", status=status
        )
    if "context length" in message or "max_model_len" in message:
        return ContextOverflow(
            f"a solution does not fit the reward model's context ({message}): start it with a larger "
            "--max-model-len, or lower --sample-tokens",
            status=status,
        )
    if "Out of range float" in message:
        return RequestRejected(f"{url} computes what is no finite number ({message}): {UNTRAINED}", status=status)
    if "task" in message:
        return RequestRejected(
            f"{url} scores in another way than it was asked to ({message}): a model of whole solutions is for verifier "
            "reward_model, and process_reward wants a process reward model",
            status=status,
        )
    if "chat template" in message:
        message += ": pass template=plain, or start the server with --chat-template"
    return RequestRejected(f"{url} refused the request ({status}): {message}", status=status)


def _read(url: str, raw: bytes) -> tuple[list[dict[str, Any]], int | None]:
    """Read the entries of an answer, sorted, and its prompt tokens."""
    try:
        body: dict[str, Any] = orjson.loads(raw)
        entries: list[dict[str, Any]] = sorted(body["data"], key=lambda entry: int(entry["index"]))
        if not all("probs" in entry or "data" in entry for entry in entries):
            raise KeyError("probs")
        usage: dict[str, Any] = body.get("usage") or {}
        read: int | None = usage.get("prompt_tokens")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if b"NaN" in raw or b"Infinity" in raw:
            raise BadResponse(f"{url} answered what is no finite number: {UNTRAINED}") from error
        excerpt = repr(raw[:80].decode(errors="replace"))
        unread = BadResponse(f"{url} answered 200 with something that holds no scores: {excerpt}")
        raise Broken(unread, generated=True) from error
    return entries, read


def _check_order(url: str, entries: Sequence[Mapping[str, Any]], n: int) -> None:
    """Make sure that there is one entry per text, each with the number of its text."""
    indices = [entry["index"] for entry in entries]
    if indices != list(range(n)):
        raise BadResponse(
            f"{url} returned {len(indices)} scores (numbered {indices[:8]}) for {n} texts, so none of them counts: "
            "vLLM sends one per text, numbered from 0; look at what stands between, or pass batch=1"
        )


_SERVERS: RunVar[dict[Hashable, ScoringServer]] = RunVar("ttc_scoring_servers")


def shared_server(key: Hashable, make: Callable[[], ScoringServer]) -> ScoringServer:
    """Return the server of a configuration on this event loop, where connections and locks belong.

    Verifiers of equal configuration share it, so that a limit on calls in flight is one for all queries, and what was
    checked once is not checked again.
    """
    try:
        servers = _SERVERS.get()
    except LookupError:
        _SERVERS.set(servers := {})
    if key not in servers:
        servers[key] = make()
    return servers[key]
