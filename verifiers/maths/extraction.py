"""Where in a completion its answer stands. Linear in the length of the text, whatever the text.

Every pattern is used with ``finditer`` or at a fixed place, has no nested or adjacent repeats over the same characters
(possessive ones where they could give back), and reads a span of the text once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "NUMBER",
    "after_cue",
    "after_hashes",
    "last_boxed",
    "last_boxes",
    "last_line",
    "last_number",
]

_DIGITS = r"(?:\d{1,3}(?:,\d{3}(?!\d))++|\d++)"
_PLAIN = rf"(?:{_DIGITS}(?:\.\d++)?+|\.\d++)(?:[eE][-+]?\d++(?!\w))?+"

NUMBER = re.compile(
    rf"""(?<![\w.,/\\])                                  # 'x2' and the end of '1.2.3' are no numbers
    (?:[-+]?\\[dt]?frac\{{-?\d++\}}\{{\d++\}}           # \frac{{1}}{{2}}
    |[-+]?[$€£¥]?-?(?:{_DIGITS}\ \d++/\d++|{_PLAIN}(?:\ ?/\ ?\d++(?![\d/]))?+)%?)  # 2 1/2, -$1,234.50, 3/4, 50%""",
    re.VERBOSE,
)
"""A number as people and models write it. A sign counts only where it touches the number and nothing stands before."""

_BRACE = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{|\\[\\{}]|[{}]")
_FARTHEST = 64
_BETWEEN = re.compile(r"\\(?:boxed|fbox|text)\s{0,3}\{|\\[()\[\],;]|\band\b|[\s$,}]")
_PARTING = re.compile(r",|\band\b")
_CUE = re.compile(r"\banswers?\b[^\n.=:]{0,40}?(?:\b(?:is|are)(?![a-z])|[:=])|^\W{0,8}A:", re.IGNORECASE | re.MULTILINE)
_LEAD = " \t\r\n:*_=>~"
_TYPOGRAPHY = str.maketrans("\N{MINUS SIGN}\N{EN DASH}\u00a0\u2009\u202f", "--   ")


def last_boxed(text: str) -> str | None:
    r"""Return what is in the last ``\boxed{...}`` whose braces balance (of nested ones, the inner)."""
    boxes = _boxes(text)
    return text[boxes[-1][0] : boxes[-1][1]].strip() if boxes else None


def last_boxes(text: str) -> list[str]:
    r"""Return the last box and those right before it, as of ``\boxed{1} and \boxed{2}``; empty where there is none."""
    found: list[str] = []
    follows = 0
    for start, end in reversed(_boxes(text)):
        between = text[end:follows]
        if found and (len(between) > _FARTHEST or not _PARTING.search(between) or _BETWEEN.sub("", between)):
            break
        found.append(text[start:end].strip())
        follows = start
    return found[::-1]


def _boxes(text: str) -> list[tuple[int, int]]:
    """Where the contents of boxes begin and end that hold no other box, in order."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    opened: list[int] = []  # where each open brace's content begins; negative unless it is a box
    boxes: list[tuple[int, int]] = []
    for token in _BRACE.finditer(text):
        word = token[0]
        if word == "}":
            start = opened.pop() if opened else -1
            if start >= 0 and (not boxes or start > boxes[-1][0]):
                boxes.append((start, token.start()))
        elif word == "{":
            opened.append(-1)
        elif len(word) > 2:
            opened.append(token.end())
    return boxes


def after_cue(text: str) -> Iterator[str]:
    """Yield what follows 'the answer is', 'Answer:' or a line's 'A:', the last one first.

    Each is the rest of its line (of the next line that is not empty, where the cue ends its own), up to the next cue.
    """
    end = len(text)
    for cue in reversed(list(_CUE.finditer(text))):
        start = cue.end()
        while start < end and text[start] in _LEAD:
            start += 1
        stop = text.find("\n", start, end)
        if start < end:
            yield text[start : stop if stop >= 0 else end].strip()
        end = cue.start()


def after_hashes(text: str) -> str | None:
    """Return what follows the last ``####``, up to the end of its line."""
    at = text.rfind("####")
    return text[at + 4 :].lstrip("# \t").partition("\n")[0].strip() or None if at >= 0 else None


def last_line(text: str) -> Iterator[str]:
    """Yield the lines that are not empty, the last one first."""
    for line in reversed(text.splitlines()):
        if line := line.strip():
            yield line


def last_number(text: str) -> str | None:
    """Return the last number after the last ``=`` that one follows, else the last number; None without any."""
    text = text.translate(_TYPOGRAPHY)
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    equals = text.rfind("=", 0, found[-1].start())
    if equals < 0:
        return found[-1][0]
    return next(m[0] for m in found if m.start() > equals)


def first_number(text: str) -> str | None:
    """Return the result of a clause that states one: behind its first sentence's last ``=``, else its first number."""
    text = text.translate(_TYPOGRAPHY)
    sentence = re.split(r"[.!?;](?=\s)", text, maxsplit=1)[0]
    if "=" in sentence and (number := last_number(sentence)):
        return number
    match = NUMBER.search(text)
    return match[0] if match else None
