"""The trees that a trace tells of: what each search grew, wave by wave, read back from its ``grow`` events. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, cast

__all__ = ["GrownNode", "GrownTree", "State", "Wave", "chosen", "grown_trees", "left_out", "wave_said"]

Event = Mapping[str, Any]
State = Literal["grown", "open", "pruned", "whole", "ended"]
"""Gone on from; kept, and not gone on from; dropped; whole with an answer; at its end without one."""


@dataclass(slots=True, eq=False)
class GrownNode:
    """One step that a search grew.

    Attributes:
        number: in the order of growth, from 1; the root, which is no node here, is 0.
        parent: what it goes on from; None where that is the root.
        depth: steps up to here, itself among them.
        score: by which the search went on, when it was grown.
        tokens: that were generated for it.
        step: its text, as far as the trace keeps it.
        over: nothing comes behind it.
        answer: of a whole solution.
        copies: how often it had been drawn.
        pruned: the search dropped it.
        children: in the order of growth.
    """

    number: int
    parent: GrownNode | None
    depth: int
    score: float
    tokens: int
    step: str
    over: bool = False
    answer: str | None = None
    copies: int = 1
    pruned: bool = False
    children: list[GrownNode] = field(default_factory=list["GrownNode"])

    @property
    def state(self) -> State:
        """What became of it."""
        if self.over:
            return "ended" if self.answer is None else "whole"
        return "grown" if self.children else "pruned" if self.pruned else "open"

    def path(self) -> list[GrownNode]:
        """Return the steps up to here, itself the last."""
        node: GrownNode | None = self
        steps: list[GrownNode] = []
        while node is not None:
            steps.append(node)
            node = node.parent
        return steps[::-1]


@dataclass(frozen=True, slots=True)
class Wave:
    """Steps that were grown at once.

    Attributes:
        nodes: what came of it; fewer than were asked for where calls failed or equal steps came.
        pruned: how many nodes, of this wave and of earlier ones, were dropped after it.
        tokens: generated for it, what scored it included.
    """

    nodes: tuple[GrownNode, ...]
    pruned: int
    tokens: int


@dataclass(slots=True, eq=False)
class GrownTree:
    """All that one search grew.

    Attributes:
        name: of the branches that the search ran in; empty outside any.
        nodes: in the order of growth.
        waves: in order.
        forced: what an answer was forced out of, where nothing was whole.
    """

    name: str = ""
    nodes: list[GrownNode] = field(default_factory=list[GrownNode])
    waves: list[Wave] = field(default_factory=list[Wave])
    forced: GrownNode | None = None

    def behind(self, answer: str | None) -> GrownNode | None:
        """Return the best whole solution with an answer, or what it was forced out of; None where nothing holds it.

        Of equal scores the first: which of them spoke for the answer, the trace does not say.
        """
        holding = [node for node in self.nodes if node.answer is not None and node.answer == answer]
        if holding:
            return max(holding, key=lambda node: (node.score, -node.number))
        return self.forced if answer is not None else None

    def count(self, *states: State) -> int:
        """Count the nodes of these states."""
        return sum(node.state in states for node in self.nodes)


def grown_trees(trace: Sequence[Event]) -> list[GrownTree]:
    """Return the trees of a trace, those of branches among them, in the order in which they were begun.

    An event that is not of the form that searches write is left out.
    """
    trees: list[GrownTree] = []
    _read(trace, "", 0, trees)
    return trees


def wave_said(event: Event) -> str:
    """Say in a line what a wave grew, how good the best of it is, and what was kept, dropped and whole.

    Raises:
        ValueError: it is not the event of a wave.
    """
    told = _told(event)
    if told is None:
        raise ValueError("nodes and pruned are not what a search notes of a wave")
    if not told:
        return "no new step"
    dropped = set(event.get("pruned", ()))
    over = [fact for fact in told if fact.get("over")]
    answers = Counter(_line(fact["answer"]) for fact in over if fact.get("answer") is not None)
    kept = sum(not fact.get("over") and fact["node"] not in dropped for fact in told)
    facts = [f"{kept} kept"] * bool(kept) + [f"{len(dropped)} pruned"] * bool(dropped)
    if answers:
        said = [answer if n == 1 else f"{answer} x{n}" for answer, n in answers.most_common(4)]
        facts.append(f"{answers.total()} whole: {', '.join(said)}{', ...' if len(answers) > 4 else ''}")
    if ended := len(over) - answers.total():
        facts.append(f"{ended} ended without an answer")
    best = max(fact["score"] for fact in told)
    return f"{len(told)} new step{'s' * (len(told) > 1)}, best {best:.2f}: {', '.join(facts)}"


def _line(answer: object, length: int = 24) -> str:
    line = " ".join(str(answer).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _read(trace: Sequence[Event], name: str, before: int, trees: list[GrownTree]) -> None:
    """Read the trees of one list of events; ``before`` tokens had been generated when it began."""
    tree, last = GrownTree(name), before
    known: dict[int, GrownNode] = {}
    for event in trace:
        kind, tokens = event.get("event"), _whole(event.get("tokens"), before)
        if inner := event.get("events"):
            named = str(event.get("name", ""))
            _read(inner, " / ".join(filter(None, (name, named))), before, trees)
        elif kind == "grow" and (told := _told(event)) is not None:
            numbers = [fact["node"] for fact in told]
            if numbers and min(numbers) <= max(known, default=0):  # another search, which counts from 1 again
                tree, known = GrownTree(name), {}
            nodes = [_grown(fact, known) for fact in told]
            pruned = [known[n] for n in event.get("pruned", ()) if n in known]
            for node in pruned:
                node.pruned = True
            if not tree.waves:
                trees.append(tree)
            tree.nodes += nodes
            # What it drew may have been noted before the wave, each sample for itself.
            spent = tokens - (last if tree.waves else before)
            noted = sum(node.tokens * node.copies for node in nodes)
            tree.waves.append(Wave(tuple(nodes), len(pruned), max(spent, noted)))
            last = tokens
        elif kind == "force":
            tree.forced = known.get(_whole(event.get("node"), 0))
        if kind != "score_steps":  # it is noted between the wave's last step and the wave
            before = tokens


def _told(event: Event) -> list[Event] | None:
    """Return the nodes of an event, or None where they are not what a search writes."""
    nodes, pruned = event.get("nodes"), event.get("pruned", ())
    if not isinstance(nodes, list | tuple) or not isinstance(pruned, list | tuple):
        return None
    told = [cast(Event, node) for node in cast(Sequence[object], nodes) if isinstance(node, Mapping)]
    fit = len(told) == len(cast(Sequence[object], nodes))
    fit = fit and all(isinstance(number, int) for number in cast(Sequence[object], pruned))
    return told if fit and all(isinstance(n.get("node"), int) and _is_score(n.get("score")) for n in told) else None


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _grown(fact: Event, known: dict[int, GrownNode]) -> GrownNode:
    parent = known.get(_whole(fact.get("parent"), 0))
    answer = fact.get("answer")
    node = known[fact["node"]] = GrownNode(
        number=fact["node"],
        parent=parent,
        depth=parent.depth + 1 if parent else 1,
        score=float(fact["score"]),
        tokens=_whole(fact.get("tokens"), 0),
        step=str(fact.get("step", "")),
        over=bool(fact.get("over")),
        answer=None if answer is None else str(answer),
        copies=_whole(fact.get("copies"), 1),
    )
    if parent:
        parent.children.append(node)
    return node


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


# -- a part of a large tree --------------------------------------------------------------------------------------------

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
