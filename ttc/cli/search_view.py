"""The tree of a search for people: the way to the answer as a straight line, what branched off from it indented.

What was pruned is counted at the step that it went on from, so that a wide beam takes no more lines than it kept steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttc.cli.printable import one_line
from ttc.strategies.grown_tree import GrownNode, GrownTree, State
from ttc.strategies.part_of_tree import chosen, left_out

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SearchLine", "search_lines", "show_search"]

LINES = 40
"""So many nodes of a tree are shown at the most."""

STEP, ANSWER = 60, 32
"""Characters of a step where the width is not known, and of an answer."""

_MARKS: dict[State, str] = {"grown": "●", "open": "…", "pruned": "×", "whole": "■", "ended": "□"}  # noqa: RUF001
_LEGEND = {"★": "to the answer", "■": "whole", "□": "no answer", "…": "kept"}


@dataclass(frozen=True, slots=True)
class SearchLine:
    """One step, or the root.

    Attributes:
        node: None is the root.
        guide: lines of the tree, and a mark for what became of the step.
        tail: its answer, and how many of those behind it are not shown.
        leads: to the answer.
    """

    node: GrownNode | None
    guide: str
    tail: str
    leads: bool


def show_search(tree: GrownTree, answer: str | None, console: Console) -> None:
    """Print the tree of a search; on a terminal no step takes more than a line."""
    from rich.text import Text

    total, waves = len(tree.nodes), len(tree.waves)
    where = f" in {one_line(tree.name)}" if tree.name else ""
    lines = list(search_lines(tree, answer))
    console.print(
        f"search{where}: {total:,} node{'s' * (total != 1)} in {waves:,} wave{'s' * (waves != 1)}", markup=False
    )
    seen = {line.guide.rstrip()[-1] for line in lines}
    legend = ", ".join(f"{mark} {means}" for mark, means in _LEGEND.items() if mark in seen)
    console.print(Text(f"score  tokens  text{legend and f' ({legend})'}", style="dim"))
    for line in lines:
        node = line.node
        facts = f"{node.score:>5.2f}  {node.tokens:>6,}  " if node else " " * 15
        room = console.width - len(facts) - len(line.guide) - len(line.tail) if console.is_terminal else STEP
        step = one_line(node.step, room) or "(blank)" if node else "the query"
        text = Text.assemble((facts + line.guide, "dim"), (step, "bold" if line.leads else ""), (line.tail, "dim"))
        if console.is_terminal:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text, soft_wrap=True)


def search_lines(tree: GrownTree, answer: str | None) -> Iterator[SearchLine]:
    """Yield the root and up to :data:`LINES` nodes; what branches off stands above the rest.

    None of them was pruned, except on the way to the answer.
    """
    behind = tree.behind(answer)
    path = set(behind.path() if behind else ())
    shown = [node for node in chosen(tree, answer, LINES) if node.state != "pruned" or node in path]
    children: dict[GrownNode | None, list[GrownNode]] = {}
    for node in sorted(shown, key=lambda n: (n not in path, not n.children, -n.score, n.number)):
        children.setdefault(node.parent, []).append(node)
    left = left_out(tree, shown)

    def line(node: GrownNode, guide: str) -> SearchLine:
        said = answer if node is behind else node.came_to
        how = " (forced)" if said != node.came_to else " (by a rollout)" if said != node.answer else ""
        tail = f"  -> {one_line(said, ANSWER)}{how}" if said is not None else ""
        tail += f"  drawn {node.copies} times" * (node.copies > 1)
        mark = "★" if node in path else _MARKS[node.state]
        return SearchLine(node, f"{guide}{mark} ", tail + _missing(left.get(node)), node in path)

    def walk(here: Sequence[GrownNode], guide: str) -> Iterator[SearchLine]:
        while here:
            first, *others = here
            for other in others:
                yield line(other, f"{guide}├─")
                yield from walk(children.get(other, ()), f"{guide}│ ")
            yield line(first, guide)
            here = children.get(first, ())

    yield SearchLine(None, "○ ", _missing(left.get(None)), bool(path))
    yield from walk(children.get(None, ()), "")


def _missing(counts: Mapping[State, int] | None) -> str:
    counts = Counter(counts or {})
    others = sum(counts.values()) - counts["pruned"]
    pruned = f"  +{counts['pruned']:,} pruned" * bool(counts["pruned"])
    return pruned + f"  +{others:,} not shown" * bool(others)
