"""Names to things: strategies, verifiers, comparators, answer types, tools and suites, found by entry point.

The core names none of them. Ours are declared in this project's ``pyproject.toml`` in the same way as anybody
else's, e.g. ``[project.entry-points."ttc.strategies"] mine = "my_package.mine:Mine"``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from ttc.errors import ConfigurationError, UnknownName

__all__ = ["create", "load", "names", "parse_spec", "valid_range"]

_GROUPS = {
    "strategy": "ttc.strategies",
    "verifier": "ttc.verifiers",
    "comparator": "ttc.comparators",
    "answer type": "ttc.answer_types",
    "suite": "ttc.suites",
    "tool": "ttc.tools",
    "allocation": "ttc.allocations",
}


@cache
def _entries(what: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUPS[what])}


def names(what: str) -> list[str]:
    """Return the names registered for a strategy, verifier, comparator, answer type, tool or suite."""
    return sorted(_entries(what))


def load(what: str, name: str) -> Any:
    """Return the object registered under a name.

    Raises:
        UnknownName: nothing is registered under it; the message names the nearest.
    """
    try:
        entry = _entries(what)[name]
    except KeyError:
        raise UnknownName(what, name, _entries(what)) from None
    return entry.load()


def parse_spec(what: str, spec: str, *, positional: str = "") -> tuple[str, dict[str, Any]]:
    """Split ``knockout:n=16,k=2`` into its name and its parameters, values still as text.

    Args:
        what: the kind of thing, for messages.
        spec: the text.
        positional: the parameter whose value may come first without its name, as in ``file:mine.jsonl,type=maths``.

    Blanks around a value do not count, unless it stands in brackets; newlines and tabs do.

    Raises:
        ConfigurationError: a part is not of the form ``parameter=value``, or its value is nothing but blanks.
    """
    name, _, rest = spec.partition(":")
    parameters: dict[str, Any] = {}
    try:
        parts = list(_parts(rest))
    except ValueError as error:
        raise ConfigurationError(f"{what} '{spec}': {error}") from None
    for number, part in enumerate(parts):
        key, equals, value = part.partition("=")
        if positional and not number and not equals:
            key, equals, value = positional, "=", part
        if not equals or not key.strip():
            raise ConfigurationError(f"{what} '{spec}': '{part}' is not of the form parameter=value")
        if value and not value.strip(" "):
            raise ConfigurationError(f"{what} '{spec}': the value of '{key.strip()}' is blank; in brackets it counts")
        value = value.strip(" ")  # a newline may be the value
        parameters[key.strip()] = value[1:-1] if value.startswith("(") and value.endswith(")") else value
    return name.strip(), parameters


def _parts(text: str) -> Iterator[str]:
    """Split at commas; one inside brackets belongs to a value: ``hard=(majority:n=16,stop=beta)``, however deep."""
    depth, start = 0, 0
    for i, c in enumerate(text + ","):
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            raise ValueError(f"'{c}' closes no bracket")
        if (c == "," and not depth) or i == len(text):
            if (part := text[start:i]).strip():
                yield part
            start = i + 1
    if depth:
        raise ValueError("a bracket is not closed")


def create(what: str, spec: str) -> Any:
    """Make what a spec like ``knockout:n=16,k=2`` describes.

    Where the registered class names a parameter in ``positional``, the first value may stand without its name.

    Raises:
        UnknownName: no such name or parameter; the nearest is named, a parameter with its valid range.
        ConfigurationError: a value out of its range, which is named.
    """
    factory = load(what, spec.partition(":")[0].strip())
    name, parameters = parse_spec(what, spec, positional=getattr(factory, "positional", ""))
    try:
        return factory(**parameters)
    except pydantic.ValidationError as error:
        raise complaint(what, name, factory, error) from None
    except TypeError as error:
        raise ConfigurationError(f"{what} '{spec}': {error}") from None


def complaint(what: str, name: str, made_by: Any, error: pydantic.ValidationError) -> ConfigurationError:
    """Say in one line what pydantic found wrong: an unknown parameter before a value out of its range."""
    fields: dict[str, FieldInfo] = made_by.model_fields
    for found in error.errors():
        if found["type"] == "extra_forbidden":
            return _UnknownParameter(what, name, str(found["loc"][0]), fields)
    return ConfigurationError(f"{what} '{name}': {_complaint(error, fields)}")


def valid_range(field: FieldInfo) -> str:
    """Say in words what values a parameter takes: ``1 to 4096``, ``above 0``, ``certain, beta or never``.

    Empty where anything of its type will do.
    """
    types = _types(field)
    if bool in types:
        return "true or false"
    if choices := [str(c) for t in types if get_origin(t) is Literal for c in get_args(t)]:
        return _either(choices)
    limits = {name: getattr(m, name) for m in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(m, name)}
    if "ge" in limits and "le" in limits:
        return f"{limits['ge']:g} to {limits['le']:g}" if limits["ge"] < limits["le"] else f"{limits['ge']:g}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {value:g}" for name, value in sorted(limits.items()))


def _types(field: FieldInfo) -> list[Any]:
    """The types that a parameter may have, None aside."""
    kind: Any = field.annotation
    union = get_origin(kind) in (Union, UnionType)
    return [t for t in get_args(kind) if t is not NoneType] if union else [kind]


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _complaint(error: pydantic.ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Say what is wrong with the first value that is, and what it may be."""
    first = error.errors()[0]
    where, message = ".".join(str(x) for x in first["loc"]), first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    if first["type"] == "missing":
        return f"{where} is missing: give {where}=..."
    said = f"{where}={first.get('input')}"
    field = fields.get(str(first["loc"][0]))
    if field is None or first["type"] in ("value_error", "assertion_error"):
        return f"{said}: {message}"
    allowed, types = valid_range(field), _types(field)
    kind = "a whole number" if int in types else "a number" if float in types else ""
    if kind and (first["type"].endswith(("_parsing", "_type")) or first["type"] == "int_from_float" or not allowed):
        allowed = f"{kind}, {allowed}" if allowed else kind
    return f"{said}: must be {allowed}" if allowed else f"{said}: {message}"


class _UnknownParameter(UnknownName):
    """Names the nearest parameter with what it means and what it takes, and all the others with what they take."""

    def __init__(self, what: str, name: str, key: str, fields: Mapping[str, FieldInfo]) -> None:
        ranges = {other: valid_range(field) for other, field in fields.items()}
        hint = ""
        if near := _nearest(key, fields):
            meant = "; ".join(filter(None, (fields[near].description, ranges[near])))
            hint = f" Did you mean '{near}'{f' ({meant})' if meant else ''}?"
        known = ", ".join(f"{other} ({r})" if r else other for other, r in ranges.items())
        ConfigurationError.__init__(
            self, f"unknown parameter '{key}' of {what} '{name}'.{hint} Known: {known or 'none'}."
        )


def _nearest(key: str, fields: Mapping[str, FieldInfo]) -> str:
    """Return the parameter that was probably meant: by its name, by the words it is described with, or by a letter."""
    if close := difflib.get_close_matches(key, fields, n=1):
        return close[0]
    if described := [o for o, f in fields.items() if key.lower() in re.findall(r"\w+", (f.description or "").lower())]:
        return described[0]
    letters = [other for other in fields if len(other) == len(key) == 1]
    return min(letters, key=lambda other: abs(ord(other) - ord(key)), default="")
