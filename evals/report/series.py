"""The lines of a run's charts: a strategy, in a run of several models on one of them, with its colour and mark."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.evals.figures.canvas import PALETTE
from ttc.evals.figures.curves import BASELINE, reads_prefixes, strategy_styles
from ttc.evals.summary import Summary

__all__ = ["Series", "models_of", "series_of"]

_MARKERS = ("o", "s", "^", "D", "v", "P")


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


def models_of(summary: Summary) -> list[str]:
    """Return the models of a run by name, in the order of the curves; ``[""]`` where there is one."""
    return list(dict.fromkeys(c.model for c in summary.curves))


def series_of(summary: Summary) -> list[Series]:
    """Return what is drawn of a run, in the order of the curves.

    With one model a strategy looks as in the figures (:func:`~ttc.evals.figures.curves.strategy_styles`).
    """
    several = len(models_of(summary)) > 1
    styles = strategy_styles(summary)
    keys = list(dict.fromkeys((c.strategy, c.model) for c in summary.curves))
    banded = {(c.strategy, c.model) for c in summary.curves if reads_prefixes(c)}
    alone = {(c.strategy, c.model) for c in summary.curves if len(c.points) == 1} - banded
    found: list[Series] = []
    for i, (strategy, model) in enumerate(keys):
        style = styles[strategy]
        if several:
            colour, marker = f"s{i % len(PALETTE)}", _MARKERS[(i + i // len(PALETTE)) % len(_MARKERS)]
        else:
            colour = f"s{PALETTE.index(style.colour)}" if style.colour in PALETTE else "ink"
            marker = style.marker
        prefix = (strategy, model) in banded
        how = "one run, any prefix" if prefix else "one setting" if (strategy, model) in alone else "separate budgets"
        found.append(
            Series(
                name=f"{strategy}, {model}" if several else strategy,
                strategy=strategy,
                model=model,
                colour=colour,
                marker=marker,
                prefix=prefix,
                how="one sample" if strategy == BASELINE else how,
            )
        )
    return found
