"""League: every candidate meets a few opponents, and the highest mean wins."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.arena import hold
from ttc.strategies.league_table import League as Table
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategy import Strategy
from ttc.types import Query
from ttc.verifier import Verifier

__all__ = ["League"]


class League(Strategy):
    """Draw n candidates; each meets k opponents drawn with replacement, one comparison each; the highest mean wins.

    Two parallel stages, so it is faster than a knockout and dearer. It saturates at four or five opponents. A meeting
    within one answer class is a coin without a call, or with ``redraw`` another opponent is drawn. The failure bound
    is (1-p)^n + 2n exp(-k d^2/8) + 2n exp(-(n-1) d^2/8), d the gap in win rate between right and wrong candidates.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"comparator"})
    paper: ClassVar[str] = "Chen et al. 2024, arXiv 2411.19477"
    cost: ClassVar[str] = "n + nk calls at the most; latency 1 sample + 1 comparison"

    n: int = Field(default=8, ge=2, le=1024, description="candidates")
    k: int = Field(default=4, ge=1, le=256, description="opponents of each candidate")
    redraw: bool = Field(default=False, description="draw another opponent instead of a coin within one answer class")
    each: NestedSpec | None = Field(default=None, description="strategy that decides each candidate, e.g. majority:n=3")
    models: str = Field(default="", description="models of a fleet that take the seats in turn, e.g. small+large")

    def requires(self) -> frozenset[str]:
        """A comparator, and what ``each`` cannot work without."""
        return self.needs | required_by(self.each)

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that ``each`` cannot work with."""
        accepted_by(verifier, self.each)

    async def solve(self, query: Query, session: Session) -> None:
        """Hold the league."""
        table = Table(self.n, self.k, answer_type=query.answer_type, rng=session.rng, redraw=self.redraw)
        await hold(table, session, self.n, each=self.each, models=self.models)
