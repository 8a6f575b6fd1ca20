"""The steps of a solution: what a process reward model scores one by one, and what a tree search branches between."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["BLANK_LINE", "join_steps", "split_steps"]

BLANK_LINE = "\n\n"
"""What stands between two steps where nothing else is said: how models that reason write, and how a step is stopped."""

_BLANK_LINES = re.compile(
    r"\n\s*\n"
)  # linear: it starts at line ends alone, and fails only where no second one follows


def split_steps(text: str, separator: str = BLANK_LINE) -> list[str]:
    """Split a text into its steps; empty ones are dropped, so a text without words has none.

    At the default separator lines of white space count as blank, and several blank lines as one.
    """
    parts = _BLANK_LINES.split(text) if separator == BLANK_LINE else text.split(separator)
    return [part.strip("\r\n") for part in parts if part.strip()]


def join_steps(steps: Sequence[str], separator: str = BLANK_LINE) -> str:
    """Make one text of steps, which :func:`split_steps` splits again where no step holds the separator."""
    return separator.join(steps)
