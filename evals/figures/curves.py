"""Figures of a run: accuracy against cost, for all problems and for each bin of difficulty or level.

A figure is a pure function of a :class:`~ttc.evals.summary.Summary` and its axis: the same summary gives the same
bytes, whatever the day, the machine's matplotlibrc or the display. Of several models each has a panel where the axis
counts tokens or calls; FLOPs, dollars and seconds put them together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ttc.evals.axes import Axis, make_axis
from ttc.evals.figures.canvas import FAINT, INK, figure_of, plain, save, svg_text
from ttc.evals.figures.costs import cost_svg, draw_costs
from ttc.evals.figures.looks import (
    BASELINE,
    group_name,
    models_of,
    panel_groups,
    reads_prefixes,
    strategy_styles,
)
from ttc.evals.figures.panels import (
    DOTTED,
    LABEL,
    THREAD,
    draw_panel,
    frontier_shares,
    line_name,
    ordered_ticks,
    places_of,
    shown_curves,
    x_limits,
)
from ttc.evals.figures.shares import draw_shares
from ttc.evals.summary import Summary

__all__ = [
    "BASELINE",
    "cost_svg",
    "draw_costs",
    "draw_curves",
    "draw_shares",
    "group_name",
    "panel_groups",
    "panel_svg",
    "reads_prefixes",
    "strategy_styles",
]

_ROW = 5
"""Small panels in a row."""
_SIDE = 3
"""So many small panels stand beside the large one; more of them in rows below it."""


def draw_curves(summary: Summary, path_png: Path, path_svg: Path, *, axis: Axis | None = None) -> None:
    """Draw all panels as one picture, the PNG 1400 pixels wide.

    Args:
        summary: of the run.
        path_png: where to.
        path_svg: where to.
        axis: what accuracy is put against (default: thinking tokens), see :func:`ttc.evals.axes.make_axis`.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    axis = axis or make_axis("thinking", summary)
    small = panel_groups(summary)[1:]
    models = models_of(summary)
    if len(models) > 1 and not axis.shared:
        _panel_per_model(summary, axis, models, path_png, path_svg)
    elif len(small) > _SIDE:
        _rows_below(summary, axis, small, path_png, path_svg)
    else:
        _beside(summary, axis, small, path_png, path_svg)


