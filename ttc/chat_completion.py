"""OpenAI's chat completion in plain data: its parameters as sampling, an outcome as its response."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from ttc.answer_type import make_answer_type
from ttc.budget import Budget
from ttc.errors import ConfigurationError, UnknownName
from ttc.strategy import Strategy, make_strategy
from ttc.types import AnswerType, Outcome, Sampling, TextAnswer
from ttc.verifier import Comparator, Verifier, make_comparator, make_verifier

__all__ = ["Call", "Settings", "completion", "read_call"]

_NO_STREAM = "a strategy picks its answer when it has seen the samples, so there is nothing to stream"
_NO_TOOLS = "tool calls are not voted on"
_NO_LOGPROBS = "one answer comes from many samples; a verifier asks for the logprobs that it needs by itself"

#: parameters whose meaning is lost when many samples become one answer, and why
_REFUSED = {
    "stream": _NO_STREAM,
    "stream_options": _NO_STREAM,
    "tools": _NO_TOOLS,
    "functions": _NO_TOOLS,
    "logprobs": _NO_LOGPROBS,
    "top_logprobs": _NO_LOGPROBS,
    "extra_headers": "headers cannot be set per call",
    "extra_query": "query parameters cannot be set per call",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a chat completion is solved. Made by :meth:`of` and :meth:`changed`, which also take names for objects."""

    strategy: Strategy
    budget: Budget = field(default_factory=Budget)
    verifier: Verifier | None = None
    comparator: Comparator | None = None
    answer_type: AnswerType = field(default_factory=TextAnswer)
    sampling: Sampling = field(default_factory=Sampling)
    seed: int | None = None

    @classmethod
    def of(cls, **settings: Any) -> Settings:
        """Make settings, e.g. ``Settings.of(strategy="majority:n=8", budget="generated_tokens=4000")``.

        Args:
            settings: the fields; strategy, verifier, comparator and answer type also by name, a budget also as text
                or as a number of generated tokens.

        Raises:
            UnknownName: an unknown setting or name.
            ConfigurationError: a value that cannot be read.
        """
        known = {f.name for f in fields(cls)}
        for name in settings:
            if name not in known:
                raise UnknownName("setting", name, known)
        return cls(**{name: _made(name, value) for name, value in settings.items()})

    def changed(self, settings: Mapping[str, Any] | str | Strategy | None) -> Settings:
        """Return the settings with some of them changed; a text alone is a strategy.

        Raises:
            UnknownName: an unknown setting or name.
            ConfigurationError: a value that cannot be read.
        """
        if not settings:
            return self
        if isinstance(settings, str | Strategy):
            settings = {"strategy": settings}
        if not isinstance(settings, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # comes out of JSON
            raise ConfigurationError(f"ttc={settings!r}: give a dict of settings, a strategy, or False to opt out")
        return Settings.of(**{**{f.name: getattr(self, f.name) for f in fields(self)}, **settings})


def _made(name: str, value: Any) -> Any:
    match name, value:
        case "strategy", _:
            return make_strategy(value)
        case "verifier", _:
            return make_verifier(value)
        case "comparator", _:
            return make_comparator(value)
        case "answer_type", _:
            return make_answer_type(value)
        case "budget", None:
            return Budget()
        case "budget", str() | int():
            return Budget.parse(str(value))
        case "budget", Mapping():
            return Budget(**cast(Mapping[str, Any], value))
        case "sampling", None:
            return Sampling()
        case _:
            return value


@dataclass(frozen=True, slots=True)
class Call:
    """What the parameters of one chat completion ask for."""

    sampling: Sampling
    budget: Budget
    seed: int | None


def read_call(parameters: Mapping[str, Any], settings: Settings) -> Call:
    """Read the parameters of a chat completion, without ``messages`` and ``model``, over the settings' defaults.

    What is known becomes sampling, ``timeout`` (seconds) a deadline; the rest goes into each request as it is.

    Raises:
        ConfigurationError: a parameter that a strategy cannot honour.
    """
    given = dict(parameters)
    given |= given.pop("extra_body", None) or {}
    for name, why in _REFUSED.items():
        if given.get(name):
            raise ConfigurationError(f"{name}={given[name]!r}: {why}. For a plain call pass ttc=False")
        given.pop(name, None)
    given = {name: value for name, value in given.items() if value is not None}
    n = given.pop("n", 1)
    if n != 1:
        raise ConfigurationError(
            f"n={n}: a strategy returns one answer. Say how many samples it draws with "
            f"ttc={{'strategy': 'majority:n={n}'}}, or pass ttc=False for a plain call"
        )
    budget, seconds = settings.budget, given.pop("timeout", None)
    if seconds is not None:
        if not isinstance(seconds, int | float):
            raise ConfigurationError(f"timeout={seconds!r}: give seconds, or pass ttc=False for a plain call")
        budget = replace(budget, seconds=min(seconds, budget.seconds or seconds))
    seed = given.pop("seed", settings.seed)
    if "max_completion_tokens" in given:
        given["max_tokens"] = given.pop("max_completion_tokens")
    if "thinking_token_budget" in given:
        given["thinking_tokens"] = given.pop("thinking_token_budget")
    known = {k: given.pop(k) for k in ("max_tokens", "temperature", "top_p", "thinking_tokens") if k in given}
    sampling = replace(settings.sampling, **known, extra={**settings.sampling.extra, **given})
    return Call(sampling, budget, seed)


def completion(outcome: Outcome, model: str) -> dict[str, Any]:
    """Write an outcome with a candidate as a ``chat.completion``: one choice, and in ``usage`` all that was paid."""
    assert outcome.candidate is not None
    sample, usage = outcome.candidate.sample, outcome.total_usage
    message = {"role": "assistant", "content": sample.text}
    if sample.reasoning:
        message["reasoning"] = sample.reasoning  # where vLLM puts it
    return {
        "id": f"chatcmpl-ttc-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "stop" if sample.finish == "stop" or sample.forced else "length",
            }
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.generated,
            "total_tokens": usage.total,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }
