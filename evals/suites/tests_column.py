"""A column of tests: what people write there is either a test, which can fail, or refused with its line."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Any, cast

import orjson

from ttc.evals.suites.rows import Row
from ttc.types import ProgramTest

__all__ = ["tests_of"]

_EXACT = 2**53  # JSON readers make floats of whole numbers that are too large, and lose digits


def tests_of(row: Row, column: str) -> tuple[ProgramTest, ...]:
    """Read a column of tests: a list or one test, as they are or written as JSON (in CSV there is no other way).

    A test is a text with asserts, or ``{"stdin": ..., "stdout": ...}``, where numbers are as good as texts.

    Raises:
        ConfigurationError: there is none, or one that is no Python, that no program could fail, or of another form.
    """
    given: Any = row.columns.get(column)
    if isinstance(given, str) and given.lstrip().startswith(("[", "{")):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise row.wrong(f"'{column}' is no list of tests ({error})") from None
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, list):
        return (_source(row, column, row.text(column)),)
    if not given:
        raise row.wrong(f"'{column}' has no test")
    return tuple(_test(row, column, test) for test in cast("list[Any]", given))


def _test(row: Row, column: str, test: Any) -> ProgramTest:
    if isinstance(test, str):
        return _source(row, column, test)
    if not isinstance(test, Mapping) or set(cast("Mapping[str, Any]", test)) != {"stdin", "stdout"}:
        raise row.wrong(f"'{column}' has a test that is neither asserts nor {{'stdin': ..., 'stdout': ...}}")
    return {name: _written(row, column, name, value) for name, value in cast("Mapping[str, Any]", test).items()}


def _written(row: Row, column: str, name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= _EXACT:
        raise row.wrong(f"'{column}' has a test whose {name} is no text ({str(value)[:60]}): write it in quotes")
    return str(value)


def _source(row: Row, column: str, test: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python would warn of is the test's business
            tree = ast.parse(test)
            compile(tree, "<test>", "exec", dont_inherit=True)  # return outside a function is found here alone
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise row.wrong(f"'{column}' has a test that is no Python ({error}): {_short(test)}") from None
    if not _can_fail(tree):
        raise row.wrong(
            f"'{column}' has a test that every program passes: no assert and no raise in it is ever run: {_short(test)}"
        )
    return test


def _can_fail(tree: ast.Module) -> bool:
    """Whether there is an assert or a raise, but for those in functions and classes whose name nobody uses."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.ClassDef):  # its methods have names that only it may know of
            left.extend(list(ast.walk(node))[1:] if node.name in used else ())
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name in used or node.decorator_list:
            left.extend(ast.iter_child_nodes(node))
    return False


def _short(test: str) -> str:
    text = " ".join(test.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")
