"""What all tree searches share: their parameters, and the waves of growing, scoring and proposing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from typing import Any, ClassVar

from pydantic import Field

from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.session import Session
from ttc.steps import BLANK_LINE, Aggregate, aggregated
from ttc.strategies.choice import By, Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import StepScorer, passes

__all__ = ["TreeSearch"]

SHOWN = 120
"""Characters of a step that the trace keeps."""

UNKNOWN = 8
"""Until a step has shown how long one takes, one part in so many of the time that is left is kept back."""


class TreeSearch(Strategy):
    """Grow partial solutions step by step, and go on from those that a step scorer finds good.

    Each wave of steps is sent at once, and scored at once. A step ends at the separator, or at its tokens. A tree that
    the budget or a deadline ends answers with its best whole solution; where it has none an answer is forced out of the
    best partial one, for which a call is kept back.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"verifier"})

    separator: str = Field(
        "", description="what ends a step, as in \\n; left out, a blank line; none: its tokens alone"
    )
    step_tokens: int = Field(256, ge=1, description="tokens of a step at the most")
    max_steps: int = Field(40, ge=1, le=1000, description="steps of a solution at the most")
    aggregate: Aggregate = Field("last", description="what is made of the scores of a solution's steps")
    choice: By = Field("weighted", description="how the answer is chosen among whole solutions")

    @abstractmethod
    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the search of one query."""

    async def solve(self, query: Query, session: Session) -> None:
        """Grow the tree wave by wave, until the search is over or the budget is."""
        self.check(session)
        tree = Tree(session.rng, max_steps=self.max_steps, max_tokens=session.sampling.max_tokens)
        search = self.search(tree, Choice(query, session.rng.random(), by=self.choice))
        whole = True
        while whole and (wave := search.ask()):
            children: list[Node] = []
            grown = scored = False
            async with self._keeping_an_answer(query, session, search) as child:
                grown = child is not None and await self.expand(child, tree, wave, children)
            async with self._keeping_an_answer(query, session, search) as child:
                scored = child is not None and await self.evaluate(child, tree, children)
            whole = grown and scored
            search.tell(children)
            _note(session, tree, children)
            best = search.best()
            if best is not None:
                session.propose(best)
                if passes(session.verifier, best):
                    session.stop_early("it passes")
                    return
            elif (partial := tree.best_open()) is not None:
                session.propose(_unfinished(query, partial))
        if search.best() is None:
            await self.force(query, session, tree)

    def check(self, session: Session) -> None:
        """Make sure that the verifier can do what the search asks of it.

        Raises:
            ConfigurationError: it cannot.
        """
        if not isinstance(session.verifier, StepScorer):
            named = getattr(session.verifier, "name", "")
            raise ConfigurationError(
                f"{self.name} needs a verifier that scores steps, and '{named}' does not: take process_reward, judge, "
                "self_certainty, parses or a StepChecker of your own"
            )

    async def expand(
        self, session: Session, tree: Tree, wave: Sequence[Node], children: list[Node], **how: Any
    ) -> bool:
        """Grow a wave, all of it at once, into ``children``; return whether the budget carried it.

        A call that failed brings no child, and a continuation that its parent has already none either. How it is drawn
        (its kind, its temperature) may be said.
        """
        stop = self.stop
        cues = [stop or "" if node.samples and node.samples[-1].finish == "step" else "" for node in wave]
        arrived = 0
        parents, until = [node.candidate for node in wave], stop or self.step_tokens
        how["max_tokens"] = self.step_tokens
        async with session.grow(parents, until=until, cues=cues, like=tree.taken, **how) as grown:
            async for position, candidate, added in grown:
                arrived += 1
                node = tree.add(wave[position], candidate, added) if added.ok else None
                if node is not None:
                    children.append(node)
        return arrived == len(wave)

    async def evaluate(self, session: Session, tree: Tree, children: Sequence[Node]) -> bool:
        """Score a wave, all of it at once; return whether the budget carried it. What it did not keeps its parent's."""
        scores: list[list[float]] = []
        try:
            scores = await session.score_steps([node.solution() for node in children]) if children else []
        except* BudgetExhausted:  # its own, or one of the tasks that it ran
            session.progress.out_of_budget = True
        for node, more in zip(children, scores, strict=False):
            node.scores = (*node.scores, *more)
            node.value = aggregated(node.scores, self.aggregate)
            if node.candidate is not None:
                node.candidate = node.candidate.scored(node.value)
        return len(scores) == len(children)

    async def force(self, query: Query, session: Session, tree: Tree) -> None:
        """Force an answer out of the best partial solution.

        Raises:
            BudgetExhausted: there is nothing left for it.
        """
        node, cue, tokens = tree.best_open(), query.answer_type.cue, session.sampling.force_answer
        if node is not None and node.candidate is not None and cue and tokens:
            forced = await session.continue_(node.candidate, cue=cue, max_tokens=tokens, temperature=0.0)
            session.note("force", node=node.number)
            session.propose(Candidate(forced.answer, replace(forced.sample, forced=True), node.value))

    @property
    def stop(self) -> str | None:
        """The stop sequence of a step; None where its tokens alone end it."""
        if self.separator == "none":
            return None
        return self.separator.replace("\\n", "\n").replace("\\t", "\t") or BLANK_LINE

    @asynccontextmanager
    async def _keeping_an_answer(
        self, query: Query, session: Session, search: Search
    ) -> AsyncGenerator[Session | None]:
        """Keep back what forcing an answer takes, as long as there is none."""
        tokens = session.sampling.force_answer if query.answer_type.cue else 0
        left = session.tokens_left
        scarce = not search.tree.nodes and left is not None and left <= 2 * tokens
        if not tokens or scarce or search.best() is not None:
            yield session
            return
        tree = search.tree
        prompt = (tree.longest or await session.prompt_tokens()) + self.step_tokens + tokens
        seconds = tree.slowest or (session.seconds_left / UNKNOWN if session.seconds_left < inf else 0.0)
        async with session.keeping_back(tokens, prompt=prompt, seconds=seconds) as child:
            yield child


def _unfinished(query: Query, node: Node) -> Candidate:
    """Return what a partial solution is worth: where answers are not marked, what it says is one."""
    assert node.candidate is not None
    if query.answer_type.cue:
        return node.candidate
    answer = query.answer_type.extract(node.candidate.sample.text)
    return Candidate(answer, node.candidate.sample, node.value)


def _note(session: Session, tree: Tree, children: Sequence[Node]) -> None:
    """Tell the trace what a wave grew and what was pruned after it."""
    nodes = [_fact(node) for node in children]
    session.note("grow", nodes=nodes, pruned=[node.number for node in tree.pruned()])


def _fact(node: Node) -> dict[str, Any]:
    step, added = (node.steps[-1], node.samples[-1]) if node.steps else ("", None)
    fact: dict[str, Any] = {
        "node": node.number,
        "parent": node.parent.number if node.parent else 0,
        "score": round(node.value, 4),
        "tokens": added.usage.generated if added else 0,
        "step": step if len(step) <= SHOWN else step[: SHOWN - 1] + "…",
    }
    if node.over:
        fact |= {"over": True, "answer": node.answer}
    if node.ahead is not None:
        fact["ahead"] = node.ahead.answer
    if node.copies > 1:
        fact["copies"] = node.copies
    return fact
