"""A tree of partial solutions, and how a search asks it for what to grow: pure objects, no model calls.

A strategy asks, grows, scores and tells::

    while wave := search.ask():            # nodes to grow, each as often as it is to have new children
        ...                                # one continuation per entry, scored
        search.tell(children)              # those that came of it, in the order of the wave
        best = search.best()

In the style of TreeQuest (Inoue et al. 2025, arXiv 2503.04412): the state is explicit, and what comes out does not
depend on which call is the faster one.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ttc.samples import Taken
from ttc.steps import BLANK_LINE, Solution
from ttc.strategies.choice import Choice
from ttc.types import Candidate, Sample

__all__ = ["Node", "Search", "Tree"]


@dataclass(slots=True, eq=False)
class Node:
    """One partial or whole solution.

    Attributes:
        number: in the order of growth; the root, which holds nothing, is 0.
        parent: what it goes on from.
        candidate: the solution so far; None at the root.
        steps: its steps up to here.
        samples: what each of them was drawn as.
        added: what the last call brought, a step or a blank.
        depth: steps from the root, blank ones among them.
        scores: of its steps.
        value: what the search goes by: how good it is to go on from here, in [0, 1].
        lot: breaks ties of value.
        over: nothing comes behind it: a whole solution, or one that could not be grown any further.
        pruned: the search will not go on from it.
        copies: how often it was drawn: equal continuations of one node are one node.
        ahead: the whole solution that a rollout from here came to, where the search rolls out.
        children: in the order of growth.
    """

    number: int = 0
    parent: Node | None = None
    candidate: Candidate | None = None
    steps: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    added: Sample | None = None
    depth: int = 0
    scores: tuple[float, ...] = ()
    value: float = 0.0
    lot: float = 0.0
    over: bool = False
    pruned: bool = False
    copies: int = 1
    ahead: Candidate | None = None
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def open(self) -> bool:
        """Whether it may be grown."""
        return not (self.over or self.pruned)

    @property
    def answer(self) -> str | None:
        """The answer of a whole solution."""
        return self.candidate.answer if self.candidate else None

    @property
    def standing(self) -> tuple[float, float]:
        """What nodes are ranked by."""
        return (self.value, self.lot)

    def solution(self) -> Solution:
        """Return it as a step scorer sees it."""
        return Solution(self.steps, self.samples, self.scores, self.over)


class Tree:
    """All that was grown.

    Attributes:
        root: the beginning, without a step.
        nodes: all others, in the order of growth.
        max_steps: nodes of this depth are not grown.
        max_tokens: nor are those of so many generated tokens; None: no limit.
        rng: draws the lots, and whatever a search leaves to chance.
        taken: tokens of the steps, those of copies among them.
        longest: tokens of the longest text so far, its prompt among them.
        slowest: seconds that the slowest step took.
    """

    def __init__(self, rng: random.Random, *, max_steps: int, max_tokens: int | None = None) -> None:
        self.root = Node()
        self.nodes: list[Node] = []
        self.max_steps = max_steps
        self.max_tokens = max_tokens
        self.taken = Taken()
        self.longest = 0
        self.slowest = 0.0
        self.rng = rng
        self._known: dict[tuple[int, str, str, bool], Node] = {}
        self._pruned: list[Node] = []
        self._again: dict[int, Node] = {}  # of which a copy came
        self._ends: dict[int, Node] = {}  # without an answer, without children, and not pruned
        self._ranked: list[tuple[float, float, int]] = []  # a heap of them, and of some that are none any more
        self._fresh: list[Node] = []  # of them, those that were not ranked yet: their value may still come
        self._best_pruned: Node | None = None

    def add(self, parent: Node, candidate: Candidate, added: Sample, *, over: bool = False) -> Node | None:
        """Grow a node; of a continuation that the parent has already a copy is counted, and None returned.

        Args:
            parent: what was gone on from.
            candidate: the longer text.
            added: what the step was drawn as.
            over: nothing comes behind it; so it is as well where it holds an answer, where the model or the budget
                ended it, and at the greatest depth and length.
        """
        used = added.usage
        self.taken.add(used.generated)
        self.longest = max(self.longest, used.prompt_tokens + used.generated)
        self.slowest = max(self.slowest, added.latency)
        over = over or candidate.answer is not None or added.finish in ("stop", "cut")
        over = over or parent.depth + 1 >= self.max_steps
        said = BLANK_LINE.join(filter(str.strip, (added.reasoning, added.text))).strip("\r\n")
        over = over or (self.max_tokens is not None and candidate.sample.usage.generated >= self.max_tokens)
        known = self._known.get(place := (parent.number, candidate.sample.reasoning, candidate.sample.text, over))
        if known is not None:
            known.copies += 1
            self._again[known.number] = known
            return None
        new = bool(said.strip())
        node = Node(
            number=len(self.nodes) + 1,
            parent=parent,
            candidate=candidate,
            steps=(*parent.steps, said) if new else parent.steps,
            samples=(*parent.samples, added) if new else parent.samples,
            added=added,
            depth=parent.depth + 1,
            scores=parent.scores,
            value=parent.value,
            lot=self.rng.random(),
            over=over,
        )
        self._known[place] = node
        self.nodes.append(node)
        parent.children.append(node)
        self._ends.pop(parent.number, None)
        if candidate.answer is None and candidate.sample.ok:
            self._ends[node.number] = node
            self._fresh.append(node)
        return node

    def conclude(self, node: Node, candidate: Candidate) -> None:
        """Say what a node that is over answers, where that was not read when it was added."""
        node.candidate = candidate
        if candidate.answer is not None:
            self._ends.pop(node.number, None)

    def prune(self, nodes: Iterable[Node]) -> None:
        """Go on from none of these. What is over is whole, and stays what it is."""
        for node in nodes:
            if node.open:
                node.pruned = True
                self._pruned.append(node)
                if self._ends.pop(node.number, None):
                    self._best_pruned = max(self._best_pruned or node, node, key=lambda n: n.standing)

    def pruned(self) -> list[Node]:
        """Return what was pruned since this was asked last."""
        pruned, self._pruned = self._pruned, []
        return pruned

    def best_open(self) -> Node | None:
        """Return the best node without an answer that nothing was grown from: what an answer is forced out of.

        What was pruned comes last. To be asked when what was added has its value.
        """
        for node in self._fresh:
            heappush(self._ranked, (-node.value, -node.lot, node.number))
        self._fresh.clear()
        while self._ranked and self._ranked[0][-1] not in self._ends:
            heappop(self._ranked)
        return self._ends[self._ranked[0][-1]] if self._ranked else self._best_pruned

    def copied(self) -> list[Node]:
        """Return the nodes of which copies came since this was asked last."""
        again, self._again = list(self._again.values()), {}
        return again


class Search(ABC):
    """Which nodes of a tree to grow next, and which of its whole solutions is the answer.

    Attributes:
        tree: what was grown so far.
        choice: among the whole solutions.
    """

    def __init__(self, tree: Tree, choice: Choice) -> None:
        self.tree = tree
        self.choice = choice

    @abstractmethod
    def ask(self) -> list[Node]:
        """Return the next wave: open nodes, each as often as it is to have new children, equal ones as neighbours.

        Empty when the search is over.
        """

    def tell(self, children: Sequence[Node]) -> None:
        """Take in the children that came of the last wave, in its order: fewer where calls failed or were refused."""
        for node in children:
            if node.over and node.candidate is not None and node.answer is not None:
                self.choice.add(node.candidate, copies=node.copies)

    def best(self) -> Candidate | None:
        """Return the answer so far, or None where no solution is whole."""
        return self.choice.best()
