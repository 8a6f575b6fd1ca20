"""One panel: accuracy against cost on a logarithmic axis, for one group of problems.

A curve of one run read at every prefix is a line with a band; separately budgeted runs are points with error bars, and
only a faint thread joins them. No line leads from one run to another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any

from ttc.evals.axes import AXES, Axis
from ttc.evals.figures.canvas import FAINT, Style, one_line, plain
from ttc.evals.figures.looks import (
    BASELINE,
    MARKERS,
    Line,
    group_name,
    line_styles,
    models_of,
    panel_groups,
    reads_prefixes,
    short_names,
)
from ttc.evals.summary import Curve, Point, Summary

__all__ = [
    "DOTTED",
    "LABEL",
    "THREAD",
    "draw_panel",
    "frontier_of",
    "frontier_shares",
    "line_name",
    "ordered_ticks",
    "places_of",
    "shown_curves",
    "spread",
    "x_limits",
]

_FLOOR, _CEILING = -0.03, 1.05
"""A panel reaches a little beyond 0% and 100%, so that markers there are whole."""
THREAD: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 0.8}
DOTTED: dict[str, Any] = {"linestyle": (0, (1, 2.2)), "linewidth": 1.1}

LABEL = 19
"""Characters of a name beside a panel."""

Place = Callable[[Point], float]


def draw_panel(
    ax: Any,
    summary: Summary,
    group: str,
    *,
    axis: Axis,
    model: str | None = None,
    labels: bool = False,
    title: str = "",
) -> None:
    """Draw the curves of a group.

    Args:
        ax: matplotlib's axes.
        summary: of the run.
        group: of problems.
        axis: what accuracy is put against.
        model: the one that is shown (default: all, which needs an axis that they share).
        labels: write the names of the strategies beside the panel.
        title: instead of the group's name.
    """
    curves = shown_curves(summary, group, axis, model)
    points = [p for c in curves for p in c.points]
    together = model is None and len(models_of(summary)) > 1
    styles = line_styles(summary)
    place = places_of(axis, points)
    ax.set_xscale("log")
    ax.set_xlim(x_limits(points, place))
    ax.set_ylim(_y_limits(summary, group, axis, model))
    shares = frontier_shares(summary, group, axis, model)
    bands = sum(map(reads_prefixes, curves))
    for curve in curves:
        name = line_name(curve.model, curve.strategy, together=together)
        strengths = {
            (p.spec, p.setting): _strength((shares or {}).get((name, p.spec, p.setting), 1.0)) for p in curve.points
        }
        for run in _runs(curve):
            _draw(ax, run, styles[curve.model, curve.strategy], place, strengths, band=0.13 / max(1.0, bands / 3))
    for baseline in [p for c in curves if c.strategy == BASELINE for p in c.points[:1]]:
        ax.axhline(baseline.accuracy, color=styles[baseline.model, BASELINE].colour, zorder=1.5, **DOTTED)
    frontier = frontier_of(points, place)
    if len(frontier) > 1:
        xs, ys = [place(p) for p in frontier], [p.accuracy for p in frontier]
        ax.step(xs, ys, where="post", color=FAINT, linewidth=0.8, alpha=0.7, zorder=1.8)
    ordered_ticks(ax)
    ax.set_xlabel(f"{axis.label}, log scale" if labels else AXES[axis.name], fontsize=10.5 if labels else 9)
    ax.set_ylabel("accuracy")
    heading = one_line(title or group_name(group))
    (heading,) = short_names([heading], 30).values()
    ax.set_title(plain(heading), loc="left", fontweight="bold", fontsize=11.5 if labels else 10.5)
    n = summary.problems.get(group, 0)
    ax.set_title(f"{n:,} problem{'s' * (n != 1)}", loc="right", color=FAINT, fontsize=9.5)
    if not points:
        ax.text(0.5, 0.5, f"no {axis.name} known", transform=ax.transAxes, ha="center", color=FAINT)
    if labels:
        _label_ends(ax, curves, styles, place, together=together)


def shown_curves(summary: Summary, group: str, axis: Axis, model: str | None = None) -> list[Curve]:
    """Return the curves of a group, of one model or of all, with those of their points that the axis knows."""
    of_it = [c for c in summary.curves if c.group == group and model in (None, c.model)]
    known = [replace(c, points=tuple(p for p in c.points if axis.at(p) is not None)) for c in of_it]
    return [c for c in known if c.points]


def places_of(axis: Axis, points: Sequence[Point]) -> Place:
    """Say where points lie on a logarithmic axis: what costs nothing lies left of all others, at half of the least."""
    least = min((x for p in points if (x := axis.at(p))), default=1.0)

    def place(point: Point) -> float:
        return axis.at(point) or least / 2

    return place


_LETTER = 8
"""Pixels that a letter below an axis takes."""


def ordered_ticks(ax: Any) -> None:
    """Put round numbers on a logarithmic axis, few enough to be read, and percent on the other."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    low, high = ax.get_xlim()
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    subs: tuple[float, ...] = (1.0,)
    for subs in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        ticks = [x for decade in decades for sub in subs if low <= (x := sub * 10.0**decade) <= high]
        letters = [log10(b / a) / log10(high / low) * ax.bbox.width / _LETTER for a, b in pairwise(ticks)]
        if all(room > len(_amount(b)) + 1 for room, b in zip(letters, ticks[1:], strict=True)):
            break
    ax.xaxis.set_major_locator(LogLocator(subs=subs, numticks=30))
    ax.xaxis.set_major_formatter(FuncFormatter(_amount))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _runs(curve: Curve) -> list[Curve]:
    """Take a curve by prefix apart into the runs that it was read off: no line leads from one run to another."""
    if curve.how == "explicit":
        return [curve]
    specs = dict.fromkeys(p.spec for p in curve.points)
    return [replace(curve, points=tuple(p for p in curve.points if p.spec == spec)) for spec in specs]


