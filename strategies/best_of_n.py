"""Best-of-N: let a verifier choose."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import passes

__all__ = ["BestOfN"]


class BestOfN(Strategy):
    """Draw n samples, score each as it arrives, and return the best answer.

    ``weighted`` (the default) sums the scores of equivalent answers and returns the heaviest class; without it the
    single highest score wins. A sample without an answer cannot win. What a pass/fail verifier lets pass ends the
    query at once. Equal scores are drawn by lot, so that with nothing above zero any answer is as good as another.
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
        vote = Vote(query.answer_type, session.rng)
        best: Candidate | None = None
        height = (-1.0, 0.0)
        wave = self.wave or (8 if getattr(session.verifier, "pass_fail", False) else None)
        async with session.sample(n=self.n, wave=wave, whole=True, scored=True) as samples:
            async for candidate in samples:
                if candidate.answer is None:
                    session.propose(candidate)
                    continue
                score = candidate.score or 0.0
                vote.add(candidate, weight=score)
                if (reached := (score, session.rng.random())) > height:
                    best, height = candidate, reached
                if passes(session.verifier, candidate):
                    session.propose(candidate)
                    session.stop_early("it passes")
                    break
                leader = vote.leader()
                session.propose(leader.best if self.weighted and leader and leader.weight > 0 else best or candidate)
        session.note("vote", classes=[[c.best.answer, len(c.members), round(c.weight, 4)] for c in vote.ranking()])
