"""Best-of-N: let a verifier choose."""

from __future__ import annotations

import random
from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import is_joint, passes

__all__ = ["BestOfN"]


class BestOfN(Strategy):
    """Draw n samples, score each as it arrives, and return the best answer.

    ``weighted`` (the default) sums the scores of equivalent answers and returns the heaviest class; without it the
    single highest score wins. A sample without an answer cannot win. What a pass/fail verifier lets pass ends the
    query at once. Equal scores are drawn by lot, so that with nothing above zero any answer is as good as another.
    A verifier that scores candidates together (by how they agree) scores all of them anew as each one arrives.
    """

    prefix_valid: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"verifier"})
    paper: ClassVar[str] = "Cobbe et al. 2021, arXiv 2110.14168; weighted: Li et al. 2022, arXiv 2206.02336"
    cost: ClassVar[str] = (
        "n calls + n scores, each as soon as its sample is there; up to the first pass, in n/wave waves"
    )

    n: int = Field(8, ge=1, le=4096, description="samples")
    weighted: bool = Field(True, description="sum the scores of equivalent answers")
    wave: int | None = Field(
        None, ge=1, description="samples in flight at a time; by default 8 with a pass/fail verifier, else all"
    )

    async def solve(self, query: Query, session: Session) -> None:
        """Keep the best of what was scored proposed."""
        joint, lots, drawn = is_joint(session.verifier), session.rng.random(), list[Candidate]()
        choice = _Choice(query, lots, weighted=self.weighted)
        wave = self.wave or (8 if getattr(session.verifier, "pass_fail", False) else None)
        async with session.sample(n=self.n, wave=wave, whole=True, scored=not joint) as samples:
            async for candidate in samples:
                if candidate.answer is None:
                    session.propose(candidate)
                    continue
                if joint:
                    if session.candidate is None:
                        session.propose(candidate)  # it stands where the budget carries no scoring
                    drawn.append(candidate)
                    choice = _Choice(query, lots, weighted=self.weighted)
                    for scored in await session.score(drawn):
                        choice.add(scored)
                else:
                    choice.add(candidate)
                if passes(session.verifier, candidate):
                    session.propose(candidate)
                    session.stop_early("it passes")
                    break
                session.propose(choice.best())
        classes = choice.vote.ranking()
        session.note("vote", classes=[[c.best.answer, len(c.members), round(c.weight, 4)] for c in classes])


class _Choice:
    """The best of what was scored so far; equal scores go by lot."""

    def __init__(self, query: Query, lots: float, *, weighted: bool) -> None:
        self._rng = random.Random(lots)
        self.vote = Vote(query.answer_type, self._rng)
        self._weighted = weighted
        self._highest: Candidate | None = None
        self._height = (-1.0, 0.0)

    def add(self, candidate: Candidate) -> None:
        score = candidate.score or 0.0
        self.vote.add(candidate, weight=score)
        if (reached := (score, self._rng.random())) > self._height:
            self._highest, self._height = candidate, reached

    def best(self) -> Candidate:
        leader = self.vote.leader()
        if self._weighted and leader and leader.weight > 0:
            return leader.best
        assert self._highest is not None
        return self._highest
