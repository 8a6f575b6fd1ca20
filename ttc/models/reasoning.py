"""Where a thinking model's thoughts end: whole texts and streams, by plain string search (linear in the length).

Servers without a reasoning parser leave the thoughts in the content, between ``<think>`` and ``</think>``. Often the
chat template has written the opening tag already, so that the text holds a bare ``</think>``; a text that was cut
inside its thoughts holds no closing tag at all. Only a thought that leads the text counts: an answer may speak about
tags.
"""

from __future__ import annotations

__all__ = ["CLOSE", "OPEN", "ThoughtScanner", "split_thoughts", "thought_prefix"]

OPEN = "<think>"
CLOSE = "</think>"


def split_thoughts(text: str, *, opened: bool = False) -> tuple[str, str]:
    """Split a completion into its thoughts and its visible text.

    Args:
        text: the content as the server sent it.
        opened: the prompt ends with an opening tag, so a text without a closing one is all thought.

    Returns:
        ``(reasoning, text)``; the tags and the space around them belong to neither.
    """
    start = _opener(text)
    end = text.find(CLOSE, start)
    if end >= 0:
        return text[start:end].strip(), text[end + len(CLOSE) :].lstrip()
    if start or opened:
        return text[start:].strip(), ""
    return "", text


def thought_prefix(text: str) -> str:
    """The leading part of a completion that is thought, tags included: what a tokenizer counts as reasoning."""
    end = text.find(CLOSE, _opener(text))
    return text[: end + len(CLOSE)] if end >= 0 else ""


def _opener(text: str) -> int:
    """Where a leading opening tag ends; 0 where there is none."""
    # The length of the leading white space without a copy of the rest.
    lead = next((i for i, c in enumerate(text) if not c.isspace()), len(text))
    return lead + len(OPEN) if text.startswith(OPEN, lead) else 0


class ThoughtScanner:
    """Finds the closing tag in a stream of text pieces, also where it is split between two.

    Attributes:
        closed: whether the tag has gone by.
    """

    __slots__ = ("_tail", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._tail = ""

    def feed(self, piece: str) -> int | None:
        """Take the next piece; return how many of its characters follow the tag, when the tag ends in this piece."""
        if self.closed:
            return None
        window = self._tail + piece
        end = window.find(CLOSE)
        if end < 0:
            self._tail = window[-(len(CLOSE) - 1) :]
            return None
        self.closed = True
        return len(window) - end - len(CLOSE)
