"""Program of thought: the samples are programs, a tool runs them, and what they print is voted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, field_validator

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.strategy import Strategy
from ttc.tool import Tool, make_tool
from ttc.types import Candidate, Message, Query
from ttc.verifier import Preparing

__all__ = ["ProgramOfThought"]

ASK = (
    "Do not work the answer out by yourself: write a Python program that computes it. Its last line prints the final "
    "answer alone. Answer with the whole program in one ```python block."
)
AGAIN = "That program failed:\n{error}\nAnswer with the whole mended program in one ```python block."


class ProgramOfThought(Strategy):
    """Draw n programs that print the answer, run each with a tool, and vote on what they print.

    The model does the reasoning and the interpreter the arithmetic. What the tool cannot run, or what prints no answer,
    has no vote; with ``repair`` it is shown to the model with its error, and asked for again up to so many times. The
    vote ends as soon as no answer can overtake any more.
    """

    prefix_valid: ClassVar[bool] = True  # each program is repaired before the next one is counted
    paper: ClassVar[str] = "Chen et al. 2022, arXiv 2211.12588; Gao et al. 2022, arXiv 2211.10435"
    cost: ClassVar[str] = "n calls in one wave, and up to n*repair more, one after the other"

    n: int = Field(default=4, ge=1, le=4096, description="programs")
    repair: int = Field(default=0, ge=0, le=16, description="how often a program that failed is asked for again")
    tool: str = Field(default="python", description="what runs the programs")

    @field_validator("tool")
    @classmethod
    def _tool_exists(cls, spec: str) -> str:
        make_tool(spec)  # an unknown one is known before anything is drawn
        return spec

    @property
    def paceable(self) -> bool:
        """No: its draws answer a prompt of its own."""
        return False

    async def solve(self, query: Query, session: Session) -> None:
        """Run the programs in issue order, and keep the leading answer proposed."""
        tool = make_tool(self.tool)
        if isinstance(tool, Preparing):
            await tool.prepare()
        vote = Vote(query.answer_type, session.rng)
        asked = with_request(session.messages, ASK)
        remaining = self.n
        # Nothing is forced out of a program that was cut off: its answer is what it prints.
        async with session.sample(asked, n=self.n, whole=True, force_answer=0) as samples:
            async for candidate in samples:
                vote.add(ran := await self.run(tool, asked, candidate, session))
                remaining -= 1
                leader = vote.leader()
                session.propose(leader.best if leader else ran)
                if remaining and vote.certain(remaining):
                    session.stop_early("certain")
                    break
        session.note("vote", classes=[[c.best.answer, len(c.members), round(c.weight, 4)] for c in vote.ranking()])

    async def run(self, tool: Tool, asked: Sequence[Message], candidate: Candidate, session: Session) -> Candidate:
        """Run a program, and those that mend it, until one prints an answer or there is no budget for another."""
        ran, result = await session.use(tool, candidate)
        for _ in range(self.repair):
            if ran.answer is not None or not ran.sample.ok:
                break
            failed = ran.sample.text.strip() or "(no program)"
            error = result.error or "It printed no answer."
            messages = [
                *asked,
                {"role": "assistant", "content": failed},
                {"role": "user", "content": AGAIN.format(error=error)},
            ]
            try:
                mended = await session.generate(messages, kind="revise", force_answer=0)
            except BudgetExhausted:
                break  # the programs that there are have their votes
            ran, result = await session.use(tool, mended)
        return ran


def with_request(messages: Sequence[Message], request: str) -> list[Message]:
    """Return a chat with a request behind its last user message."""
    asked = list(messages)
    for i in range(len(asked) - 1, -1, -1):
        if asked[i].get("role") == "user":
            content = asked[i].get("content") or ""
            if isinstance(content, str):
                asked[i] = {**asked[i], "content": f"{content}\n\n{request}"}
            else:
                asked[i] = {**asked[i], "content": [*content, {"type": "text", "text": request}]}
            return asked
    return [*asked, {"role": "user", "content": request}]
