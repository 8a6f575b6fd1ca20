"""A text for each plain value, the same for values that are equal, so that what programs do can be compared."""

from __future__ import annotations

import datetime
import hashlib
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["canonical_text"]

_LONGEST = 16_384


def canonical_text(value: Any) -> str:
    """The value as text: sets and dicts sorted, floats by repr, a whole number as an integer whatever its type.

    Values that are equal in Python have equal texts (``1``, ``1.0`` and ``True`` are one; nan has one text too). A long
    text is cut and ends with its SHA-256. Raises TypeError for an object that is no plain data.
    """
    text = _text(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:200]}... sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


def _text(value: Any) -> str:
    match value:
        case None:
            return "None"
        case str():
            return ascii(value)
        case bool() | int() | float() | complex() | Fraction() | Decimal():
            return _number(value)
        case list() | deque():
            inside = ", ".join(map(_text, value))  # pyright: ignore[reportUnknownArgumentType]
            return f"[{inside}]" if isinstance(value, list) else f"deque([{inside}])"
        case tuple():
            inside = ", ".join(map(_text, value))  # pyright: ignore[reportUnknownArgumentType]
            return f"({inside},)" if len(value) == 1 else f"({inside})"  # pyright: ignore[reportUnknownArgumentType]
        case set() | frozenset():
            return "{" + ", ".join(sorted(map(_text, value))) + "}" if value else "set()"  # pyright: ignore
        case dict():
            pairs = sorted((_text(key), _text(item)) for key, item in value.items())  # pyright: ignore
            return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        case bytes() | bytearray():
            return repr(bytes(value))
        case range():
            return f"range{(value.start, len(value), value.step if len(value) > 1 else 1) if value else ()}"
        case datetime.datetime() if value.tzinfo is not None:
            return f"datetime {value.astimezone(datetime.UTC).isoformat()}"
        case datetime.datetime() | datetime.date() | datetime.time():
            return f"{type(value).__name__} {value.isoformat()}"
        case datetime.timedelta():
            return repr(value)
        case type():
            return value.__name__
        case _:
            raise TypeError(f"{value!r} is no plain data")


def _number(value: Any) -> str:
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, complex):
        if value.imag == 0:
            return _number(value.real)
        return f"complex({_number(value.real)}, {_number(value.imag)})"
    try:
        exact = Fraction(value)
    except (ValueError, OverflowError):  # nan and infinities
        return repr(float(value)) if isinstance(value, float) or not value.is_snan() else "nan"
    if exact.denominator == 1:
        return _integer(exact.numerator)
    try:
        near = float(exact)
    except OverflowError:
        near = 0.0
    return repr(near) if Fraction(near) == exact else f"{_integer(exact.numerator)}/{_integer(exact.denominator)}"


def _integer(value: int) -> str:
    return str(value) if -(10**4000) < value < 10**4000 else hex(value)  # printing more takes quadratic time
