"""What a strategy is handed: model, verifiers and ledger behind a few verbs."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from typing import Any, cast

import anyio

from ttc.budget import Budget, Price
from ttc.drawing import NO_VERIFIER, Drawing
from ttc.errors import ConfigurationError
from ttc.foreign import ForeignLease, lease_foreign
from ttc.ledger import Ledger
from ttc.pacing import Both, Pace
from ttc.progress import Progress, Proposal
from ttc.reserve import KeptBack
from ttc.seeds import hashed
from ttc.steps import Solution
from ttc.tool import Tool, ToolResult
from ttc.types import Candidate, Message, Sampling
from ttc.verifier import Critic, StepScorer, Verdict, Verifier, in_unit, is_joint

__all__ = ["Session"]

SHOWN = 400
"""Characters of a tool's output that the trace keeps: its end."""


class Session(Drawing):
    """One query's access to a model under a ledger. Holds no gold answer, and nothing that leads to one.

    Attributes:
        query: the query.
        messages: what samples answer where a verb does not say otherwise: the query's, or a branch's own.
        verifier: scores candidates, or None.
        comparator: compares candidates, or None.
        sampling: how samples are drawn where a verb does not say otherwise.
        rng: seeded from (run, query, strategy); ties and pairings are drawn from it.
        progress: what has been drawn, proposed and noted so far; a child session shares it, a branch has its own.
        kept: what verifiers keep of this query between their calls, such as tests that the model wrote; all branches
            share it. What was paid for once is so paid once per query, and by each strategy of a run.
    """

    @property
    def candidate(self) -> Candidate | None:
        """The last proposal: the answer, if everything ended now."""
        return self.progress.proposed[-1].candidate if self.progress.proposed else None

    # -- judging ----------------------------------------------------------------------------------------------------

    async def score(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Let the verifier score candidates; returns them with their scores, in the same order.

        Raises:
            ConfigurationError: there is no verifier, or it returns what is no score.
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        if self.verifier is None:
            raise ConfigurationError(NO_VERIFIER)
        scores = await self.verifier.score(self.query, candidates, self)
        if len(scores) != len(candidates):
            raise ConfigurationError(
                f"verifier '{self.verifier.name}' returned {len(scores)} scores for {len(candidates)} candidates"
            )
        by = f"verifier '{self.verifier.name}'"
        scored = [c.scored(in_unit(s, by=by, what="score")) for c, s in zip(candidates, scores, strict=True)]
        if is_joint(self.verifier):
            self.note(
                "scores",
                indices=[c.sample.index for c in scored],
                scores=[c.score for c in scored],
                by=self.verifier.name,
            )
            return scored
        for c in scored:
            self.note("score", index=c.sample.index, answer=c.answer, score=c.score, by=self.verifier.name)
        return scored

    async def score_steps(self, solutions: Sequence[Solution]) -> list[list[float] | None]:
        """Let the verifier score the steps of partial or whole solutions: of each solution those without a score.

        None stands for a solution whose scoring the budget refused.

        Raises:
            ConfigurationError: the verifier scores no steps, or returns what is no score or not one per step.
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        verifier = self.verifier
        if not isinstance(verifier, StepScorer):
            named = f"verifier '{verifier.name}' does not" if verifier else "there is no verifier to"
            raise ConfigurationError(f"{named} score steps: pass verifier='process_reward:url=...'")
        by = f"verifier '{cast(Verifier, verifier).name}'"
        found = await verifier.score_steps(self.query, solutions, self)
        wanted = [len(solution.unscored) for solution in solutions]
        sizes = [None if scores is None else len(scores) for scores in found]
        if len(sizes) != len(wanted) or any(n not in (None, m) for n, m in zip(sizes, wanted, strict=True)):
            raise ConfigurationError(f"{by} returned {sizes} step scores for solutions of {wanted} steps")
        if None in sizes:
            self.progress.out_of_budget = True
        scored = [
            None if scores is None else [in_unit(score, by=by, what="score") for score in scores] for scores in found
        ]
        self.note("score_steps", scores=scored, by=cast(Verifier, verifier).name)
        return scored

    async def compare(self, a: Candidate, b: Candidate) -> Verdict:
        """Make one comparison; the session alternates the slots from call to call, the first one seeded.

        Raises:
            ConfigurationError: there is no comparator, or it returns what is no verdict.
            BudgetExhausted: no tokens for the call.
        """
        if self.comparator is None:
            raise ConfigurationError("comparing needs a comparator: pass comparator='judge'")
        # Candidates are told apart by their seeds: those of several models or branches may have equal indices.
        pair = (min(a.sample.seed, b.sample.seed), max(a.sample.seed, b.sample.seed))
        meeting = self.progress.meetings[*self._path, *pair]
        self.progress.meetings[*self._path, *pair] += 1
        low_first = (hashed(self._seed, self.query.id, *self._path, *pair, bits=1) + meeting) % 2 == 0
        a_first = low_first == (a.sample.seed == pair[0])
        first, second = (a, b) if a_first else (b, a)
        # Matches run at once, and candidates may be alike to the letter: the calls of a meeting are numbered within it.
        inner = copy(self)
        inner._path = (*self._path, *pair, meeting)
        verdict = await self.comparator.compare(self.query, first, second, inner)
        verdict = in_unit(verdict, by=f"comparator '{self.comparator.name}'", what="verdict")
        won = verdict if a_first else 1 - verdict
        self.note(
            "compare",
            a=a.sample.index,
            b=b.sample.index,
            answers=[a.answer, b.answer],
            first="a" if a_first else "b",
            won=won,
        )
        return Verdict(won, a_first)

    async def critique(self, candidate: Candidate) -> str:
        """What the verifier says about a candidate, such as its failing public tests; empty where it says nothing.

        Raises:
            BudgetExhausted: the verifier's own calls ran out of budget.
        """
        if not isinstance(self.verifier, Critic):
            return ""
        return await self.verifier.critique(self.query, candidate, self)

    # -- what costs no tokens of the model ---------------------------------------------------------------------------

    async def use(self, tool: Tool, candidate: Candidate) -> tuple[Candidate, ToolResult]:
        """Run a tool on a candidate's text; the answer is what is read out of the tool's output. Costs no tokens.

        Returns:
            The candidate with that answer, or with none where the tool failed, and what the tool said.
        """
        said = await tool.run(candidate.sample.text, self.query)
        result = ToolResult(_encodable(said.output), _encodable(said.error))
        answer = None if result.error else self.query.answer_type.extract(result.output)
        if answer is not None and not self.query.answer_type.key(answer):
            answer = None
        self.note(
            "tool",
            tool=tool.name,
            index=candidate.sample.index,
            answer=answer,
            output=result.output[-SHOWN:],
            error=result.error[-SHOWN:],
        )
        return await self._settle(Candidate(answer, candidate.sample, candidate.score)), result

    async def foreign_call(
        self, model: str, prompt_tokens: int, *, kind: str = "reward", price: Price | None = None
    ) -> ForeignLease:
        """Lease one call to another model's server, such as a reward model's, that a verifier makes by itself.

        Its tokens are of another model and are never added to the solving model's: they are kept as ``kind@model``, and
        limits on tokens do not count them. Limits on calls and dollars do. Settle the lease at what the server says,
        or release it where nothing was sent.

        Args:
            model: which one, for the books.
            prompt_tokens: how many it will read at the most; a bound, for the limit in dollars.
            kind: what the call is for.
            price: of that model; without one the call is free.

        Raises:
            BudgetExhausted: the limit of calls or dollars leaves no room for it.
        """
        progress = self.progress

        def paid(dollars: float) -> None:
            progress.dollars += dollars

        lease = lease_foreign(self._ledger, f"{kind}@{model}", prompt_tokens, price=price, paid=paid)
        if lease is None:
            raise self._refused(kind)
        return lease

    # -- saying -----------------------------------------------------------------------------------------------------

    def propose(self, candidate: Candidate) -> None:
        """Make this the answer so far: a checkpoint.

        What holds no answer is never proposed over what does, nor a failed call over a text without an answer.
        """
        p = self.progress
        prefix = p.consumed.usage()
        realised = prefix if self._whole.has_spent(p.consumed) else self._whole.spent
        if p.proposed:
            last = p.proposed[-1]
            if candidate.answer is None and _worth(candidate) < _worth(last.candidate):
                candidate = last.candidate  # it stands, at what has been paid by now
            if last.samples == p.drawn and last.prefix == prefix:
                p.proposed.pop()  # nothing was drawn or spent since: the later word counts
        dollars = p.dollars if self._ledger.price is not None or p.dollars else None
        p.proposed.append(Proposal(candidate, p.drawn, prefix, realised, dollars))

    def stop_early(self, why: str) -> None:
        """Say that a stop rule fired; what is in flight is cancelled when the sampling block is left."""
        self.progress.stopped_early = True
        self.note("stop", why=why, samples=self.progress.drawn)

    # -- nesting ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def within(
        self,
        budget: Budget,
        *,
        hand_on: Sequence[Candidate] = (),
        pace: Pace | None = None,
        sampling: Sampling | None = None,
    ) -> AsyncGenerator[Session]:
        """Open a child session under a further budget; what it spends counts here as well.

        Candidates that are handed on are the first that the child draws; they were paid for when they were drawn.
        Checkpoints, trace and counts are shared. When the child's seconds are over its block is left.

        Args:
            budget: its own limits.
            hand_on: what it draws first, without a call.
            pace: decides wave by wave how many samples it may draw, beside what paces this session.
            sampling: how its samples are drawn (default: as here).
        """
        child = copy(self)
        child._ledger = Ledger(budget, parent=self._ledger)
        child._handed_on = list(hand_on)
        child._pace = Both(pace, self._pace) if pace and self._pace else pace or self._pace
        child.sampling = sampling or self.sampling
        with anyio.move_on_after(budget.seconds):
            yield child

    @contextmanager
    def keeping_back(self) -> Generator[KeptBack]:
        """Open a block in which a search can keep back what the answer takes that it must give at its end."""
        kept = KeptBack(self)
        try:
            yield kept
        finally:
            kept.drop()

    def branch(self, *name: str | int, messages: Sequence[Message] | None = None) -> Session:
        """Open a branch: a line of work of its own, which may run beside others in a task group.

        A branch spends from the same ledger, and has its own samples, proposals, trace, seeds and rng, which follow
        from its name: so the outcome does not depend on which branch is the faster one. Read its answer with
        ``branch.candidate``, and :meth:`merge` branches in an order that does not depend on the clock.

        Args:
            name: tells it from the other branches of this session. One that was merged may be opened again, and goes on
                with other samples.
            messages: what its samples answer by default (default: what this session's do), so that a strategy of any
                kind can work on a revision. Verifiers and comparators still judge by the query.

        Raises:
            ConfigurationError: it has no name, or a branch of that name is open.
        """
        called = tuple(map(str, name))  # as its seeds are made of
        if not called:
            raise ConfigurationError("a branch needs a name: its seeds follow from it")
        if called in self.progress.branches:
            said = " ".join(called)
            raise ConfigurationError(f"a branch named {said} is open already: merge it, or name this one apart")
        child = copy(self)
        child.messages = self.messages if messages is None else tuple(messages)
        child._path = (*self._path, *called)
        child._handed_on = []
        child._pace = None
        child.rng = random.Random(hashed(self._seed, self.query.id, self.strategy, *child._path))
        # No two requests of a query have one seed, whatever the branches are called.
        child.progress = self.progress.branches[called] = Progress(
            issued=self.progress.issued, meetings=self.progress.meetings
        )
        child._name = called
        return child

    def merge(self, branch: Session, event: str = "branch", **data: Any) -> None:
        """Count what a branch did as consumed here, and note it as one event of the trace with the branch's in it."""
        self.progress.merge(branch._name, event, data)


def _encodable(text: str) -> str:
    """Replace what no UTF-8 can hold: a tool's output goes into traces and stores."""
    return text.encode("utf-8", "replace").decode()


def _worth(candidate: Candidate) -> tuple[bool, bool]:
    return candidate.answer is not None, candidate.sample.ok
