"""Particles on a tree: how many stand where, what each weighs, and how they are drawn anew. Pure, no model calls."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import exp, inf, log
from typing import Literal

from ttc.strategies.choice import Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.types import Candidate

__all__ = ["ParticleSearch", "Resampling", "resampled"]

SUREST = 1 - 1e-7
"""No score counts for more: the odds of 1 would be infinite. Those of 0 are 0."""

Resampling = Literal["systematic", "multinomial"]


class ParticleSearch(Search):
    """The particles: how many stand at each node, and what each weighs there since they were resampled."""

    def __init__(
        self, tree: Tree, choice: Choice, *, n: int, how: Resampling, ess: float = 1.0, temperature: float = 1.0
    ) -> None:
        super().__init__(tree, choice)
        self.particles: dict[Node, int] = {tree.root: n}
        self._weights: dict[Node, float] = {}  # logarithms; equal ones, of 0, are left out
        self._n, self._ess, self._temperature = n, ess, temperature
        self._how: Resampling = how

    def ask(self) -> list[Node]:
        """Return where the particles stand, each as often as they do, without what is whole."""
        return [node for node, count in self.particles.items() if node.open for _ in range(count)]

    def tell(self, children: Sequence[Node]) -> None:
        """Move the particles on to what came of them, weigh them, and resample."""
        super().tell(children)
        before = self._weights
        moved = {node: count for node, count in self.particles.items() if node.over}
        self._weights = {node: before.get(node, 0.0) + self._odds(node) for node in moved}
        for node in children:  # a node is grown in one wave alone: its copies are all of this one
            moved[node] = node.copies
            self._weights[node] = before.get(node.parent or node, 0.0) + self._odds(node)
        self.particles = moved
        if moved:
            self._resample()

    def best(self) -> Candidate | None:
        """Return the choice among the particles; where none of them is whole, among all that ever was."""
        choice = self.choice.anew()
        for node, count in self.particles.items():
            if node.over and node.candidate is not None:
                choice.add(node.candidate, copies=count)
        return choice.best() or super().best()

    def _odds(self, node: Node) -> float:
        """The logarithm of the odds of a node's score."""
        score = min(node.value, SUREST)
        return log(score / (1 - score)) / self._temperature if score > 0 else -inf

    def _resample(self) -> None:
        highest = max(self._weights.values())
        each = {node: 1.0 if highest == -inf else exp(logarithm - highest) for node, logarithm in self._weights.items()}
        shares = [count * each[node] for node, count in self.particles.items()]
        effective = sum(shares) ** 2 / sum(count * each[node] ** 2 for node, count in self.particles.items())
        lost = sum(self.particles.values()) < self._n
        over = all(node.over for node in self.particles)
        if not (lost or over or self._ess == 1 or effective < self._ess * self._n):
            return
        counts = resampled(shares, self._n, rng=self.tree.rng, how=self._how)
        self.tree.prune(node for node, count in zip(self.particles, counts, strict=True) if not count)
        self.particles = {node: count for node, count in zip(self.particles, counts, strict=True) if count}
        self._weights = {}


def resampled(weights: Sequence[float], n: int, *, rng: random.Random, how: Resampling) -> list[int]:
    """Draw ``n`` times in proportion to weights, of which one at least is above 0; return how often each was drawn.

    On average that is n times its share of the weights. Systematic draws are n even steps from one random start, and
    so never further from it than 1.
    """
    bounds = list(accumulate(weights))
    last = max(i for i, weight in enumerate(weights) if weight > 0)  # rounding must not end behind it
    start = rng.random()
    places = [(i + start) / n for i in range(n)] if how == "systematic" else [rng.random() for _ in range(n)]
    drawn = Counter(bisect_right(bounds, place * bounds[-1], hi=last) for place in places)
    return [drawn[i] for i in range(len(weights))]
