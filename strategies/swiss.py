"""Swiss tournament: nobody is out, and neighbours in the table meet."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.arena import hold
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategies.swiss_pairing import SwissPairing
from ttc.strategy import Strategy
from ttc.types import Query
from ttc.verifier import Verifier

__all__ = ["Swiss"]


class Swiss(Strategy):
    """Draw n candidates and pair neighbours in the table for so many rounds, k comparisons a pair; most points win.

    One wrong verdict does not end a candidate as it does in a knockout, at n/2 matches a round.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"comparator"})
    paper: ClassVar[str] = "pairings after the FIDE Handbook, C.04; tournaments over samples: arXiv 2411.19477"
    cost: ClassVar[str] = "n + k rounds floor(n/2) calls at the most; latency 1 sample + rounds"

    n: int = Field(default=8, ge=2, le=1024, description="candidates")
    rounds: int = Field(default=4, ge=1, le=64, description="rounds")
    k: int = Field(default=2, ge=1, le=64, description="comparisons a pair")
    each: NestedSpec | None = Field(default=None, description="strategy that decides each candidate, e.g. majority:n=3")
    models: str = Field(default="", description="models of a fleet that take the seats in turn, e.g. small+large")

    def requires(self) -> frozenset[str]:
        """A comparator, and what ``each`` cannot work without."""
        return self.needs | required_by(self.each)

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that ``each`` cannot work with."""
        accepted_by(verifier, self.each)

    async def solve(self, query: Query, session: Session) -> None:
        """Hold the rounds."""
        pairing = SwissPairing(self.n, self.rounds, self.k, answer_type=query.answer_type, rng=session.rng)
        await hold(pairing, session, self.n, each=self.each, models=self.models)
