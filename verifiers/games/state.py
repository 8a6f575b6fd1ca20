"""The numbers game as plain data: numbers that are left, a target, and moves that make one number of two. Pure.

Arithmetic is exact, on fractions. A number keeps the expression that it was made by, so that who reaches the target has
the answer at once. Of equal numbers the one that was made last is taken first, here and where an answer is read out of
a text (:mod:`ttc.verifiers.games.reading`): both compose the same expression.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

__all__ = ["OPERATORS", "Puzzle", "State", "Step", "Term", "combined", "joined_terms", "taken", "written"]

OPERATORS = "+-*/"


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Make the target of all numbers, each used once.

    Attributes:
        numbers: what there is.
        target: what is to be made.
        operators: those that may be used.
    """

    numbers: tuple[int, ...]
    target: int
    operators: str = OPERATORS


@dataclass(frozen=True, slots=True)
class Step:
    """One move as a text states it: nothing about it is known to be right.

    Attributes:
        a: the first number.
        operator: one of ``+-*/``.
        b: the second number.
        result: what is said to come of it.
        left: what is said to be left afterwards; None where nothing is said.
    """

    a: Fraction
    operator: str
    b: Fraction
    result: Fraction
    left: tuple[Fraction, ...] | None = None

    def __str__(self) -> str:
        """The line that says it, as in ``36 - 29 = 7 (left: 7, 95, 32)``."""
        said = f"{written(self.a)} {self.operator} {written(self.b)} = {written(self.result)}"
        return said if self.left is None else f"{said} (left: {', '.join(map(written, self.left))})"


@dataclass(frozen=True, slots=True)
class Term:
    """A number with the expression that made it.

    Attributes:
        value: the number.
        text: the expression.
        made: by a move; else it is one of those given.
    """

    value: Fraction
    text: str
    made: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is left of a game.

    Attributes:
        puzzle: what is played.
        left: the numbers, those that were made last at the end.
    """

    puzzle: Puzzle
    left: tuple[Term, ...]

    @classmethod
    def of(cls, puzzle: Puzzle) -> Self:
        """Begin a game."""
        return cls(puzzle, tuple(Term(Fraction(n), str(n)) for n in puzzle.numbers))

    @property
    def values(self) -> tuple[Fraction, ...]:
        """The numbers alone."""
        return tuple(term.value for term in self.left)

    @property
    def over(self) -> bool:
        """Whether one number is left."""
        return len(self.left) == 1

    @property
    def solved(self) -> bool:
        """Whether that is the target."""
        return self.over and self.left[0].value == self.puzzle.target

    def after(self, step: Step) -> Self | None:
        """Make a move.

        Returns:
            What is left then; None where the move is illegal: a number that is not there, an operator that may not be
            used, wrong arithmetic, a division by zero, or a wrong list of what is left.
        """
        rest = list(self.left)
        a, b = taken(rest, step.a), taken(rest, step.b)
        if a is None or b is None or step.operator not in self.puzzle.operators:
            return None
        if combined(step.a, step.operator, step.b) != step.result:
            return None
        left = (*rest, joined_terms(a, step.operator, b, step.result))
        if step.left is not None and Counter(step.left) != Counter(term.value for term in left):
            return None
        return type(self)(self.puzzle, left)

    def steps(self) -> Iterator[Step]:
        """Yield every legal move, equal ones once."""
        seen: set[tuple[Fraction, str, Fraction]] = set()
        values = self.values
        for i, a in enumerate(values):
            for j, b in enumerate(values):
                for operator in self.puzzle.operators if i != j else "":
                    result = combined(a, operator, b)
                    if result is None or (a, operator, b) in seen:
                        continue
                    seen.add((a, operator, b))
                    rest = [v for k, v in enumerate(values) if k not in (i, j)]
                    yield Step(a, operator, b, result, (result, *rest))


def combined(a: Fraction, operator: str, b: Fraction) -> Fraction | None:
    """Calculate; None for a division by zero."""
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case _:
            return a / b if b else None


def taken(terms: list[Term], value: Fraction) -> Term | None:
    """Take a number out of a list: of equal ones one that was made, and of those the last."""
    at = max((i for i, t in enumerate(terms) if t.value == value), key=lambda i: (terms[i].made, i), default=None)
    return None if at is None else terms.pop(at)


def joined_terms(a: Term, operator: str, b: Term, result: Fraction) -> Term:
    """Make one number of two, with its expression."""
    return Term(result, f"{_grouped(a)} {operator} {_grouped(b)}", made=True)


def written(number: Fraction) -> str:
    """Write a number as a step has it: ``7``, ``-3`` or ``8/3``."""
    return str(number)


def _grouped(term: Term) -> str:
    return term.text if term.text.isdigit() else f"({term.text})"
