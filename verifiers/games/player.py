"""A player that moves by lot: what a small model is like at numbers games, for theory and tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ttc.types import Message, Query, Request, Sample
from ttc.verifiers.games.reading import read_puzzle, read_step
from ttc.verifiers.games.state import OPERATORS, Step, combined

__all__ = ["RandomPlayer"]


@dataclass(frozen=True, slots=True)
class RandomPlayer:
    """Reply with moves drawn by lot, each wrong with some probability: ``Scripted(RandomPlayer(illegal=.2))``.

    It plays the puzzle of the last user message, on from the moves of an assistant's unfinished one. A request with a
    stop sequence gets one move, any other a whole game. What it says follows from the request's seed.

    Attributes:
        illegal: P(a move's arithmetic is wrong). It goes on from the wrong number, as a model does.
    """

    illegal: float = 0.2

    def __call__(self, request: Request) -> Sample:
        """Return the next move, or all that are left."""
        rng = random.Random(request.seed)
        left, moves = _left(request.messages), list[str]()
        while len(left) > 1:
            step = self._step(rng, left)
            left = list(step.left or ())
            moves.append(str(step))
            if request.until:
                break
        return Sample(text="\n".join(moves), finish="step" if request.until and len(left) > 1 else "stop")

    def _step(self, rng: random.Random, left: list[Fraction]) -> Step:
        a, b, *rest = rng.sample(left, len(left))
        results = {operator: combined(a, operator, b) for operator in OPERATORS}
        operator, result = rng.choice([(o, r) for o, r in results.items() if r is not None])
        if rng.random() < self.illegal:
            result += rng.choice((-1, 1))
        return Step(a, operator, b, result, (result, *rest))


def _left(messages: Sequence[Message]) -> list[Fraction]:
    """What is left by the last move that the unfinished answer holds, else all numbers of the puzzle."""
    puzzle = read_puzzle(Query(tuple(messages), id="game").prompt)
    if puzzle is None:
        return []
    said = str(messages[-1]["content"]) if messages[-1]["role"] == "assistant" else ""
    moves = [step for line in said.split("\n") if (step := read_step(line)) is not None]
    return list(moves[-1].left or ()) if moves else [Fraction(n) for n in puzzle.numbers]
