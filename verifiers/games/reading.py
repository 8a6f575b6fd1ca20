"""What a text says about a numbers game: the puzzle in a prompt, the moves and the answer in a solution. Linear."""

from __future__ import annotations

import re
from fractions import Fraction

from ttc.verifiers.games.expression import SIGNS, read_expression
from ttc.verifiers.games.state import OPERATORS, Puzzle, Step, Term, joined_terms, taken

__all__ = ["MOST_STEPS", "Composition", "lines", "read_puzzle", "read_step", "stated_expression"]

MOST_STEPS = 64
"""Moves that an answer is composed of; what comes behind them is not read."""

_LONGEST_LINE = 500
_LONGEST_PROMPT = 100_000

_LIST = r"(?P<numbers>[0-9]{1,9}(?: ?, ?[0-9]{1,9}){1,9})(?![0-9])"
_TARGET = r"(?P<target>[0-9]{1,12})(?![0-9])"
_PUZZLES = (
    re.compile(rf"\bnumbers: {_LIST}\.?\s{{1,4}}target: {_TARGET}", re.IGNORECASE),  # our own suites
    re.compile(rf"\b(?:make|calculate) {_TARGET} using (?:all of these numbers: |the numbers )?{_LIST}", re.IGNORECASE),
    re.compile(rf"\busing all the numbers {_LIST}, create an expression that equals {_TARGET}", re.IGNORECASE),
)
_ALLOWED = re.compile(r"\byou can use the operators (?P<operators>[-+*/](?:, ?[-+*/]){0,3})", re.IGNORECASE)

_NUMBER = r"-?[0-9]{1,12}(?:/[0-9]{1,12}|\.[0-9]{1,12})?"
_STEP = re.compile(
    rf"(?:(?:step )?[0-9]{{1,2}}[.:)] )?(?P<a>{_NUMBER}) ?(?P<operator>[-+*/]) ?(?P<b>{_NUMBER})"
    rf" ?= ?(?P<result>{_NUMBER})"
    rf"(?: ?[(\[]left: ?(?P<left>{_NUMBER}(?:, ?{_NUMBER}){{0,9}})[)\]])?\.?",
    re.IGNORECASE,
)
_MARKED = re.compile(r"(?:(?:the|my) )?(?:final )?answer(?: is|:| is:)? ?|<answer>", re.IGNORECASE)


def read_puzzle(prompt: str) -> Puzzle | None:
    """Read numbers and target in the words of reasoning-gym's ``countdown`` and ``puzzle24`` or of our suites.

    All numbers have to be used, each once: both data sets say so or grade by it. Of several puzzles the last counts.
    """
    prompt = prompt[-_LONGEST_PROMPT:]
    found = [match for pattern in _PUZZLES for match in pattern.finditer(prompt)]
    if not found:
        return None
    last = max(found, key=lambda match: match.start())
    allowed = _ALLOWED.search(prompt, last.end())
    operators = "".join(o for o in OPERATORS if o in allowed["operators"]) if allowed else OPERATORS
    return Puzzle(tuple(int(n) for n in last["numbers"].split(",")), int(last["target"]), operators)


def lines(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line for line in text.split("\n") if line.strip()]


def read_step(line: str) -> Step | None:
    """Read a move such as ``36 - 29 = 7 (left: 7, 95, 32)``; the list of what is left may be missing."""
    if len(line) > _LONGEST_LINE:
        return None
    match = _STEP.fullmatch(" ".join(line.translate(SIGNS).split()))
    if match is None:
        return None
    try:
        a, b, result = (Fraction(match[name]) for name in ("a", "b", "result"))
        left = tuple(Fraction(n.strip()) for n in match["left"].split(",")) if match["left"] else None
    except ZeroDivisionError:  # of a number like 1/0
        return None
    return Step(a, match["operator"], b, result, left)


def stated_expression(line: str) -> tuple[str, bool] | None:
    """Read a line that is an expression, '= 24' behind it or not; and whether it is marked as the answer.

    What would be marked as the answer and is a single number is no expression of the game.
    """
    if len(line) > _LONGEST_LINE:
        return None
    line = line.strip(" \t\r.*`$")
    marked = _MARKED.match(line)
    said = line[marked.end() :].removesuffix("</answer>") if marked else line
    found = read_expression(said.partition("=")[0].strip(" *`$:."))
    return (found.text, marked is not None) if found is not None and found.operators else None


class Composition:
    """The answer that a text's moves come to, read line by line without knowing the puzzle.

    It is concluded by a move that leaves one number, or by an expression that is marked as the answer; what comes
    behind is not read. Without either the last expression that is a line of its own stands, or what the last move made.

    Attributes:
        concluded: whether the text has come to its end.
    """

    def __init__(self, numbers: int | None = None) -> None:
        """Begin a text; of a puzzle of so many numbers it ends with one move fewer."""
        self.concluded = False
        self._most = MOST_STEPS if numbers is None else numbers - 1
        self._known = numbers is not None
        self._made: list[Term] = []
        self._steps = 0
        self._last: str | None = None
        self._stated: str | None = None

    @property
    def answer(self) -> str | None:
        """The expression so far; None where there is none."""
        return self._stated or self._last

    def read(self, line: str) -> Step | None:
        """Take in one line; returns the move that it makes, if it does."""
        if self.concluded or self._steps >= self._most:
            return None
        step = read_step(line)
        if step is not None:
            self._steps += 1
            a, b = self._taken(step.a), self._taken(step.b)
            made = joined_terms(a, step.operator, b, step.result)
            self._made.append(made)
            self._last, self._stated = made.text, None
            all_made = self._known and self._steps == self._most
            self.concluded = all_made or (step.left is not None and len(step.left) == 1)
        elif (found := stated_expression(line)) is not None:
            self._stated, self.concluded = found
        return step

    def _taken(self, value: Fraction) -> Term:
        return taken(self._made, value) or Term(value, str(value))