def _draw(
    ax: Any, curve: Curve, style: Style, place: Place, strengths: Mapping[tuple[str, str], float], *, band: float
) -> None:
    points = sorted(curve.points, key=place)
    xs, ys = [place(p) for p in points], [p.accuracy for p in points]
    low, high = [p.low for p in points], [p.high for p in points]
    order = 5 if curve.strategy == BASELINE else 4
    if reads_prefixes(curve):
        ax.fill_between(xs, low, high, color=style.colour, alpha=band, linewidth=0, zorder=1)
        ax.plot(xs, ys, linewidth=2.1, zorder=2.9, color=style.colour)
        order = 3
    else:
        # An interval holds its estimate; rounding must not let an arm turn negative.
        arms = [
            [max(0.0, y - a) for y, a in zip(ys, low, strict=True)],
            [max(0.0, b - y) for y, b in zip(ys, high, strict=True)],
        ]
        ax.errorbar(xs, ys, yerr=arms, elinewidth=1.4, capsize=3, zorder=order - 0.1, color=style.colour, **THREAD)
    size = MARKERS.get(style.marker, 14.0)
    faded = [strengths[p.spec, p.setting] for p in points]
    ax.scatter(
        xs, ys, s=size**2, marker=style.marker, c=[_towards_white(style.colour, f) for f in faded], linewidths=0.8,
        edgecolors=[style.colour if f < 1 else "white" for f in faded], zorder=order,
    )  # fmt: skip


def frontier_shares(
    summary: Summary, group: str, axis: Axis, model: str | None = None
) -> dict[tuple[str, str, str], float] | None:
    """Return in what share of resamples each point is on the frontier, by its line's name, spec and setting.

    None where that was not worked out for what is shown.
    """
    for e in summary.economics:
        if (e.group, e.axis, e.model) == (group, axis.name, model or ""):
            return {(p.strategy, p.spec, p.setting): p.share for p in e.frontier}
    return None


