"""Diverse verifier tree search: several small trees side by side, of which each keeps its own best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import ClassVar

from pydantic import Field

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategies.tree_search import TreeSearch

__all__ = ["DVTS", "DVTSSearch"]


class DVTS(TreeSearch):
    """Grow n/m trees that never meet: each draws m steps, keeps the best of them by the step scorer, and goes on.

    A beam may come of one first step, and where the scorer was wrong about that one all is lost; here every tree has a
    first step of its own, so it is the better with large n. A tree is over when what it keeps is whole. Whole solutions
    of all trees are in the choice, those that were not kept among them.
    """

    paper: ClassVar[str] = "Beeching et al. 2024, Scaling test-time compute with open models (Hugging Face)"
    cost: ClassVar[str] = "n calls and n step scores a step, in one wave; latency 1 call and 1 score a step"

    n: int = Field(default=16, ge=1, le=1024, description="partial solutions in a wave")
    m: int = Field(
        default=4, ge=1, le=1024, description="continuations of the one that a tree keeps; there are n/m trees"
    )

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the trees."""
        return DVTSSearch(tree, choice, n=self.n, m=self.m)


class DVTSSearch(Search):
    """The trees: of each the one node that it keeps, at first the root. Those of equal nodes are neighbours."""

    def __init__(self, tree: Tree, choice: Choice, *, n: int, m: int) -> None:
        super().__init__(tree, choice)
        trees = max(1, n // m)
        self._often = [n // trees + (i < n % trees) for i in range(trees)]
        self._kept = [tree.root] * trees

    def ask(self) -> list[Node]:
        """Return what each tree keeps, m times. Where m does not divide n the first trees grow one more."""
        return [node for node, often in zip(self._kept, self._often, strict=False) if node.open for _ in range(often)]

    def tell(self, children: Sequence[Node]) -> None:
        """Let each tree keep its best child. One that got none ends."""
        super().tell(children)
        grown: defaultdict[Node | None, list[Node]] = defaultdict(list)
        for child in children:
            grown[child.parent].append(child)
        kept: list[Node] = []
        for node, trees in groupby(self._kept):
            for share in _dealt(grown[node], len(list(trees))):
                kept.append(max(share, key=lambda child: child.standing))
                self.tree.prune(child for child in share if child is not kept[-1])
        self._kept = kept


def _dealt(children: Sequence[Node], trees: int) -> list[Sequence[Node]]:
    """Deal children among trees in their order, equal ones (which are one node) once; too few are held in common."""
    starts = [i * len(children) // trees for i in range(trees + 1)]
    return [children[a : max(b, a + 1)] for a, b in pairwise(starts)] if children else []
