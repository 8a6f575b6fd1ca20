"""Majority of n out of more samples, exactly: over all subsets, ties by lot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["majority_at"]

Floats = NDArray[np.float64]


@lru_cache(maxsize=4096)
def majority_at(classes: tuple[tuple[int, float], ...], abstained: int, n: int) -> float:
    """P(the most frequent answer of n samples is right), over all subsets of n, ties by lot.

    Subsets are counted by how many votes the winner has: what each class adds is a polynomial in the samples taken, and
    one in the classes that are level with the winner (a multivariate hypergeometric distribution, without its terms).

    Args:
        classes: of each class of answers, how many samples gave it, and the verdict on it.
        abstained: samples without an answer, which vote for nothing.
        n: samples of a subset, at most as many as there are.
    """
    if n == sum(size for size, _ in classes) + abstained:  # one subset, however many samples there are
        most = max((size for size, _ in classes), default=0)
        level = [verdict for size, verdict in classes if size == most]
        return sum(level) / len(level) if level else 0.0
    found = 0.0
    for votes in range(1, min(n, max((size for size, _ in classes), default=0)) + 1):
        ties = n // votes  # classes that can have so many votes at once
        # By winners level with each other and samples taken: ways without the one who wins by lot, and with it.
        without, won = np.zeros((ties + 1, n + 1)), np.zeros((ties + 1, n + 1))
        without[0, 0] = 1
        for size, verdict in classes:
            fewer = [float(comb(size, u)) for u in range(min(votes, size + 1))]
            level = float(comb(size, votes))
            won = _times(won, fewer, level, votes)
            won[1:, votes:] += verdict * level * without[:-1, : n + 1 - votes]
            without = _times(without, fewer, level, votes)
        silent = np.array([float(comb(abstained, n - taken)) for taken in range(n + 1)])
        share = 1 / np.maximum(np.arange(ties + 1), 1)
        found += float(share @ won @ silent)
    return found / comb(sum(size for size, _ in classes) + abstained, n)


def _times(ways: Floats, fewer: Sequence[float], level: float, votes: int) -> Floats:
    """Take in a class that has fewer votes than the winner, or as many."""
    width = ways.shape[1]
    made = np.zeros_like(ways)
    for taken, of_them in enumerate(fewer[:width]):
        made[:, taken:] += of_them * ways[:, : width - taken]
    if level:
        made[1:, votes:] += level * ways[:-1, : width - votes]
    return made
