"""Stands in for a vLLM pooling server, over real HTTP: it counts, keeps what it was sent, and goes wrong when told to.

One token is one word. The logit of a text follows from its words alone; of a chat those of all its messages count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
import orjson
from aiohttp import web

from ttc.seeds import hashed

__all__ = ["MARKER", "PoolingServer", "error", "logit", "reset"]

MARKER = "<extra_0>"
Fault = Callable[[web.Request, dict[str, Any], int], "web.StreamResponse | None"]


def logit(text: str) -> float:
    """The outcome logit of what was sent: a plain text, or the JSON of a chat."""
    return hashed(text, bits=16) / 8192 - 4


class PoolingServer:
    """A pooling server on a free local port.

    Attributes:
        requests: path and body of each scoring request, in order of arrival.
        prompt_tokens: read so far.
        labels: of the outcome model, or of each step.
        finite: whether its numbers are.
        counts: whether answers carry usage.
        steps: how many scores it returns for so many steps.
        fault: what it answers in place of scores, of a request, its body and its number in order of arrival.
        shuffles: the entries of an answer come in another order.
        marker: the token behind each step.
        delay: seconds that it thinks.
        silent: it accepts what it is sent, and answers nothing.
        generates: it is a server that generates, and has neither path.
    """

    def __init__(
        self, *, model: str = "rm", process: bool = False, labels: int = 1, fault: Fault | None = None, **quirks: Any
    ) -> None:
        self.model = model
        self.process = process
        self.labels = labels
        self.fault = fault
        self.finite: bool = quirks.get("finite", True)
        self.counts: bool = quirks.get("counts", True)
        self.steps: Callable[[int], int] = quirks.get("steps", int)
        self.generates: bool = quirks.get("generates", False)
        self.shuffles: bool = quirks.get("shuffles", False)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.prompt_tokens = 0
        self.marker = MARKER
        self.silent = False
        self.delay = 0.0
        self.running = 0
        self.peak = 0
        self.connections: set[Any] = set()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/models", self._models),
                web.post("/tokenize", self._tokenize),
            ]
        )
        if not self.generates:
            app.add_routes([web.post("/pooling", self._score)])
            if not self.process:
                app.add_routes([web.post("/classify", self._score)])
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Be gone: nothing answers at the URL any more."""
        if self._runner is not None:
            with anyio.CancelScope(shield=True):
                await self._runner.cleanup()
            self._runner = None

    def refuse(self, message: str) -> None:
        """Answer everything with 400."""

        def refusal(request: web.Request, body: dict[str, Any], k: int) -> web.Response:
            return error(400, message)

        self.fault = refusal

    @property
    def scored(self) -> list[tuple[str, dict[str, Any]]]:
        """The scoring requests that no probe made."""
        return [(path, body) for path, body in self.requests if "What is 1 + 1" not in str(body)]

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        return _json({"data": [{"id": self.model, "max_model_len": 512}]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if "messages" in body:
            return _json({"count": _words(str(m["content"]) for m in body["messages"]), "tokens": []})
        return _json({"count": len(body["prompt"].split()), "tokens": [7] if body["prompt"] == self.marker else [1, 2]})

    async def _score(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = orjson.loads(await request.read())
        k = len(self.requests)
        self.requests.append((request.path, body))
        self.connections.add(request.transport)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await anyio.sleep(self.delay)
            if self.fault and (answer := self.fault(request, body, k)) is not None:
                return answer
            if self.silent:
                await anyio.sleep_forever()
            return self._answer(request.path, body)
        finally:
            self.running -= 1

    def _answer(self, path: str, body: dict[str, Any]) -> web.Response:
        chat: list[dict[str, Any]] | None = body.get("messages")
        texts: list[str] = [orjson.dumps(chat).decode()] if chat else body["input"]
        read = _words(str(m["content"]) for m in chat) if chat else _words(texts)
        self.prompt_tokens += read
        field = "probs" if path == "/classify" else "data"
        data = [{"index": i, field: self._numbers(text)} for i, text in enumerate(texts)]
        if self.shuffles:
            data.reverse()
        answer: dict[str, Any] = {"object": "list", "model": self.model, "data": data}
        if self.counts:
            answer["usage"] = {"prompt_tokens": read, "total_tokens": read}
        return _json(answer)

    def _numbers(self, text: str) -> Any:
        if not self.process:
            return self._row(text)
        prefixes = text.split(self.marker)[:-1]
        rows = [self._row(self.marker.join(prefixes[: i + 1])) for i in range(len(prefixes))]
        return (rows * 3)[: self.steps(len(rows))]

    def _row(self, text: str) -> list[float | None]:
        return [logit(text) if j == self.labels - 1 else 0.0 for j in range(self.labels)] if self.finite else [None]


def error(status: int, message: str = "not now", **headers: str) -> web.Response:
    """An error as vLLM words it."""
    answer = _json({"error": {"message": message, "type": "Error", "param": None, "code": status}}, status=status)
    answer.headers.update(headers)
    return answer


def reset(request: web.Request) -> None:
    """Break the connection and leave the handler."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


def _words(texts: Any) -> int:
    return sum(len(text.split()) for text in texts)


def _json(data: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")
