"""The words of the project as plain data: queries, requests, samples, usage, candidates and outcomes.

Everything here is immutable and free of I/O. Nothing here knows a gold answer: a :class:`Query` is all that a
strategy or a verifier ever sees of a problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ttc.answer_type import AnswerType, Equality, TextAnswer, make_answer_type
from ttc.errors import ConfigurationError
from ttc.request import FinishReason, ForcedAnswer, Message, Piece, Request, Sampling, Watch, digest, record

__all__ = [
    "AnswerType",
    "Candidate",
    "Checkpoint",
    "EndedBy",
    "Equality",
    "FinishReason",
    "ForcedAnswer",
    "Message",
    "Outcome",
    "Piece",
    "ProgramTest",
    "Query",
    "Request",
    "Sample",
    "Sampling",
    "Tally",
    "TextAnswer",
    "Usage",
    "Watch",
]

ProgramTest = str | Mapping[str, str]
"""A test of a program: Python source of one or more asserts, or ``{"stdin": ..., "stdout": ...}``."""

EndedBy = Literal["finished", "stopped_early", "budget", "deadline", "all_calls_failed"]


@dataclass(frozen=True, slots=True)
class Query:
    """One problem as strategies and verifiers see it. Never the gold answer.

    Attributes:
        messages: the chat so far, in OpenAI's form.
        id: stable across runs; the hash of the messages where none is given.
        answer_type: how answers are read and compared.
        tags: the query class, e.g. ``{"family": "addition", "level": "easy"}``.
        public_tests: what a verifier may execute; hidden tests are the grader's.
    """

    messages: tuple[Message, ...]
    id: str = ""
    answer_type: AnswerType = field(default_factory=TextAnswer)
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    public_tests: tuple[ProgramTest, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest(list(self.messages)))

    @classmethod
    def of(
        cls,
        prompt: str | Sequence[Message] | Query,
        *,
        answer_type: str | AnswerType | type[Any] | None = None,
        **fields: Any,
    ) -> Query:
        """Make a query of a prompt, of chat messages, or of a query (returned as it is).

        Args:
            prompt: what is asked.
            answer_type: a registered name (``number``, ``choice``, ``json:field=answer``), an object, or a pydantic
                model.
            fields: further fields of the query.

        Raises:
            UnknownName: no answer type of that name.
            ConfigurationError: a parameter of it out of range.
        """
        if isinstance(prompt, Query):
            return prompt
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        return cls(messages=tuple(prompt), answer_type=make_answer_type(answer_type), **fields)

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


@record(frozen=True, slots=True)
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


class Tally:
    """A running sum of usages; what :class:`Usage` is the snapshot of."""

    __slots__ = ("answer", "cached", "prompt", "reasoning", "source", "upper_bound")

    def __init__(self) -> None:
        self.prompt = self.cached = self.reasoning = self.answer = 0
        self.upper_bound = False
        self.source = ""

    def add(self, usage: Usage) -> None:
        """Add one usage."""
        self.prompt += usage.prompt_tokens
        self.cached += usage.cached_tokens
        self.reasoning += usage.reasoning_tokens
        self.answer += usage.answer_tokens
        if usage.upper_bound:
            self.upper_bound = True
        if usage.reasoning_source and usage.reasoning_source != self.source:
            self.source = "mixed" if self.source else usage.reasoning_source

    @property
    def generated(self) -> int:
        """All generated tokens."""
        return self.reasoning + self.answer

    def usage(self) -> Usage:
        """The sum so far."""
        return Usage(self.prompt, self.cached, self.reasoning, self.answer, self.upper_bound, self.source)


@record(frozen=True, slots=True, kw_only=True)
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
        model: which model of a fleet answered; empty where there is only one.
        forced: the answer was forced out of a text that had been cut off.
        refused: the server says that the model declined; the text is what it said instead.
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
    model: str = ""
    forced: bool = False
    refused: bool = False
    error: str = ""
    error_type: str = ""

    @property
    def ok(self) -> bool:
        """Whether the call brought a completion (a cut one counts)."""
        return self.finish not in ("failed", "cancelled")


@record(frozen=True, slots=True)
class Candidate:
    """An answer with the sample behind it and what verifiers made of it.

    ``answer`` is None when the sample holds no answer: it was paid for, and it can never win.
    """

    answer: str | None
    sample: Sample
    score: float | None = None

    def scored(self, score: float) -> Candidate:
        """Return the same candidate with a verifier's score."""
        return Candidate(self.answer, self.sample, score)


@record(frozen=True, slots=True)
class Checkpoint:
    """The best answer so far, and what had been paid for it.

    Attributes:
        answer: what would be returned if the query ended here.
        samples: how many samples the strategy had consumed, in issue order.
        prefix: usage of what the strategy had consumed: the cost of stopping here with nothing in flight.
        realised: usage settled by then, other calls that had already come back included.
        answer_tokens: generated tokens that are the returned answer itself.
        dollars: what the prefix cost at the models' prices, or None where they have none.

    With several models there is no sum of tokens: ``prefix`` and ``realised`` are empty, and ``dollars`` counts.
    """

    answer: str | None
    samples: int
    prefix: Usage
    realised: Usage
    answer_tokens: int = 0
    dollars: float | None = None

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
        foreign: tokens of calls to other models' servers (a reward model's), by kind and model: ``reward@prm``. They
            are never added to the others.
        calls: number of calls by kind.
        answer_tokens: generated tokens that are the returned answer itself.
        seconds: wall time.
        dollars: at the model's prices, or None where it has none.
        checkpoints: the answers on the way, with their cost.
        trace: what happened, as plain data.
        warnings: what a reader of the result should know.
        error: why every call failed, where that is how it ended.

    The usage of a :class:`~ttc.models.fleet.Fleet` is kept by kind and model (``generate@small``): tokens of different
    models are never added up, and the sums below raise ConfigurationError there.
    """

    query_id: str
    answer: str | None
    candidate: Candidate | None
    ended_by: EndedBy
    usage: Mapping[str, Usage]
    calls: Mapping[str, int]
    foreign: Mapping[str, Usage] = field(default_factory=dict[str, Usage])
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
        """The sum over all kinds of calls.

        Raises:
            ConfigurationError: several models were used.
        """
        models = sorted({kind.partition("@")[2] for kind in self.usage})
        if len(models) > 1:
            raise ConfigurationError(
                f"tokens of {', '.join(models)} are not added up: read 'usage', or compare dollars"
            )
        return sum(self.usage.values(), Usage())

    @property
    def generated_tokens(self) -> int:
        """All generated tokens."""
        return self.total_usage.generated

    @property
    def thinking_tokens(self) -> int:
        """Generated tokens outside the returned answer: the default cost axis."""
        return max(0, self.generated_tokens - self.answer_tokens)
