"""Trees of steps laid out for drawing: which nodes there is room for, and where each of them stands. Pure.

A tree grows from left to right, a column a depth. In a column nodes stand in the order of what they go on from, so
that no two edges cross, the better ones above, each as near to its parent as the others let it. Of a large tree a part
is drawn, the way to the answer first; a mark counts what is left out behind each node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ttc.strategies.grown_tree import GrownNode, GrownTree, State, grown_trees
from ttc.strategies.part_of_tree import chosen, left_out

__all__ = ["search_trees"]

TREES, NODES, ROWS, COLUMNS, WAVES = 6, 300, 24, 100, 100
STEP, ANSWER = 120, 48

_WORDS: dict[State, str] = {
    "grown": "gone on from",
    "open": "kept",
    "pruned": "pruned",
    "whole": "whole with an answer",
    "ended": "ended without an answer",
}

Left = Mapping[GrownNode | None, Counter[State]]


def search_trees(trace: Sequence[Mapping[str, Any]], answer: str | None) -> dict[str, Any]:
    """Lay out the trees that a trace tells of; empty where it tells of none.

    Args:
        trace: of an outcome.
        answer: that was returned in the end.

    Returns:
        ``trees``, and in ``note`` how many of them are left out. Of a tree: ``name``, ``said``, ``nodes`` as
        ``[number, place of the parent or -1, column, row, score, tokens, state, step, answer, copies, ahead]`` (the
        last ones only where they say something), ``more`` as ``[place of the parent or -1, column, row, count,
        words]``, ``path`` (places of the nodes that lead to the answer), ``forced`` (that was forced out of the last of
        them), ``ahead`` (a rollout from it came to that), ``rows``, ``columns``, ``waves`` as ``[tokens, words]``, and
        ``level``: each wave grew the next depth.
    """
    trees = [tree for tree in grown_trees(trace) if tree.nodes]
    if not trees:
        return {}
    # Those that hold the answer go first where not all fit.
    drawn = sorted(sorted(range(len(trees)), key=lambda i: trees[i].behind(answer) is None)[:TREES])
    left = len(trees) - len(drawn)
    note = f"{left} further search{'es are' if left > 1 else ' is'} left out of this page." if left else ""
    return {"trees": [_laid_out(trees[i], answer, NODES // len(drawn)) for i in drawn], "note": note}


def _laid_out(tree: GrownTree, answer: str | None, limit: int) -> dict[str, Any]:
    shown = chosen(tree, answer, limit, width=ROWS, depth=COLUMNS)
    left = left_out(tree, shown)
    rows, where = _rows(shown, left)
    place: dict[GrownNode | None, int] = {None: -1, **{node: i for i, node in enumerate(shown)}}
    behind = tree.behind(answer)
    path = behind.path() if behind else []
    return {
        "name": tree.name,
        "said": _said(tree, len(shown)),
        "nodes": [_fact(node, place[node.parent], where[node, False]) for node in shown],
        "more": [
            [place[node], node.depth + 1 if node else 1, where[node, True], counts.total(), _counted(counts)]
            for node, counts in left.items()
        ],
        "path": [place[node] for node in path if node in place],
        "forced": behind is not None and behind.came_to != answer,
        "ahead": behind is not None and behind.answer != answer and behind.ahead == answer,
        "rows": rows,
        "root": where[None, False],
        "columns": max([node.depth for node in shown] + [node.depth + 1 if node else 1 for node in left], default=0),
        "waves": [[wave.tokens, _wave(len(wave.nodes), wave.pruned)] for wave in tree.waves[:WAVES]],
        "level": all(node.depth == i + 1 for i, wave in enumerate(tree.waves) for node in wave.nodes),
    }


def _fact(node: GrownNode, parent: int, row: float) -> list[Any]:
    answer = None if node.answer is None else _cap(node.answer, ANSWER)
    more: list[Any] = [answer, node.copies] if answer is not None or node.copies > 1 else []
    if node.ahead is not None:
        more = [answer, node.copies, _cap(node.ahead, ANSWER)]
    fact = [node.number, parent, node.depth, row, round(node.score, 4), node.tokens, node.state, _cap(node.step, STEP)]
    return fact + more


def _cap(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# -- in words ----------------------------------------------------------------------------------------------------------


def _said(tree: GrownTree, shown: int) -> str:
    total, waves = len(tree.nodes), len(tree.waves)
    words = f"{total:,} node{'s' * (total > 1)} in {waves:,} wave{'s' * (waves > 1)}: "
    words += _counted(Counter(node.state for node in tree.nodes)) + "."
    if left := total - shown:
        words += f" {left:,} of them {'are' if left > 1 else 'is'} not drawn: +7 stands for seven of those."
    if waves > WAVES:
        words += f" Tokens are drawn for the first {WAVES} waves."
    return words


def _counted(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{counts[state]:,} {word}" for state, word in _WORDS.items() if counts.get(state))


def _wave(grown: int, pruned: int) -> str:
    return f"{grown} new node{'s' * (grown != 1)}" + f", {pruned} pruned" * bool(pruned)


# -- places ------------------------------------------------------------------------------------------------------------


_Item = tuple[GrownNode | None, bool]
"""A node, or (True) the mark of what is left out behind it; the node None is the root."""


def _rows(shown: Sequence[GrownNode], left: Left) -> tuple[int, dict[_Item, float]]:
    """Give the root, every node and every mark a row; return how many rows there are, too."""
    children: dict[GrownNode | None, list[GrownNode]] = {None: []}
    for node in shown:
        children.setdefault(node.parent, []).append(node)
    layers: list[list[tuple[_Item, _Item, float]]] = []  # by depth: item, its parent, rows below the parent's
    above: list[_Item] = [(None, False)]
    while above:
        layer: list[tuple[_Item, _Item, float]] = []
        for parent in above:
            node, is_mark = parent
            if is_mark:
                continue
            items: list[_Item] = [
                (child, False) for child in sorted(children.get(node, ()), key=lambda n: (-n.score, n.number))
            ]
            items += [(node, True)] * (node in left)
            layer += [(item, parent, i - (len(items) - 1) / 2) for i, item in enumerate(items)]
        layers.append(layer)
        above = [item for item, _, _ in layer]
    rows = max(1, *(len(layer) for layer in layers))
    where: dict[_Item, float] = {(None, False): (rows - 1) / 2}
    for layer in layers:
        places = _spread([where[parent] + below for _, parent, below in layer], rows)
        where |= {item: place for (item, _, _), place in zip(layer, places, strict=True)}
    return rows, where


def _spread(wanted: Sequence[float], rows: int) -> list[float]:
    """Move places apart to a row each, in their order and as little as that takes, within so many rows.

    That is isotonic regression of the places less their rank: neighbours that are too near become a block around the
    mean of what they want.
    """
    blocks: list[tuple[float, int]] = []  # sum of what is wanted, and of how many
    for i, place in enumerate(wanted):
        total, size = place - i, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            more, others = blocks.pop()
            total, size = total + more, size + others
        blocks.append((total, size))
    means = [total / size for total, size in blocks for _ in range(size)]
    slack = rows - len(wanted)
    return [round(i + min(max(mean, 0.0), slack), 2) for i, mean in enumerate(means)]
