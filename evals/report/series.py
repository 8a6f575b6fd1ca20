"""The lines of a run's charts: a strategy, in a run of several models on one of them, with its colour and mark."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.evals.figures.canvas import PALETTE, Style
from ttc.evals.figures.curves import BASELINE, reads_prefixes
from ttc.evals.figures.looks import line_styles, models_of
from ttc.evals.summary import Summary

__all__ = ["Series", "colour_name", "models_of", "series_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One entry of the key.

    Attributes:
        name: for a reader; of its own in the run.
        strategy: the strategy's spec without its ``n``.
        model: that answered; empty in a run of one model.
        colour: the page's name of it: ``ink``, or ``s0`` and so on.
        marker: as matplotlib names it.
        prefix: its points were read off one run.
        how: in words, where its points come from.
    """

    name: str
    strategy: str
    model: str
    colour: str
    marker: str
    prefix: bool
    how: str


def colour_name(style: Style) -> str:
    """Return the page's name of a colour: ``ink``, or ``s0`` and so on."""
    return f"s{PALETTE.index(style.colour)}" if style.colour in PALETTE else "ink"


def series_of(summary: Summary) -> list[Series]:
    """Return what is drawn of a run, in the order of the curves.

    A line looks as in the figures (:func:`~ttc.evals.figures.looks.line_styles`).
    """
    several = len(models_of(summary)) > 1
    styles = line_styles(summary)
    keys = list(dict.fromkeys((c.strategy, c.model) for c in summary.curves))
    banded = {(c.strategy, c.model) for c in summary.curves if reads_prefixes(c)}
    alone = {(c.strategy, c.model) for c in summary.curves if len(c.points) == 1} - banded
    found: list[Series] = []
    for strategy, model in keys:
        style = styles[model, strategy]
        prefix = (strategy, model) in banded
        how = "one run, any prefix" if prefix else "one setting" if (strategy, model) in alone else "separate budgets"
        found.append(
            Series(
                name=f"{strategy}, {model}" if several else strategy,
                strategy=strategy,
                model=model,
                colour=colour_name(style),
                marker=style.marker,
                prefix=prefix,
                how="one sample" if strategy == BASELINE else how,
            )
        )
    return found
