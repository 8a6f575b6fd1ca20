"""The chat-completions wire format: request bodies, server-sent events, and what a response says, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ttc.errors import BadResponse, ConfigurationError, RequestRejected
from ttc.models.reasoning import ThoughtScanner
from ttc.types import Piece, Request

__all__ = ["Choice", "EventBuffer", "StreamedChoice", "chat_body", "error_message", "parse_choices", "prometheus_sums"]

#: fields that the budget, the seeds and the framing depend on
_OURS = frozenset({"model", "messages", "n", "seed", "max_tokens", "max_completion_tokens", "stream", "stream_options"})


def chat_body(
    request: Request, model: str, *, max_tokens: int, streamed: bool, steps: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON body of ``POST /v1/chat/completions`` for a request.

    Args:
        request: what is asked.
        model: the served name.
        max_tokens: cap of each choice, as the ledger grants it.
        streamed: with usage in every chunk.
        steps: fields that its stop sequences take.

    Raises:
        ConfigurationError: ``request.extra`` holds a field that is set here.
    """
    if taken := _OURS & request.extra.keys():
        raise ConfigurationError(
            f"extra request fields may not contain {', '.join(sorted(taken))}: set by budget, sampling and strategy"
        )
    body: dict[str, Any] = {
        "model": model,
        "messages": list(request.messages),
        "max_tokens": max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
    }
    if request.n > 1:
        body["n"] = request.n
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    if request.choices:
        body["structured_outputs"] = {"choice": list(request.choices)}
    if request.continue_final:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.thinking_tokens is not None:
        body["thinking_token_budget"] = request.thinking_tokens
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    return body | dict(request.extra) | dict(steps or {})


class EventBuffer:
    """Frames server-sent events out of bytes that are split anywhere; comments and unknown fields are dropped."""

    __slots__ = ("_data", "_partial")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take what was read; yield the data of each event that is complete."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._partial, lines[0]])
            self._partial = []
        if rest:
            self._partial.append(rest)
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    yield b"\n".join(self._data)
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))


@dataclass(slots=True)
class Choice:
    """One choice of a response, as it was sent.

    Attributes:
        content: the content, inline thoughts among it.
        reasoning: the server's own reasoning field.
        finish: the server's finish_reason.
        stopped_by: the stop sequence that ended it; empty where none did, None where the server does not tell.
        tokens: the generated tokens, where log-probabilities were asked for.
        logprobs: of each of them.
        top: for each of them, its likeliest alternatives with their log-probabilities, descending.
        refused: the content came in the server's ``refusal`` field.
    """

    content: str = ""
    reasoning: str = ""
    finish: str = ""
    stopped_by: str | None = None
    tokens: list[str] = field(default_factory=list[str])
    logprobs: list[float] = field(default_factory=list[float])
    top: list[list[tuple[str, float]]] = field(default_factory=list[list[tuple[str, float]]])
    refused: bool = False

    def observe(self, logprobs: Any) -> None:
        """Add the logprobs of a choice or of a chunk."""
        entries: list[dict[str, Any]] = (logprobs["content"] if logprobs else None) or []
        for entry in entries:
            alternatives: list[dict[str, Any]] = entry.get("top_logprobs") or []
            self.tokens.append(entry.get("token") or "")
            self.logprobs.append(entry["logprob"])
            self.top.append(sorted(((t["token"], t["logprob"]) for t in alternatives), key=lambda pair: -pair[1]))


def parse_choices(raw: bytes) -> tuple[list[Choice], Mapping[str, Any]]:
    """Read a whole (not streamed) response: its choices in order, and its usage.

    Raises:
        BadResponse: HTML, truncated JSON, no choices, or an error where a completion should be.
    """
    try:
        data = orjson.loads(raw)
        found = sorted(data["choices"], key=lambda c: c.get("index", 0))
        choices: list[Choice] = []
        for c in found:
            message = c["message"]
            refusal = message.get("refusal") or ""
            choice = Choice(message.get("content") or refusal, _reasoning(message), c.get("finish_reason") or "")
            choice.refused = bool(refusal)
            choice.observe(c.get("logprobs"))
            choice.stopped_by = _stopped_by(c)
            choices.append(choice)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadResponse(f"the server answered 200 with something that is no completion: {_excerpt(raw)}") from error
    if not choices:
        raise BadResponse("the server answered 200 without any choice")
    for choice in choices:
        check_finish(choice.finish)
    return choices, data.get("usage") or {}


