"""A server that imitates vLLM over real HTTP, for tests of strategies and clients: deterministic, countable, breakable.

::

    async with FakeServer(reply=lambda body, k: Reply(text="The answer is 42")) as server:
        async with VLLMServer(server.url) as model:
            outcome = await solve("6 * 7?", "majority:n=4", model)
    assert server.generated_tokens == outcome.generated_tokens

One token is one word with the white space before it; ``/tokenize`` counts by the same rule. Tokens are generated in
steps of ``stream_interval`` until the client's disconnect is noticed, and are counted truly.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel
import orjson
from aiohttp import web

from ttc.fake_replies import Fault, Generation, Reply, count_prompt, default_reply, pieces, round_robin, stop_at, words
from ttc.models.reasoning import OPEN

__all__ = ["FakeServer", "Fault", "Reply", "words"]


class FakeServer:
    """A vLLM-like server on a free local port, in this process and on this event loop.

    Attributes:
        url: where it listens.
        requests: the body of every completion request, in order of arrival.
        turned_away: completion requests that were reset because the server was down.
        running: completions being generated now.
        peak: the most of them at once.
        generated_tokens: generated so far.
        prompt_tokens: read so far.
        healthy: what ``/health`` says.
        version: what ``/version`` says.
        root: which model ``/v1/models`` says that it was started with; empty where it says nothing.
        vocabulary: names what numbers tokens have.
        context: the model's context length, when a prompt and its max_tokens exceed it the answer is 400.
    """

    def __init__(
        self,
        reply: Callable[[dict[str, Any], int], Reply] | None = None,
        *,
        model: str = "fake",
        context: int = 65536,
        stream_interval: int = 1,
        token_delay: float = 0.0,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
        opens_thought: bool = False,
        trims: bool = False,
        tokenize: bool = True,
        down: bool = False,
        version: str = "",
        root: str = "",
        vocabulary: str = "",
    ) -> None:
        """Describe a server.

        Args:
            reply: makes the reply of a body and of the request's number in order of arrival. It is called for each
                choice, with the choice's own seed in the body. The default is a function of messages and seed alone.
            model: the served name.
            context: max_model_len.
            stream_interval: tokens per chunk.
            token_delay: seconds per token.
            sleep: how to wait for them.
            opens_thought: the chat template ends with an opening think tag.
            trims: the chat template drops the white space around each message, as that of Llama 3 does.
            tokenize: whether there is a ``/tokenize``.
            down: start out not answering.
            version: what ``/version`` says; empty: there is no such path.
            root: which model ``/v1/models`` says that it was started with, such as a hub id.
            vocabulary: names what numbers tokens have: servers of other vocabularies have other tokenizers.
        """
        self._reply = reply or default_reply
        self.model = model
        self.context = context
        self.stream_interval = stream_interval
        self.token_delay = token_delay
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.turned_away = 0
        self.running = 0
        self.peak = 0
        self.generated_tokens = 0
        self.prompt_tokens = 0
        self.healthy = True
        self._sleep = sleep
        self._opens_thought = opens_thought
        self._trims = trims
        self._tokenize = tokenize
        self._down = down
        self.version = version
        self.root = root
        self.vocabulary = vocabulary
        self._runner: web.AppRunner | None = None
        self._open: set[asyncio.Transport] = set()

    @property
    def down(self) -> bool:
        """Whether the server is away: every connection is reset. Setting it breaks those under way as well."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        self._down = down
        if down:
            for transport in list(self._open):
                transport.abort()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
                web.get("/v1/models", self._models),
                web.get("/version", self._version),
                web.post("/tokenize", self._count),
                web.post("/v1/chat/completions", self._complete),
            ]
        )
        app.middlewares.append(self._reset_when_down)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._runner is not None:
            with anyio.CancelScope(shield=True):
                await self._runner.cleanup()

    @property
    def open_connections(self) -> int:
        """Sockets that a completion uses now."""
        return len(self._open)

    # -- paths ------------------------------------------------------------------------------------------------------

    @web.middleware
    async def _reset_when_down(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._down:
            self.turned_away += request.path.endswith("/completions")
            _reset(request)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.healthy else 503)

    async def _models(self, request: web.Request) -> web.Response:
        model = {"id": self.model, "max_model_len": self.context, **({"root": self.root} if self.root else {})}
        return _json({"object": "list", "data": [model]})

    async def _version(self, request: web.Request) -> web.Response:
        return _json({"version": self.version} if self.version else {}, status=200 if self.version else 404)

    async def _metrics(self, request: web.Request) -> web.Response:
        labels = f'{{engine="0",model_name="{self.model}"}}'
        counts = {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": 0,
            "vllm:generation_tokens_total": self.generated_tokens,
            "vllm:prompt_tokens_total": self.prompt_tokens,
        }
        lines = [f"# HELP {name} counted\n{name}{labels} {float(value)}" for name, value in counts.items()]
        return web.Response(text="\n".join(lines) + "\n")

    async def _count(self, request: web.Request) -> web.Response:
        if not self._tokenize:
            return _json({"error": {"message": "Not Found", "code": 404}}, status=404)
        body = orjson.loads(await request.read())
        if "messages" in body:
            count = count_prompt(body, trims=self._trims)
            strings = ["<s>"] * (count - 1) + [OPEN + "Ċ" if self._opens_thought else "<assistant>"]
        else:
            strings = pieces(body["prompt"])
            count = len(strings)
        ids = [zlib.crc32((self.vocabulary + piece).encode()) for piece in strings]
        answer: dict[str, Any] = {"count": count, "max_model_len": self.context, "tokens": ids}
        if body.get("return_token_strs"):
            answer["token_strs"] = strings
        return _json(answer)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = orjson.loads(await request.read())
        k = len(self.requests)
        self.requests.append(body)
        prompt = count_prompt(body, trims=self._trims)
        cap = body.get("max_tokens") or self.context - prompt
        if body.get("model") != self.model:
            return _error(404, f"The model `{body.get('model')}` does not exist.")
        if prompt + cap > self.context:
            return _error(
                400,
                f"This model's maximum context length is {self.context} tokens. However, you requested {cap} output "
                f"tokens and your prompt contains at least {prompt} input tokens.",
            )
        seed: int = body.get("seed") or 0
        n: int = body.get("n") or 1
        runs: list[Generation] = []
        for i in range(n):
            reply = self._reply(body | {"seed": seed + i}, k)
            tokens, n_thoughts = reply.tokens()
            tokens, met = stop_at(tokens, body)
            runs.append(Generation(i, reply, tokens, min(n_thoughts, len(tokens)), cap, met))
        first = runs[0].reply
        if first.status != 200:
            return _error(first.status, first.message, first.headers)
        if first.fault == "reset_before_headers":
            _reset(request)
        if first.fault == "html":
            return web.Response(text="<html><body>Welcome</body></html>", content_type="text/html")
        transport = request.transport
        assert transport is not None
        self.running += n
        self.peak = max(self.peak, self.running)
        self.prompt_tokens += prompt
        self._open.add(transport)
        try:
            return await (self._stream if body.get("stream") else self._whole)(request, body, prompt, runs)
        finally:
            self.running -= n
            self._open.discard(transport)

    # -- generating -------------------------------------------------------------------------------------------------

    async def _step(self, run: Generation) -> None:
        """Generate the next tokens of a choice."""
        tokens = min(self.stream_interval, run.end - run.done)
        if self.token_delay:
            await self._sleep(self.token_delay * tokens)
        else:
            for _ in range(3):  # as many turns of the loop as a client on it needs to see the last step
                await anyio.lowlevel.checkpoint()
        run.done += tokens
        self.generated_tokens += tokens

    async def _whole(
        self, request: web.Request, body: dict[str, Any], prompt: int, runs: Sequence[Generation]
    ) -> web.StreamResponse:
        first = runs[0].reply
        for run in runs:
            while run.done < run.end and not (first.fault and run.done >= first.fault_after):
                await self._step(run)
        if first.fault == "hang":
            await anyio.sleep_forever()
        choices: list[dict[str, Any]] = []
        for run in runs:
            reasoning, content = run.parts(0, run.done)
            message = {"role": "assistant", "content": content or None, run.reply.reasoning_field: reasoning or None}
            choice = {"index": run.index, "message": message, "logprobs": None, **run.ended}
            if body.get("logprobs"):
                choice["logprobs"] = run.logprobs(body.get("top_logprobs") or 0, 0, run.done)
            choices.append(choice)
        answer: dict[str, Any] = {"object": "chat.completion", "model": self.model, "choices": choices}
        if first.usage:
            answer["usage"] = self._usage(prompt, runs)
        if first.fault == "no_choices":
            answer["choices"] = []
        if first.fault == "sse_error":
            return _error(500, "the engine stumbled")
        if first.fault == "truncated_json":
            raw = orjson.dumps(answer)
            return web.Response(body=raw[: len(raw) // 2], content_type="application/json")
        if first.fault == "reset_mid_body":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await response.write(orjson.dumps(answer)[:20])
            _reset(request)
        return _json(answer)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], prompt: int, runs: Sequence[Generation]
    ) -> web.StreamResponse:
        first = runs[0].reply
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        options: dict[str, Any] = body.get("stream_options") or {}
        if first.fault == "no_choices":
            await response.write(_event({"choices": []}) + b"data: [DONE]\n\n")
            return response
        for run in round_robin(runs):
            start = run.done
            if first.fault and start >= first.fault_after:
                await self._break_stream(first, request, response)
                return response
            await self._step(run)
            reasoning, content = run.parts(start, run.done)
            delta = {"content": content} if content or not reasoning else {}
            if reasoning:
                delta[run.reply.reasoning_field] = reasoning
            choice = {"index": run.index, "delta": delta, "logprobs": None, **run.ended}
            if body.get("logprobs"):
                choice["logprobs"] = run.logprobs(body.get("top_logprobs") or 0, start, run.done)
            chunk: dict[str, Any] = {"object": "chat.completion.chunk", "model": self.model, "choices": [choice]}
            if options.get("continuous_usage_stats") and first.running_usage:
                chunk["usage"] = self._usage(prompt, [run], final=False)
            await response.write(_event(chunk))
        if options.get("include_usage") and first.usage:
            await response.write(_event({"choices": [], "usage": self._usage(prompt, runs)}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _break_stream(self, reply: Reply, request: web.Request, response: web.StreamResponse) -> None:
        if reply.fault == "hang":
            await anyio.sleep_forever()
        elif reply.fault == "sse_error":
            await response.write(_event({"error": {"message": "the engine stumbled", "code": 500}}))
        elif reply.fault == "truncated_json":
            await response.write(b'data: {"choices": [{"ind\n\n')
        else:
            _reset(request)

    def _usage(self, prompt: int, runs: Sequence[Generation], *, final: bool = True) -> dict[str, Any]:
        generated = sum(run.done for run in runs)
        reply = runs[0].reply
        thoughts = sum(min(run.done, run.n_thoughts) for run in runs)
        details = {"reasoning_tokens": thoughts} if final and reply.usage_details and thoughts else None
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
            "completion_tokens_details": details,
        }


def _reset(request: web.Request) -> None:
    """Break the connection and leave the handler."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


def _json(data: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    response = _json({"error": {"message": message, "type": "Error", "param": None, "code": status}}, status=status)
    response.headers.update(headers or {})
    return response


def _event(data: Any) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
