"""Groups of problems that every curve is shown for: all, the values of each tag that has few, and difficulty bins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["ALWAYS", "FEW", "class_groups"]

ALWAYS = ("level", "family")
"""Tags that make groups however many values they have."""
FEW = 12
"""Any other tag makes groups where it has two to so many values."""
LEVELS = ("easy", "medium", "hard")


def class_groups(
    tags: Mapping[str, Mapping[str, str]], difficulty: Mapping[str, str] | None = None
) -> tuple[dict[str, frozenset[str]], dict[str, tuple[str, ...]]]:
    """Sort problems into groups.

    Args:
        tags: of each problem, its query class.
        difficulty: the bin of each problem for which one is known, as :mod:`ttc.evals.difficulty_bins` makes them; they
            take the place of a tag of that name.

    Returns:
        Problems by group (``all``, ``level=easy``, ``difficulty=1 of 5``), and the values of each tag in the order to
        show them: levels from easy to hard, numbers by size, the others by name.
    """
    members: dict[tuple[str, str], set[str]] = {}
    for problem, own in tags.items():
        for tag, value in own.items():
            if not (difficulty and tag == "difficulty"):
                members.setdefault((tag, value), set()).add(problem)
    for problem, label in (difficulty or {}).items():
        if problem in tags:
            members.setdefault(("difficulty", label), set()).add(problem)
    classes = dict(_shown(members, binned=bool(difficulty)))
    groups = {f"{tag}={value}": frozenset(members[tag, value]) for tag, values in classes.items() for value in values}
    return {"all": frozenset(tags), **groups}, classes


def _shown(members: Mapping[tuple[str, str], set[str]], *, binned: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tags that make groups, with their values in order: level, family, the difficulty bins, then by name."""
    values: dict[str, list[str]] = {}
    for tag, value in members:
        values.setdefault(tag, []).append(value)
    first = (*ALWAYS, "difficulty") if binned else ALWAYS
    for tag in (*first, *sorted(set(values).difference(first))):
        found = sorted(values.get(tag, ()), key=_rank)
        if tag in first or 2 <= len(found) <= FEW:
            yield tag, tuple(found)


def _rank(value: str) -> tuple[int, list[tuple[bool, int, str]]]:
    """Levels first, then by name, with the numbers in it by their size."""
    level = LEVELS.index(value) if value in LEVELS else len(LEVELS)
    parts = re.split(r"([0-9]+)", value)  # every second one is a number
    return level, [(i % 2 == 0, int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]