def line_name(model: str, strategy: str, *, together: bool) -> str:
    """Name a line: with its model where models are put together."""
    return f"{model}: {strategy}" if together else strategy


def _strength(share: float) -> float:
    """How strongly a point is drawn: in full where it is on the frontier in half of all resamples."""
    return min(1.0, 0.2 + 1.6 * share)


def _towards_white(colour: str, strength: float) -> str:
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def _label_ends(
    ax: Any, curves: Sequence[Curve], styles: Mapping[Line, Style], place: Place, *, together: bool
) -> None:
    """Write each strategy's name beside the panel, level with the end of its curve, moved apart where they meet."""
    ends: dict[Line, Point] = {}
    for point in (p for c in curves for p in c.points):
        line = (point.model, point.strategy)
        if line not in ends or place(point) >= place(ends[line]):
            ends[line] = point
    long = {line: one_line(line_name(*line, together=together)) for line in ends}
    names = short_names(long.values(), LABEL)
    bottom, top = ax.get_ylim()
    wanted = sorted(((p.accuracy - bottom) / (top - bottom), line) for line, p in ends.items())
    heights = spread([h for h, _ in wanted], gap=min(0.062, 1 / max(1, len(wanted) - 1)))
    for (_, line), height in zip(wanted, heights, strict=True):
        point, colour = ends[line], styles[line].colour
        ax.annotate(
            f"{plain(names[long[line]])}  {point.accuracy:.1%}", (place(point), point.accuracy), xytext=(1.035, height),
            textcoords="axes fraction", va="center", color=colour, fontweight="bold", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "alpha": 0.5, "shrinkA": 2, "shrinkB": 6},
        )  # fmt: skip


def spread(heights: Sequence[float], *, gap: float) -> list[float]:
    """Move ascending heights in [0, 1] apart until neighbours are at least ``gap`` away, as little as that takes."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap if placed else 0.0))
    # What was pushed above the panel is let down again, the highest first.
    ceiling = max(1.0, gap * (len(placed) - 1))
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _amount(x: float, _: int | None = None) -> str:
    """Write a number of a cost: 200, 2k, 2M; small ones in full, tiny and huge ones by their power of ten."""
    if 1e-7 <= x < 9e-3:
        return f"{x:.8f}".rstrip("0")
    if x >= 1e9 or x < 1e-7:
        return f"{x:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{x / 1e6:g}M" if x >= 1e6 else f"{x / 1e3:g}k" if x >= 1e3 else f"{x:g}"


def x_limits(points: Sequence[Point], place: Place) -> tuple[float, float]:
    """Leave room on both sides, and never show less than a factor of four."""
    xs = [place(p) for p in points] or [1.0]
    low, high = min(xs) / 1.25, max(xs) * 1.25
    middle = (low * high) ** 0.5
    return min(low, middle / 2), max(high, middle * 2)


def _y_limits(summary: Summary, group: str, axis: Axis, model: str | None) -> tuple[float, float]:
    """Where the panel begins and ends. The levels get the same span, so that equal slopes look equal."""

    def reach(g: str) -> tuple[float, float]:
        points = [p for c in shown_curves(summary, g, axis, model) for p in c.points]
        low, high = min((p.low for p in points), default=0.0), max((p.high for p in points), default=1.0)
        return max(_FLOOR, low - 0.05), min(_CEILING, high + 0.05)

    low, high = reach(group)
    if group == "all":
        return low, high
    span = max(b - a for a, b in map(reach, panel_groups(summary)[1:] or [group]))
    low = min(max(_FLOOR, (low + high - span) / 2), _CEILING - span)
    return low, low + span


def frontier_of(points: Sequence[Point], place: Place) -> list[Point]:
    """Return the points that no cheaper point matches in accuracy, from cheap to dear."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (place(p), -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best
