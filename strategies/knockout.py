"""Knockout tournament: candidates meet in pairs until one is left."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc.session import Session
from ttc.strategies.arena import hold
from ttc.strategies.bracket import Bracket
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategy import Strategy
from ttc.types import Query
from ttc.verifier import Verifier

__all__ = ["Knockout"]


class Knockout(Strategy):
    """Draw n candidates and let them meet in random pairs, k comparisons a pair, until one class of answers is left.

    Slots alternate from comparison to comparison, since judges prefer a position. A match starts as soon as its two
    candidates exist; a pair of one answer class advances without a call; until there is a champion the proposal is the
    majority of those who still stand. The failure bound is (1-p)^n + ceil(log2 n) exp(-2k(q-1/2)^2): it works where
    the comparator is right more often than not. ``ttc plan`` gives the cheapest n and k.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"comparator"})
    paper: ClassVar[str] = "Chen et al. 2024, arXiv 2411.19477"
    cost: ClassVar[str] = "n + k(n-1) calls at the most; latency 1 sample + ceil(log2 n) rounds"

    n: int = Field(default=8, ge=1, le=1024, description="candidates")
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
        """Hold the bracket."""
        bracket = Bracket(self.n, self.k, answer_type=query.answer_type, rng=session.rng)
        await hold(bracket, session, self.n, each=self.each, models=self.models, by_vote=True)
