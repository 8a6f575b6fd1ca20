"""Expressions of whole numbers: read by a parser of our own in linear time, never evaluated as code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ttc.verifiers.games.state import Puzzle, combined

__all__ = ["LONGEST_EXPRESSION", "SIGNS", "Expression", "read_expression", "solves"]

LONGEST_EXPRESSION = 400
"""Characters of an expression; a longer one is none."""

SIGNS = str.maketrans("\u00d7\u00b7\u00f7\u2212\u2013", "**/--")
"""Other ways to write the operators."""

_DEEPEST = 40
_TOKEN = re.compile(r"\s*([0-9]{1,12}(?![0-9.])|[-+*/()])")


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression is made of.

    Attributes:
        text: in one spelling.
        value: None where it divides by zero.
        numbers: all that stand in it, sorted.
        operators: all that it uses.
    """

    text: str
    value: Fraction | None
    numbers: tuple[int, ...]
    operators: frozenset[str]


def read_expression(text: str) -> Expression | None:
    """Read numbers, ``+-*/`` and brackets; None for anything else, such as powers, names, decimals or words."""
    if len(text) > LONGEST_EXPRESSION:
        return None
    text = text.translate(SIGNS).strip()
    tokens, at = list[str](), 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(match[1])
        at = match.end()
    reader = _Reader(tokens)
    try:
        said, value = reader.sum()
    except _NoExpression:
        return None
    if reader.at < len(tokens):
        return None
    return Expression(said, value, tuple(sorted(reader.numbers)), frozenset(reader.operators))


def solves(puzzle: Puzzle, answer: str | None) -> bool:
    """Whether an expression makes the target of all numbers, each used once, with operators that may be used."""
    found = read_expression(answer) if answer else None
    return (
        found is not None
        and found.value == puzzle.target
        and found.numbers == tuple(sorted(puzzle.numbers))
        and found.operators <= set(puzzle.operators)
    )


class _NoExpression(Exception):
    """What is read is none."""


class _Reader:
    """Recursive descent, as deep as brackets may be nested."""

    def __init__(self, tokens: list[str]) -> None:
        self.at = 0
        self.numbers: list[int] = []
        self.operators: set[str] = set()
        self._tokens = tokens
        self._depth = 0

    def sum(self) -> tuple[str, Fraction | None]:
        said, value = self._product()
        while (operator := self._next("+-")) is not None:
            said, value = self._joined(said, value, operator, self._product())
        return said, value

    def _product(self) -> tuple[str, Fraction | None]:
        said, value = self._factor()
        while (operator := self._next("*/")) is not None:
            said, value = self._joined(said, value, operator, self._factor())
        return said, value

    def _factor(self) -> tuple[str, Fraction | None]:
        if self._next("-") is not None:  # of one number or bracket; not of another sign
            said, value = self._plain()
            return f"-{said}", None if value is None else -value
        return self._plain()

    def _plain(self) -> tuple[str, Fraction | None]:
        if self._next("(") is None:
            if self.at == len(self._tokens) or not self._tokens[self.at].isdigit():
                raise _NoExpression
            number = int(self._tokens[self.at])
            self.at += 1
            self.numbers.append(number)
            return str(number), Fraction(number)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NoExpression
        said, value = self.sum()
        self._depth -= 1
        if self._next(")") is None:
            raise _NoExpression
        return f"({said})", value

    def _joined(
        self, said: str, value: Fraction | None, operator: str, more: tuple[str, Fraction | None]
    ) -> tuple[str, Fraction | None]:
        self.operators.add(operator)
        other = more[1]
        result = None if value is None or other is None else combined(value, operator, other)
        return f"{said} {operator} {more[0]}", result

    def _next(self, wanted: str) -> str | None:
        if self.at < len(self._tokens) and self._tokens[self.at] in wanted:
            self.at += 1
            return self._tokens[self.at - 1]
        return None
