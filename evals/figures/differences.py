"""The figure of a comparison of two runs: each difference with its interval, one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttc.evals.figures.canvas import FAINT, INK, PALETTE, figure_of, one_line, plain, svg_text

if TYPE_CHECKING:
    from ttc.evals.comparison.differences import RunComparison

__all__ = ["difference_svg"]

MOST = 40
"""Rows; a comparison of more is shown by its first ones."""


def difference_svg(comparison: RunComparison) -> str:
    """Draw the differences of accuracy in points, first run less second, as the text of an SVG document.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    rows = comparison.differences[:MOST]
    with figure_of(9.6, 1.2 + 0.34 * len(rows)) as figure:
        ax: Any = figure.add_subplot()
        ax.axvline(0, color=FAINT, linewidth=1)
        for place, row in enumerate(rows):
            colour = FAINT if not row.credible else PALETTE[2] if row.difference > 0 else PALETTE[1]
            ax.plot(
                [100 * row.low, 100 * row.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round"
            )
            filled = row.credible and row.p_holm < 0.05
            ax.plot(
                [100 * row.difference], [place], marker="o", color=colour, markersize=7, markeredgewidth=1.6,
                markerfacecolor=colour if filled else "#ffffff",
            )  # fmt: skip
        several = len({(row.a.model, row.b.model) for row in comparison.differences}) > 1
        ax.set_yticks(range(len(rows)), [_name(row.a.name, row.b.name, row.a.model if several else "") for row in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("difference of accuracy in points, first run less second, with its 95% interval", color=INK)
        figure.set_layout_engine("tight")
        return svg_text(figure)


def _name(a: str, b: str, model: str) -> str:
    name = a if a == b else f"{a} − {b}"  # noqa: RUF001 -- a minus sign, to be read
    name = _cut(one_line(name), 44)
    return plain(f"{_cut(one_line(model), 24)}: {name}" if model else name)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
