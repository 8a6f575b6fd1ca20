"""Convergence exit: end one trace when its answer has settled."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

from pydantic import Field

from ttc.answer_type import same_answer
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.session import Session
from ttc.strategy import Strategy
from ttc.types import Candidate, Query

__all__ = ["Converge"]


class Converge(Strategy):
    """Grow one trace step by step, ask after each for the answer as it stands, and stop when it stays the same.

    Models often settle on their answer long before their thoughts end. After each step a short continuation behind the
    answer type's cue, which is thrown away, says what the answer is by now; ``patience`` of them in a row that agree
    end the trace. A trace that comes to its own end before answers by itself.

    Each step and each probe reads all before it again: the prefix cache answers most of that, and it is billed.
    """

    paper: ClassVar[str] = "Liu and Wang 2025, arXiv 2506.02536; early exit: Yang et al. 2025, arXiv 2504.15895"
    cost: ClassVar[str] = "2*patience to 2*thinking/step calls, a step and a probe in turn; prompts grow with the trace"

    step: int = Field(default=128, ge=1, description="tokens between two probes")
    patience: int = Field(default=3, ge=2, le=64, description="probes in a row that have to agree")
    thinking: int = Field(default=2048, ge=1, description="tokens of the trace at the most")
    answer_tokens: int = Field(default=32, ge=1, description="tokens of a probe")

    async def solve(self, query: Query, session: Session) -> None:
        """Grow and probe in turn.

        Raises:
            ConfigurationError: the answer type has no cue that a probe could ask with.
        """
        if not (cue := query.answer_type.cue):
            raise ConfigurationError(
                f"converge: answers of the type '{query.answer_type.name}' cannot be asked for in the middle of a "
                "thought; give the query an answer type with a cue, such as 'number', 'maths' or 'choice'"
            )
        trace: Candidate | None = None
        settled: list[str] = []
        for _ in range(ceil(self.thinking / self.step)):
            if trace is not None and trace.sample.usage.generated >= self.thinking:
                return
            trace = await self.grow(session, trace)
            ended = trace.sample.finish == "stop"
            if not trace.sample.ok or (ended and trace.answer is not None):
                session.propose(trace)
                return
            probe = await session.continue_(
                trace, cue=cue, kind="probe", max_tokens=self.answer_tokens, temperature=0.0
            )
            answer = probe.answer if probe.sample.kind == "probe" else None  # else the call failed
            if answer is None or (settled and not same_answer(query.answer_type, settled[-1], answer)):
                settled.clear()
            if answer is not None:
                settled.append(answer)
                session.propose(probe)
            if ended:
                return
            if len(settled) >= self.patience:
                session.stop_early(f"{self.patience} probes agree")
                return

    async def grow(self, session: Session, trace: Candidate | None) -> Candidate:
        """Add a step to the trace, or begin it.

        Raises:
            BudgetExhausted: what is left would not pay for a step and a probe.
        """
        room = session.tokens_left
        tokens = self.step if room is None else min(self.step, room - self.answer_tokens)
        if trace is None:
            return await session.generate(max_tokens=max(1, tokens), force_answer=0)
        tokens = min(tokens, self.thinking - trace.sample.usage.generated)
        if tokens < 1:
            raise BudgetExhausted("the budget has no tokens left for a step and a probe")
        return await session.continue_(trace, close_thought=False, max_tokens=tokens)
