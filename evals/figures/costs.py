"""The figure of costs: the tokens of each configuration by the kind of call that they went into."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttc.evals.figures.canvas import INK, PALETTE, figure_of, one_line, plain, save, svg_text
from ttc.evals.figures.looks import models_of, short_names

if TYPE_CHECKING:
    from ttc.evals.summary import Point, Summary

__all__ = ["cost_svg", "draw_costs", "final_points", "kinds_of"]

_KINDS = {"generate": "#56b4e9", "revise": "#009e73", "judge": "#e69f00", "reward": "#cc79a7", "probe": "#0072b2"}


def draw_costs(summary: Summary, path_png: Path, path_svg: Path) -> None:
    """Draw the generated tokens per query of each configuration as bars stacked by the kind of call.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with _cost_figure(summary) as figure:
        save(figure, path_png, path_svg)


def cost_svg(summary: Summary) -> str:
    """Return the figure of :func:`draw_costs` as the text of an SVG document.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with _cost_figure(summary) as figure:
        return svg_text(figure)


def final_points(summary: Summary, group: str = "all") -> list[Point]:
    """Return one point per configuration: the last of a curve by prefix, each of those with their own budgets."""
    curves = [c for c in summary.curves if c.group == group]
    return [p for c in curves for p in (c.points[-1:] if c.how == "prefix" else c.points)]


def kinds_of(points: Sequence[Point]) -> list[str]:
    """Return the kinds of calls that cost anything, in the order in which they are stacked."""
    used = {k for p in points for k, tokens in p.kinds.items() if tokens}
    return sorted(used, key=lambda k: ([*_KINDS, k].index(k), k))


@contextmanager
def _cost_figure(summary: Summary) -> Generator[Any]:
    """A panel per model, each with an axis of its own: tokens of two models are not comparable."""
    points = final_points(summary)
    models = models_of(summary) or [""]
    by_model = {model: [p for p in points if p.model == model] for model in models}
    names = kinds_of(points)
    spare = [c for c in PALETTE if c not in _KINDS.values()]
    colours = {k: _KINDS.get(k, spare[i % len(spare)]) for i, k in enumerate(names)}
    heights = [0.6 + 0.36 * len(of_it) for of_it in by_model.values()]
    with figure_of(9.6, 0.9 * len(models) + 0.36 * len(points) + 0.6) as figure:
        panels = figure.subplots(len(models), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (model, of_it) in zip(panels, by_model.items(), strict=True):
            _draw_bars(ax, of_it, colours)
            if len(models) > 1:
                ax.set_title(plain(model or "unnamed model"), loc="left", fontweight="bold", fontsize=10.5)
        _write_kinds(panels[0], colours)
        panels[-1].set_xlabel("generated tokens per query, by kind of call")
        figure.set_layout_engine("tight")
        yield figure


def _draw_bars(ax: Any, points: Sequence[Point], colours: Mapping[str, str]) -> None:
    left = [0.0] * len(points)
    rows = range(len(points))
    for kind, colour in colours.items():
        widths = [p.kinds.get(kind, 0.0) for p in points]
        ax.barh(rows, widths, left=left, height=0.66, color=colour, label=plain(kind))
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, end, point in zip(rows, left, points, strict=True):
        ax.annotate(
            f"{end:,.0f} tokens, {point.accuracy:.0%} right", (end, row), xytext=(6, 0),
            textcoords="offset points", va="center", color=INK, fontsize=9.5,
        )  # fmt: skip
    ax.set_yticks(rows, _labels(points))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, (max(left, default=0.0) or 1.0) * 1.3)


def _write_kinds(ax: Any, colours: Mapping[str, str]) -> None:
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(colours) or 1, frameon=False)


def _labels(points: Sequence[Point]) -> list[str]:
    """Name the bars of one model."""
    names = [one_line(p.strategy) for p in points]
    short = short_names(names, 34)
    return [plain(" ".join(filter(None, (short[name], p.setting)))) for p, name in zip(points, names, strict=True)]
