"""Beam search over steps: keep the best partial solutions, and grow each of them several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategies.tree_search import TreeSearch

__all__ = ["Beam", "BeamSearch"]


class Beam(TreeSearch):
    """Draw n first steps, keep the best n/m by the step scorer, grow each of those m times, and so on.

    Whole solutions leave the beam and stay in the choice; one that is among the best holds its place, so that the beam
    is narrower by it. The search is over when all that is kept is whole. With a good scorer it is the better the harder
    the problem is; on easy ones and with a bad scorer it is below best-of-N, since all it keeps may come of one step.
    """

    paper: ClassVar[str] = "Snell et al. 2024, arXiv 2408.03314 (M = sqrt(N) or 4); Yao et al. 2023, arXiv 2305.10601"
    cost: ClassVar[str] = "n calls and n step scores a step, in one wave; latency 1 call and 1 score a step"

    n: int = Field(default=16, ge=1, le=1024, description="partial solutions in a wave")
    m: int = Field(default=4, ge=1, le=1024, description="continuations of each one that is kept, so that n/m are kept")

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open a beam."""
        return BeamSearch(tree, choice, n=self.n, m=self.m)


class BeamSearch(Search):
    """The beam: what is kept, whole solutions among it."""

    def __init__(self, tree: Tree, choice: Choice, *, n: int, m: int) -> None:
        super().__init__(tree, choice)
        self._n, self._width = n, max(1, n // m)
        self._kept: list[Node] | None = None

    def ask(self) -> list[Node]:
        """Return every open node that is kept, m times; at first the root, n times.

        Where m does not divide n the first ones are grown once more, so that a wave is of n all the same.
        """
        if self._kept is None:
            return [self.tree.root] * self._n
        often, more = divmod(self._n, self._width)
        return [node for i, node in enumerate(self._kept) if node.open for _ in range(often + (i < more))]

    def tell(self, children: Sequence[Node]) -> None:
        """Keep the best n/m of what was grown and of what is whole."""
        super().tell(children)
        whole = [node for node in self._kept or () if node.over]
        ranked = sorted([*whole, *children], key=lambda node: node.standing, reverse=True)
        self._kept = ranked[: self._width]
        self.tree.prune(ranked[self._width :])
