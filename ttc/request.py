"""One call to a model as plain data: what is asked, how it is drawn, how it is numbered, and who may end it early."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import orjson

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, **options: Any) -> Any:
        """Make a slotted dataclass that the type checker holds frozen.

        What is made a million times is not frozen at run time as well: that would triple the time of making one.
        """
        return dataclass(**options, unsafe_hash=frozen)


__all__ = [
    "FinishReason",
    "ForcedAnswer",
    "Message",
    "Numbered",
    "Piece",
    "Request",
    "Sampling",
    "Watch",
    "Watcher",
    "digest",
    "record",
]

Message: TypeAlias = Mapping[str, Any]
"""One chat message in OpenAI's form: ``{"role": ..., "content": ...}``."""

FinishReason = Literal["stop", "step", "length", "cut", "halted", "cancelled", "failed"]
"""``step``: a stop sequence of the request's ended it, so it may go on; ``length``: the request's own max_tokens;
``cut``: the ledger refused more; ``halted``: the strategy's watcher ended it; ``cancelled``: no longer wanted."""


def digest(data: Any) -> str:
    """Hash plain data in canonical JSON: 16 bytes in hex."""
    raw = orjson.dumps(data, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


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
        model: which model of a :class:`~ttc.models.fleet.Fleet`; empty: the first, or the only one.
        extra: further fields of the request body, e.g. ``{"chat_template_kwargs": {"enable_thinking": False}}``.
    """

    max_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 1.0
    logprobs: int | None = None
    thinking_tokens: int | None = None
    force_answer: int = 16
    model: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ForcedAnswer:
    """How to get an answer out of a text that was cut off: append ``cue`` and go on for at most ``max_tokens``."""

    cue: str
    max_tokens: int
    answered: Callable[[str], bool] = field(compare=False)


@record(frozen=True, slots=True)
class Piece:
    """What a sample has gained since its watcher looked last.

    Attributes:
        tokens: generated tokens of the sample by now.
        text: new visible text.
        reasoning: new text of the thoughts.
        top_logprobs: of each new token, the log-probabilities of the k likeliest, descending.
    """

    tokens: int
    text: str = ""
    reasoning: str = ""
    top_logprobs: Sequence[Sequence[float]] = ()


Watcher: TypeAlias = Callable[[Piece], bool]
"""Sees one sample grow, piece by piece; returns True to end it there."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A rule that may end a sample while it streams.

    Attributes:
        key: names the rule with its parameters: two samples of equal content under equal keys end alike.
        start: makes the watcher of one sample.
    """

    key: str
    start: Callable[[], Watcher] = field(compare=False)


@record(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a model, with everything that determines its result.

    ``index`` counts requests of equal content within a query in issue order; ``seed`` is hashed from the run's
    seed, the query, the content and the index, so the same position draws the same sample in every strategy.

    Attributes:
        until: stop sequences at which it ends with ``finish="step"``; the text does not hold the one that it met.
        race: it runs against its siblings, so its own duration matters: no recorded call may answer for it.
        watch: a rule that may end it early.
        whole: no more of its siblings are under way than the budget carries, so it need not be promised its whole cap.
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
    until: tuple[str, ...] = ()
    stream: bool = True
    continue_final: bool = False
    thinking_tokens: int | None = None
    force: ForcedAnswer | None = None
    model: str = ""
    race: bool = False
    watch: Watch | None = None
    whole: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def content(self) -> str:
        """Hash what is asked, without the index and the seed, and without what only observes it (logprobs, a watch)."""
        return digest(
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
                **({"model": self.model} if self.model else {}),
                **({"until": list(self.until)} if self.until else {}),
            }
        )

    def at(self, index: int, seed: int) -> Request:
        """Return the same request at another position."""
        return Request(
            messages=self.messages,
            max_tokens=self.max_tokens,
            kind=self.kind,
            index=index,
            seed=seed,
            n=self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            logprobs=self.logprobs,
            choices=self.choices,
            until=self.until,
            stream=self.stream,
            continue_final=self.continue_final,
            thinking_tokens=self.thinking_tokens,
            force=self.force,
            model=self.model,
            race=self.race,
            watch=self.watch,
            whole=self.whole,
            extra=self.extra,
        )


class Numbered(Sequence[Request]):
    """Requests of equal content at consecutive positions, each with its own seed; made when they are looked at.

    The seed of a position follows from ``root`` (run, query and content) and its index. Seeds are 48 bits wide, so
    those of two positions are apart by more than any ``n`` (vLLM seeds choice i of a request with seed + i).
    """

    __slots__ = ("_root", "positions", "request")

    def __init__(self, request: Request, root: str, positions: range) -> None:
        self.request = request
        self.positions = positions
        self._root = hashlib.blake2b(root.encode(), digest_size=8)

    @staticmethod
    def root(seed: int, query: str, content: str, *, path: Sequence[str | int] = ()) -> str:
        """What the seeds of requests of equal content follow from.

        Args:
            seed: of the run.
            query: id of the query.
            content: hash of the request.
            path: names of the branch of the session that draws them.
        """
        return "\x1f".join(map(str, (seed, query, *path, content)))

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, at: int) -> Request: ...

    @overload
    def __getitem__(self, at: slice) -> list[Request]: ...

    def __getitem__(self, at: int | slice) -> Request | list[Request]:
        if isinstance(at, slice):
            return [self.request.at(i, self.seed(i)) for i in self.positions[at]]
        index = self.positions[at]
        return self.request.at(index, self.seed(index))

    def __iter__(self) -> Iterator[Request]:
        return (self.request.at(i, self.seed(i)) for i in self.positions)

    def seed(self, index: int) -> int:
        """The seed of a position."""
        state = self._root.copy()
        state.update(b"\x1f%d" % index)
        return int.from_bytes(state.digest()) >> 16
