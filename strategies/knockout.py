"""Knockout tournament: candidates meet in pairs until one is left."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import anyio
from pydantic import Field

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.bracket import Bracket, Match
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query

__all__ = ["Knockout"]


class Knockout(Strategy):
    """Draw n candidates and let them meet in random pairs, k comparisons a pair, until one class of answers is left.

    Slots alternate from comparison to comparison, since judges prefer a position. Until the bracket has a champion the
    proposal is the majority of those who still stand. The failure bound is
    (1-p)^n + ceil(log2 n) exp(-2k(q-1/2)^2): it works where the comparator is right more often than not.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"comparator"})
    paper: ClassVar[str] = "Chen et al. 2024, arXiv 2411.19477"
    cost: ClassVar[str] = "n + k(n-1) calls at the most; latency 1 sample + ceil(log2 n) rounds"

    n: int = Field(8, ge=1, le=1024, description="candidates")
    k: int = Field(2, ge=1, le=64, description="comparisons a pair")

    async def solve(self, query: Query, session: Session) -> None:
        """Draw all candidates, then play round after round, the matches of a round at once."""
        candidates: list[Candidate] = []
        vote = Vote(query.answer_type, session.rng)
        async with session.sample(n=self.n) as samples:
            async for candidate in samples:
                candidates.append(candidate)
                vote.add(candidate)
                leader = vote.leader()
                session.propose(leader.members[0] if leader else candidate)
        bracket = Bracket(candidates, query.answer_type, session.rng, k=self.k)
        while bracket.standing and bracket.champion is None:
            matches = bracket.pair()
            async with anyio.create_task_group() as group:
                for match in matches:
                    group.start_soon(self.play, match, session)
            if not all(match.decided for match in matches):
                raise BudgetExhausted("the budget ended in the middle of a round: the last proposal stands")
            bracket.advance(matches)
            session.note("round", round=bracket.round, standing=[c.sample.index for c in bracket.standing])
            standing = Vote(query.answer_type, session.rng)
            for candidate in bracket.standing:
                standing.add(candidate)
            if leader := standing.leader():
                session.propose(leader.members[0])

    async def play(self, match: Match, session: Session) -> None:
        """Let one pair meet until it is decided, or until the budget refuses a meeting."""
        with suppress(BudgetExhausted):
            while not match.decided:
                match.tell(await session.compare(match.a, match.b))