def panel_svg(
    summary: Summary, group: str, *, wide: bool = False, axis: Axis | None = None, model: str | None = None
) -> str:
    """Draw one panel alone, as an SVG document with a transparent ground: small, or wide with the names beside it.

    Args:
        summary: of the run.
        group: of problems.
        wide: with the names of the strategies.
        axis: what accuracy is put against (default: thinking tokens).
        model: which one (default: all on an axis that models share, else the first).

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    axis = axis or make_axis("thinking", summary)
    models = models_of(summary)
    if model is None and len(models) > 1 and not axis.shared:
        model = models[0]
    with figure_of(*((9.6, 4.9) if wide else (4.4, 3.4))) as figure:
        draw_panel(figure.add_subplot(), summary, group, axis=axis, model=model, labels=wide)
        figure.set_layout_engine("tight")
        return svg_text(figure)


# -- layouts -----------------------------------------------------------------------------------------------------------


def _beside(summary: Summary, axis: Axis, small: list[str], path_png: Path, path_svg: Path) -> None:
    """One large panel, and the small ones in a column beside it."""
    with figure_of(14, max(7.4, 2.25 * len(small) + 0.9) if small else 6.2) as figure:
        height = figure.get_figheight()
        edges = {"top": 1 - 0.95 / height, "bottom": (0.85 if _notes(summary, axis) else 0.65) / height}
        if small:
            large = figure.add_gridspec(1, 1, left=0.055, right=0.665 - _room(summary, axis), **edges)
            grid = figure.add_gridspec(len(small), 1, left=0.72, right=0.985, hspace=0.3, **edges)
            draw_panel(figure.add_subplot(large[0, 0]), summary, "all", axis=axis, labels=True)
            limits = _common_limits(summary, axis, small)
            for i, group in enumerate(small):
                ax = figure.add_subplot(grid[i, 0])
                draw_panel(ax, summary, group, axis=axis)
                ax.set_xlim(limits)
                ordered_ticks(ax)
                ax.set_ylabel("")
                if i + 1 < len(small):
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
        else:
            figure.subplots_adjust(left=0.055, right=0.985 - _room(summary, axis), **edges)
            draw_panel(figure.add_subplot(), summary, "all", axis=axis, labels=True)
        _finish(figure, summary, axis, path_png, path_svg)


def _rows_below(summary: Summary, axis: Axis, small: list[str], path_png: Path, path_svg: Path) -> None:
    """One large panel, and the small ones in rows below it, easy ones first."""
    rows = -(-len(small) // _ROW)
    with figure_of(14, 6.5 + 2.9 * rows) as figure:
        height = figure.get_figheight()
        right = 0.985 - _room(summary, axis)
        upper = figure.add_gridspec(1, 1, left=0.055, right=right, top=1 - 0.95 / height, bottom=1 - 5.6 / height)
        draw_panel(figure.add_subplot(upper[0, 0]), summary, "all", axis=axis, labels=True)
        columns = min(_ROW, len(small))
        grid = figure.add_gridspec(
            rows, columns, left=0.055, right=0.985, bottom=0.95 / height, top=1 - 6.55 / height, wspace=0.12, hspace=0.4
        )
        limits = _common_limits(summary, axis, small)
        axes: list[Any] = []
        for i, group in enumerate(small):
            ax = figure.add_subplot(grid[i // columns, i % columns])
            draw_panel(ax, summary, group, axis=axis)
            ax.set_xlim(limits)
            ordered_ticks(ax)
            ax.set_xlabel("")
            ax.tick_params(labelrotation=45, axis="x")
            if i % columns:
                ax.set_ylabel("")
                ax.tick_params(labelleft=False)
            axes.append(ax)
        low, high = min(ax.get_ylim()[0] for ax in axes), max(ax.get_ylim()[1] for ax in axes)
        for ax in axes:
            ax.set_ylim(low, high)
        _finish(figure, summary, axis, path_png, path_svg)


def _panel_per_model(summary: Summary, axis: Axis, models: list[str], path_png: Path, path_svg: Path) -> None:
    """A panel per model: what they count is not comparable, so that nothing leads from one to another."""
    rows = -(-len(models) // 2)
    with figure_of(14, 1.3 + 4.9 * rows) as figure:
        height = figure.get_figheight()
        room = _room(summary, axis)
        width = (0.93 - 2 * room - 0.055) / 2
        grid = figure.add_gridspec(
            rows, 2, left=0.055, right=0.985 - room, top=1 - 0.95 / height, bottom=0.75 / height, hspace=0.35,
            wspace=(room + 0.055) / width,
        )  # fmt: skip
        for i, model in enumerate(models):
            ax = figure.add_subplot(grid[i // 2, i % 2])
            draw_panel(ax, summary, "all", axis=axis, model=model, labels=True, title=model or "unnamed model")
        _finish(figure, summary, axis, path_png, path_svg)


def _room(summary: Summary, axis: Axis) -> float:
    """What the names beside a large panel take of the width of a figure."""
    together = axis.shared and len(models_of(summary)) > 1
    names = [line_name(c.model, c.strategy, together=together) for c in summary.curves]
    return 0.02 + 0.11 * (6 + min(LABEL, max(map(len, names), default=0))) / 14


def _finish(figure: Any, summary: Summary, axis: Axis, path_png: Path, path_svg: Path) -> None:
    figure.legend(handles=_key(summary, axis), loc="upper left", bbox_to_anchor=(0.045, 0.985), ncols=5, frameon=False)
    if notes := _notes(summary, axis):
        figure.text(0.985, 0.008, plain("; ".join(notes)), ha="right", va="bottom", color=FAINT, fontsize=8.5)
    save(figure, path_png, path_svg)


def _common_limits(summary: Summary, axis: Axis, groups: list[str]) -> tuple[float, float]:
    points = [p for g in groups for c in shown_curves(summary, g, axis) for p in c.points]
    return x_limits(points, places_of(axis, points))


def _notes(summary: Summary, axis: Axis) -> list[str]:
    """What a reader should know of the points: those that are not there, those that cost nothing, where bins are of."""
    whole = [p for c in summary.curves if c.group == "all" for p in c.points]
    missing = sum(axis.at(p) is None for p in whole)
    notes = [f"{missing} of {len(whole)} points have no known {axis.name} and are not shown"] if missing else []
    if any(axis.at(p) == 0 for p in whole):
        notes.append("what costs nothing stands at the left edge")
    if axis.name == "seconds":
        notes.append("a call that the store answered took no time")
    if bins := summary.run.get("difficulty"):
        notes.append(str(bins))
    return notes


def _key(summary: Summary, axis: Axis) -> list[Any]:
    """Say how to read the marks; the names stand beside the curves."""
    from matplotlib.lines import Line2D

    others = [c for c in summary.curves if c.strategy != BASELINE]
    marks: list[Any] = []
    if any(reads_prefixes(c) for c in others):
        marks.append(Line2D([], [], color=FAINT, linewidth=2.1, marker="o", label="one run, any prefix (95% band)"))
    if any(not reads_prefixes(c) for c in others):
        marks.append(Line2D([], [], color=FAINT, marker="^", label="separate budgets (95% bars)", **THREAD))
    if len(others) < len(summary.curves):
        colour = INK if len(models_of(summary)) == 1 else FAINT
        marks.append(Line2D([], [], color=colour, marker="*", markersize=11, label="single: one sample", **DOTTED))
    marks.append(Line2D([], [], color=FAINT, linewidth=0.8, label="Pareto frontier"))
    models = [None] if axis.shared or len(models_of(summary)) == 1 else models_of(summary)
    if any(frontier_shares(summary, "all", axis, model) for model in models):
        pale: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": FAINT, "linestyle": ""}
        marks.append(Line2D([], [], label="pale: seldom on it in resamples", **pale))
    return marks
