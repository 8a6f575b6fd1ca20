"""short-m@k: whoever has thought enough first decides."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.types import Candidate, Query

__all__ = ["ShortMAtK"]


class ShortMAtK(Strategy):
    """Draw k samples at once, let the first m that finish vote, and stop all others.

    It selects short samples, and means to: within a query, short chains of thought were right more often than long
    ones. Where the short answers are the wrong ones it loses by the same rule, and its outcome depends on the speed of
    the server; all other strategies take samples in issue order. Ties go to the answer with the shortest sample (by its
    thoughts, where it has any), then by lot.

    A sample that ends without an answer has finished: it counts among the m, and abstains. One that failed has not, nor
    one that the budget cut: such vote only where nobody who finished has an answer. The model has to run k calls at a
    time, or the race is among those that it started first.
    """

    paper: ClassVar[str] = "Hassid et al. 2025, arXiv 2505.17813"
    cost: ClassVar[str] = "k calls, each up to the length of the m-th shortest; latency of the m-th shortest"

    k: int = Field(default=8, ge=1, le=4096, description="samples that are started")
    m: int = Field(default=3, ge=1, le=4096, description="finishers that vote")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.m > self.k:
            raise ValueError(f"m={self.m}: must be 1 to k={self.k}, the samples that are started")
        return self

    @property
    def name(self) -> str:
        """The registered name."""
        return "short_m_at_k"

    async def solve(self, query: Query, session: Session) -> None:
        """Vote until m samples have finished."""
        vote, cut = Vote(query.answer_type, session.rng), Vote(query.answer_type, session.rng)
        finished = 0
        async with session.sample(n=self.k, by_finish=True) as samples:
            async for candidate in samples:
                done = candidate.sample.ok and candidate.sample.finish != "cut"
                (vote if done else cut).add(candidate)
                finished += done
                session.propose(_shortest_of_the_first(vote) or _shortest_of_the_first(cut) or candidate)
                if finished == self.m < self.k:
                    session.stop_early(f"{self.m} of {self.k} have finished")
                    break
        session.note("vote", classes=[[c.best.answer, len(c.members)] for c in vote.ranking()], finished=finished)


def _shortest_of_the_first(vote: Vote) -> Candidate | None:
    """Return the shortest member of the leading classes; None where everybody abstained."""
    leader = vote.leader()
    if leader is None:
        return None
    tied = [
        (_length(member), -c.lot, member) for c in vote.classes if c.weight == leader.weight for member in c.members
    ]
    return min(tied, key=lambda t: t[:2])[2]


def _length(candidate: Candidate) -> int:
    usage = candidate.sample.usage
    return usage.reasoning_tokens or usage.generated
