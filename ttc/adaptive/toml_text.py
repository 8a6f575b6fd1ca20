"""Plain data as TOML, and where in a TOML text a value stands: the standard library reads TOML and does neither."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias, cast

Place: TypeAlias = tuple[str | int, ...]

__all__ = ["line_of", "toml_key", "toml_value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY})\s*\]")
_ENTRY = re.compile(rf"\s*({_KEY})\s*=")
_PARTS = re.compile(_PART)


def toml_key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else toml_value(name)


def toml_value(value: Any) -> str:
    """Write a value on one line: text, number, truth value, date, or a list or table of such.

    Raises:
        TypeError: it is something else.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case date():
            return value.isoformat()
        case Mapping():
            pairs = cast("Mapping[str, Any]", value).items()
            inside = ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in pairs)
            return f"{{ {inside} }}" if inside else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, cast('Sequence[Any]', value)))}]"
        case _:
            raise TypeError(f"{type(value).__name__} is nothing that TOML knows")


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Find the line, counted from 1, on which a value stands, or the nearest thing around it that has a line.

    Args:
        text: TOML that was read.
        place: keys and positions from the top, e.g. ``("row", 2, "escalate", "below")``.
    """
    lines = _lines(text)
    for length in range(len(place), 0, -1):
        if (line := lines.get(tuple(place[:length]))) is not None:
            return line
    return None


def _lines(text: str) -> dict[Place, int]:
    found: dict[Place, int] = {}
    last: dict[Place, int] = {}  # of each array of tables the position that was begun last
    here: Place = ()
    quoted = False
    for number, line in enumerate(text.splitlines(), 1):
        inside = quoted
        quoted ^= (line.count('"""') + line.count("'''")) % 2 == 1
        if inside:
            continue
        if header := _HEADER.match(line):
            here = ()
            *outer, name = _names(header[2])
            for part in outer:
                here += (part,)
                here += (last[here],) if here in last else ()
            here += (name,)
            found.setdefault(here, number)
            if header[1] == "[[":
                last[here] = last.get(here, -1) + 1
                here += (last[here],)
                found[here] = number
        elif entry := _ENTRY.match(line):
            found.setdefault((*here, *_names(entry[1])), number)
    return found


def _names(key: str) -> list[str]:
    return [part.strip("\"'") for part in _PARTS.findall(key)]
