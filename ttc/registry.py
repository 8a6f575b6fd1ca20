"""Names to things: strategies, verifiers, comparators, answer types and suites, found by entry point.

The core names none of them. Ours are declared in this project's ``pyproject.toml`` in the same way as anybody
else's, e.g. ``[project.entry-points."ttc.strategies"] mine = "my_package.mine:Mine"``.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pydantic

from ttc.errors import ConfigurationError, UnknownName

__all__ = ["create", "load", "names", "parse_spec"]

_GROUPS = {
    "strategy": "ttc.strategies",
    "verifier": "ttc.verifiers",
    "comparator": "ttc.comparators",
    "answer type": "ttc.answer_types",
    "suite": "ttc.suites",
}


@cache
def _entries(what: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUPS[what])}


def names(what: str) -> list[str]:
    """Return the names registered for ``strategy``, ``verifier``, ``comparator``, ``answer type`` or ``suite``."""
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


def parse_spec(what: str, spec: str) -> tuple[str, dict[str, Any]]:
    """Split ``knockout:n=16,k=2`` into its name and its parameters, values still as text.

    Raises:
        ConfigurationError: a part is not of the form ``parameter=value``.
    """
    name, _, rest = spec.partition(":")
    parameters: dict[str, Any] = {}
    # A comma inside parentheses belongs to a value: adaptive:hard=(majority:n=16,stop=beta).
    for part in filter(None, (p.strip() for p in re.split(r",(?![^\[({]*[\])}])", rest))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"{what} '{spec}': '{part}' is not of the form parameter=value")
        value = value.strip()
        parameters[key.strip()] = value[1:-1] if value.startswith("(") and value.endswith(")") else value
    return name.strip(), parameters


def create(what: str, spec: str) -> Any:
    """Make what a spec like ``knockout:n=16,k=2`` describes.

    Raises:
        UnknownName: no such name.
        ConfigurationError: an unknown parameter (the nearest is named) or a value out of its range.
    """
    name, parameters = parse_spec(what, spec)
    factory = load(what, name)
    fields: dict[str, Any] = getattr(factory, "model_fields", {})
    for key in parameters:
        if fields and key not in fields:
            raise UnknownName(f"parameter of {what} '{name}':", key, fields)
    try:
        return factory(**parameters)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(x) for x in first["loc"]) or name
        raise ConfigurationError(
            f"{what} '{name}': {where}={first.get('input')!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    except TypeError as error:
        raise ConfigurationError(f"{what} '{spec}': {error}") from None
