"""Figures of a run: accuracy against thinking tokens, in one panel for all problems and one per difficulty level.

A figure is a pure function of a :class:`~ttc.evals.summary.Summary`: the same summary gives the same bytes, whatever
the day, the machine's matplotlibrc or the display. A curve of one run read at every prefix is a line with a band;
separately budgeted runs are points with error bars, and only a faint thread joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttc.evals.canvas import FAINT, INK, PALETTE, Style, figure_of, save, svg_text
from ttc.evals.cost_plot import cost_svg, draw_costs

if TYPE_CHECKING:
    from ttc.evals.summary import Curve, Point, Summary

__all__ = [
    "AXIS_LABEL",
    "BASELINE",
    "cost_svg",
    "draw_costs",
    "draw_curves",
    "group_name",
    "panel_groups",
    "panel_svg",
    "reads_prefixes",
    "strategy_styles",
]

AXIS_LABEL = "thinking tokens per query (mean realised, log scale)"
BASELINE = "single"
_MARKERS = {"o": 6.5, "s": 6.0, "^": 8.0, "D": 6.0, "v": 8.0, "P": 8.0}
"""Markers with their size in points, such that they look equally large."""
_FLOOR, _CEILING = -0.03, 1.05
"""A panel reaches a little beyond 0% and 100%, so that markers there are whole."""
_THREAD: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 0.8}
_DOTTED: dict[str, Any] = {"linestyle": (0, (1, 2.2)), "linewidth": 1.1}


def strategy_styles(summary: Summary) -> dict[str, Style]:
    """Give each strategy a colour and a marker: the baseline is ink, curves in bands get the strongest colours."""
    names = list(dict.fromkeys(c.strategy for c in summary.curves))
    banded = {c.strategy for c in summary.curves if reads_prefixes(c)}
    others = sorted((name for name in names if name != BASELINE), key=lambda name: name not in banded)
    markers = list(_MARKERS)
    marks = {
        name: Style(PALETTE[i % len(PALETTE)], markers[(i + i // len(PALETTE)) % len(markers)])
        for i, name in enumerate(others)
    }
    return {name: Style(INK, "*") if name == BASELINE else marks[name] for name in names}


def panel_groups(summary: Summary) -> list[str]:
    """Return the groups that get a panel: all problems, then one per difficulty level, the easiest first."""
    shown = {c.group for c in summary.curves}
    return ["all", *(g for level in summary.classes.get("level", ()) if (g := f"level={level}") in shown)]


def group_name(group: str) -> str:
    """Name a group for a reader: ``level=easy`` is Easy."""
    return "All problems" if group == "all" else group.partition("=")[2].replace("_", " ").capitalize()


def reads_prefixes(curve: Curve) -> bool:
    """Whether a curve is drawn as a line in its band: several points that one run gave."""
    return curve.how == "prefix" and len(curve.points) > 1


def draw_curves(summary: Summary, path_png: Path, path_svg: Path) -> None:
    """Draw all panels as one picture, the PNG 1400 pixels wide.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    levels = panel_groups(summary)[1:]
    with figure_of(14, max(7.4, 2.25 * len(levels) + 0.9) if levels else 6.2) as figure:
        height = figure.get_figheight()
        top, bottom = 1 - 0.95 / height, 0.65 / height
        if levels:
            grid = figure.add_gridspec(
                len(levels), 2, width_ratios=(1.62, 1), left=0.055, right=0.985, bottom=bottom, top=top,
                wspace=0.4, hspace=0.3,
            )  # fmt: skip
            _panel(figure.add_subplot(grid[:, 0]), summary, "all", labels=True)
            limits = _x_limits([p for c in summary.curves if c.group in levels for p in c.points])
            for i, group in enumerate(levels):
                ax = figure.add_subplot(grid[i, 1])
                _panel(ax, summary, group)
                ax.set_xlim(limits)
                ax.set_ylabel("")
                if i + 1 < len(levels):
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
        else:
            figure.subplots_adjust(left=0.055, right=0.82, bottom=bottom, top=top)
            _panel(figure.add_subplot(), summary, "all", labels=True)
        figure.legend(handles=_key(summary), loc="upper left", bbox_to_anchor=(0.045, 0.985), ncols=4, frameon=False)
        save(figure, path_png, path_svg)


