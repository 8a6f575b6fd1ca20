"""What the fake server says: replies that are scripted token by token, and how they go wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal

import orjson

from ttc.models.reasoning import CLOSE, OPEN

__all__ = [
    "Fault",
    "Generation",
    "Reply",
    "count_prompt",
    "default_reply",
    "pieces",
    "round_robin",
    "stop_at",
    "words",
]

Fault = Literal[
    "", "reset_before_headers", "reset_mid_body", "html", "truncated_json", "no_choices", "sse_error", "hang"
]

_WORD = re.compile(r"\s*\S+|\s+\Z")


@lru_cache(maxsize=256)  # a reply of 20,000 tokens is given a thousand times
def pieces(text: str) -> Sequence[str]:
    """The tokens of a text: each word with the white space before it."""
    return _WORD.findall(text)


def words(n: int, word: str = "so") -> str:
    """A text of ``n`` tokens, cheap to make."""
    return " ".join([word] * n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says to one request, and how it goes wrong.

    Attributes:
        text: the visible text, one token a word.
        reasoning: thoughts, generated before it.
        inline: thoughts come in the content, between think tags (a token each), and not in the reasoning field.
        opener: inline thoughts begin with the opening tag; False where the chat template wrote it.
        reasoning_field: ``reasoning_content`` on older servers.
        finish: the finish reason where nothing else ends the completion.
        tells_stop: whether ``stop_reason`` says which stop sequence ended it.
        usage: whether a final usage is sent.
        running_usage: whether stream chunks carry usage.
        usage_details: whether ``completion_tokens_details`` counts the thoughts.
        cached_tokens: prompt tokens said to come from the prefix cache.
        first: the alternatives of the first token with their log-probabilities, where a judge reads them.
        status: an HTTP error in place of a completion, e.g. 429.
        headers: sent with such an error, e.g. Retry-After.
        message: said by such an error.
        fault: how the answer breaks.
        fault_after: tokens that come before it does.
    """

    text: str = "The answer is 42"
    reasoning: str = ""
    inline: bool = False
    opener: bool = True
    reasoning_field: str = "reasoning"
    finish: str = "stop"
    tells_stop: bool = True
    usage: bool = True
    running_usage: bool = True
    usage_details: bool = True
    cached_tokens: int = 0
    first: Mapping[str, float] = field(default_factory=dict[str, float])
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = "not now"
    fault: Fault = ""
    fault_after: int = 4

    def tokens(self) -> tuple[Sequence[str], int]:
        """All tokens in order, and how many of them are thoughts (inline tags among these)."""
        visible = pieces(self.text)
        if not self.reasoning:
            return visible, 0
        thoughts = pieces(self.reasoning)
        if self.inline:
            thoughts = [*([OPEN + "\n"] if self.opener else []), *thoughts, "\n" + CLOSE]
            visible = ["\n\n" + visible[0].lstrip(), *visible[1:]] if visible else []
        return [*thoughts, *visible], len(thoughts)


def stop_at(tokens: Sequence[str], body: Mapping[str, Any]) -> tuple[Sequence[str], str | None]:
    """Cut tokens at a request's stop sequences, as vLLM does; return them with the sequence that was met, or None.

    They are looked for in what comes behind ``min_tokens``. The tokens that hold one are generated, and counted; the
    text ends before it, or behind it with ``include_stop_str_in_output``.
    """
    stop: str | list[str] = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    text = ""
    for i, token in enumerate(tokens if stops else ()):
        before, text = len(text), text + token
        if i < (body.get("min_tokens") or 0):
            continue
        met = [(at, s) for s in stops if (at := text.find(s, max(0, before - len(s) + 1))) >= 0]
        if not met:
            continue
        at, s = min(met, key=lambda pair: pair[0] + len(pair[1]))
        end = at + len(s) if body.get("include_stop_str_in_output") else at
        starts = accumulate((len(t) for t in tokens[:i]), initial=0)
        return [text[start : min(start + len(t), end)] for start, t in zip(starts, tokens[: i + 1], strict=True)], s
    return tokens, None


@dataclass(slots=True)
class Generation:
    """One choice while it is generated."""

    index: int
    reply: Reply
    tokens: Sequence[str]
    n_thoughts: int
    cap: int
    stopped_by: str | None = None
    done: int = 0

    @property
    def end(self) -> int:
        """Tokens that it will have when nothing breaks it."""
        return min(len(self.tokens), self.cap)

    @property
    def finish(self) -> str | None:
        """The finish reason, once it has ended."""
        if self.done < self.end:
            return None
        return "length" if self.cap < len(self.tokens) else self.reply.finish

    @property
    def ended(self) -> dict[str, Any]:
        """The finish reason and the stop sequence, as a choice has them."""
        fields: dict[str, Any] = {"finish_reason": self.finish}
        if self.reply.tells_stop:
            fields["stop_reason"] = self.stopped_by if self.finish == "stop" else None
        return fields

    def parts(self, start: int, end: int) -> tuple[str, str]:
        """(reasoning field, content) of a range of tokens."""
        if self.reply.inline or not self.n_thoughts:
            return "", "".join(self.tokens[start:end])
        split = min(max(start, self.n_thoughts), end)
        return "".join(self.tokens[start:split]), "".join(self.tokens[split:end])

    def logprobs(self, k: int, start: int, end: int) -> dict[str, Any]:
        """The logprobs object of a range of tokens, with k alternatives each."""
        content: list[dict[str, Any]] = []
        for i in range(start, end):
            top = [{"token": f"{self.tokens[i]}{'~' * j}", "logprob": -0.1 - j} for j in range(k)]
            if i == 0 and self.reply.first:
                top = [{"token": t, "logprob": p} for t, p in self.reply.first.items()]
            content.append({"token": self.tokens[i], "logprob": -0.1, "top_logprobs": top})
        return {"content": content}


def default_reply(body: Mapping[str, Any], k: int) -> Reply:
    """A reply that depends on messages and seed alone: one of three answers, in one to four sentences' length."""
    raw = orjson.dumps([body["messages"], body.get("seed")])
    drawn = int.from_bytes(hashlib.blake2b(raw, digest_size=4).digest())
    structured: Mapping[str, Any] = body.get("structured_outputs") or {}
    choices: list[str] = structured.get("choice") or []
    if choices:
        return Reply(text=choices[drawn % len(choices)])
    if body.get("continue_final_message"):
        return Reply(text=f" {drawn % 3}")
    return Reply(text=f"{words(1 + drawn % 30)} The answer is {drawn % 3}")


def count_prompt(body: Mapping[str, Any], *, trims: bool = False) -> int:
    """The fake's prompt tokens: words, four for each message's frame, and four for an empty thought.

    Templates write one where ``enable_thinking`` is false. One that ``trims`` drops the white space around a message.
    """
    kwargs: Mapping[str, Any] = body.get("chat_template_kwargs") or {}
    empty_thought = 4 * (kwargs.get("enable_thinking") is False)
    said = (str(m.get("content") or "") for m in body["messages"])
    return sum(4 + len(pieces(text.strip() if trims else text)) for text in said) + empty_thought


def round_robin(runs: Sequence[Generation]) -> Iterator[Generation]:
    """Each choice in turn, until all are done; a choice without tokens comes once, to say how it ended."""
    left = list(runs)
    while left:
        for run in list(left):
            yield run
            if run.done >= run.end:
                left.remove(run)
