"""Whether the target can still be reached: exact, by the values that subsets of the numbers can make."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from ttc.verifiers.games.state import Puzzle, State, Step, combined

__all__ = ["MOST_NUMBERS", "reachable", "solution"]

MOST_NUMBERS = 5
"""Numbers that are looked at: six would take seconds. With more whether the target can be reached is not known."""


def reachable(state: State) -> bool | None:
    """Whether the target can be made of all numbers that are left; None with more than :data:`MOST_NUMBERS`."""
    if len(state.left) > MOST_NUMBERS:
        return None
    return _reaches(tuple(sorted(state.values)), Fraction(state.puzzle.target), state.puzzle.operators)


def solution(puzzle: Puzzle) -> list[Step] | None:
    """Solve a puzzle: the moves, or None where there is no solution.

    Six numbers take seconds, and each further one a hundred times as long.
    """
    return _solution(State.of(puzzle))


def _solution(state: State) -> list[Step] | None:
    if state.over:
        return [] if state.solved else None
    for step in state.steps():
        after = state.after(step)
        if after is not None and reachable(after) is not False and (rest := _solution(after)) is not None:
            return [step, *rest]
    return None


@lru_cache(maxsize=100_000)
def _reaches(numbers: tuple[Fraction, ...], target: Fraction, operators: str) -> bool:
    """Split the numbers in two; ask of each value of the smaller part whether the other makes what is missing."""
    if len(numbers) == 1:
        return numbers[0] == target
    for some, others in _splits(numbers):
        values = _values(others, operators)
        if any(_meets(value, values, target, operators) for value in _values(some, operators)):
            return True
    return False


def _meets(value: Fraction, values: frozenset[Fraction], target: Fraction, operators: str) -> bool:
    """Whether a value and one of the others make the target."""
    if "+" in operators and target - value in values:
        return True
    if "-" in operators and (value - target in values or value + target in values):
        return True
    if not value:  # nothing but zero comes of zero, and nothing is divided by it
        others = (values and "*" in operators) or ("/" in operators and values - {value})
        return not target and bool(others)
    if "*" in operators and target / value in values:
        return True
    return "/" in operators and (target * value in values or bool(target and value / target in values))


@lru_cache(maxsize=10_000)
def _values(numbers: tuple[Fraction, ...], operators: str) -> frozenset[Fraction]:
    """All that can be made of these numbers, each used once."""
    if len(numbers) == 1:
        return frozenset(numbers)
    made: set[Fraction] = set()
    for some, others in _splits(numbers):
        for a in _values(some, operators):
            for b in _values(others, operators):
                for operator in operators:
                    both = (combined(a, operator, b), combined(b, operator, a) if operator in "-/" else None)
                    made.update(value for value in both if value is not None)
    return frozenset(made)


def _splits(numbers: tuple[Fraction, ...]) -> Iterator[tuple[tuple[Fraction, ...], tuple[Fraction, ...]]]:
    """Every way to make two parts of sorted numbers, each once; the smaller part comes first."""
    n = len(numbers)
    for mask in range(1, 1 << (n - 1)):  # the last number is in the second part
        parts = (
            tuple(v for i, v in enumerate(numbers) if mask >> i & 1),
            tuple(v for i, v in enumerate(numbers) if not mask >> i & 1),
        )
        yield (parts[0], parts[1]) if len(parts[0]) <= len(parts[1]) else (parts[1], parts[0])
