"""Texts that models and servers wrote, fit for a terminal: no control sequence of theirs reaches it."""

from __future__ import annotations

import unicodedata

__all__ = ["one_line", "printable"]

_KEPT = frozenset("\n\t\u200c\u200d")
"""Lines, tabs, and what joins or parts letters and emoji."""


def printable(text: str) -> str:
    """Replace by U+FFFD what is not to be seen and might steer a terminal, or turn the direction of what follows."""
    text = text.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in _KEPT or unicodedata.category(c) == "Zs" else "\ufffd" for c in text)


def one_line(text: str, length: int | None = None) -> str:
    """Return a text as one printable line, shortened to so many characters."""
    line = printable(" ".join(text.split()))
    return line if length is None or len(line) <= length else line[: max(0, length - 1)] + "…"
