"""The server that is under examination, and the bill for it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp

__all__ = ["Answer", "Json", "Patient"]

Json: TypeAlias = Any  # what json.loads gives: looked at with care, once, by the examination


@dataclass
class Answer:
    """A status and a body; the body is ``{}`` where it was not a JSON object."""

    status: int
    body: dict[str, Json]

    @property
    def message(self) -> str:
        """The server's own words about an error."""
        error: Json = self.body.get("error", self.body)
        with contextlib.suppress(AttributeError):  # not every server has an object there
            error = error.get("message", "")
        text: Json = error
        return " ".join(str(text).split())[:200]

    @property
    def choices(self) -> list[Json]:
        """The choices; empty for an error."""
        return list(self.body.get("choices") or [])

    def usage(self, *path: str) -> Json:
        """The usage field at ``path``; None where a part of it is missing."""
        value: Json = self.body.get("usage")
        for key in path:
            if value is None:
                return None
            value = value.get(key)
        return value


@dataclass
class Patient:
    """The server under examination: where it is, and what the examination cost it so far."""

    http: aiohttp.ClientSession
    root: str
    model: str = ""
    context: int | None = None
    prompt_tokens: int = 0
    generated_tokens: int = 0
    requests: int = 0

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a GET."""
        async with self.http.get(self.root + path) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, body: Mapping[str, Json]) -> Answer:
        """A POST, its usage added to the bill."""
        self.requests += 1
        async with self.http.post(self.root + path, json={"model": self.model, **body}) as reply:
            try:
                answer = Answer(reply.status, dict(await reply.json(content_type=None)))
            except (ValueError, TypeError):
                answer = Answer(reply.status, {})
        if reply.status == 200:
            self.prompt_tokens += answer.usage("prompt_tokens") or 0
            self.generated_tokens += answer.usage("completion_tokens") or 0
        return answer

    async def chat(self, content: str, **fields: Json) -> Answer:
        """One user message; greedy, four tokens, unless said otherwise."""
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "max_tokens": 4, "temperature": 0, **fields}
        return await self.post("/v1/chat/completions", body)

    async def gauge(self, name: str) -> float | None:
        """The sum of a Prometheus metric over its labels; None where there is none."""
        status, text = await self.get("/metrics")
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE) if status == 200 else []
        return sum(map(float, found)) if found else None

    async def count_tokens(self, text: str) -> int | None:
        """By the server's tokenizer; None where it offers none."""
        answer = await self.post("/tokenize", {"prompt": text, "add_special_tokens": False})
        return answer.body.get("count") if answer.status == 200 else None

    async def stream(self, content: str, *, tokens: int, **fields: Json) -> AsyncGenerator[dict[str, Json]]:
        """The chunks of one greedy streamed answer, running usage asked for; closing it drops the connection."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            **fields,
        }
        self.requests += 1
        prompt = generated = 0
        try:
            async with self.http.post(self.root + "/v1/chat/completions", json=body) as answer:
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}: {(await answer.text())[:200]}")
                async for line in answer.content:
                    if not line.startswith(b"data: {"):
                        continue
                    chunk: Json = json.loads(line[6:])
                    usage: Json = chunk.get("usage") or {}
                    prompt = usage.get("prompt_tokens", prompt)
                    generated = usage.get("completion_tokens", generated + bool(chunk.get("choices")))
                    yield chunk
        finally:
            self.prompt_tokens += prompt
            self.generated_tokens += generated
