"""EvalPlus's inputs as Python values: tuples, sets and complex numbers were lists and texts in JSON.

What a list was is read off the asserts that the data set has beside them: the arguments there are written in Python.
A place inside the arguments is a path, of which positions in a list do not matter: ``f([(1, 2)])`` says that at
``0/*`` lists were tuples, for every input of that problem.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ttc.verifiers.code.shown_tests import asserts, parsed

__all__ = ["Kinds", "kinds_of", "restored"]

Path = tuple[str, ...]
Kinds = Mapping[Path, frozenset[type]]
"""The types that were seen at each place."""


def kinds_of(assertion: str, entry_point: str, *, contract: str = "") -> Kinds:
    """Return which types the arguments of a function have in asserts, place by place.

    Args:
        assertion: the asserts.
        entry_point: the function.
        contract: what the data set asserts of the arguments; where complex numbers are allowed, numbers may be texts.
    """
    found: dict[Path, set[type]] = defaultdict(set)
    for test in asserts(assertion):
        tree = parsed(test)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
                for position, argument in enumerate(node.args):
                    _note(_literal(argument), (str(position),), found)
                    if "complex" in contract:
                        found[str(position),].add(complex)
    return {path: frozenset(types) for path, types in found.items()}


def restored(arguments: Sequence[Any], kinds: Kinds) -> list[Any]:
    """Return the arguments of one call with the types that they had before they were written as JSON."""
    return [_restored(value, (str(i),), kinds, list) for i, value in enumerate(arguments)]


def _restored(value: Any, path: Path, kinds: Kinds, outer: type) -> Any:
    seen = kinds.get(path, frozenset[type]())
    if isinstance(value, str) and complex in seen and str not in seen:
        return _number(value)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _restored(item, (*path, "*"), kinds, list) for key, item in items}
    if not isinstance(value, list):
        return value
    kind = _container(seen, outer)
    # Where tuples were seen beside numbers they may be nested to any depth: below what was seen they go on.
    nested = kind if outer is tuple or (kind in seen and len(seen) > 1) else list
    inside = [_restored(item, (*path, "*"), kinds, nested) for item in cast("list[Any]", value)]
    if kind is set and not inside and dict in seen:
        return {}
    return inside if kind is list else tuple(inside) if kind is tuple else set(inside)


def _container(seen: frozenset[type], outer: type) -> type:
    for kind in (set, tuple):
        if kind in seen and list not in seen:
            return kind
    return list if list in seen else outer


def _number(text: str) -> float | complex:
    try:
        return float(text)
    except ValueError:
        return complex(text)


def _note(value: Any, path: Path, found: dict[Path, set[type]]) -> None:
    found[path].add(cast("type[Any]", type(value)))
    if isinstance(value, list | tuple | set):
        for item in cast("Sequence[Any]", value):
            _note(item, (*path, "*"), found)
    elif isinstance(value, dict):
        for item in cast("dict[Any, Any]", value).values():
            _note(item, (*path, "*"), found)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
