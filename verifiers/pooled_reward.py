"""What outcome and process reward models share: the parameters of a pooling server, and how scores come of numbers."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from hashlib import blake2b
from math import exp, isfinite
from typing import Any, ClassVar, Literal, NamedTuple, cast

import anyio
import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ttc.budget import Price
from ttc.errors import BadResponse, BudgetExhausted, ConfigurationError, RequestRejected, TTCError
from ttc.session import Session
from ttc.types import Message, Query
from ttc.verifiers.judge import inert
from ttc.verifiers.pooling_replicas import START
from ttc.verifiers.scoring_server import UNTRAINED, Payload, ScoringServer, shared_server

__all__ = ["Asked", "PooledReward", "Scores", "harmless"]

_REMEMBERED = 16384
"""Texts whose scores a verifier remembers."""

_MOST_LABELS = 64
"""A text with more numbers than this was embedded, and not classified."""

Scores = tuple[float, ...]
"""The scores of one text: one, or one per step."""


class Asked(NamedTuple):
    """One text to be scored, and how many steps it has (0: it is scored as a whole)."""

    payload: Payload
    n_steps: int = 0


class PooledReward(BaseModel, ABC):
    """A reward model behind one or several vLLM pooling servers.

    The logits are asked for and squashed here, in double precision: a server's own sigmoid is float32, in which all
    logits above 17 are the same 1. One label is squashed by the sigmoid, several by the softmax.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    logprobs: ClassVar[int] = 0

    url: str = Field(description="the pooling server; several of the same model joined with +")
    model: str = Field(default="", description="the served name; left out, the only one that is served")
    template: Literal["chat", "plain"] = Field(
        default="chat", description="the reward model's chat template, or prompt and solution as plain text"
    )
    activation: Literal["logits", "server"] = Field(
        default="logits",
        description="logits are squashed here; server takes numbers from 0 to 1 as the server makes them",
    )
    scale: float = Field(
        default=1.0, gt=0, description="logits are divided by it, for models whose logits are beyond 36"
    )
    label: int | None = Field(
        default=None, ge=0, description="the label that means right, as 1 or LABEL_1; left out, the last of one or two"
    )
    batch: int = Field(default=16, ge=1, le=1024, description="plain texts in one request (chats go one by one)")
    in_flight: int = Field(default=32, ge=1, le=4096, description="requests at a time, over all queries")
    timeout: float = Field(
        default=120.0, gt=0, description="seconds without an answer, after which a request is sent again"
    )
    price: float | None = Field(default=None, gt=0, description="dollars per million prompt tokens")
    api_key_env: str = Field(default="", description="environment variable that holds the server's API key")

    @field_validator("url")
    @classmethod
    def _are_urls(cls, url: str) -> str:
        _server(url.split("+"))  # raises where one is none
        return url

    @field_validator("label", mode="before")
    @classmethod
    def _number_of_label(cls, label: Any) -> Any:
        if isinstance(label, str) and not re.fullmatch(r"(?:LABEL_)?\d+", label.strip()):
            raise ValueError("servers do not tell the names of labels: give the number of the one that means right")
        return int(label.strip().removeprefix("LABEL_")) if isinstance(label, str) else label

    # -- the server -------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Make sure that the server answers, scores, and gives one score for one text; asked once per event loop.

        Raises:
            ServerUnreachable: nothing answers.
            ConfigurationError: what answers is no reward model, or not the one that was named.
            ModelError: it answers with an error, or with what are no scores.
        """
        async with self._connected():
            pass

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[ScoringServer]:
        async with shared_server((type(self), self.model_dump_json()), self._make).connected() as server:
            async with server.probing:
                if not server.path:
                    server.path = await self._probe(server)
            yield server

    def _make(self) -> ScoringServer:
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        if self.api_key_env and not key:
            raise ConfigurationError(f"verifier '{self.name}': the environment has no variable {self.api_key_env}")
        price = Price(prompt=self.price, generated=0) if self.price else None
        return _server(
            self.url.split("+"), self.model, key=key, in_flight=self.in_flight, timeout=self.timeout, price=price
        )

    async def _probe(self, server: ScoringServer) -> str:
        """Score one made-up solution; return the path that did it."""
        asked = self._probed()
        for path in self._paths():
            try:
                (entry,) = await server.post(path, self._body([asked.payload], path), [asked.payload], None)
            except RequestRejected as error:
                if error.status not in (404, 405, 501):
                    raise
                continue
            await self._read(server, entry, asked)
            return path
        tried = " nor ".join(self._paths())
        raise ConfigurationError(f"{server.where} serves '{server.model}', but has no {tried}: {START}")

    @abstractmethod
    def _paths(self) -> Sequence[str]:
        """Where it may be asked, in the order in which this is tried."""

    @abstractmethod
    def _probed(self) -> Asked:
        """What is asked to see whether it can score."""

    @abstractmethod
    async def _read(self, server: ScoringServer, entry: Any, asked: Asked) -> Scores:
        """Read the scores of one text out of the server's entry."""

    # -- asking -----------------------------------------------------------------------------------------------------

    def _payload(self, query: Query, solution: str, *, marker: str = "") -> Payload:
        """Build what is sent: the query as it was asked, then the solution, which has been made harmless already."""
        if self.template == "plain":
            return f"{harmless(query.prompt, marker)}\n\n{solution}"
        asked = [_harmless_message(message, marker) for message in query.messages]
        return (*asked, {"role": "assistant", "content": solution})

    def _body(self, payloads: Sequence[Payload], path: str) -> dict[str, Any]:
        body: dict[str, Any] = {} if self.activation == "server" else {"use_activation": False}
        first = payloads[0]
        return body | ({"input": list(payloads)} if isinstance(first, str) else {"messages": list(first)})

    async def _scored(self, asked: Sequence[Asked], session: Session) -> list[Scores]:
        """Return the scores of each text; equal texts are sent once, known ones not at all."""
        keys = [_key(a) for a in asked]
        texts = dict(zip(keys, asked, strict=True))
        found = {key: scores for key in texts if (scores := self._known.get(key)) is not None}
        while missing := texts.keys() - found.keys():
            async with self._connected() as server:
                pending = server.pending(self)
                mine = [key for key in texts if key in missing and key not in pending]
                if mine:
                    answered = anyio.Event()
                    pending.update(dict.fromkeys(mine, answered))
                    try:
                        await self._ask(server, {key: texts[key] for key in mine}, session, found)
                    finally:
                        for key in mine:
                            del pending[key]
                        answered.set()
                for key in missing.difference(mine):  # which another call of ours has sent
                    if key in pending:
                        await pending[key].wait()
                    if (scores := self._known.get(key)) is not None:
                        found[key] = scores
        return [found[key] for key in keys]

    def _remembered(self, asked: Sequence[Asked]) -> list[Scores | None]:
        """Return the scores of each text that is remembered, without asking."""
        return [self._known.get(_key(a)) for a in asked]

    async def _ask(
        self, server: ScoringServer, texts: Mapping[bytes, Asked], session: Session, found: dict[bytes, Scores]
    ) -> None:
        """Have texts scored; what a request brought is kept when another one fails: it was paid for."""
        size = self.batch if self.template == "plain" else 1
        todo = list(texts.items())
        errors: list[TTCError] = []

        async def ask(part: Sequence[tuple[bytes, Asked]]) -> None:
            payloads = [a.payload for _, a in part]
            try:
                entries = await server.post(server.path, self._body(payloads, server.path), payloads, session)
                read = [await self._read(server, e, a) for e, (_, a) in zip(entries, part, strict=True)]
            except TTCError as error:
                errors.append(error)
                return
            for (key, _), scores in zip(part, read, strict=True):
                found[key] = scores
                self._known.put(key, scores)

        async with anyio.create_task_group() as group:
            for i in range(0, len(todo), size):
                group.start_soon(ask, todo[i : i + size])
        if errors:
            raise next((e for e in errors if not isinstance(e, BudgetExhausted)), errors[0])

    @cached_property
    def _known(self) -> _Remembered:
        return _Remembered(_REMEMBERED)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _squashed(self, server: ScoringServer, values: Any) -> float:
        """Return the score in [0, 1] of the numbers of one text, or of one step.

        Raises:
            BadResponse: they are no finite numbers.
            ConfigurationError: there are other labels than was said, or a server's activation leaves [0, 1].
        """
        numbers = cast(list[Any], values) if isinstance(values, list) else []
        if not numbers or isinstance(numbers[0], list):
            raise BadResponse(
                f"{server.where} returned {str(cast(object, values))[:80]} where the numbers of one score should be"
            )
        if not all(isinstance(x, int | float) and isfinite(x) for x in numbers):
            raise BadResponse(f"{server.where} returned what is no finite number ({numbers[:4]}): {UNTRAINED}")
        n = len(numbers)
        if n > _MOST_LABELS:
            raise ConfigurationError(f"{server.where} returned {n} numbers for one score, as for an embedding: {START}")
        if self.label is None and n > 2:
            raise ConfigurationError(
                f"{server.where} has {n} labels: say which one means right with label=0 to {n - 1}"
            )
        label = n - 1 if self.label is None else self.label
        if label >= n:
            raise ConfigurationError(f"label={label}: the reward model at {server.where} has {n}, numbered from 0")
        if self.activation == "server":
            if not 0 <= numbers[label] <= 1:
                raise ConfigurationError(
                    f"{server.where} returned {numbers[label]:g}, which is not from 0 to 1: pass activation=logits"
                )
            return float(numbers[label])
        if n == 1:
            return _sigmoid(numbers[0] / self.scale)
        top = max(numbers)
        weights = [exp((x - top) / self.scale) for x in numbers]
        return weights[label] / sum(weights)


