"""A verifier and a comparator of known quality, for a simulated population: theory's assumptions as objects.

They know the right answers of the population, which exist nowhere else; what they return errs as often as they are
told to. A real problem has no population, so nothing here can leak a gold answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, sqrt
from typing import Literal

from ttc.models.population import Population
from ttc.seeds import hashed
from ttc.session import Session
from ttc.steps import Solution, aggregated
from ttc.types import Candidate, Message, Query

__all__ = ["SimulatedComparator", "SimulatedStepScorer", "SimulatedVerifier"]

_ASK: tuple[Message, ...] = ({"role": "user", "content": "Which one is right?"},)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedComparator:
    """Prefers the right one of a right and a wrong candidate with a given accuracy, else tosses a coin.

    Each comparison is one judge call, charged like any other.

    Attributes:
        population: knows which answers are right.
        accuracy: q, P(right over wrong) where position plays no part.
        slot_bias: P(the verdict is simply the first slot).
    """

    population: Population
    accuracy: float = 0.7
    slot_bias: float = 0.0
    name: str = "simulated"

    async def compare(self, query: Query, first: Candidate, second: Candidate, session: Session) -> float:
        """Return 1 when the first slot won, 0 when the second did, 1/2 when the call failed.

        Raises:
            BudgetExhausted: no tokens for the call.
        """
        verdict = await session.choose(_ASK, ("A", "B"))
        if not verdict.ok:
            return 0.5
        rng = random.Random(verdict.seed)
        if rng.random() < self.slot_bias:
            return 1.0
        good, bad = self.population.is_right(query, first), self.population.is_right(query, second)
        if good == bad:
            return float(rng.random() < 0.5)
        return float((rng.random() < self.accuracy) == good)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVerifier:
    """Scores candidates with errors of a known kind.

    Without noise it is a pass/fail verifier: right answers pass with ``tpr``, wrong ones with ``fpr``. With noise the
    score is ``signal`` or 0 plus noise of standard normal or Student's t with three degrees of freedom, squashed into
    (0, 1). Of normal noise it ranks a right one above a wrong one with P = Phi(signal / (scale sqrt 2)).

    Attributes:
        population: knows which answers are right.
        tpr: P(a right answer passes).
        fpr: P(a wrong answer passes).
        noise: none, gaussian or t3.
        scale: of the noise.
        signal: how far a right answer is above a wrong one; at 0 the score knows nothing.
        calls: charge one call of kind ``reward`` per score.
        seed: draws the errors.
    """

    population: Population
    tpr: float = 1.0
    fpr: float = 0.0
    noise: Literal["none", "gaussian", "t3"] = "none"
    scale: float = 1.0
    signal: float = 1.0
    calls: bool = False
    seed: int = 0
    name: str = "simulated"
    logprobs: int = 0

    @property
    def pass_fail(self) -> bool:
        """Whether a score of 1 means that the candidate passed."""
        return self.noise == "none"

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return a score per candidate, the same one for the same sample.

        Raises:
            BudgetExhausted: scores are charged, and there are no tokens left.
        """
        if self.calls:
            for _ in candidates:
                await session.choose(_ASK, ("Yes", "No"), kind="reward")
        return [
            self._noisy(self.population.is_right(query, c), query.id, c.sample.seed, c.answer or "") for c in candidates
        ]

    def _noisy(self, right: bool, *named: str | int) -> float:
        rng = random.Random(hashed(self.seed, *named))
        if self.noise == "none":
            return float(rng.random() < (self.tpr if right else self.fpr))
        value = self.signal * right + self.scale * (rng.gauss() if self.noise == "gaussian" else _student_t3(rng))
        return 1 / (1 + exp(-max(-500.0, min(500.0, value))))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStepScorer(SimulatedVerifier):
    """Scores the steps of a simulated solution with errors of a known kind: whether all is right up to each of them.

    Attributes:
        n_steps: of a solution, as in the simulated model.
    """

    n_steps: int = 10

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return the score of each candidate's last step.

        Raises:
            BudgetExhausted: scores are charged, and there are no tokens left.
        """
        solutions = [Solution.of(c.sample.text) for c in candidates]
        return [aggregated(scores, "last") for scores in await self.score_steps(query, solutions, session)]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Return a score per step that has none, the same one for the same step. With ``calls`` one call a solution.

        Raises:
            BudgetExhausted: scores are charged, and there are no tokens left.
        """
        if self.calls:
            for _ in solutions:
                await session.choose(_ASK, ("Yes", "No"), kind="reward")
        return [self._of_steps(query, solution) for solution in solutions]

    def _of_steps(self, query: Query, solution: Solution) -> list[float]:
        steps = self.population.steps_are_right(query, solution.steps, self.n_steps)
        right = list(accumulate(steps, min))  # all is right up to there
        return [self._noisy(right[i], query.id, solution.steps[i]) for i in solution.unscored]


def _student_t3(rng: random.Random) -> float:
    return rng.gauss() / sqrt(rng.gammavariate(1.5, 2) / 3)
