"""How strategies and models look and what they are called in every figure: colours, marks, names that stay apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from ttc.evals.figures.canvas import INK, PALETTE, Style
from ttc.evals.summary import Curve, Summary

__all__ = [
    "BASELINE",
    "MARKERS",
    "Line",
    "group_name",
    "line_styles",
    "models_of",
    "panel_groups",
    "reads_prefixes",
    "short_names",
    "strategy_styles",
]

BASELINE = "single"
MARKERS = {"o": 6.5, "s": 6.0, "^": 8.0, "D": 6.0, "v": 8.0, "P": 8.0}
"""Markers with their size in points, such that they look equally large."""
_PANELS = 10
"""Classes of more values than this get no panels: they are in the tables."""

Line = tuple[str, str]
"""What a line of a figure is of: model and strategy."""


def models_of(summary: Summary) -> list[str]:
    """Return the models of a run by name, in the order of the curves; ``[""]`` where there is one."""
    return list(dict.fromkeys(c.model for c in summary.curves))


def reads_prefixes(curve: Curve) -> bool:
    """Whether a curve is drawn as a line in its band: several points that one run gave."""
    return curve.how == "prefix" and len(curve.points) > 1


def strategy_styles(summary: Summary) -> dict[str, Style]:
    """Give each strategy a colour and a marker: the baseline is ink, curves in bands get the strongest colours."""
    names = list(dict.fromkeys(c.strategy for c in summary.curves))
    banded = {c.strategy for c in summary.curves if reads_prefixes(c)}
    others = sorted((name for name in names if name != BASELINE), key=lambda name: name not in banded)
    markers = list(MARKERS)
    marks = {
        name: Style(PALETTE[i % len(PALETTE)], markers[(i + i // len(PALETTE)) % len(markers)])
        for i, name in enumerate(others)
    }
    return {name: Style(INK, "*") if name == BASELINE else marks[name] for name in names}


def line_styles(summary: Summary) -> dict[Line, Style]:
    """Give each line its look, the same in every figure, chart and table: a strategy's own where there is one model.

    Of several models each pair of model and strategy has its own colour and mark; one sample keeps its star.
    """
    styles = strategy_styles(summary)
    lines = list(dict.fromkeys((c.model, c.strategy) for c in summary.curves))
    if len(models_of(summary)) < 2:
        return {line: styles[line[1]] for line in lines}
    marks = list(MARKERS)
    return {
        (model, strategy): Style(
            PALETTE[i % len(PALETTE)],
            "*" if strategy == BASELINE else marks[(i + i // len(PALETTE)) % len(marks)],
        )
        for i, (model, strategy) in enumerate(lines)
    }


def panel_groups(summary: Summary) -> list[str]:
    """Return the groups that get a panel: all problems, then one per bin of difficulty or else level, easy first."""
    shown = {c.group for c in summary.curves}
    tag = "difficulty" if summary.classes.get("difficulty") else "level"
    groups = [g for value in summary.classes.get(tag, ()) if (g := f"{tag}={value}") in shown]
    return ["all", *(groups if len(groups) <= _PANELS else ())]


def group_name(group: str) -> str:
    """Name a group for a reader: ``level=easy`` is Easy, ``difficulty=1 of 5`` is Difficulty 1 of 5."""
    if group == "all":
        return "All problems"
    tag, _, value = group.partition("=")
    value = value.replace("_", " ")
    return f"{tag} {value}".capitalize() if value[:1].isdigit() else value.capitalize()


def short_names(names: Iterable[str], length: int = 17) -> dict[str, str]:
    """Cut names to a length such that they can still be told apart: where the beginnings are alike, by what differs."""
    wanted = list(dict.fromkeys(names))
    cut = {name: _cut(name, wanted, length) for name in wanted}
    taken: set[str] = set()
    for name in wanted:
        short, i = cut[name], 2
        while cut[name] in taken:
            mark = f"…{i}"
            cut[name], i = short[: length - len(mark)] + mark, i + 1
        taken.add(cut[name])
    return cut


def _cut(name: str, others: Sequence[str], length: int) -> str:
    if len(name) <= length:
        return name
    alike = max((_alike(name, other) for other in others if other != name), default=0)
    if alike < length - 1:
        return name[: length - 1] + "…"
    head = name[: length // 3]
    room = length - len(head) - 1
    rest = name[max(len(head), min(alike, len(name) - room)) :]
    return head + "…" + (rest if len(rest) <= room else rest[: room - 1] + "…")


def _alike(a: str, b: str) -> int:
    """With how many equal signs two names begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
