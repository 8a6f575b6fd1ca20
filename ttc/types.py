"""The words of the project as plain data: queries, requests, samples, usage, candidates and outcomes.

Everything here is immutable and free of I/O. Nothing here knows a gold answer: a :class:`Query` is all that a
strategy or a verifier ever sees of a problem.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import orjson

from ttc.answer_type import AnswerType, TextAnswer

__all__ = [
    "AnswerType",
    "Candidate",
    "Checkpoint",
    "EndedBy",
    "FinishReason",
    "ForcedAnswer",
    "Message",
    "Outcome",
    "Query",
    "Request",
    "Sample",
    "Sampling",
    "TextAnswer",
    "Usage",
]

Message: TypeAlias = Mapping[str, Any]
"""One chat message in OpenAI's form: ``{"role": ..., "content": ...}``."""

FinishReason = Literal["stop", "length", "cut", "cancelled", "failed"]
"""``length``: the request's own max_tokens; ``cut``: the ledger refused more; ``cancelled``: no longer wanted."""

EndedBy = Literal["finished", "stopped_early", "budget", "deadline", "all_calls_failed"]


def _digest(data: Any) -> str:
    """Hash plain data in canonical JSON: 16 bytes in hex."""
    raw = orjson.dumps(data, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Query:
    """One problem as strategies and verifiers see it. Never the gold answer.

    Attributes:
        messages: the chat so far, in OpenAI's form.
        id: stable across runs; the hash of the messages where none is given.
        answer_type: how answers are read and compared.
        tags: the query class, e.g. ``{"family": "addition", "level": "easy"}``.
        public_tests: what a verifier may execute.
    """

    messages: tuple[Message, ...]
    id: str = ""
    answer_type: AnswerType = field(default_factory=TextAnswer)
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    public_tests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", _digest(list(self.messages)))

    @classmethod
    def of(
        cls, prompt: str | Sequence[Message] | Query, *, answer_type: str | AnswerType | None = None, **fields: Any
    ) -> Query:
        """Make a query of a prompt, of chat messages, or of a query (returned as it is).

        Args:
            prompt: what is asked.
            answer_type: a registered name (``text``, ``number``, ``maths``, ``choice``) or an object.
            fields: further fields of the query.

        Raises:
            UnknownName: no answer type of that name.
        """
        if isinstance(prompt, Query):
            return prompt
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        if isinstance(answer_type, str):
            from ttc import registry  # loaded only where a name has to be looked up

            found: AnswerType = registry.create("answer type", answer_type)
        else:
            found = answer_type or TextAnswer()
        return cls(messages=tuple(prompt), answer_type=found, **fields)

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                content = message.get("content")
                if isinstance(content, str):
                    return content
                return "".join(str(part.get("text", "")) for part in content or ())
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn. Part of what determines a call, and so of its key in a run.

    Attributes:
        max_tokens: cap on the generated tokens of one sample.
        temperature: softmax temperature.
        top_p: nucleus mass.
        logprobs: top-k alternatives to return per token; a verifier that needs them raises this by itself.
        thinking_tokens: the server's own thinking budget (vLLM's ``thinking_token_budget``), where it has one.
        force_answer: tokens to spend on forcing an answer out of a text that was cut off without one; 0 abstains.
        extra: further fields of the request body, e.g. ``{"chat_template_kwargs": {"enable_thinking": False}}``.
    """

    max_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 1.0
    logprobs: int | None = None
    thinking_tokens: int | None = None
    force_answer: int = 16
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ForcedAnswer:
    """How to get an answer out of a text that was cut off: append ``cue`` and go on for at most ``max_tokens``."""

    cue: str
    max_tokens: int
    answered: Callable[[str], bool] = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a model, with everything that determines its result.

    ``index`` counts requests of equal content within a query in issue order; ``seed`` is hashed from the run's
    seed, the query, the content and the index, so the same position draws the same sample in every strategy.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    kind: str = "generate"
    index: int = 0
    seed: int = 0
    n: int = 1
    temperature: float = 0.7
    top_p: float = 1.0
    logprobs: int | None = None
    choices: tuple[str, ...] = ()
    stream: bool = True
    continue_final: bool = False
    thinking_tokens: int | None = None
    force: ForcedAnswer | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def content(self) -> str:
        """Hash what is asked, without the index and the seed, and without the logprobs that only observe it."""
        return _digest(
            {
                "messages": list(self.messages),
                "max_tokens": self.max_tokens,
                "n": self.n,
                "temperature": self.temperature,
                "top_p": self.top_p,
                "choices": list(self.choices),
                "continue_final": self.continue_final,
                "thinking_tokens": self.thinking_tokens,
                "force": [self.force.cue, self.force.max_tokens] if self.force else None,
                "extra": dict(self.extra),
            }
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or a sum of calls.

    Attributes:
        prompt_tokens: all prompt tokens, the cached ones among them.
        cached_tokens: prompt tokens that the server's prefix cache answered.
        reasoning_tokens: generated tokens before the visible text (a thinking model's thoughts).
        answer_tokens: generated tokens of the visible text.
        upper_bound: the generated tokens are a bound and no measurement (a call that was cut, cancelled or broken).
        reasoning_source: where the split comes from: ``server``, ``stream`` (running usage), ``tokenizer``,
            ``estimate`` (no tokenizer at hand), ``mixed`` in sums, or empty where nothing was reasoned.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    answer_tokens: int = 0
    upper_bound: bool = False
    reasoning_source: str = ""

    @property
    def generated(self) -> int:
        """All generated tokens."""
        return self.reasoning_tokens + self.answer_tokens

    @property
    def total(self) -> int:
        """Prompt and generated tokens."""
        return self.prompt_tokens + self.generated

    def __add__(self, other: Usage) -> Usage:
        sources = {self.reasoning_source, other.reasoning_source} - {""}
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.answer_tokens + other.answer_tokens,
            self.upper_bound or other.upper_bound,
            sources.pop() if len(sources) == 1 else "mixed" if sources else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One completion.

    Attributes:
        text: the visible text, without thoughts.
        reasoning: the thoughts of a thinking model.
        index: position in issue order among requests of equal content.
        finish: why it ended; a failed call is a sample too, with its reason in ``error``.
        logprobs: log-probability of each generated token, where asked for.
        top_logprobs: for each generated token the log-probabilities of the k likeliest, descending.
        first_choices: the likeliest first tokens with their log-probability (a judge reads P(yes) here).
        latency: seconds from sending to the last byte, retries included.
        attempts: how often it was sent.
        forced: the answer was forced out of a text that had been cut off.
    """

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    reasoning: str = ""
    index: int = 0
    seed: int = 0
    kind: str = "generate"
    finish: FinishReason = "stop"
    logprobs: tuple[float, ...] = ()
    top_logprobs: tuple[tuple[float, ...], ...] = ()
    first_choices: tuple[tuple[str, float], ...] = ()
    latency: float = 0.0
    attempts: int = 1
    forced: bool = False
    error: str = ""
    error_type: str = ""

    @property
    def ok(self) -> bool:
        """Whether the call brought a completion (a cut one counts)."""
        return self.finish not in ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer with the sample behind it and what verifiers made of it.

    ``answer`` is None when the sample holds no answer: it was paid for, and it can never win.
    """

    answer: str | None
    sample: Sample
    score: float | None = None

    def scored(self, score: float) -> Candidate:
        """Return the same candidate with a verifier's score."""
        return replace(self, score=score)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The best answer so far, and what had been paid for it.

    Attributes:
        answer: what would be returned if the query ended here.
        samples: how many samples the strategy had consumed, in issue order.
        prefix: usage of what the strategy had consumed: the cost of stopping here with nothing in flight.
        realised: usage settled by then, other calls that had already come back included.
        answer_tokens: generated tokens that are the returned answer itself.
    """

    answer: str | None
    samples: int
    prefix: Usage
    realised: Usage
    answer_tokens: int = 0

    @property
    def thinking_tokens(self) -> int:
        """Generated tokens outside the returned answer, up to here."""
        return max(0, self.prefix.generated - self.answer_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What solving one query brought, and everything that it cost.

    Attributes:
        answer: the answer of the last proposal, or None.
        candidate: the candidate behind it.
        ended_by: ``finished``, ``stopped_early`` (a stop rule fired), ``budget``, ``deadline``, ``all_calls_failed``.
        usage: summed over all calls, by kind (generate, revise, judge, reward, probe).
        calls: number of calls by kind.
        answer_tokens: generated tokens that are the returned answer itself.
        seconds: wall time.
        dollars: at the model's prices, or None where it has none.
        checkpoints: the answers on the way, with their cost.
        trace: what happened, as plain data.
        warnings: what a reader of the result should know.
        error: why every call failed, where that is how it ended.
    """

    query_id: str
    answer: str | None
    candidate: Candidate | None
    ended_by: EndedBy
    usage: Mapping[str, Usage]
    calls: Mapping[str, int]
    answer_tokens: int = 0
    seconds: float = 0.0
    dollars: float | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    trace: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    error_type: str = ""

    @property
    def text(self) -> str:
        """The visible text of the sample behind the answer."""
        return self.candidate.sample.text if self.candidate else ""

    @property
    def total_usage(self) -> Usage:
        """The sum over all kinds of calls."""
        return sum(self.usage.values(), Usage())

    @property
    def generated_tokens(self) -> int:
        """All generated tokens."""
        return self.total_usage.generated

    @property
    def thinking_tokens(self) -> int:
        """Generated tokens outside the returned answer: the default cost axis."""
        return max(0, self.generated_tokens - self.answer_tokens)
