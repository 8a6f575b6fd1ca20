"""The answer types ``number``, ``maths`` and ``choice``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttc.answer_type import Equality
from ttc.thoughts import without_thoughts
from ttc.verifiers.maths.canonical import LONGEST_ANSWER, canonical, parse_number
from ttc.verifiers.maths.equivalence import equal
from ttc.verifiers.maths.extraction import (
    after_cue,
    after_hashes,
    first_number,
    last_boxed,
    last_boxes,
    last_line,
    last_number,
)

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["ChoiceAnswer", "MathsAnswer", "NumberAnswer"]


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    r"""A number: the last ``\boxed{}``, else what follows ``####`` or 'the answer is', else the last number.

    Two are the same when they are the same rational number, or when one is a decimal fraction within 1e-9 (relative)
    of the other. What holds no number has the empty key, which equals nothing.
    """

    name: str = "number"
    cue: str = "\nThe answer is"  # no space behind: it belongs to the number's own token

    def extract(self, text: str) -> str | None:
        """Return the number as it was written, or None. Linear in the length of the text."""
        text = without_thoughts(text)
        for number in self._found(text):
            if number is not None and self.key(number):
                return number
        return None

    def concludes(self, text: str) -> bool:
        """Whether the text marks its answer: the last number of an unfinished one is no answer yet."""
        return any(number is not None and self.key(number) for number in self._stated(without_thoughts(text)))

    def _found(self, text: str) -> Iterator[str | None]:
        yield from self._stated(text)
        for line in last_line(text):
            yield last_number(line)

    def _stated(self, text: str) -> Iterator[str | None]:
        boxed = last_boxed(text)
        if boxed is not None:
            yield boxed if len(boxed) <= LONGEST_ANSWER and parse_number(boxed) else last_number(boxed)
        if (marked := after_hashes(text)) is not None:
            yield first_number(marked)
        for clause in after_cue(text):
            yield first_number(clause)

    def key(self, answer: str) -> str:
        """Return the number as ``p/q`` in lowest terms, or the empty string."""
        number = parse_number(answer)
        return str(number.value) if number else ""

    def equivalent(self, a: str, b: str) -> bool:
        """Compare as numbers."""
        x, y = parse_number(a), parse_number(b)
        return x is not None and y is not None and x.near(y)


@dataclass(frozen=True, slots=True)
class MathsAnswer:
    r"""A formula, a number or a list in LaTeX: the last ``\boxed{}``, else what follows ``####`` or 'the answer is'.

    Boxes joined by 'and' or commas are one list. Failing all those, the last formula between dollar signs of the last
    line, or its last number. Compared by :func:`~ttc.verifiers.maths.canonical.canonical`, numbers by value; algebra is
    left to :meth:`decide`.
    """

    name: str = "maths"
    cue: str = "\nThe final answer is \\boxed{"

    def extract(self, text: str) -> str | None:
        """Return the answer as it was written, or None. Linear in the length of the text."""
        text = without_thoughts(text)
        for answer in self._found(text):
            if answer and len(answer) <= LONGEST_ANSWER and canonical(answer):
                return answer
        return None

    def concludes(self, text: str) -> bool:
        """Whether the text marks its answer: the last formula of an unfinished one is no answer yet."""
        stated = self._stated(without_thoughts(text))
        return any(answer and len(answer) <= LONGEST_ANSWER and canonical(answer) for answer in stated)

    def _stated(self, text: str) -> Iterator[str | None]:
        boxes = last_boxes(text)
        if len(boxes) > 1 and len({canonical(box) for box in boxes}) == len(boxes):
            yield ", ".join(boxes)  # several answers; one that is written in two ways is a single answer
        yield boxes[-1] if boxes else None
        yield after_hashes(text)
        for clause in after_cue(text):
            yield _formula(clause) or _first_sentence(clause)

    def _found(self, text: str) -> Iterator[str | None]:
        yield from self._stated(text)
        lines = list(last_line(text))
        if lines:
            yield _formula(lines[0], last=True)
        for line in lines:
            yield last_number(line)

    def key(self, answer: str) -> str:
        """Return the canonical form, or the empty string."""
        return canonical(answer)

    def equivalent(self, a: str, b: str) -> bool:
        """Compare canonical forms, and numbers by value."""
        x, y = canonical(a), canonical(b)
        if x == y:
            return x != ""
        first, second = parse_number(a), parse_number(b)
        return first is not None and second is not None and first.near(second)

    async def decide(self, a: str, b: str, session: Session | None) -> Equality:
        """Compare by algebra, in a process that can be killed: see :func:`~ttc.verifiers.maths.equivalence.equal`."""
        return await equal(a, b)


@dataclass(frozen=True, slots=True)
class ChoiceAnswer:
    r"""One of a few letters: in the last ``\boxed{}``, after 'the answer is', in brackets, or alone on a line.

    Attributes:
        letters: those that can be chosen.
    """

    name: str = "choice"
    cue: str = "\nThe answer is ("
    letters: str = "ABCDEFGHIJ"

    def extract(self, text: str) -> str | None:
        """Return the letter in upper case, or None. Linear in the length of the text."""
        text = without_thoughts(text)
        if letter := self._stated(text):
            return letter
        for line in last_line(text):
            if match := _ALONE.fullmatch(line[:40]) if len(line) <= 40 else None:
                letter = self.key(match["letter"])
            else:
                letter = next(filter(None, (self.key(m[1]) for m in reversed(list(_BRACKETED.finditer(line))))), "")
            if letter:
                return letter
        return None

    def concludes(self, text: str) -> bool:
        """Whether the text marks its answer, in a box or behind 'the answer is'."""
        return bool(self._stated(without_thoughts(text)))

    def _stated(self, text: str) -> str:
        boxed = last_boxed(text)
        if boxed is not None and len(boxed) <= LONGEST_ANSWER and (letter := self.key(boxed)):
            return letter
        for clause in after_cue(text):
            if (match := _STATED.match(clause)) and (letter := self.key(match["letter"])):
                return letter
        return ""

    def key(self, answer: str) -> str:
        """Return the letter in upper case, or the empty string."""
        bare = canonical(answer).strip("(){}[]*:. ").upper() if len(answer) <= 64 else ""
        return bare if len(bare) == 1 and bare in self.letters.upper() else ""

    def equivalent(self, a: str, b: str) -> bool:
        """Compare letters."""
        return self.key(a) == self.key(b) != ""


# Behind a cue a bare letter counts in upper case; 'a' and 'I' are words where more words follow.
_STATED = re.compile(
    r"(?:option|choice)?[\s*(\[{\"'$:]{0,8}(?P<letter>(?<=[(\[])[A-Za-z](?=[)\]])"
    r"|[B-HJ-Z](?![\w'])|[A-Za-z](?=[\s*)\]}\"'$]{0,8}(?:$|[.,:;)\]\n])))",
)
_ALONE = re.compile(r"[\s*(\[{\"'$]{0,8}(?P<letter>[A-Z])[\s*)\]}\"'$.:]{0,8}")
_BRACKETED = re.compile(r"\(([A-Za-z])\)")


def _formula(clause: str, *, last: bool = False) -> str | None:
    """Return what stands between the first pair of dollar signs, if nothing stands before, or between the last."""
    clause = clause.replace("\\(", "$").replace("\\)", "$")
    marks = [m.start() for m in re.finditer(r"(?<!\\)\$", clause)]
    if len(marks) < 2 or (not last and clause[: marks[0]].strip(" *:(")):
        return None
    start, end = (marks[-2], marks[-1]) if last else (marks[0], marks[1])
    return clause[start + 1 : end].strip() or None


def _first_sentence(clause: str) -> str:
    sentence = re.split(r"(?<!\\)[.!?](?=\s|$)", clause, maxsplit=1)[0].strip(" *_`:")
    return sentence.lstrip("} ").removesuffix(r"\]").rstrip()  # of \[ \text{Answer: } 5 \]
