"""A part of a large tree that a trace tells of: which nodes to show, and what is left out behind each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ttc.strategies.grown_tree import GrownNode, GrownTree, State

__all__ = ["chosen", "left_out"]

_RANKS: dict[State, int] = {"whole": 4, "grown": 3, "open": 2, "ended": 1, "pruned": 0}


def chosen(
    tree: GrownTree, answer: str | None, limit: int, *, width: int | None = None, depth: int | None = None
) -> list[GrownNode]:
    """Choose up to ``limit`` nodes of a tree to show, in the order of growth; what one goes on from is among them.

    First what is behind the answer, then whole solutions, then what the search kept, then what it dropped, in each the
    higher scores first.

    Args:
        tree: of which.
        answer: that was returned in the end.
        limit: how many at the most.
        width: how many of equal depth at the most.
        depth: of those that are shown at the most.
    """
    behind = tree.behind(answer)
    order = sorted(tree.nodes, key=lambda n: (n is not behind, -_RANKS[n.state], -n.score, n.number))
    shown: set[GrownNode] = set()
    taken: Counter[int] = Counter()
    for node in order:
        new: list[GrownNode] = []
        step: GrownNode | None = node
        while step is not None and step not in shown:
            new.append(step)
            step = step.parent
        for step in reversed(new):
            full = width is not None and taken[step.depth] >= width
            if full or len(shown) >= limit or (depth is not None and step.depth > depth):
                break
            shown.add(step)
            taken[step.depth] += 1
    return [node for node in tree.nodes if node in shown]


def left_out(tree: GrownTree, shown: Sequence[GrownNode]) -> dict[GrownNode | None, Counter[State]]:
    """Count by state what is not among the nodes that are shown, at the last one before it that is; None: the root."""
    there = set(shown)
    left: dict[GrownNode | None, Counter[State]] = {}
    home: dict[GrownNode, GrownNode | None] = {}
    for node in tree.nodes:  # parents stand before their children
        if node in there:
            home[node] = node
        else:
            home[node] = home[node.parent] if node.parent else None
            left.setdefault(home[node], Counter())[node.state] += 1
    return left
