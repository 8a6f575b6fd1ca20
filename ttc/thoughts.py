"""A thinking model's thoughts, where they stand in its text."""

from __future__ import annotations

import re

__all__ = ["without_thoughts"]

_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """Drop ``<think>`` parts: closed ones, one that never ended, and all before an end without a beginning.

    Linear in the length of the text.
    """
    if "<" not in text:
        return text
    kept: list[str] = []
    position, thinking = 0, False
    for tag in _TAG.finditer(text):
        closes = bool(tag[1])
        if not thinking and not closes:
            kept.append(text[position : tag.start()])
        elif not thinking:
            kept.clear()  # the template had opened the thought in the prompt
        thinking, position = not closes, tag.end()
    if not thinking:
        kept.append(text[position:])
    return "".join(kept)
