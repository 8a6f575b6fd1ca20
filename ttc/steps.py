"""The steps of a solution: what a process reward model scores one by one, and what a tree search branches between."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import AfterValidator

from ttc.types import Sample

__all__ = [
    "BLANK_LINE",
    "Aggregate",
    "Separator",
    "Solution",
    "aggregated",
    "as_written",
    "join_steps",
    "separator_of",
    "split_steps",
]

BLANK_LINE = "\n\n"
"""What stands between two steps where nothing else is said: how models that reason write, and how a step is stopped."""

_BLANK_LINES = re.compile(
    r"\n\s*\n"
)  # linear: it starts at line ends alone, and fails only where no second one follows

_ESCAPE = re.compile(r"\\(?:([nrt])|x([0-9a-f]{2}))")
_LOST = re.compile(r"[\n\r\t,()\[\]{}]|^ +| +$")  # what a spec reads in another way, or strips

_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def as_written(separator: str) -> str:
    r"""Return a separator as it stands in a spec: ``\n`` for a real newline, ``\x2c`` for a comma, which would end it.

    One that is written so already stays as it is.
    """
    names = {c: f"\\{name}" for name, c in _ESCAPED.items()}
    return _LOST.sub(lambda found: "".join(names.get(c, f"\\x{ord(c):02x}") for c in found[0]), separator)


def separator_of(written: str) -> str | None:
    r"""Return what stands between two steps, and stops one: a blank line for an empty separator, nothing for ``none``.

    In all others ``\n``, ``\r`` and ``\t`` are a newline, a carriage return and a tab, and ``\x2c`` is the character of
    that number; every other backslash is one. So ``\x5cn`` is a backslash and an n.
    """
    if written == "none":
        return None
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]] if found[1] else chr(int(found[2], 16)), written) or BLANK_LINE


Separator = Annotated[str, AfterValidator(as_written)]
"""A parameter that says what stands between two steps, kept as a spec has it; :func:`separator_of` reads it."""

Aggregate = Literal["last", "min", "product", "mean"]
"""How a solution's score is made of those of its steps."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A partial or whole solution, step by step, as a step scorer sees it.

    Attributes:
        steps: their texts.
        samples: what each step was drawn as, with its logprobs where the scorer asks for them; empty where the solution
            was drawn in one go.
        scores: of its first steps, where they are known: those are not scored again.
        over: nothing comes behind it.
    """

    steps: tuple[str, ...]
    samples: tuple[Sample, ...] = ()
    scores: tuple[float, ...] = ()
    over: bool = True

    @classmethod
    def of(cls, text: str, separator: str | None = BLANK_LINE) -> Self:
        """Split a whole text into its steps."""
        return cls(tuple(split_steps(text, separator)))

    @property
    def unscored(self) -> range:
        """The positions of the steps to be scored."""
        return range(len(self.scores), len(self.steps))


def aggregated(scores: Sequence[float], how: Aggregate) -> float:
    """Make one score of those of the steps; 0 where there are none.

    The last one did best where scores say how likely the end is right (Snell et al. 2024, arXiv 2408.03314), the least
    and the product where they say whether a step is (Lightman et al. 2023, arXiv 2305.20050).
    """
    if not scores:
        return 0.0
    match how:
        case "last":
            return scores[-1]
        case "min":
            return min(scores)
        case "product":
            return prod(scores)
        case "mean":
            return sum(scores) / len(scores)


def split_steps(text: str, separator: str | None = BLANK_LINE) -> list[str]:
    """Split a text into its steps; empty ones are dropped, so a text without words has none.

    At the default separator lines of white space count as blank, and several blank lines as one. Where nothing stands
    between steps, a text is one.
    """
    if separator is None:
        parts = [text]
    else:
        parts = _BLANK_LINES.split(text) if separator == BLANK_LINE else text.split(separator)
    return [part.strip("\r\n") for part in parts if part.strip()]


def join_steps(steps: Sequence[str], separator: str = BLANK_LINE) -> str:
    """Make one text of steps, which :func:`split_steps` splits again where no step holds the separator."""
    return separator.join(steps)
