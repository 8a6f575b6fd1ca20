"""The verifier ``countdown``: a checker of moves in a numbers game, which is exact and costs no tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field

from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.steps import Solution
from ttc.thoughts import without_thoughts
from ttc.types import Candidate, Query
from ttc.verifiers.games.expression import solves
from ttc.verifiers.games.reading import Composition, lines, read_puzzle
from ttc.verifiers.games.solver import reachable
from ttc.verifiers.games.state import Puzzle, State

__all__ = ["Countdown"]

LEGAL = 0.5
"""The score of a legal move that does not end the game: nothing is known about where it leads."""

WORDS = 0.25
"""The score of a line that makes no move, as long as all is legal."""


class Countdown(BaseModel):
    """Check each move of a numbers game: is every number there, is the arithmetic right, is that what is left?

    An illegal move scores 0, and so does all that comes behind it. A legal one scores 1/2, since a checker of rules
    does not know where it leads; a game whose last number is not the target 0. Only what makes the target of all
    numbers scores 1, and that ends the search. Puzzles are read from the prompt (reasoning-gym's ``countdown`` and
    ``puzzle24``, and our suites): all numbers have to be used, each once. Costs no tokens.

    With ``reachable`` a legal move scores 0 too where the target cannot be made any more. That is what a perfect
    process reward model would say: it solves the puzzle, so what a search gains by it is a bound and no result. Where
    more than five numbers are left it is not worked out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "countdown"
    logprobs: ClassVar[int] = 0
    pass_fail: ClassVar[bool] = True

    reachable: bool = Field(default=False, description="score 0 where the target is out of reach: solves the puzzle")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Score each whole solution as its last step; 1 only for an answer that solves the puzzle.

        Raises:
            ConfigurationError: there is no puzzle in the prompt.
        """
        puzzle = _puzzle(query)
        texts = [lines(without_thoughts(c.sample.text)) for c in candidates]
        scores = [scores[-1] if scores else 0.0 for scores in await self._scored(puzzle, texts)]
        return [s if s < 1 or solves(puzzle, c.answer) else 0.0 for s, c in zip(scores, candidates, strict=True)]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Return for each solution one score per step that has none. A step of several lines scores as its last one.

        Raises:
            ConfigurationError: there is no puzzle in the prompt.
        """
        puzzle = _puzzle(query)
        scored = await self._scored(puzzle, [s.steps if s.unscored else () for s in solutions])
        return [scores[len(s.scores) :] for s, scores in zip(solutions, scored, strict=True)]

    async def _scored(self, puzzle: Puzzle, texts: Iterable[Sequence[str]]) -> list[list[float]]:
        def all_of_them() -> list[list[float]]:
            return [self._walk(puzzle, steps) for steps in texts]

        # The solver takes its time over five numbers: it runs off the event loop.
        return await anyio.to_thread.run_sync(all_of_them) if self.reachable else all_of_them()

    def _walk(self, puzzle: Puzzle, steps: Sequence[str]) -> list[float]:
        """The score of each step, from the first one on."""
        state: State | None = State.of(puzzle)
        composition, scores, score = Composition(len(puzzle.numbers)), list[float](), WORDS
        for step in steps:
            for line in lines(step):
                if composition.concluded or state is None or state.over:
                    break  # the game is over: what is said behind it changes nothing
                move = composition.read(line)
                if move is not None:
                    state = state.after(move)
                score = self._judged(puzzle, state, composition, moved=move is not None)
            scores.append(score)
        return scores

    def _judged(self, puzzle: Puzzle, state: State | None, composition: Composition, *, moved: bool) -> float:
        if state is None:
            return 0.0
        if solves(puzzle, composition.answer):
            return 1.0
        if composition.concluded or state.over or (self.reachable and reachable(state) is False):
            return 0.0
        return LEGAL if moved else WORDS


def _puzzle(query: Query) -> Puzzle:
    puzzle = read_puzzle(query.prompt)
    if puzzle is None:
        raise ConfigurationError(
            "verifier 'countdown' reads numbers and target from the prompt, and there are none: it is for the suites "
            "countdown and game24, and for rg:countdown and rg:puzzle24"
        )
    return puzzle