def harmless(text: str, marker: str = "") -> str:
    """Return a text in which no control token and no step marker survives, uncut.

    A candidate that writes ``<|im_end|>`` would end its turn, and one that writes the marker would add a step.
    """
    text = inert(text, limit=len(text) + 1)
    return text.replace(marker, " ") if marker else text


def _harmless_message(message: Message, marker: str) -> Message:
    content = message.get("content")
    if not content:
        return message
    if isinstance(content, str):
        return {**message, "content": harmless(content, marker)}
    parts = [{**p, "text": harmless(str(p["text"]), marker)} if "text" in p else p for p in content]
    return {**message, "content": parts}


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _key(asked: Asked) -> bytes:
    return blake2b(orjson.dumps([asked.payload, asked.n_steps]), digest_size=16).digest()


def _server(
    urls: Sequence[str],
    model: str = "",
    *,
    key: str = "",
    in_flight: int = 1,
    timeout: float = 1.0,
    price: Price | None = None,
) -> ScoringServer:
    return ScoringServer(urls, model, api_key=key, in_flight=in_flight, timeout=timeout, price=price)


class _Remembered:
    """The scores of the texts that were scored last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._scores: OrderedDict[bytes, Scores] = OrderedDict()

    def get(self, key: bytes) -> Scores | None:
        scores = self._scores.pop(key, None)
        if scores is not None:
            self._scores[key] = scores  # to the end, where what was asked last is
        return scores

    def put(self, key: bytes, scores: Scores) -> None:
        self._scores[key] = scores
        if len(self._scores) > self._size:
            self._scores.popitem(last=False)
