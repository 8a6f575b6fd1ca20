"""Majority voting, also called self-consistency."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ttc.session import Session
from ttc.strategies.vote import Vote, leads_beyond_doubt
from ttc.strategy import Strategy
from ttc.types import Query

__all__ = ["Majority"]


class Majority(Strategy):
    """Draw n samples and return the answer that most of them agree on.

    Votes are cast on equivalence classes in issue order. ``stop`` ends the vote early: ``certain`` when the runner-up
    cannot overtake any more (which loses nothing), ``beta`` also when the leader is the likelier one of the top two
    with ``confidence``, ``never`` not at all.
    """

    prefix_valid: ClassVar[bool] = True
    paper: ClassVar[str] = "Wang et al. 2022, arXiv 2203.11171; stop: Aggarwal et al. 2023, arXiv 2305.11860"
    cost: ClassVar[str] = "n calls in one wave; with a stop rule fewer, in n/wave waves"

    n: int = Field(8, ge=1, le=4096, description="samples")
    stop: Literal["certain", "beta", "never"] = Field("certain", description="when the vote may end early")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the beta stop")
    wave: int | None = Field(None, ge=1, description="samples in flight at a time; 8 with the beta stop, else all")

    async def solve(self, query: Query, session: Session) -> None:
        """Vote until all samples are in or the vote is decided."""
        vote = Vote(query.answer_type, session.rng)
        wave = self.wave or (8 if self.stop == "beta" else None)
        async with session.sample(n=self.n, wave=wave) as samples:
            remaining = self.n
            async for candidate in samples:
                vote.add(candidate)
                remaining -= 1
                leader = vote.leader()
                session.propose(leader.members[0] if leader else candidate)
                if remaining and (why := self.decided(vote, remaining)):
                    session.stop_early(why)
                    break
        session.note("vote", classes=[[c.members[0].answer, len(c.members)] for c in vote.ranking()])

    def decided(self, vote: Vote, remaining: int) -> str:
        """Return the name of the stop rule that fires, or nothing."""
        first, second = (*vote.counts(), 0, 0)[:2]
        if self.stop != "never" and vote.certain(remaining):
            return "certain"
        if self.stop == "beta" and leads_beyond_doubt(first, second, self.confidence):
            return "beta"
        return ""
