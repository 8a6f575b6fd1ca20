"""Best-first search over steps: go on from the best partial solutions of the whole tree, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import ClassVar

from pydantic import Field

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategies.tree_search import TreeSearch

__all__ = ["BestFirst", "BestFirstSearch"]


class BestFirst(TreeSearch):
    """Grow the best open partial solutions of the whole tree m times each, until enough solutions are whole.

    Nothing is pruned: where a line of steps turns out bad the search goes back to the best one that was left behind. So
    it spends little on easy problems, and on hard ones what it may. Where scores fall from step to step it stays near
    the root. A wave of 1 is the search of the papers; a wider one keeps a server busy.
    """

    paper: ClassVar[str] = "Koh et al. 2024, arXiv 2407.01476; Yao et al. 2023, arXiv 2305.10601"
    cost: ClassVar[str] = "n calls and n step scores at the most, wave*m at a time; latency 1 call and 1 score a wave"

    n: int = Field(default=256, ge=1, le=65536, description="continuations at the most")
    m: int = Field(default=4, ge=1, le=1024, description="continuations of each one that is grown; of the root wave*m")
    wave: int = Field(default=4, ge=1, le=1024, description="partial solutions that are grown at a time")
    solutions: int = Field(default=8, ge=1, description="whole solutions that end the search")

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the search."""
        return BestFirstSearch(tree, choice, n=self.n, m=self.m, wave=self.wave, solutions=self.solutions)


class BestFirstSearch(Search):
    """The frontier, a heap of open nodes that were not grown yet, and those of it that are grown next."""

    def __init__(self, tree: Tree, choice: Choice, *, n: int, m: int, wave: int, solutions: int) -> None:
        super().__init__(tree, choice)
        self._left = n
        self._m, self._wave = m, wave
        self._wanted = solutions
        self._frontier: list[tuple[float, float, int, Node]] = []
        self._growing = [tree.root] * wave

    def ask(self) -> list[Node]:
        """Return the best of the frontier, m times each; at first the root, as often as a wave has places."""
        return [node for node in self._growing for _ in range(self._m)][: self._left] if self._wanted > 0 else []

    def tell(self, children: Sequence[Node]) -> None:
        """Put the children on the frontier. What was grown is not grown again, whatever came of it."""
        super().tell(children)
        self._left = max(0, self._left - self._m * len(self._growing))
        self._wanted -= sum(node.answer is not None for node in children)
        for node in children:
            if node.open:
                heappush(self._frontier, (-node.value, -node.lot, node.number, node))
        self._growing = [heappop(self._frontier)[-1] for _ in range(min(self._wave, len(self._frontier)))]
