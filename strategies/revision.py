"""Sequential revision: attempts that see the ones before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import anyio
import anyio.abc
from pydantic import Field

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.chain import Chain, ChainVote
from ttc.strategies.nested import NestedSpec, accepted_by, decide, required_by
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import Verifier, passes, refuse_joint

__all__ = ["Revision"]


@dataclass(slots=True, eq=False)
class _Step:
    """One attempt on its way: made by its chain, consumed in its turn. Without a candidate the chain ended before."""

    branch: Session | None = None
    candidate: Candidate | None = None
    over: anyio.Event = field(default_factory=anyio.Event)


class Revision(Strategy):
    """Let the model revise its answer: chains that run beside each other, each attempt shown the last ones before it.

    What is said about an attempt comes from the verifier where that can tell what is wrong (failing public tests), else
    the model checks it by itself. Right answers are often revised away (38% of them in naive chains), so the answer is
    chosen over all attempts and is never simply the last: with a verifier weighted by score within chains, then across
    them; without one by majority over all attempts. Where a pass/fail verifier lets an attempt pass everything stops.

    Prompts hold up to ``shown`` earlier attempts, which are read again, and billed, with each call.
    """

    paper: ClassVar[str] = "Snell et al. 2024, arXiv 2408.03314; self-critique: Madaan et al. 2023, arXiv 2303.17651"
    cost: ClassVar[str] = (
        "chains*length calls (or that often those of 'each') and scores; latency length calls one after the other, "
        "with up to 'shown' attempts in each prompt"
    )

    chains: int = Field(default=2, ge=1, le=1024, description="chains beside each other")
    length: int = Field(default=4, ge=1, le=256, description="attempts in a chain, the first one included")
    shown: int = Field(default=4, ge=1, le=16, description="earlier attempts that a revision sees")
    each: NestedSpec | None = Field(default=None, description="strategy that decides each attempt, e.g. majority:n=3")

    def requires(self) -> frozenset[str]:
        """What the inner strategy cannot work without."""
        return required_by(self.each)

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that scores candidates together, or that the inner strategy cannot work with."""
        refuse_joint(verifier, by=self.name)
        accepted_by(verifier, self.each)

    async def solve(self, query: Query, session: Session) -> None:
        """Let the chains grow by themselves, and consume their attempts round by round in the order of the chains."""
        self.accepts(session.verifier)
        async with anyio.create_task_group() as group:
            await self.consume(query, session, group)
            group.cancel_scope.cancel()

    async def consume(self, query: Query, session: Session, group: anyio.abc.TaskGroup) -> None:
        """Start the chains, and propose the choice over all attempts so far until it is made."""
        vote = ChainVote(query.answer_type, session.rng, chains=self.chains, scored=session.verifier is not None)
        growing: list[list[_Step]] = []

        def start(first: Candidate | None) -> None:
            steps = [_Step() for _ in range(self.length)]
            steps[0].candidate = first
            group.start_soon(self.grow, steps, session, len(growing))
            growing.append(steps)

        if self.each is None:
            try:  # the first attempts are samples like those of other strategies, and may have been handed on
                async with session.sample(n=self.chains, whole=True, scored=session.verifier is not None) as samples:
                    async for candidate in samples:
                        if self.made(vote, session, len(growing), candidate):
                            return
                        start(candidate)
            except BudgetExhausted:
                session.progress.out_of_budget = True  # the chains that there are go on
        else:
            for _ in range(self.chains):
                start(None)
        for position in range(self.length):
            for number, steps in enumerate(growing):
                step = steps[position]
                await step.over.wait()
                if step.branch is None or step.candidate is None:
                    continue
                session.merge(step.branch, "attempt", chain=number, number=position, answer=step.candidate.answer)
                if self.made(vote, session, number, step.candidate):
                    return

    def made(self, vote: ChainVote, session: Session, number: int, attempt: Candidate) -> bool:
        """Take an attempt into account; return whether that makes the choice."""
        vote.add(number, attempt)
        won = passes(session.verifier, attempt)
        session.propose(attempt if won else vote.best() or attempt)
        remaining = self.chains * self.length - vote.attempts
        made = won or (remaining > 0 and vote.certain(remaining))
        if made:
            session.stop_early("an attempt passes" if won else "certain")
        return made

    async def grow(self, steps: Sequence[_Step], session: Session, number: int) -> None:
        """Make the attempts of one chain until one passes or the budget refuses more."""
        chain = Chain(session.messages, shown=self.shown)
        try:
            for position, step in enumerate(steps):
                if step.candidate is None:
                    step.branch = session.branch("chain", number, position)
                    if not await self.attempt(step, chain, step.branch):
                        break
                if step.candidate is not None:
                    chain.add(step.candidate)
                step.over.set()
        except* BudgetExhausted:  # its own, or one of the tasks that its verifier ran
            session.progress.out_of_budget = True
        for step in steps:
            step.over.set()

    async def attempt(self, step: _Step, chain: Chain, branch: Session) -> bool:
        """Make and score the next attempt of a chain; return whether there may be another.

        Raises:
            BudgetExhausted: an attempt that could be made and not be scored stands without a score.
        """
        prompt = chain.prompt(await branch.critique(chain.last) if chain.last else "")
        if self.each is None:
            made = await branch.generate(prompt, kind="revise" if chain.last else "generate")
        else:
            inner = branch.branch("each", messages=prompt)
            made = await decide(self.each, inner)
            branch.merge(inner, "each", strategy=self.each)
        step.candidate = made
        if made is not None and made.answer is not None and made.score is None and branch.verifier is not None:
            (step.candidate,) = await branch.score([made])
        return step.candidate is not None and not passes(branch.verifier, step.candidate)
