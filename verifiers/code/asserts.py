"""Asserts that a model wrote, read out of its text: plain calls of one function with literal arguments, and no more."""

from __future__ import annotations

import ast
import re
import warnings

__all__ = ["read_asserts"]

_LONGEST_LINE, _MOST_LINES, _DEEPEST = 1000, 400, 30
_LINE = re.compile(r"[ \t]*+(?:[-*+]|\d{1,3}[.)]|>>>)?+[ \t]*+`?(?=assert\b)")
_AROUND = frozenset(
    {"abs", "all", "any", "bool", "dict", "float", "int", "len", "list", "max", "min", "round", "set", "sorted"}
    | {"str", "sum", "tuple"}
)
_NODES = (
    ast.Expression, ast.Compare, ast.cmpop, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.List,
    ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BoolOp,
    ast.boolop,
)  # fmt: skip


def read_asserts(text: str, entry_point: str, *, limit: int) -> tuple[str, ...]:
    """Return the first ``limit`` different asserts of a text that test ``entry_point``, each as Python writes it.

    One counts if it stands on a line of its own, calls the function with literal arguments, and has nothing else in it
    but literals, comparisons, arithmetic and a few builtins around the call. Its message is dropped.
    """
    found: dict[str, None] = {}
    for line in text.split("\n")[:_MOST_LINES]:
        start = _LINE.match(line)
        if start and len(line) <= _LONGEST_LINE and (test := _read(line[start.end() :].rstrip(" \t\r`"), entry_point)):
            found[test] = None
            if len(found) == limit:
                break
    return tuple(found)


def _read(source: str, entry_point: str) -> str:
    """The assert in its normal form; empty where it is none that counts."""
    if _depth(source) > _DEEPEST:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a text's invalid escapes
            body = ast.parse(source).body
        if len(body) != 1 or not isinstance(body[0], ast.Assert) or not _counts(body[0].test, entry_point):
            return ""
        return f"assert {ast.unparse(body[0].test)}"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _counts(test: ast.expr, entry_point: str) -> bool:
    called = False
    for node in ast.walk(test):
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, ast.Name) and node.id != entry_point and node.id not in _AROUND:
            return False
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or any(keyword.arg is None for keyword in node.keywords):
                return False
            if node.func.id == entry_point:
                called = True
                arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(isinstance(inner, ast.Name | ast.Call) for a in arguments for inner in ast.walk(a)):
                    return False
    # A call alone is no test of what it returns, but of a truth: 'assert is_prime(7)'.
    return called


def _depth(source: str) -> int:
    """How deep brackets and signs nest at the most; more than they do where some stand in strings."""
    depth = deepest = 0
    for c in source:
        depth += (c in "([{") - (c in ")]}")
        deepest = max(deepest, depth)
    return deepest + max((len(run) for run in re.findall(r"(?:not |[-+~])+", source)), default=0) // 4