def panel_svg(summary: Summary, group: str, *, wide: bool = False) -> str:
    """Draw one panel alone, as an SVG document with a transparent ground: small, or wide with the names beside it.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with figure_of(*((9.6, 4.9) if wide else (4.4, 3.4))) as figure:
        _panel(figure.add_subplot(), summary, group, labels=wide)
        figure.set_layout_engine("tight")
        return svg_text(figure)


# -- one panel ---------------------------------------------------------------------------------------------------------


def _panel(ax: Any, summary: Summary, group: str, *, labels: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    curves = [c for c in summary.curves if c.group == group and c.points]
    points = [p for c in curves for p in c.points]
    styles = strategy_styles(summary)
    ax.set_xscale("log")
    ax.set_xlim(_x_limits(points))
    ax.set_ylim(_y_limits(summary, group))
    for curve in curves:
        for run in _runs(curve):
            _draw(ax, run, styles[curve.strategy])
    for baseline in [p for c in curves if c.strategy == BASELINE for p in c.points[:1]]:
        ax.axhline(baseline.accuracy, color=INK, zorder=1.5, **_DOTTED)
    frontier = _frontier(points)
    if len(frontier) > 1:
        xs, ys = [_x(p) for p in frontier], [p.accuracy for p in frontier]
        ax.step(xs, ys, where="post", color=FAINT, linewidth=0.8, alpha=0.7, zorder=1.8)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=30))
    ax.xaxis.set_major_formatter(FuncFormatter(_thousands))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(AXIS_LABEL, fontsize=10.5 if labels else 9)
    ax.set_ylabel("accuracy")
    ax.set_title(group_name(group), loc="left", fontweight="bold", fontsize=11.5 if labels else 10.5)
    ax.set_title(f"{summary.problems.get(group, 0)} problems", loc="right", color=FAINT, fontsize=9.5)
    if labels:
        _label_ends(ax, curves, styles)


def _runs(curve: Curve) -> list[Curve]:
    """Take a curve by prefix apart into the runs that it was read off: no line leads from one run to another."""
    if curve.how == "explicit":
        return [curve]
    specs = dict.fromkeys(p.spec for p in curve.points)
    return [replace(curve, points=tuple(p for p in curve.points if p.spec == spec)) for spec in specs]


def _draw(ax: Any, curve: Curve, style: Style) -> None:
    points = sorted(curve.points, key=_x)
    xs, ys = [_x(p) for p in points], [p.accuracy for p in points]
    low, high = [p.low for p in points], [p.high for p in points]
    mark: dict[str, Any] = {
        "color": style.colour,
        "marker": style.marker,
        "markersize": _MARKERS.get(style.marker, 14.0),
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
    }
    if reads_prefixes(curve):
        ax.fill_between(xs, low, high, color=style.colour, alpha=0.13, linewidth=0, zorder=1)
        ax.plot(xs, ys, linewidth=2.1, zorder=3, **mark)
        return
    # An interval holds its estimate; rounding must not let an arm turn negative.
    arms = [
        [max(0.0, y - a) for y, a in zip(ys, low, strict=True)],
        [max(0.0, b - y) for y, b in zip(ys, high, strict=True)],
    ]
    ax.errorbar(
        xs, ys, yerr=arms, elinewidth=1.4, capsize=3, zorder=5 if curve.strategy == BASELINE else 4, **_THREAD, **mark
    )


def _label_ends(ax: Any, curves: Sequence[Curve], styles: dict[str, Style]) -> None:
    """Write each strategy's name beside the panel, level with the end of its curve, moved apart where they meet."""
    ends: dict[str, Point] = {}
    for point in (p for c in curves for p in c.points):
        if point.strategy not in ends or _x(point) >= _x(ends[point.strategy]):
            ends[point.strategy] = point
    bottom, top = ax.get_ylim()
    wanted = sorted(((p.accuracy - bottom) / (top - bottom), name) for name, p in ends.items())
    heights = spread([h for h, _ in wanted], gap=0.062)
    for (_, name), height in zip(wanted, heights, strict=True):
        point, colour = ends[name], styles[name].colour
        ax.annotate(
            f"{_short(name)}  {point.accuracy:.0%}", (_x(point), point.accuracy), xytext=(1.035, height),
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


def _thousands(x: float, _: int | None = None) -> str:
    return f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"


def _short(name: str, length: int = 17) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _x(point: Point) -> float:
    """Where a point lies on a logarithmic axis: what costs less than a token lies at one."""
    return max(1.0, point.cost.get("thinking") or 0.0)


def _x_limits(points: Sequence[Point]) -> tuple[float, float]:
    """Leave room on both sides, and never show less than a factor of four."""
    xs = [_x(p) for p in points] or [1.0]
    low, high = min(xs) / 1.25, max(xs) * 1.25
    middle = (low * high) ** 0.5
    return min(low, middle / 2), max(high, middle * 2)


def _y_limits(summary: Summary, group: str) -> tuple[float, float]:
    """Where the panel begins and ends. The levels get the same span, so that equal slopes look equal."""

    def reach(g: str) -> tuple[float, float]:
        points = [p for c in summary.curves if c.group == g for p in c.points]
        low, high = min((p.low for p in points), default=0.0), max((p.high for p in points), default=1.0)
        return max(_FLOOR, low - 0.05), min(_CEILING, high + 0.05)

    low, high = reach(group)
    if group == "all":
        return low, high
    span = max(b - a for a, b in map(reach, panel_groups(summary)[1:] or [group]))
    low = min(max(_FLOOR, (low + high - span) / 2), _CEILING - span)
    return low, low + span


def _frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no cheaper point matches in accuracy, from cheap to dear."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (_x(p), -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def _key(summary: Summary) -> list[Any]:
    """Say how to read the marks; the names stand beside the curves."""
    from matplotlib.lines import Line2D

    others = [c for c in summary.curves if c.strategy != BASELINE]
    marks: list[Any] = []
    if any(reads_prefixes(c) for c in others):
        marks.append(Line2D([], [], color=FAINT, linewidth=2.1, marker="o", label="one run, any prefix (95% band)"))
    if any(not reads_prefixes(c) for c in others):
        marks.append(Line2D([], [], color=FAINT, marker="^", label="separate budgets (95% bars)", **_THREAD))
    if len(others) < len(summary.curves):
        marks.append(Line2D([], [], color=INK, marker="*", markersize=11, label="single: one sample", **_DOTTED))
    marks.append(Line2D([], [], color=FAINT, linewidth=0.8, label="Pareto frontier"))
    return marks
