"""A program's text without what does not matter to Python: the same for programs that differ in layout alone."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["normal_form"]

# Every alternative matches what it begins with, to the end of the text if need be: no character is read twice.
_TOKEN = re.compile(
    r'''(?P<string>[rRbBuUfF]{0,2}(?:"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\\?\Z)|\'\'\'(?:[^'\\]|\\.|'(?!''))*+(?:\'\'\'|\\?\Z)
        |"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?))
    |(?P<comment>\#[^\n]*+)
    |(?P<newline>\n)
    |(?P<space>(?:[ \t\f\r]|\\\n)++)
    |(?P<word>[^\W\d]\w*+|\.?\d(?:[eE][-+]|[\w.])*+)
    |(?P<sign>\*\*=?|//=?|>>=?|<<=?|!=|->|:=|\.\.\.|[-+*/%@&|^=<>]=?|.)''',
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=1024)  # of a vote's programs each is compared with all others
def normal_form(source: str) -> str:
    """Return the tokens line by line behind their depth of indentation; comments, blank lines and spacing are gone.

    Linear in the length of the text, and never fails: what is no Python has a normal form too. Names and literals stay.
    """
    lines: list[str] = []
    tokens: list[str] = []
    depths = [0]  # the columns of the open blocks
    brackets, column, fresh = 0, 0, True

    def end_line() -> None:
        if tokens:
            lines.append(f"{_depth(depths, column)} {' '.join(tokens)}")
            tokens.clear()

    for found in _TOKEN.finditer(source):
        kind, text = found.lastgroup, found[0]
        if kind == "newline":
            if not brackets:
                end_line()
                column, fresh = 0, True
        elif kind == "space":
            if fresh and not tokens and "\n" not in text:
                column = len(text.replace("\f", "").expandtabs(8))
        elif kind != "comment":
            fresh = False
            brackets = max(0, brackets + (text in "([{") - (text in ")]}")) if kind == "sign" else brackets
            tokens.append(text)
    end_line()
    return "\n".join(lines)


def _depth(depths: list[int], column: int) -> str:
    """How deep a line that begins at a column stands; the column itself where it fits no open block."""
    while depths[-1] > column:
        depths.pop()
        if depths[-1] < column:
            return f"?{column}"
    if column > depths[-1]:
        depths.append(column)
    return str(len(depths) - 1)
