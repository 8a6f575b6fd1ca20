"""Best-of-N: let a verifier choose."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Query

__all__ = ["BestOfN"]


class BestOfN(Strategy):
    """Draw n samples, score each as it arrives, and return the best answer.

    ``weighted`` (the default) sums the scores of equivalent answers and returns the heaviest class; without it the
    single highest score wins. A sample without an answer cannot win, whatever its score.
    """

    prefix_valid: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"verifier"})
    paper: ClassVar[str] = "Cobbe et al. 2021, arXiv 2110.14168; weighted: Li et al. 2022, arXiv 2206.02336"
    cost: ClassVar[str] = "n calls in one wave + n scores"

    n: int = Field(8, ge=1, le=4096, description="samples")
    weighted: bool = Field(True, description="sum the scores of equivalent answers")

    async def solve(self, query: Query, session: Session) -> None:
        """Score samples as they arrive and keep the best proposed."""
        vote = Vote(query.answer_type, session.rng)
        best = None
        async with session.sample(n=self.n) as samples:
            async for candidate in samples:
                if candidate.answer is None:
                    session.propose(candidate)
                    continue
                (scored,) = await session.score([candidate])
                vote.add(scored, weight=scored.score or 0.0)
                if best is None or (scored.score or 0.0) > (best.score or 0.0):
                    best = scored
                leader = vote.leader()
                if self.weighted and leader is not None:
                    session.propose(max(leader.members, key=lambda c: c.score or 0.0))
                else:
                    session.propose(best)
        session.note("vote", classes=[[c.members[0].answer, round(c.weight, 4)] for c in vote.ranking()])
