"""JSON within a completion: found in linear time, read exactly, and brought into one form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import orjson

__all__ = ["DEEPEST", "LONGEST_DOCUMENT", "canonical_json", "last_document", "read_json"]

LONGEST_DOCUMENT = 65_536
"""Characters of a document; a longer one is no answer."""

DEEPEST = 64
"""Levels of nesting; a deeper document is no answer."""

_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:(?P<open>[\[{])|(?P<close>[\]}])|[,:]|true|false|null"
    r'|(?P<quote>")(?:[^"\\\x00-\x1f]++|\\.)*+"|-?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+)'
)
_OPEN = re.compile(r"[\[{]")
_FENCE = re.compile(r"^[ \t]*```[ \t]*(json[c5l]?)?[^\n`]*$", re.IGNORECASE | re.MULTILINE)


def last_document(text: str) -> str | None:
    """Return the last JSON object of a text as it was written, or its last array where it holds no object.

    That of the last block fenced as JSON that holds one, else of all of the text. Brackets of a document that breaks
    off are no documents of their own. Linear in the length of the text: behind a document that breaks it goes on where
    that broke, since whatever it had opened breaks there too.
    """
    for block in reversed(_fenced(text)):
        if (found := _last(block)) is not None:
            return found
    return _last(text)


def _fenced(text: str) -> list[str]:
    """The contents of the blocks that are fenced as JSON; one that never ended reaches to the end."""
    blocks: list[str] = []
    start: int | None = None
    is_json = False
    for fence in _FENCE.finditer(text):
        if start is None:
            start, is_json = fence.end(), bool(fence[1])
        else:
            if is_json:
                blocks.append(text[start : fence.start()])
            start = None
    if start is not None and is_json:
        blocks.append(text[start:])
    return blocks


def _last(text: str) -> str | None:
    last: dict[bool, str] = {}
    for document in _documents(text):
        try:
            orjson.loads(document)
        except orjson.JSONDecodeError:
            continue
        last[document[0] == "{"] = document
    return last.get(True, last.get(False))


def _documents(text: str) -> Iterator[str]:
    """What may be documents: runs of JSON tokens from an opening bracket to the one that closes it."""
    position = 0
    while opening := _OPEN.search(text, position):
        start = position = opening.start()
        depth = deepest = 0
        quote = start
        while token := _TOKEN.match(text, position):
            position = token.end()
            if token["quote"] is not None:
                quote = token.start("quote")
            depth += bool(token["open"]) - bool(token["close"])
            deepest = max(deepest, depth)
            if depth == 0:
                if deepest <= DEEPEST and position - start <= LONGEST_DOCUMENT:
                    yield text[start:position]
                break
        else:
            if text.endswith('"', 0, position):
                position = quote + 1  # the quote was none of JSON's, perhaps: what it swallowed is looked at again


def read_json(text: str) -> Any:
    """Read one JSON value; numbers come as :class:`~decimal.Decimal`, so that none is rounded.

    Raises:
        ValueError: it is no JSON, or too long or too deep a document.
    """
    if len(text) > LONGEST_DOCUMENT:
        raise ValueError("too long")
    try:
        return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refused)
    except RecursionError:
        raise ValueError("too deep") from None


def canonical_json(value: Any) -> str:
    """Write a value in one form: keys sorted, no space, numbers by value (1, 1.0 and 10e-1 are the same)."""
    match value:
        case Decimal():
            sign, digits, exponent = value.as_tuple()
            whole = "".join(map(str, digits)).lstrip("0")
            bare = whole.rstrip("0")
            power = cast(int, exponent) + len(whole) - len(bare)
            return f"{'-' if sign else ''}{bare}{f'e{power}' if power else ''}" if bare else "0"
        case dict():
            items = sorted(cast("dict[str, Any]", value).items())
            return "{" + ",".join(f"{_quoted(k)}:{canonical_json(v)}" for k, v in items) + "}"
        case list():
            return "[" + ",".join(canonical_json(v) for v in cast("list[Any]", value)) + "]"
        case str():
            return _quoted(value)
        case _:
            return {None: "null", True: "true", False: "false"}[value]


def _quoted(text: str) -> str:
    return json.dumps(text)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number out of range") from None


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
