"""Majority voting, also called self-consistency."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ttc.session import Session
from ttc.strategies.vote import Vote, leads_beyond_doubt, log_odds
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import Verifier, refuse_joint

__all__ = ["Majority"]


class Majority(Strategy):
    """Draw n samples and return the answer that most of them agree on.

    Votes are cast on equivalence classes in issue order. They weigh the same, or what the verifier makes of a sample:
    its score, or the score's log-odds (see :func:`~ttc.strategies.vote.log_odds`).

    ``stop`` ends the vote early: ``certain`` when no answer can overtake any more (which loses nothing); ``beta`` when
    the leader is the likelier one of the top two with ``confidence``; ``window`` when the last whole window of samples
    (they are counted off from the first one) is for one answer, and none of it abstains; ``confidence`` when the leader
    holds that share of all weight, after a window of votes at least; ``never`` not at all. ``certain`` holds beside the
    others, unless it is turned off.
    """

    prefix_valid: ClassVar[bool] = True
    paper: ClassVar[str] = (
        "Wang et al. 2022, arXiv 2203.11171; stops: Aggarwal et al. 2023, arXiv 2305.11860 (beta), "
        "Li et al. 2024, arXiv 2401.10480 (window), Fu et al. 2025, arXiv 2508.15260 (confidence)"
    )
    cost: ClassVar[str] = "n calls in one wave; with a stop rule fewer, in n/wave waves; weighted: + n scores"

    n: int = Field(default=8, ge=1, le=4096, description="samples")
    weights: Literal["equal", "score", "log_odds"] = Field(default="equal", description="what a vote counts")
    stop: Literal["certain", "beta", "window", "confidence", "never"] = Field(
        default="certain", description="when the vote may end early"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the beta and confidence stops")
    window: int = Field(default=5, ge=2, description="samples in a window")
    wave: int | None = Field(
        default=None,
        ge=1,
        description="samples in flight at a time; by default 8 or a window with such a stop, else all",
    )
    certain: bool = Field(default=True, description="stop when nothing can change any more; off: the other rule alone")

    @model_validator(mode="after")
    def _beta_counts(self) -> Self:
        if self.stop == "beta" and self.weights != "equal":
            raise ValueError(f"stop=beta counts votes: with weights={self.weights} take stop=confidence or window")
        return self

    def requires(self) -> frozenset[str]:
        """A verifier, where it weighs the votes."""
        return frozenset({"verifier"} if self.weights != "equal" else ())

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that scores candidates together, where it weighs the votes."""
        if self.weights != "equal":
            refuse_joint(verifier, by=self.name)

    async def solve(self, query: Query, session: Session) -> None:
        """Vote until all samples are in or the vote is decided."""
        vote = Vote(query.answer_type, session.rng)
        window: list[Candidate] = []
        wave = self.wave or {"beta": 8, "confidence": 8, "window": self.window}.get(self.stop)
        weighted = self.weights != "equal"
        self.accepts(session.verifier)
        certain = self.certain and self.stop != "never"
        most = -log_odds(0) if self.weights == "log_odds" else 1.0
        rule = self.stop if self.stop in ("beta", "window", "confidence") else ""
        remaining = self.n
        async with session.sample(n=self.n, wave=wave, whole=True, scored=weighted) as samples:
            async for candidate in samples:
                vote.add(candidate, weight=self._weight(candidate) if weighted else 1.0)
                remaining -= 1
                leader = vote.leader()
                session.propose(leader.best if leader else candidate)
                if self.stop == "window":
                    window = [*window, candidate] if len(window) < self.window else [candidate]
                if not remaining:
                    break
                if certain and vote.certain(remaining, most=most):
                    session.stop_early("certain")
                    break
                if rule and self._fires(rule, vote, remaining, window):
                    session.stop_early(rule)
                    break
        session.note("vote", classes=[[c.best.answer, len(c.members), round(c.weight, 4)] for c in vote.ranking()])

    def _weight(self, candidate: Candidate) -> float:
        score = candidate.score or 0.0
        return log_odds(score) if self.weights == "log_odds" else score

    def _fires(self, rule: str, vote: Vote, remaining: int, window: list[Candidate]) -> bool:
        """Whether a stop rule that may lose something ends the vote."""
        if rule == "beta":
            first, second = (*vote.counts(), 0, 0)[:2]
            return leads_beyond_doubt(first, second, self.confidence)
        if rule == "window":
            return len(window) == self.window and vote.unanimous(window)
        votes = self.n - remaining - vote.abstained
        return votes >= self.window and vote.share() >= self.confidence
