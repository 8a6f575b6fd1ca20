"""Where in a completion its program stands. Linear in the length of the text, whatever the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword

from ttc.thoughts import without_thoughts

__all__ = ["LONGEST_PROGRAM", "extract_code", "has_whole_program", "programs_so_far"]

LONGEST_PROGRAM = 65_536
"""Characters; what is longer is no program that anybody asked for."""

_FENCE = re.compile(
    r"(?P<space>[ \t]*+)(?:[-*+][ \t]++)?(?P<mark>```++|~~~++)[ \t]*+(?P<word>[^\s`{]*+)(?P<rest>[^\n]*+)"
)
_PYTHON = frozenset({"", "py", "python", "python2", "python3", "py3", "pycon", "pyi", "code"})
_OPENS = re.compile(r"(?:async\s++)?def\s++\w++\s*+\(|class\s++\w++\s*+[(:]|from\s++[\w.]++\s++import\b|@\w")
_IMPORT = re.compile(
    r"import\s++\w[\w.]*+(?:\s++as\s++\w++)?+(?:\s*+,\s*+\w[\w.]*+(?:\s++as\s++\w++)?+)*+\s*+(?:#.*)?$"
)
_SCRIPT = re.compile(r"print\(|\w++(?:\s*+,\s*+\w++)*+\s*+=(?!=)\s*+\S")
_PROSE = re.compile(r"(?P<word>[A-Za-z][\w']*+)(?:[,;:]?+[ \t]++(?P<next>[A-Za-z]++)|(?P<colon>:)|[.!?]\s*+$)")
_BETWEEN = frozenset({"and", "or", "not", "if", "else", "for"})


@dataclass(frozen=True, slots=True)
class _Block:
    source: str
    python: bool
    closed: bool


def extract_code(text: str, entry_point: str = "") -> str | None:
    """Return the program in a completion, or None where there is none.

    It is the last fenced block that defines ``entry_point`` (where none is given: anything), else the last block of
    Python, else the text from the first definition or import on, up to where prose begins again. A block that was not
    closed reaches to the end. Thoughts are dropped.
    """
    text = without_thoughts(text).replace("\r\n", "\n")
    blocks = [b for b in _blocks(text) if b.python and b.source.strip()]
    found = _chosen(blocks, entry_point)
    source = found.source if found else "" if blocks else "\n".join(_bare(text.split("\n")))
    source = source.strip("\n").rstrip()
    return source if source.strip() and len(source) <= LONGEST_PROGRAM else None


def has_whole_program(text: str, entry_point: str = "") -> bool:
    """Whether an unfinished completion holds a program to its end: a closed block, or code with prose behind it."""
    text = without_thoughts(text)
    blocks = [b for b in _blocks(text) if b.python and b.source.strip()]
    if blocks:
        found = _chosen([b for b in blocks if b.closed], entry_point)
        return found is not None and (not entry_point or _defines(found.source, entry_point))
    lines = text.split("\n")
    bare = _bare(lines)
    if not any(_starts(line) for line in bare):
        return False
    end = next(i for i, line in enumerate(lines) if _starts(line)) + len(bare)
    return any(line.strip() for line in lines[end:])


def programs_so_far(text: str, entry_point: str = "") -> list[tuple[str, bool]]:
    """Return what an unfinished completion has of its program by now: sources, and whether each may go on.

    That is the one that would be taken now, and beside it the block that is still open. None where none has begun.
    """
    text = without_thoughts(text).replace("\r\n", "\n")
    blocks = list(_blocks(text))
    last = blocks[-1] if blocks and blocks[-1].python and not blocks[-1].closed else None
    if told := [b for b in blocks if b.python and b.source.strip()]:
        found = _chosen(told, entry_point)
        return [(b.source, b is last) for b in blocks if b is found or b is last]
    lines = text.split("\n")
    bare = _bare(lines)
    goes_on = len(_bare([*lines, ""])) > len(bare)  # else prose stands behind it
    return [("\n".join(bare), goes_on)] if bare else []


def _chosen(blocks: list[_Block], entry_point: str) -> _Block | None:
    for block in reversed(blocks):
        if _defines(block.source, entry_point):
            return block
    return blocks[-1] if blocks else None


def _defines(source: str, entry_point: str) -> bool:
    name = re.escape(entry_point) if entry_point else r"\w+"
    return (
        re.search(rf"^[ \t]*+(?:async[ \t]++def|def|class)[ \t]++{name}\b|^{name}[ \t]*+=(?!=)", source, re.M)
        is not None
    )


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks in order. A fence with a language inside a block begins a new one: models forget to close."""
    mark, word, space, inside = "", "", "", list[str]()

    def block(closed: bool) -> _Block:
        return _Block("\n".join(line.removeprefix(space) for line in inside), word in _PYTHON, closed)

    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not mark:
            if fence:
                mark, word, space, inside = fence["mark"], fence["word"].lower(), fence["space"], []
        elif fence and fence["mark"].startswith(mark) and not fence["word"]:
            yield block(True)
            mark = ""
        elif fence and fence["word"] and fence["mark"][0] == mark[0]:
            yield block(False)
            mark, word, space, inside = fence["mark"], fence["word"].lower(), fence["space"], []
        else:
            inside.append(line)
    if mark:
        yield block(False)


def _bare(lines: list[str]) -> list[str]:
    """Code that stands in a text without fences: from its first line to the last one before prose."""
    first = next((i for i, line in enumerate(lines) if _starts(line)), None)
    if first is None:
        if not any(line.startswith("print(") for line in lines):
            return []
        first = next(i for i, line in enumerate(lines) if _SCRIPT.match(line))
    kept: list[str] = []
    quote = ""
    for line in lines[first:]:
        if not quote and (_FENCE.match(line) or _reads_as_prose(line)):
            break
        kept.append(line)
        quote = _quote_behind(line, quote)
    return kept


def _starts(line: str) -> bool:
    return bool(_OPENS.match(line) or _IMPORT.match(line))


def _reads_as_prose(line: str) -> bool:
    """Whether a line at column zero is a sentence or a heading: two words that no program has side by side."""
    found = _PROSE.match(line)
    if not found or iskeyword(found["word"]) or found["word"] in ("match", "case", "type", "print"):
        return False
    return found["next"] not in _BETWEEN if found["next"] else True


def _quote_behind(line: str, quote: str) -> str:
    """The triple quote that is open behind a line."""
    for mark in re.findall(r"\"\"\"|'''", line):
        quote = "" if mark == quote else quote or mark
    return quote
