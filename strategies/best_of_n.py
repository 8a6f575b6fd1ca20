"""Best-of-N: let a verifier choose."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.choice import Choice
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

    n: int = Field(default=8, ge=1, le=4096, description="samples")
    weighted: bool = Field(default=True, description="sum the scores of equivalent answers")
    wave: int | None = Field(
        default=None, ge=1, description="samples in flight at a time; by default 8 with a pass/fail verifier, else all"
    )

    async def solve(self, query: Query, session: Session) -> None:
        """Keep the best of what was scored proposed."""
        joint, lots, drawn = is_joint(session.verifier), session.rng.random(), list[Candidate]()
        choice = self._choice(query, lots)
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
                    choice = self._choice(query, lots)
                    for scored in await session.score(drawn):
                        choice.add(scored)
                else:
                    choice.add(candidate)
                if passes(session.verifier, candidate):
                    session.propose(candidate)
                    session.stop_early("it passes")
                    break
                session.propose(choice.best() or candidate)
        classes = choice.vote.ranking()
        session.note("vote", classes=[[c.best.answer, len(c.members), round(c.weight, 4)] for c in classes])

    def _choice(self, query: Query, lots: float) -> Choice:
        return Choice(query, lots, by="weighted" if self.weighted else "best")
