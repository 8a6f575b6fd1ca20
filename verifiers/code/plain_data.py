"""Values that cross between two processes that do not trust each other: tagged JSON, rebuilt as exact builtins.

Subclasses of builtins lose what they override: an ``int`` with an ``__eq__`` of its own arrives as an ``int``, a
``defaultdict`` as a ``dict``, a named tuple as a ``tuple``. What is no plain data is made a number by ``opaque`` on one
side, and what that number stands for by ``known`` on the other.

===========  ======================================  ==============  ================================
JSON         stands for                              JSON            stands for
===========  ======================================  ==============  ================================
itself       None, bool, str, float, short int       ``{"b": hex}``  bytes (``"ba"``: bytearray)
``[...]``    list                                    ``{"r": ...}``  range
``{"i"}``    long int, in hexadecimal                ``{"q": ...}``  Fraction (``"n"``: Decimal)
``{"t"}``    tuple                                   ``{"D": ...}``  datetime, date, time, timedelta
``{"s"}``    set (``"f"``: frozenset)                ``{"c": ...}``  complex
``{"d"}``    dict, as pairs (``"o"``: OrderedDict)   ``{"y": name}`` a builtin type
``{"k"}``    deque with its maxlen                   ``{"h": ...}``  an opaque object
===========  ======================================  ==============  ================================
"""

from __future__ import annotations

import datetime
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["Malformed", "decode", "encode"]

_SHORT = 1 << 53
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, range, object, type(None))
}
_MOMENTS: dict[str, Any] = {"datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}


class Malformed(ValueError):
    """What arrived is no encoding of anything."""


def encode(value: Any, opaque: Callable[[Any], Any]) -> Any:
    """The value as what ``json.dumps`` takes. ``opaque`` gives the JSON for what is no plain data, or raises."""
    kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_SHORT < value < _SHORT else {"i": hex(value)}
    if kind is list:
        return [encode(item, opaque) for item in value]
    if kind is tuple:
        return {"t": [encode(item, opaque) for item in value]}
    if kind is dict:
        return {"d": [[encode(key, opaque), encode(item, opaque)] for key, item in value.items()]}
    if kind is set or kind is frozenset:
        return {"s" if kind is set else "f": [encode(item, opaque) for item in value]}
    return _encode_rare(value, kind, opaque)


def _encode_rare(value: Any, kind: type, opaque: Callable[[Any], Any]) -> Any:
    def items(values: Iterable[Any]) -> list[Any]:
        return [encode(item, opaque) for item in values]

    if kind is bytes or kind is bytearray:
        return {"b" if kind is bytes else "ba": value.hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is range:
        return {"r": items((value.start, value.stop, value.step))}
    if kind is Fraction:
        return {"q": items((value.numerator, value.denominator))}
    if kind is Decimal:
        return {"n": str(value)}
    if kind is datetime.timedelta:
        return {"D": ["timedelta", value.days, value.seconds, value.microseconds]}
    if kind.__name__ in _MOMENTS and kind is _MOMENTS[kind.__name__]:
        zone = getattr(value, "tzinfo", None)
        if zone is None or type(zone) is datetime.timezone:
            return {"D": [kind.__name__, value.isoformat(), getattr(value, "fold", 0)]}
        return {"h": opaque(value)}
    if kind is deque:
        return {"k": [items(value), value.maxlen]}
    if isinstance(value, type):
        known = _TYPES.get(value.__name__)
        return {"y": value.__name__} if known is value else {"h": opaque(value)}
    return _encode_subclass(value, items, opaque)


def _encode_subclass(value: Any, items: Callable[[Iterable[Any]], list[Any]], opaque: Callable[[Any], Any]) -> Any:
    # The builtin's own methods are called, so that what a subclass overrides has no say.
    if isinstance(value, int):
        return encode(int.__int__(value), opaque)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return items(list.__iter__(value))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, tuple):
        return {"t": items(tuple.__iter__(value))}  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        pairs: Any = dict.items(value)  # pyright: ignore[reportUnknownVariableType]
        tag = "o" if isinstance(value, OrderedDict) else "d"
        return {tag: [[encode(key, opaque), encode(item, opaque)] for key, item in pairs]}
    if isinstance(value, set):
        return {"s": items(set.__iter__(value))}  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, frozenset):
        return {"f": items(frozenset.__iter__(value))}  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, bytes):
        return {"b": bytes(memoryview(value)).hex()}
    return {"h": opaque(value)}


def decode(data: Any, known: Callable[[Any], Any]) -> Any:
    """The value, built of exact builtins alone. ``known`` gives what an opaque object's JSON stands for.

    Raises Malformed for what ``encode`` never makes.
    """
    if isinstance(data, list):
        return [decode(item, known) for item in data]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(data, dict):
        return data
    if len(data) != 1:  # pyright: ignore[reportUnknownArgumentType]
        raise Malformed("not one tag")
    ((tag, inside),) = data.items()  # pyright: ignore[reportUnknownVariableType]
    build = _BUILDERS.get(tag)  # pyright: ignore[reportUnknownArgumentType]
    try:
        if build is not None:
            return build(inside, lambda values: [decode(value, known) for value in values])
        if tag == "h":
            return known(inside)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        raise Malformed(f"tag {tag}: {error}") from error
    raise Malformed(f"unknown tag {tag!r:.20}")


def _moment(inside: Any) -> Any:
    kind, *rest = inside
    if kind == "timedelta":
        return datetime.timedelta(*rest)
    text, fold = rest
    moment = _MOMENTS[kind].fromisoformat(text)
    return moment.replace(fold=fold) if fold else moment


def _pairs(inside: Any, many: Callable[[Any], list[Any]]) -> list[Any]:
    return [many(pair) for pair in inside]


_BUILDERS: dict[Any, Callable[[Any, Callable[[Any], list[Any]]], Any]] = {
    "i": lambda inside, many: int(inside, 16),
    "t": lambda inside, many: tuple(many(inside)),
    "s": lambda inside, many: set(many(inside)),
    "f": lambda inside, many: frozenset(many(inside)),
    "d": lambda inside, many: dict(_pairs(inside, many)),
    "o": lambda inside, many: OrderedDict(_pairs(inside, many)),
    "k": lambda inside, many: deque(many(inside[0]), inside[1]),
    "b": lambda inside, many: bytes.fromhex(inside),
    "ba": lambda inside, many: bytearray.fromhex(inside),
    "c": lambda inside, many: complex(*inside),
    "r": lambda inside, many: range(*many(inside)),
    "q": lambda inside, many: Fraction(*many(inside)),
    "n": lambda inside, many: Decimal(inside),
    "D": lambda inside, many: _moment(inside),
    "y": lambda inside, many: _TYPES[inside],
}
