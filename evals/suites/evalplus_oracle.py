"""How EvalPlus compares with a reference solution; run inside the checker of the sandbox, and nowhere else.

The checker is given this module's source and, before it, ``REFERENCE`` (source of the reference solution) and
``ENTRY_POINT``. Each test calls :func:`evalplus_agrees`. Only the standard library is imported.
Rules: EvalPlus (Liu et al. 2023, arXiv 2305.01210), release 0.3.1.
"""

from __future__ import annotations

import builtins
import copy
import math
from collections.abc import Sequence
from typing import Any, cast

__all__ = ["evalplus_agrees", "inf", "nan"]

inf, nan = math.inf, math.nan  # as repr writes them in a test
_loaded: dict[str, Any] = {}


def evalplus_agrees(program: Any, arguments: list[Any], *, atol: float = 0.0, rule: str = "") -> bool:
    """Whether a program's value is the reference's.

    Args:
        program: what is tested.
        arguments: copied for either call.
        atol: absolute tolerance of numbers; 1e-6 for floats where it is 0.
        rule: ``set`` (order and number do not matter), ``not_none`` (whether there is a value at all), ``root`` (a zero
            of the polynomial), or plain equality.

    Raises:
        AssertionError: it is another one; says which is right.
    """
    found = program(*copy.deepcopy(arguments))
    if rule == "root":
        return abs(sum(c * math.pow(found, i) for i, c in enumerate(arguments[0]))) <= (atol or 1e-4)
    right = _expected(copy.deepcopy(arguments))
    if rule == "not_none":
        right = right is not None and right is not False
        return (found if isinstance(found, bool) else found is not None) == right
    same = set(found) == set(right) if rule == "set" else found == right
    if same is not True and not (rule != "set" and _close(found, right, atol)):
        raise AssertionError(f"right is {right!r:.120}")
    return True


def _expected(arguments: list[Any]) -> Any:
    if not _loaded:
        namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": "reference"}
        exec(compile(globals()["REFERENCE"], "<reference>", "exec", dont_inherit=True), namespace)
        _loaded["function"] = namespace[globals()["ENTRY_POINT"]]
    return _loaded["function"](*arguments)


def _close(found: Any, right: Any, atol: float) -> bool:
    """Equal as numbers within the tolerance, in values of the same type and lists of the same length."""
    if atol == 0 and _floats(right):
        atol = 1e-6
    return atol > 0 and type(found) is type(right) and _near(found, right, atol)


def _near(found: Any, right: Any, atol: float) -> bool:
    if isinstance(right, list | tuple):
        pairs = cast("tuple[Sequence[Any], Sequence[Any]]", (found, right))
        if not isinstance(found, list | tuple) or len(pairs[0]) != len(pairs[1]):
            return False
        return all(_near(a, b, atol) for a, b in zip(*pairs, strict=True))
    if isinstance(right, int | float | complex) and isinstance(found, int | float | complex):
        return bool(found == right) or abs(found - right) <= atol + 1e-7 * abs(right)
    return type(found) is type(right) and bool(found == right)


def _floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, float) for item in cast("Sequence[Any]", value))
    return isinstance(value, float)
