"""What counts as an answer: how it is read out of a text, and when two of them are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, runtime_checkable

from ttc.errors import ConfigurationError

__all__ = ["AnswerType", "Equality", "TextAnswer", "make_answer_type", "same_answer"]

Equality = Literal["equal", "different", "undecided"]
"""What a comparison of two answers brought; ``undecided`` where it ran out of time or lacks a package it takes."""


@runtime_checkable
class AnswerType(Protocol):
    """What counts as an answer: how it is read out of a text and when two of them are the same.

    ``key`` is a cheap canonical form: equal keys mean equal answers, and the empty key, of what is no answer, equals
    nothing. ``equivalent`` is asked only when keys differ.
    ``cue`` is what is appended to a thought that was cut off, to force an answer out of it.
    """

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def cue(self) -> str:
        """The words that force an answer out of an unfinished text; empty where forcing makes no sense."""
        ...

    def extract(self, text: str) -> str | None:
        """Read the answer out of a completion, or None where it holds none. Linear in the text's length."""
        ...

    def concludes(self, text: str) -> bool:
        """Say whether an unfinished text marks its answer already, so that none has to be forced."""
        ...

    def key(self, answer: str) -> str:
        """Return the cheap canonical form."""
        ...

    def equivalent(self, a: str, b: str) -> bool:
        """Say whether two answers are the same although their keys differ."""
        ...


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The whole text is the answer; equal up to white space and letter case."""

    name: str = "text"
    cue: str = ""

    def extract(self, text: str) -> str | None:
        """Return the text without surrounding space, or None when nothing is left."""
        return text.strip() or None

    def concludes(self, text: str) -> bool:
        """Any text is an answer."""
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        """Fold case and white space."""
        return " ".join(answer.split()).casefold()

    def equivalent(self, a: str, b: str) -> bool:
        """Compare by key alone."""
        return self.key(a) == self.key(b)


def make_answer_type(given: str | AnswerType | type[Any] | None) -> AnswerType:
    """Make an answer type of its spec, or of a pydantic model, whose answers are JSON; one that is made is returned.

    Raises:
        UnknownName: no answer type of that name.
        ConfigurationError: a parameter out of range, or a class that is no pydantic model.
    """
    if not isinstance(given, str | type):
        return given or TextAnswer()
    from ttc import registry  # loaded only where a name has to be looked up

    if isinstance(given, str):
        return cast(AnswerType, registry.create("answer type", given))
    if not hasattr(given, "model_validate_json"):
        raise ConfigurationError(
            f"answer_type={given.__name__}: give a registered name, an object, or the class of a pydantic model"
        )
    return cast(AnswerType, registry.load("answer type", "json")(model=given))


def same_answer(answer_type: AnswerType, a: str, b: str) -> bool:
    """Whether two answers are the same: by their keys, else by what the type calls equivalent."""
    key = answer_type.key(a)
    return bool(key and key == answer_type.key(b)) or answer_type.equivalent(a, b)
