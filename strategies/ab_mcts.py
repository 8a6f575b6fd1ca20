"""Adaptive branching: whether to go wider or deeper is drawn at every node, by what either has brought so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import anyio
from pydantic import Field

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategies.branching import BranchingSearch
from ttc.strategies.chain import Chain
from ttc.strategies.choice import By, Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategies.tree_search import TreeSearch
from ttc.types import Candidate, Query
from ttc.verifier import Verifier, refuse_joint

__all__ = ["AbMCTS"]


class AbMCTS(TreeSearch):
    """Draw at each node by Thompson sampling between a new child of it (wider) and one of those it has (deeper).

    Node aggregation, with Beta posteriors that count scores as shares of a success: that of wider by the scores of a
    node's children, that of deeper by those of all that came of them; the child is then drawn by its own scores and
    those below it. So fresh attempts are made where revising them does not help, and revisions where it does.

    A node is a whole answer: the first ones are samples, and a child is a revision, which is shown the attempt and what
    the verifier says about it; any verifier will do, and one that passes or fails ends the search with the first pass.
    With ``nodes=steps`` a node is a partial solution, and a child one step more, as in other tree searches; wider is
    then drawn against the best of the children, since a step is worth nothing without the next one. Most calls go into
    breadth all the same, so with few of them a beam is above it.
    """

    paper: ClassVar[str] = "Inoue et al. 2025, arXiv 2503.04412 (AB-MCTS-A; TreeQuest)"
    cost: ClassVar[str] = "n calls and n scores, 'wave' at a time; latency n/wave calls and scores"

    choice: By = Field(default="best", description="how the answer is chosen among whole solutions")
    n: int = Field(default=32, ge=1, le=65536, description="calls")
    wave: int = Field(default=4, ge=1, le=1024, description="calls at a time, each drawn independently of the others")
    nodes: Literal["answers", "steps"] = Field(default="answers", description="what is grown; steps need a step scorer")
    prior: float = Field(default=0.5, gt=0, description="both parameters of the Beta priors; .5 is that of Jeffreys")

    def accepts(self, verifier: Verifier | None) -> None:
        """Refuse a verifier that does not score each solution by itself, or where steps are grown, no steps.

        Raises:
            ConfigurationError: it does not.
        """
        refuse_joint(verifier, by=self.name)
        if self.nodes == "steps":
            super().accepts(verifier)

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the search."""
        whole = self.nodes == "answers"
        return BranchingSearch(tree, choice, n=self.n, wave=self.wave, whole=whole, prior=self.prior)

    def forcing(self, query: Query, session: Session) -> int:
        """Tokens that forcing an answer takes; 0 for attempts, whose own answers are forced where they are cut."""
        return super().forcing(query, session) if self.nodes == "steps" else 0

    async def expand(
        self, session: Session, tree: Tree, wave: Sequence[Node], children: list[Node], **how: Any
    ) -> bool:
        """Make a wave of steps or of attempts, all of it at once; return whether the budget carried it."""
        if self.nodes == "steps":
            return await super().expand(session, tree, wave, children, **how)
        often = Counter(wave)
        made: dict[Node, list[Candidate]] = {node: [] for node in often}
        branches = {node: session.branch("revise", node.number) for node in made if node.candidate is not None}
        try:
            async with anyio.create_task_group() as group:
                for node in made:
                    group.start_soon(_attempt, branches.get(node, session), node, often[node], made[node])
        finally:
            for node, branch in branches.items():
                session.merge(branch, "revise", node=node.number)
            for node in made:
                added = [tree.add(node, attempt, attempt.sample) for attempt in made[node] if attempt.sample.ok]
                children += [child for child in added if child is not None]
        attempts = [attempt for of_node in made.values() for attempt in of_node]
        unscored = any(attempt.answer is not None and attempt.score is None for attempt in attempts)
        return len(attempts) == len(wave) and not unscored

    async def evaluate(self, session: Session, tree: Tree, children: Sequence[Node]) -> bool:
        """Score the steps of a wave; attempts were scored as they arrived, and count for nothing without an answer."""
        if self.nodes == "steps":
            return await super().evaluate(session, tree, children)
        for node in children:
            node.value = (node.candidate.score if node.candidate else None) or 0.0
        return True


async def _attempt(session: Session, node: Node, n: int, attempts: list[Candidate]) -> None:
    """Make ``n`` attempts: samples at the root, else revisions of the attempt that a node is."""
    prompt = None
    if node.candidate is not None:
        chain = Chain(session.messages, shown=1)
        chain.add(node.candidate)
        try:
            prompt = chain.prompt(await session.critique(node.candidate))
        except* BudgetExhausted:  # its own, or one of the tasks that the verifier ran
            session.progress.out_of_budget = True
        if prompt is None:
            return
    async with session.sample(prompt, n=n, kind="revise" if prompt else "generate", whole=True, scored=True) as samples:
        async for attempt in samples:
            attempts.append(attempt)
