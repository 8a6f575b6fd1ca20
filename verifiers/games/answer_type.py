"""The answer type ``countdown``: an expression, composed of a solution's moves or stated."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.thoughts import without_thoughts
from ttc.verifiers.games.expression import read_expression
from ttc.verifiers.games.reading import Composition, lines

__all__ = ["CountdownAnswer"]


@dataclass(frozen=True, slots=True)
class CountdownAnswer:
    """An expression such as ``(36 - 29) * 19``, composed of lines like ``36 - 29 = 7 (left: 7, 95)``, or stated.

    It is composed by what the moves say, up to the first one that leaves one number, or is the expression behind 'the
    answer is' or between ``<answer>`` tags. Failing both it is the last line that is an expression, else what the last
    move made. Two are the same when they have the same value and use the same numbers: by the rules of the game both
    are right, or neither is.

    Attributes:
        numbers: how many the puzzle has, where that is known: a text of one move fewer has come to its end, whether or
            not it says what is left.
    """

    name: str = "countdown"
    numbers: int | None = None
    cue: str = "\nThe answer is"  # no space behind: it belongs to the next token

    def extract(self, text: str) -> str | None:
        """Return the expression in one spelling, or None. Linear in the length of the text."""
        return self._read(text).answer

    def concludes(self, text: str) -> bool:
        """Whether a move leaves one number, or an expression is marked as the answer."""
        return self._read(text).concluded

    def key(self, answer: str) -> str:
        """Return value and numbers, as in ``133 of 19, 29, 36``; empty where it is no expression or has no value."""
        found = read_expression(answer)
        if found is None or found.value is None:
            return ""
        return f"{found.value} of {', '.join(map(str, found.numbers))}"

    def equivalent(self, a: str, b: str) -> bool:
        """Compare values and numbers."""
        return self.key(a) == self.key(b) != ""

    def _read(self, text: str) -> Composition:
        composition = Composition(self.numbers)
        for line in lines(without_thoughts(text)):
            composition.read(line)
        return composition
