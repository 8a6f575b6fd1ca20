"""Budget forcing: hold one sample's thoughts to a budget, from above and from below."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from ttc.models.reasoning import ThoughtScanner
from ttc.request import Watcher
from ttc.session import Session
from ttc.strategy import Strategy
from ttc.types import Candidate, Piece, Query, Watch

__all__ = ["BudgetForcing"]

WAIT = "\nWait"
SLACK = 32
"""Thought tokens short of the budget at which a server is asked to end them itself: ending takes a few."""


class BudgetForcing(Strategy):
    """Cut one sample's thoughts at a budget and force the answer; where they end early, append "Wait" and go on.

    The thoughts are those of a thinking model, or the working of a plain one. They are cut at the client while they
    stream. With ``server`` the server is asked to end them itself (``thinking_token_budget``: see what 'ttc doctor'
    says of it), and the client looks on: one that ignores it is cut all the same, and where the request is rejected
    it is sent again without. A continuation reads everything before it again, and is billed for it.
    """

    paper: ClassVar[str] = "Muennighoff et al. 2025, arXiv 2501.19393"
    cost: ClassVar[str] = "1 call, one more to force the answer, and one per wait; one after the other"

    thinking: int = Field(default=1024, ge=1, description="thought tokens at the most")
    waits: int = Field(default=0, ge=0, le=64, description="how often an early end of the thoughts is suppressed")
    answer_tokens: int = Field(default=256, ge=1, description="tokens for the answer behind the thoughts")
    server: bool = Field(default=False, description="let the server end the thoughts, where it enforces that")

    async def solve(self, query: Query, session: Session) -> None:
        """Think, go on thinking while there is budget for it, and answer."""
        room = session.tokens_left
        # The answer's tokens are kept back: thoughts alone are worth nothing.
        budget = self.thinking if room is None else max(1, min(self.thinking, room - self.answer_tokens))
        slack = min(SLACK, budget // 4) if self.server else 0
        candidate = await self.think(session, budget, slack)
        session.propose(candidate)
        for wait in range(1, self.waits + 1):
            left = budget - candidate.sample.usage.generated
            if left <= slack or not candidate.sample.ok:
                break
            candidate = await session.continue_(
                thoughts_of(candidate),
                cue=WAIT,
                close_thought=False,
                max_tokens=left + self.answer_tokens,
                watch=within(left, halt_at_end=wait < self.waits),
            )
            if answers(query, candidate):
                session.propose(candidate)
        cue = query.answer_type.cue
        if candidate.sample.ok and not answers(query, candidate) and (cue or candidate.sample.reasoning):
            thoughts = thoughts_of(candidate)
            session.propose(await session.continue_(thoughts, cue=cue, max_tokens=self.answer_tokens, temperature=0.0))

    async def think(self, session: Session, budget: int, slack: int) -> Candidate:
        """Draw the sample, up to the end of its thoughts or of their budget.

        Raises:
            BudgetExhausted: the ledger refused it.
        """
        cap, watch = budget + self.answer_tokens, within(budget, halt_at_end=self.waits > 0)
        if self.server:
            candidate = await session.generate(max_tokens=cap, watch=watch, thinking_tokens=budget - slack)
            if candidate.sample.error_type != "RequestRejected":
                return candidate
            session.warn("the server rejects a thinking budget: the thoughts are cut at the client")
        return await session.generate(max_tokens=cap, watch=watch)


def within(tokens: int, *, halt_at_end: bool) -> Watch:
    """Return what ends a sample when its thoughts exceed ``tokens``, or else (if asked) as soon as they end.

    What a plain model says is all thought: where thoughts end shows only in those of a thinking model.
    """

    def start() -> Watcher:
        inline = ThoughtScanner()
        thinks = ended = False

        def watcher(piece: Piece) -> bool:
            nonlocal thinks, ended
            thinks = thinks or bool(piece.reasoning)
            closed = inline.feed(piece.text) is not None
            ended = ended or closed or (thinks and bool(piece.text.strip()))
            return halt_at_end if ended else piece.tokens >= tokens

        return watcher

    return Watch(f"thoughts within {tokens}{', halted at their end' if halt_at_end else ''}", start)


def thoughts_of(candidate: Candidate) -> Candidate:
    """Return a candidate without the answer that a thinking model has given, or begun; of a plain one all is kept."""
    sample = candidate.sample
    return replace(candidate, sample=replace(sample, text="")) if sample.reasoning else candidate


def answers(query: Query, candidate: Candidate) -> bool:
    """Whether a sample has answered since it was last told to wait, so that no answer has to be forced."""
    sample = candidate.sample
    if sample.finish == "stop" or sample.forced:
        return candidate.answer is not None or sample.forced
    if sample.reasoning and sample.finish == "halted":
        return False  # its first words at the most
    return query.answer_type.concludes(sample.text.rpartition(WAIT)[2])
