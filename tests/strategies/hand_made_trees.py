"""Trees that are grown by hand, a value for each new node: what tests of pure searches tell them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ttc.strategies.choice import By, Choice
from ttc.strategies.tree import Node, Search, Tree
from ttc.types import Candidate, Query, Sample

QUERY = Query.of("?")


def tree(seed: int = 1, *, max_steps: int = 40) -> Tree:
    return Tree(random.Random(seed), max_steps=max_steps)


def choice(by: By = "weighted") -> Choice:
    return Choice(QUERY, 0.5, by=by)


def grow(search: Search, parents: Sequence[Node], values: Sequence[float], *, answer: str = "") -> list[Node]:
    """Grow a wave, each child with a value; with an answer all of them are whole."""
    children: list[Node] = []
    for parent, value in zip(parents, values, strict=True):
        text = f"{parent.candidate.sample.text if parent.candidate else ''}{len(search.tree.nodes)} "
        added = Sample(text=text, finish="stop" if answer else "step")
        node = search.tree.add(parent, Candidate(answer or None, added, value), added)
        assert node is not None
        node.value = value
        children.append(node)
    return children


def step(search: Search, values: Sequence[float], *, answer: str = "") -> list[Node]:
    """Ask for a wave, grow the first of it with these values, and tell; the others failed."""
    children = grow(search, search.ask()[: len(values)], values, answer=answer)
    search.tell(children)
    return children


def numbers(wave: Sequence[Node]) -> list[int]:
    return [node.number for node in wave]
