"""Matplotlib's SVG made fit to stand inside a page: its colours follow the page, and no rule of it needs a style.

A content security policy without ``unsafe-inline`` ignores ``style`` attributes, so they become presentation
attributes; ink, greys and palette become the page's CSS variables, so that a dark page gets light lines; ids get a
prefix, so that several figures can share a document.
"""

from __future__ import annotations

import re
from typing import Any

from ttc.errors import MissingExtra
from ttc.evals.figures.canvas import FAINT, GRID, INK, PALETTE

__all__ = ["inline_svg"]

_COLOURS = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    GRID: "var(--grid)",
    "#ffffff": "var(--paper)",
    **{colour: f"var(--s{i})" for i, colour in enumerate(PALETTE)},
}


def inline_svg(svg: str, prefix: str) -> Any:
    """Return the ``<svg>`` element of a document that :func:`~ttc.evals.figures.canvas.svg_text` made.

    Args:
        svg: the document; its texts are paths, so nothing that a model wrote stands in it as text.
        prefix: set before every id; one of its own for each figure of a page.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from markupsafe import Markup  # comes with jinja2
    except ImportError:
        raise MissingExtra("jinja2", "report", "writing a page") from None
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' style="([^"]*)"', _attributes, svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-').replace("xlink:href", "href")
    for colour, variable in _COLOURS.items():
        svg = svg.replace(f'="{colour}"', f'="{variable}"')
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 stroke-linejoin="round" fill="currentColor">', svg)
    return Markup(re.sub(r">\s+<", "><", svg.replace(" \n", " ")))  # our own drawing, without any text


def _attributes(style: re.Match[str]) -> str:
    pairs = (rule.partition(":") for rule in style[1].split(";") if rule.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in pairs)
