"""Lookahead search: a beam that judges a step by where it leads, a few steps further on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.steps import aggregated
from ttc.strategies.beam import Beam, BeamSearch
from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree

__all__ = ["Lookahead", "LookaheadSearch"]


class Lookahead(Beam):
    """A beam in which the value of a step is what the step scorer says up to k steps further on.

    From every new node a rollout at temperature 0 goes k steps on, all rollouts of a wave at once, and ends where the
    solution does. Only its end is judged, for all its steps in one piece; then it is thrown away. A whole solution that
    a rollout came to was paid for and is scored, so it is in the choice like any other.

    At equal calls it was below beam search wherever it was measured (Snell et al. 2024), so think of it where calls are
    cheap and the scorer sees late what is wrong.
    """

    paper: ClassVar[str] = "Snell et al. 2024, arXiv 2408.03314 (k = 1 and 3)"
    cost: ClassVar[str] = "n(k+1) calls and step scores a step; latency k+1 calls and 1 score a step"

    k: int = Field(default=3, ge=1, le=64, description="steps of a rollout at the most")

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open a beam that takes in what rollouts came to."""
        return LookaheadSearch(tree, choice, n=self.n, m=self.m)

    async def evaluate(self, session: Session, tree: Tree, children: Sequence[Node]) -> bool:
        """Roll out from each new node, and score where that ends; return whether the budget carried it.

        What it did not carry to its end is scored where it is.
        """
        ends, carried = await self._rolled_out(session, tree, children)
        scores: list[list[float] | None] = [None] * len(ends)
        try:
            scores = await session.score_steps([end.solution() for end in ends]) if ends else []
        except* BudgetExhausted:  # its own, or one of the tasks that it ran
            session.progress.out_of_budget = True
        for node, more in zip(children, scores, strict=True):
            if more is not None:
                seen = (*node.scores, *more)
                node.scores = seen[: len(node.steps)]
                node.value = aggregated(seen, self.aggregate)
            if node.candidate is not None:
                node.candidate = node.candidate.scored(node.value)
            if node.ahead is not None:
                node.ahead = node.ahead.scored(node.value)
        return carried and None not in scores

    async def _rolled_out(self, session: Session, tree: Tree, children: Sequence[Node]) -> tuple[list[Node], bool]:
        """Return where the rollout from each node ends, and whether the budget carried all of them."""
        ahead = Tree(random.Random(0), max_steps=tree.max_steps, max_tokens=tree.max_tokens)
        ahead.taken = tree.taken
        ends = [replace(node, number=-node.number, children=[]) for node in children]  # apart from the rollouts' own
        place = {end.number: i for i, end in enumerate(ends)}
        wave, carried = [end for end in ends if end.open], True
        for _ in range(self.k):
            if not wave or not carried:
                break
            grown: list[Node] = []
            try:
                carried = await self.expand(session, ahead, wave, grown, kind="probe", temperature=0.0)
            finally:  # a deadline leaves what has come by then
                tree.longest, tree.slowest = max(tree.longest, ahead.longest), max(tree.slowest, ahead.slowest)
                for node in grown:
                    assert node.parent is not None
                    place[node.number] = i = place[node.parent.number]
                    ends[i] = node
                    children[i].ahead = node.candidate if node.answer is not None else None
            wave = [node for node in grown if node.open]
        return ends, carried


class LookaheadSearch(BeamSearch):
    """A beam whose choice takes in the whole solutions that rollouts came to, each once.

    At temperature 0 the rollouts from a step and from those behind it may well come to the same.
    """

    def __init__(self, tree: Tree, choice: Choice, *, n: int, m: int) -> None:
        super().__init__(tree, choice, n=n, m=m)
        self._seen = set[tuple[str, str]]()

    def tell(self, children: Sequence[Node]) -> None:
        """Keep the best n/m, and what was whole at the end of a rollout."""
        super().tell(children)
        for node in children:
            if node.ahead is None:
                continue
            text = (node.ahead.sample.reasoning, node.ahead.sample.text)
            if text not in self._seen:
                self._seen.add(text)
                self.choice.add(node.ahead)
