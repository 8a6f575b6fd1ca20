"""The trees that a trace tells of: what each search grew, wave by wave, read back from its ``grow`` events. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, cast

__all__ = [
    "GrownNode",
    "GrownTree",
    "State",
    "Wave",
    "grown_trees",
    "wave_said",
    "without_step_calls",
]

Event = Mapping[str, Any]
State = Literal["grown", "open", "pruned", "whole", "ended"]
"""Gone on from; kept, and not gone on from; dropped; whole with an answer; at its end without one."""

SCORING = frozenset({"judge", "score", "score_steps"})
"""Events of what scored a wave: they are noted between its last node and the wave."""


@dataclass(slots=True, eq=False)
class GrownNode:
    """One step, or whole attempt, that a search grew.

    Attributes:
        number: in the order of growth, from 1; the root, which is no node here, is 0.
        parent: what it goes on from; None where that is the root.
        depth: steps up to here, itself among them.
        score: by which the search went on, when it was grown.
        tokens: that were generated for it.
        step: its text, as far as the trace keeps it.
        over: nothing comes behind it.
        answer: of a whole solution.
        ahead: the answer of the whole solution that a rollout from here came to.
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
    ahead: str | None = None
    copies: int = 1
    pruned: bool = False
    children: list[GrownNode] = field(default_factory=list["GrownNode"])

    @property
    def state(self) -> State:
        """What became of it."""
        if self.over:
            return "ended" if self.answer is None else "whole"
        return "grown" if self.children else "pruned" if self.pruned else "open"

    @property
    def came_to(self) -> str | None:
        """The answer of the whole solution that it is, or that a rollout from it came to."""
        return self.ahead if self.answer is None else self.answer

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
    """Nodes that were grown at once.

    Attributes:
        nodes: what came of it; fewer than were asked for where calls failed or equal texts came.
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
        """Return the node that holds an answer, or that it was forced out of; None where there is neither.

        It is the best whole solution with it, or the step from which a rollout came to one. Of equal scores the first:
        which of them spoke for the answer, the trace does not say.
        """
        holding = [node for node in self.nodes if node.came_to is not None and node.came_to == answer]
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
    again = [f"{len(copies)} drawn again"] if (copies := _copies(event)) else []
    if not told:
        return ": ".join(["no new node", *again])
    dropped = set(event.get("pruned", ()))
    over = [fact for fact in told if fact.get("over")]
    answers = Counter(_line(fact["answer"]) for fact in over if fact.get("answer") is not None)
    ahead = Counter(_line(fact["ahead"]) for fact in told if fact.get("ahead") is not None)
    kept = sum(not fact.get("over") and fact["node"] not in dropped for fact in told)
    facts = [f"{kept} kept"] * bool(kept) + [f"{len(dropped)} pruned"] * bool(dropped)
    facts += [f"{answers.total()} whole: {_most(answers)}"] * bool(answers)
    facts += [f"{ahead.total()} whole at the end of a rollout: {_most(ahead)}"] * bool(ahead)
    if ended := len(over) - answers.total():
        facts.append(f"{ended} ended without an answer")
    best = max(fact["score"] for fact in told)
    return f"{len(told)} new node{'s' * (len(told) > 1)}, best {best:.2f}: {', '.join(facts + again)}"


def without_step_calls(events: Sequence[Event]) -> list[Event]:
    """Leave out a judge's calls for the steps of a wave, of which the event behind them tells all at once."""
    kept: list[Event] = []
    told = False
    for event in reversed(events):
        told = event.get("event") in ("score_steps", "grow") or (told and event.get("event") == "judge")
        if not (told and event.get("event") == "judge"):
            kept.append(event)
    return kept[::-1]


def _most(answers: Counter[str], shown: int = 4) -> str:
    said = [answer if n == 1 else f"{answer} x{n}" for answer, n in answers.most_common(shown)]
    return ", ".join(said) + ", ..." * (len(answers) > shown)


def _line(answer: object, length: int = 24) -> str:
    line = " ".join(str(answer).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _read(trace: Sequence[Event], name: str, before: int, trees: list[GrownTree]) -> None:
    """Read the trees of one list of events; ``before`` tokens had been generated when it began."""
    tree, last = GrownTree(name), before
    earlier: list[tuple[Event, int]] = []  # events since the last wave, each with the tokens before it
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
            for number, copies in _copies(event).items():
                if number in known:
                    known[number].copies = copies
            if not tree.waves:
                trees.append(tree)
            tree.nodes += nodes
            spent = tokens - (last if tree.waves else _begun(earlier, nodes, before))
            if "tokens" not in event:  # over several models, whose tokens are not added up
                spent = sum(node.tokens * node.copies for node in nodes)
            tree.waves.append(Wave(tuple(nodes), len(pruned), spent))
            last = tokens
            earlier.clear()
        elif kind == "force":
            tree.forced = known.get(_whole(event.get("node"), 0))
        earlier.append((event, before))
        before = tokens


def _begun(earlier: Sequence[tuple[Event, int]], nodes: Sequence[GrownNode], before: int) -> int:
    """Return the tokens before a first wave: before the samples that its nodes were noted as, and what scored it."""
    drawn = Counter[int]()
    for node in nodes:
        drawn[node.tokens] += node.copies
    for event, earlier_tokens in reversed(earlier):
        if event.get("event") == "sample" and event.get("kind", "generate") == "generate":
            generated = _whole(event.get("generated"), 0)
            if generated and not drawn[generated]:
                break
            drawn[generated] -= 1
        elif event.get("event") not in SCORING:
            break
        before = earlier_tokens
    return before


def _copies(event: Event) -> dict[int, int]:
    """Return how often earlier nodes have been drawn by now, of those that were drawn again in this wave."""
    again = event.get("again")
    found = cast(Mapping[Any, object], again).items() if isinstance(again, Mapping) else ()
    # Numbers that were stored as JSON are strings.
    return {int(number): _whole(copies, 1) for number, copies in found if str(number).isdecimal()}


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
    answer, ahead = fact.get("answer"), fact.get("ahead")
    node = known[fact["node"]] = GrownNode(
        number=fact["node"],
        parent=parent,
        depth=parent.depth + 1 if parent else 1,
        score=float(fact["score"]),
        tokens=_whole(fact.get("tokens"), 0),
        step=str(fact.get("step", "")),
        over=bool(fact.get("over")),
        answer=None if answer is None else str(answer),
        ahead=None if ahead is None else str(ahead),
        copies=_whole(fact.get("copies"), 1),
    )
    if parent:
        parent.children.append(node)
    return node


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
