"""Monte Carlo tree search over steps, in which the step scorer's value stands for the playouts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import ceil, log, sqrt
from typing import ClassVar, Literal

from pydantic import Field

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.strategies.tree_search import TreeSearch

__all__ = ["MCTS", "MCTSSearch"]

Backup = Literal["max", "mean"]


class MCTS(TreeSearch):
    """Walk down the tree by upper confidence bounds, grow m steps where it ends, and back their values up.

    At each node the walk takes the child with the highest value below it plus ``explore * sqrt(log N / n)``, of N
    visits to the node and n to the child; what has nothing open below it is passed by. A wave of walks is made before
    anything is grown: each counts as a visit of value 0 until its children are scored (a virtual loss), and ends at a
    leaf of its own.

    What is backed up is the best open value, or the mean of all (UCT as it was published). Solutions have many steps
    and few of them are paid for, so that means and exploration keep a wide tree flat: take them where n is many times
    the leaves of the tree, or with wave=1. Exploration also spreads over all that scores the same, as with a scorer
    that says 0 or 1. Without it the walks go to the best open steps, as best-first search does, until n are spent.
    """

    paper: ClassVar[str] = "Kocsis and Szepesvari 2006, Bandit based Monte-Carlo planning; Hao et al., arXiv 2305.14992"
    cost: ClassVar[str] = "n calls and n step scores, wave*m at a time; latency 1 call and 1 score a wave"

    n: int = Field(default=256, ge=1, le=65536, description="continuations at the most")
    m: int = Field(default=4, ge=1, le=1024, description="continuations of each leaf that is grown; of the root wave*m")
    wave: int = Field(default=4, ge=1, le=1024, description="leaves that are grown at a time")
    explore: float = Field(default=0.0, ge=0, description="weight of the exploration term; 0 goes by the values alone")
    backup: Backup = Field(
        default="max", description="what a node is worth: the best open value below it, or the mean of all"
    )

    def search(self, tree: Tree, choice: Choice) -> Search:
        """Open the search."""
        return MCTSSearch(tree, choice, n=self.n, m=self.m, wave=self.wave, explore=self.explore, by=self.backup)


class MCTSSearch(Search):
    """What the bounds are made of, by the numbers of nodes, and the leaves that the next wave of walks ended at."""

    def __init__(self, tree: Tree, choice: Choice, *, n: int, m: int, wave: int, explore: float, by: Backup) -> None:
        super().__init__(tree, choice)
        self._left = n
        self._m, self._wave, self._explore = m, wave, explore
        self._by: Backup = by
        self._visits = Counter[int]()
        self._sums: defaultdict[int, float] = defaultdict(float)
        self._worth: dict[int, float] = {}
        self._leaves = Counter({tree.root.number: wave})  # the root is the leaf of every first walk
        self._growing: list[Node] = []
        self._walked = Counter[int]()
        self._walk()

    def ask(self) -> list[Node]:
        """Return the leaves that a wave of walks ended at, m times each."""
        return [leaf for leaf in self._growing for _ in range(self._m)][: self._left]

    def tell(self, children: Sequence[Node]) -> None:
        """Back the values of the children up, and walk again. A leaf is not grown twice, whatever came of it."""
        super().tell(children)
        self._left = max(0, self._left - self._m * len(self._growing))
        self._leaves.subtract(self._walked)
        for child in children:
            self._worth[child.number] = child.value
            for node in _upwards(child):
                self._visits[node.number] += 1
                self._sums[node.number] += child.value
                self._leaves[node.number] += child.open
        for leaf in self._growing:
            for node in _upwards(leaf):
                self._worth[node.number] = self._backed_up(node)
        self._walk()

    def _walk(self) -> None:
        """Walk to the leaves of the next wave, and count how many walks went through each node."""
        self._growing, self._walked = [], Counter[int]()
        wanted = min(self._wave, ceil(self._left / self._m))
        while len(self._growing) < wanted and self._has_leaf(self.tree.root):
            node = self.tree.root
            while node.children:
                best = self._best([child for child in node.children if self._has_leaf(child)], of=node)
                self._walked[node.number] += 1
                node = best
            self._walked[node.number] += 1
            self._growing.append(node)

    def _has_leaf(self, node: Node) -> bool:
        """Whether a walk through a node may still end somewhere."""
        return self._leaves[node.number] > self._walked[node.number]

    def _backed_up(self, node: Node) -> float:
        if self._by == "mean":
            return self._sums[node.number] / max(1, self._visits[node.number])
        return max((self._worth[child.number] for child in node.children if self._leaves[child.number]), default=0.0)

    def _best(self, nodes: Sequence[Node], *, of: Node) -> Node:
        visits = self._visits[of.number] + self._walked[of.number]

        def bound(node: Node) -> tuple[float, float]:
            seen = self._visits[node.number]
            n = seen + self._walked[node.number]
            return self._worth[node.number] * seen / n + self._explore * sqrt(log(visits) / n), node.lot

        return max(nodes, key=bound)


def _upwards(node: Node | None) -> Iterator[Node]:
    while node is not None:
        yield node
        node = node.parent
