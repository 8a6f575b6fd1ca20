"""What all tree searches share: their parameters, and the waves of growing, scoring and proposing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, ClassVar

from pydantic import Field

from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.reserve import KeptBack
from ttc.session import Session
from ttc.steps import Aggregate, Separator, aggregated, separator_of
from ttc.strategies.choice import By, Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategy import Strategy
from ttc.types import Candidate, Query
from ttc.verifier import StepScorer, Verifier, passes

__all__ = ["TreeSearch"]

SHOWN = 120
"""Characters of a step that the trace keeps."""

GUESSED = 64
"""Tokens that a step is taken to have until one has shown it."""

UNKNOWN = 8
"""Until a step has shown how long one takes, one part in so many of the time that is left is kept back."""


class TreeSearch(Strategy):
    """Grow partial solutions step by step, and go on from those that a step scorer finds good.

    Each wave of steps is sent at once, and scored at once. A step ends at the separator, or at its tokens. A tree that
    the budget or a deadline ends answers with its best whole solution; where it has none an answer is forced out of the
    best partial one, for which a call is kept back.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"verifier"})

    separator: Separator = Field(
        default="", description="what ends a step, as in \\n; left out, a blank line; none: its tokens alone"
    )
    step_tokens: int = Field(default=256, ge=1, description="tokens of a step at the most")
    max_steps: int = Field(default=40, ge=1, le=1000, description="steps of a solution at the most")
    aggregate: Aggregate = Field(default="last", description="what is made of the scores of a solution's steps")
    choice: By = Field(default="weighted", description="how the answer is chosen among whole solutions")

    @abstractmethod
    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the search of one query."""

    async def solve(self, query: Query, session: Session) -> None:
        """Grow the tree wave by wave, until the search is over or the budget is."""
        self.accepts(session.verifier)
        tree = Tree(session.rng, max_steps=self.max_steps, max_tokens=session.sampling.max_tokens)
        search = self.search(tree, Choice(query, session.rng.random(), by=self.choice))
        with session.keeping_back() as kept:
            whole = True
            while whole and (wave := search.ask()):
                children: list[Node] = []
                grown = scored = False
                if not await self._keep_an_answer(query, session, search, kept):
                    break
                with kept.time(self._seconds(session, search)) as in_time:
                    grown = in_time and await self.expand(session, tree, wave, children)
                if any(child.answer is not None for child in children):
                    kept.drop()  # there is an answer now, and its score is worth more than what was kept
                with kept.time(self._seconds(session, search, children)) as in_time:
                    scored = in_time and await self.evaluate(session, tree, children)
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
                await self.force(query, session, tree, kept)

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that does not score steps.

        Raises:
            ConfigurationError: it does not, or lacks what any verifier says of itself.
        """
        named = getattr(verifier, "name", type(verifier).__name__)
        if not isinstance(verifier, StepScorer):
            raise ConfigurationError(
                f"{self.name} needs a verifier that scores steps, and '{named}' does not: take process_reward, judge, "
                "self_certainty, parses or a StepChecker of your own"
            )
        if lacks := [attribute for attribute in ("name", "logprobs") if not hasattr(verifier, attribute)]:
            raise ConfigurationError(
                f"{self.name}: step scorer '{named}' has no {' and no '.join(lacks)}: as of any verifier, 'name' is "
                "what it is called, and 'logprobs' how many per token it reads of samples (0: none)"
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
            async for position, candidate, added, over in grown:
                arrived += 1
                node = tree.add(wave[position], candidate, added, over=over) if added.ok else None
                if node is not None:
                    children.append(node)
                    if node.over and node.answer is None:
                        tree.conclude(node, await session.conclude(candidate))
        return arrived == len(wave)

    async def evaluate(self, session: Session, tree: Tree, children: Sequence[Node]) -> bool:
        """Score a wave, all of it at once; return whether the budget carried it. What it did not keeps its parent's."""
        solutions = [node.solution() for node in children]
        scores: list[list[float] | None] = [None] * len(children)
        try:
            scores = await session.score_steps(solutions) if children else []
        except* BudgetExhausted:  # its own, or one of the tasks that it ran
            session.progress.out_of_budget = True
        for node, more in zip(children, scores, strict=True):
            if more is not None:
                node.scores = (*node.scores, *more)
                node.value = aggregated(node.scores, self.aggregate)
            if node.candidate is not None:
                node.candidate = node.candidate.scored(node.value)
        return None not in scores

    async def force(self, query: Query, session: Session, tree: Tree, kept: KeptBack) -> None:
        """Force an answer out of the best partial solution, or draw a plain sample where the budget grows no tree.

        Raises:
            BudgetExhausted: there is nothing left for it.
        """
        node, tokens = tree.best_open(), self.forcing(query, session)
        if node is not None and node.candidate is not None and tokens:
            cue = query.answer_type.cue
            forced = await kept.session.continue_(node.candidate, cue=cue, max_tokens=tokens, temperature=0.0)
            session.note("force", node=node.number)
            session.propose(Candidate(forced.answer, replace(forced.sample, forced=True), node.value))
        elif not tree.nodes and session.progress.out_of_budget:
            kept.drop()
            session.propose(await session.generate())

    def forcing(self, query: Query, session: Session) -> int:
        """Tokens that forcing an answer takes; 0 where none is forced."""
        return session.sampling.force_answer if query.answer_type.cue else 0

    @property
    def stop(self) -> str | None:
        """The stop sequence of a step; None where its tokens alone end it."""
        return separator_of(self.separator)

    async def _keep_an_answer(self, query: Query, session: Session, search: Search, kept: KeptBack) -> bool:
        """Keep back what forcing an answer takes, as long as there is none; return whether anything is left beside."""
        tokens, tree = self.forcing(query, session), search.tree
        if not tokens or search.best() is not None:
            kept.drop()
            return True
        # What is forced goes on from a text that is a step longer than the longest.
        step = tree.taken.longest or min(self.step_tokens, GUESSED)
        return kept.keep(tokens, prompt=(tree.longest or await session.prompt_tokens()) + step + tokens)

    def _seconds(self, session: Session, search: Search, children: Sequence[Node] = ()) -> float:
        """Seconds that forcing an answer takes, as long as there is none."""
        known = search.best() is not None or any(child.answer is not None for child in children)
        if known or not self.forcing(session.query, session):
            return 0.0
        return search.tree.slowest or (session.seconds_left / UNKNOWN if session.seconds_left < inf else 0.0)


def _unfinished(query: Query, node: Node) -> Candidate:
    """Return what a partial solution is worth: where answers are not marked, what it says is one."""
    assert node.candidate is not None
    if query.answer_type.cue:
        return node.candidate
    answer = query.answer_type.extract(node.candidate.sample.text)
    return Candidate(answer, node.candidate.sample, node.value)


def _note(session: Session, tree: Tree, children: Sequence[Node]) -> None:
    """Tell the trace what a wave grew and what was pruned after it."""
    facts: dict[str, Any] = {"nodes": [_fact(node) for node in children]}
    new = {node.number for node in children}
    if again := {node.number: node.copies for node in tree.copied() if node.number not in new}:
        facts["again"] = again  # copies of earlier nodes
    session.note("grow", **facts, pruned=[node.number for node in tree.pruned()])


def _fact(node: Node) -> dict[str, Any]:
    added = node.added
    step = node.steps[-1] if node.samples and node.samples[-1] is added else ""
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
