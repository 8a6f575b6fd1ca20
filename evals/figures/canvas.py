"""Paper and ink of the figures: one look, the same bytes on every machine, no pyplot and no display."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttc.errors import MissingExtra

__all__ = ["FAINT", "GRID", "INK", "PALETTE", "Style", "figure_of", "one_line", "plain", "save", "svg_text"]

INK, FAINT, GRID = "#1f2328", "#6b7280", "#e3e6ea"

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, without the yellow that white paper swallows."""

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.size": 0.0,
    "svg.hashsalt": "ttc",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How a strategy looks in every figure and on the page: a colour (``#rrggbb``) and a matplotlib marker."""

    colour: str
    marker: str


_NO_DATES = {"Date": None, "Creator": None}


def one_line(text: str) -> str:
    """Return a text of anybody's in one line, without signs that cannot be seen or that turn the writing round."""
    return "".join(c if c.isprintable() else " " for c in text)


def plain(text: str) -> str:
    """Return a text of anybody's as matplotlib has to be given it to draw it as it is: a dollar sign opens no maths."""
    return one_line(text).replace("$", r"\$")


@contextmanager
def figure_of(width: float, height: float) -> Generator[Any]:
    """Open a figure of so many inches under our own settings, without touching pyplot or the user's backend.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib.style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plots", "drawing figures") from None
    with matplotlib.style.context(["default", _SETTINGS]):
        figure = Figure(figsize=(width, height), dpi=100)
        FigureCanvasAgg(figure)
        with warnings.catch_warnings():
            # A name may hold signs that the font has not: they are drawn as boxes.
            warnings.filterwarnings("ignore", message=r"Glyph \d+")
            yield figure


def svg_text(figure: Any) -> str:
    """Return a figure as the text of an SVG document with a transparent ground."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=_NO_DATES, transparent=True)
    return out.getvalue()


def save(figure: Any, path_png: Path, path_svg: Path) -> None:
    """Write a figure as PNG, in 256 colours (a third of the bytes, for a README), and as SVG."""
    from PIL import Image

    figure.savefig(path_svg, format="svg", metadata=_NO_DATES)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path_png, optimize=True)
