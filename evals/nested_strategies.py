"""The strategies inside a strategy: those that are its parameters, as objects or as specs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.request import digest
from ttc.strategy import Strategy, make_strategy

__all__ = ["caveat_of", "content_of", "with_nested"]


def with_nested(strategy: Strategy) -> Iterator[Strategy]:
    """Yield a strategy, and those that are its parameters, however deep."""
    yield strategy
    for _, value in strategy:
        for inner in value if isinstance(value, tuple | list) else (value,):  # pyright: ignore[reportUnknownVariableType]
            if (nested := _strategy(inner)) is not None:
                yield from with_nested(nested)


def content_of(strategy: Strategy) -> str:
    """Hash what the files say that a strategy, or one inside it, goes by; empty where there are none."""
    found = [one.content for one in with_nested(strategy)]
    return digest(found) if any(found) else ""


def caveat_of(strategy: Strategy) -> str:
    """What a reader of its results should know of a strategy, or of one inside it; empty where it is nothing."""
    return "; ".join(dict.fromkeys(one.caveat for one in with_nested(strategy) if one.caveat))


def _strategy(value: Any) -> Strategy | None:
    """A strategy, or what a text describes that begins with the name of one; a parameter may just be called so."""
    if isinstance(value, Strategy):
        return value
    if not isinstance(value, str) or value.partition(":")[0].strip() not in registry.names("strategy"):
        return None
    try:
        return make_strategy(value)
    except ConfigurationError:
        return None