class StreamedChoice:
    """A streamed completion while it grows.

    Attributes:
        choice: what has come so far.
        usage: the last usage seen, running or final; empty where the server sends none.
        seen: generated tokens so far: by the running usage, else one per piece at the least.
        thought: ``seen`` at the moment when the thoughts ended; 0 before.
        metered: chunks carry running usage, so that ``seen`` and ``thought`` are measured.
        done: the end was announced.
    """

    __slots__ = ("_gained", "_inline", "_pieces", "_reasoning", "choice", "done", "metered", "seen", "thought", "usage")

    def __init__(self) -> None:
        self.choice = Choice()
        self.usage: dict[str, Any] = {}
        self.seen = 0
        self.thought = 0
        self.metered = False
        self.done = False
        self._pieces: list[str] = []
        self._reasoning: list[str] = []
        self._inline = ThoughtScanner()
        self._gained = (0, 0, 0)

    def add(self, event: bytes) -> None:
        """Take one event.

        Raises:
            BadResponse: no JSON, or an error event.
            RequestRejected: an error event with a status of 4xx.
        """
        if event == b"[DONE]":
            self.done = True
            return
        try:
            data = orjson.loads(event)
            if data.get("error"):
                self._fail(data["error"])
            before = self.seen
            self.metered = self.metered or bool(data["choices"] and data.get("usage"))
            if usage := data.get("usage"):
                self.usage = usage
                self.seen = max(self.seen, usage.get("completion_tokens") or 0)
            for c in data["choices"]:
                self._grow(c, before)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, RequestRejected):
                raise
            raise BadResponse(f"the stream holds something that is no chunk: {_excerpt(event)}") from error

    def _grow(self, c: dict[str, Any], before: int) -> None:
        delta: dict[str, Any] = c.get("delta") or dict[str, Any]()
        refusal: str = delta.get("refusal") or ""
        self.choice.refused = self.choice.refused or bool(refusal)
        content: str = delta.get("content") or refusal
        reasoning = _reasoning(delta)
        n_observed = len(self.choice.logprobs)
        self.choice.observe(c.get("logprobs"))
        if (content or reasoning) and not self.metered:
            self.seen += max(1, len(self.choice.logprobs) - n_observed)
        visible: int | None = None
        if reasoning:
            self._reasoning.append(reasoning)
            self.thought = 0
        if content:
            self._pieces.append(content)
            visible = self._inline.feed(content)
            if visible is None and self._reasoning and not self.thought:
                visible = len(content)
        if visible is not None:
            # A chunk may hold the last of the thoughts and the first of the text: shared out by length.
            share = visible / (len(content) + len(reasoning))
            self.thought = before + round((self.seen - before) * (1 - share))
        if finish := c.get("finish_reason"):
            self.choice.finish = finish
            self.choice.stopped_by = _stopped_by(c)
            check_finish(finish)

    def _fail(self, error: Any) -> None:
        said = error.get("message", error) if isinstance(error, dict) else error  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        code: Any = error.get("code") if isinstance(error, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(code, int) and 400 <= code < 500 and code not in (408, 429):
            raise RequestRejected(f"the server refused the request within its stream: {said}", status=code)
        raise BadResponse(f"the server sent an error within its stream: {said}")

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come: nothing more is generated."""
        return bool(self.choice.finish)

    def gain(self) -> Piece:
        """Return what has come since this was asked last."""
        pieces, thoughts, tokens = self._gained
        self._gained = (len(self._pieces), len(self._reasoning), len(self.choice.top))
        return Piece(
            self.seen,
            "".join(self._pieces[pieces:]),
            "".join(self._reasoning[thoughts:]),
            [[p for _, p in top] for top in self.choice.top[tokens:]],
        )

    def collect(self) -> Choice:
        """Join the pieces."""
        self.choice.content, self.choice.reasoning = "".join(self._pieces), "".join(self._reasoning)
        return self.choice


def check_finish(finish: str) -> None:
    """Raise BadResponse where a finish reason says that the engine gave up."""
    if finish in ("", "abort", "error"):
        raise BadResponse(f"the server ended a completion with finish_reason '{finish or None}'")


def error_message(raw: bytes) -> str:
    """What an error response says, in one line."""
    try:
        data = orjson.loads(raw)
        error = data.get("error", data)
        text = str(error.get("message", error) if isinstance(error, dict) else error)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (ValueError, AttributeError):
        text = raw.decode(errors="replace")
    return " ".join(text.split())[:500] or "no message"


def prometheus_sums(text: str) -> dict[str, float]:
    """Sum the samples of each metric of a Prometheus text page over its labels."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def _reasoning(message: Mapping[str, Any]) -> str:
    """The reasoning field; ``reasoning_content`` on older servers."""
    return message.get("reasoning") or message.get("reasoning_content") or ""


def _stopped_by(choice: Mapping[str, Any]) -> str | None:
    """The stop sequence that ended a choice: vLLM's ``stop_reason``, null or a token's number at its own end."""
    if "stop_reason" not in choice:
        return None
    reason = choice["stop_reason"]
    return reason if isinstance(reason, str) else ""


def _excerpt(raw: bytes) -> str:
    return repr(raw[:80].decode(errors="replace"))
