"""Where a tree is to have its next children: wider or deeper, drawn by Thompson sampling. Pure, no model calls."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree

__all__ = ["BranchingSearch"]


class _Posterior:
    """A Beta distribution of what is gained by doing something again."""

    def __init__(self, prior: float) -> None:
        self._a = self._b = prior

    def add(self, score: float, times: int) -> None:
        self._a += times * score
        self._b += times * (1 - score)

    def draw(self, rng: random.Random) -> float:
        return rng.betavariate(self._a, self._b)


class BranchingSearch(Search):
    """The posteriors, by node: of a new child, of going on below the children, and of the node as one of those."""

    def __init__(self, tree: Tree, choice: Choice, *, n: int, wave: int, whole: bool, prior: float = 0.5) -> None:
        """Open a search.

        Args:
            tree: what is grown.
            choice: among what is whole.
            n: children that are asked for at the most.
            wave: of them at a time.
            whole: nodes are whole and may all be grown, and what is below the children of one is drawn against a new
                child as a whole; else those that are over may not, and the best of the children stands for them.
            prior: both parameters of the posteriors before anything was told.
        """
        super().__init__(tree, choice)
        self._left, self._size, self._whole = n, wave, whole
        self._wave: list[Node] = []
        self._told = Counter[Node]()
        self._wider = defaultdict[Node, _Posterior](lambda: _Posterior(prior))
        self._deeper = defaultdict[Node, _Posterior](lambda: _Posterior(prior))
        self._worth = defaultdict[Node, _Posterior](lambda: _Posterior(prior))

    def ask(self) -> list[Node]:
        """Draw the nodes that are to have a new child, each by itself."""
        wave = [self._walk() for _ in range(min(self._size, self._left))]
        self._wave = sorted(wave, key=lambda node: node.number)
        self._left -= len(wave)
        return self._wave

    def tell(self, children: Sequence[Node]) -> None:
        """Count the scores of what was drawn, copies of children among it, for all that they came of."""
        for parent in dict.fromkeys(self._wave):
            for child in parent.children:
                if times := child.copies - self._told[child]:
                    self._told[child] += times
                    self._count(child, times)

    def _count(self, child: Node, times: int) -> None:
        if child.candidate is not None and child.answer is not None:
            self.choice.add(child.candidate, copies=times)
        self._worth[child].add(child.value, times)
        node = child.parent
        if node is not None:
            self._wider[node].add(child.value, times)
        while node is not None and node.parent is not None:
            self._worth[node].add(child.value, times)
            self._deeper[node.parent].add(child.value, times)
            node = node.parent

    def _walk(self) -> Node:
        """Go down from the root until wider is drawn, or nothing below may be grown."""
        rng, node = self.tree.rng, self.tree.root
        while below := [child for child in node.children if self._whole or child.open]:
            drawn = [(self._worth[child].draw(rng), child) for child in below]
            worth, best = max(drawn, key=lambda pair: pair[0])
            deeper = self._deeper[node].draw(rng) if self._whole else worth
            if self._wider[node].draw(rng) >= deeper:
                break
            node = best
        return node
