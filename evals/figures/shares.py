"""The figure of shares: what became of samples that were no use, against compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ttc.evals.axes import Axis, make_axis
from ttc.evals.figures.canvas import figure_of, one_line, plain, save
from ttc.evals.figures.looks import BASELINE, MARKERS, line_styles, models_of, reads_prefixes, short_names
from ttc.evals.figures.panels import THREAD, line_name, ordered_ticks, places_of, shown_curves, x_limits

if TYPE_CHECKING:
    from ttc.evals.summary import Summary

__all__ = ["SHARES", "draw_shares", "shares_shown"]

SHARES = {
    "refused": "samples that decline to answer",
    "unparsed": "samples without a readable answer",
    "cut_thoughts": "samples cut while thinking",
    "abstained": "queries without an answer",
}
"""The shares of a point that are drawn, with what they are shares of."""


def shares_shown(summary: Summary) -> list[str]:
    """Return the shares that are not zero at every point of the run."""
    points = [p for c in summary.curves if c.group == "all" for p in c.points]
    return [name for name in SHARES if any(getattr(p, name) > 0 for p in points)]


def draw_shares(summary: Summary, path_png: Path, path_svg: Path, *, axis: Axis | None = None) -> bool:
    """Draw each share that is not zero everywhere against compute, a panel each; of several models a row each.

    Args:
        summary: of the run.
        path_png: where to.
        path_svg: where to.
        axis: what the shares are put against (default: thinking tokens).

    Returns:
        Whether there was anything to draw; otherwise nothing is written.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    shown = shares_shown(summary)
    if not shown:
        return False
    axis = axis or make_axis("thinking", summary)
    together = axis.shared and len(models_of(summary)) > 1
    rows: list[str | None] = [None] if axis.shared else [*models_of(summary)]
    styles = line_styles(summary)
    with figure_of(14, 0.9 + 3.7 * len(rows)) as figure:
        from matplotlib.ticker import PercentFormatter

        panels = figure.subplots(len(rows), len(shown), squeeze=False)
        for model, row in zip(rows, panels, strict=True):
            curves = shown_curves(summary, "all", axis, model)
            points = [p for c in curves for p in c.points]
            place = places_of(axis, points)
            names = {(c.model, c.strategy): one_line(line_name(c.model, c.strategy, together=together)) for c in curves}
            short = short_names(names.values(), 28)
            for ax, share in zip(row, shown, strict=True):
                ax.set_xscale("log")
                ax.set_xlim(x_limits(points, place))
                for curve in curves:
                    style = styles[curve.model, curve.strategy]
                    label = plain(short[names[curve.model, curve.strategy]])
                    order = 4 if curve.strategy == BASELINE else 3
                    ax.plot(
                        [place(p) for p in curve.points], [getattr(p, share) for p in curve.points],
                        color=style.colour, marker=style.marker, markersize=MARKERS.get(style.marker, 11.0),
                        markeredgecolor="white", markeredgewidth=0.8, label=label, zorder=order,
                        **({"linewidth": 1.8} if reads_prefixes(curve) else THREAD),
                    )  # fmt: skip
                ordered_ticks(ax)
                ax.yaxis.set_major_formatter(PercentFormatter(1.0))
                ax.set_ylim(0, max(0.02, 1.12 * max((getattr(p, share) for p in points), default=0.0)))
                ax.set_title(plain(f"{model}: {SHARES[share]}" if model else SHARES[share]), loc="left", fontsize=10.5)
                ax.set_xlabel(axis.label, fontsize=9)
            row[0].set_ylabel("share")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True))
        lines = -(-len(found) // 4)
        height = figure.get_figheight()
        figure.legend(found.values(), found.keys(), loc="upper left", ncols=4, frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 1 - (0.1 + 0.25 * lines) / height))
        save(figure, path_png, path_svg)
    return True
