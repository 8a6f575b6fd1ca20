"""Spend by difficulty: a few samples first, then what their agreement asks for."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ttc.budget import Budget
from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.nested import NestedSpec, accepted_by, required_by
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Query
from ttc.verifier import Verifier

__all__ = ["Adaptive"]


class Adaptive(Strategy):
    """Draw a probe of a few samples; how far they agree says how hard the query is, and so what it is worth.

    Three bins: ``easy`` (all agree: their answer is returned), ``medium`` (at least ``medium_from`` of them agree)
    and ``hard``. Each bin has a strategy and a budget of generated tokens (0: no limit). The probe's samples are paid
    for once and handed on. The table is a prior, not tuned on anything: agreement measures confidence, and is no
    calibrated probability.
    """

    paper: ClassVar[str] = "Snell et al. 2024, arXiv 2408.03314; probe first: Wang et al. 2024, arXiv 2408.13457"
    cost: ClassVar[str] = "probe calls + those of the bin's strategy, less the probe"

    probe: int = Field(default=4, ge=2, le=64, description="samples drawn first")
    medium_from: float = Field(default=0.5, gt=0, lt=1, description="agreement from which a query is medium")
    medium: NestedSpec = Field(default="majority:n=8", description="strategy for medium queries")
    hard: NestedSpec = Field(default="majority:n=16,stop=beta", description="strategy for hard queries")
    medium_tokens: int = Field(default=0, ge=0, description="generated tokens for the medium strategy; 0: no limit")
    hard_tokens: int = Field(default=0, ge=0, description="generated tokens for the hard strategy; 0: no limit")

    def requires(self) -> frozenset[str]:
        """What the strategies of the table cannot work without."""
        return required_by(self.medium, self.hard)

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that a strategy of the table cannot work with."""
        accepted_by(verifier, self.medium, self.hard)

    async def solve(self, query: Query, session: Session) -> None:
        """Probe, choose a bin, and go on with the samples at hand."""
        vote = Vote(query.answer_type, session.rng)
        probe: list[Candidate] = []
        async with session.sample(n=self.probe, kind="probe", whole=True) as samples:
            async for candidate in samples:
                probe.append(candidate)
                vote.add(candidate)
                leader = vote.leader()
                session.propose(leader.members[0] if leader else candidate)
        if not probe:
            raise BudgetExhausted("the budget has no tokens for a probe")
        agreement = vote.agreement()
        level = "easy" if agreement == 1 else "medium" if agreement >= self.medium_from else "hard"
        chosen = {"easy": "", "medium": self.medium, "hard": self.hard}[level]
        does = chosen or "return the answer"
        session.note("difficulty", agreement=round(agreement, 4), bin=level, strategy=does, table="prior, not tuned")
        if level == "easy":
            session.stop_early("the probe agrees")
            return
        limits: dict[str, Any] = {}
        if tokens := {"medium": self.medium_tokens, "hard": self.hard_tokens}[level]:
            limits["generated_tokens"] = tokens
        async with session.within(Budget(**limits), hand_on=probe) as child:
            await make_strategy(chosen).solve(query, child)
