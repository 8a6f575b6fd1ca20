"""Public tests of programming problems: what the prompt itself shows, as asserts that a verifier may run.

Hidden tests grade, and nothing that selects may see them; so public tests are made of the prompt's own text alone.
"""

from __future__ import annotations

import ast
import warnings

__all__ = ["asserts", "calls", "docstring_asserts", "parsed", "split_prompt"]

_PROMPT = ">>>"


def docstring_asserts(prompt: str, entry_point: str) -> tuple[str, ...]:
    """Turn the ``>>>`` examples in the docstring of a function into asserts.

    Left out are those that are no call of the function with a literal as its value: prose in place of a value, other
    notations, exceptions.
    """
    function = _function(prompt, entry_point)
    lines = (ast.get_docstring(function) if function else None) or ""
    found: list[str] = []
    for example in _examples(lines.splitlines()):
        call, value = example
        if entry_point in _called(call) and _is_literal(value):
            found.append(f"assert {call} == {value}")
    return tuple(found)


def asserts(text: str) -> tuple[str, ...]:
    """Return the assert statements in a text, which may go over several lines; what does not parse is left out."""
    lines = text.splitlines()
    found: list[str] = []
    for start, line in enumerate(lines):
        if not line.lstrip().startswith("assert"):
            continue
        for end in range(start + 1, len(lines) + 1):
            source = "\n".join(lines[start:end]).strip()
            if (tree := parsed(source)) and len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert):
                found.append(source)
                break
    return tuple(found)


def calls(tests: tuple[str, ...], entry_point: str) -> tuple[str, ...]:
    """Return the calls of a function in tests, as expressions: the probes that tell programs apart."""
    found: list[str] = []
    for test in tests:
        tree = parsed(test)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
                found.append(ast.unparse(node))
    return tuple(dict.fromkeys(found))


def split_prompt(prompt: str, entry_point: str) -> tuple[str, str]:
    """Split a prompt that ends in an unfinished function into what comes before that function, and the function.

    The first part is imports and helper functions: trusted source that both the program and its tests may use.
    """
    function = _function(prompt, entry_point)
    if function is None:
        return "", prompt
    lines = prompt.splitlines(keepends=True)
    return "".join(lines[: function.lineno - 1]).strip(), "".join(lines[function.lineno - 1 :]).rstrip()


def parsed(source: str) -> ast.Module | None:
    """Parse a source, or return None; what Python would warn of is the source's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return None


def _function(prompt: str, entry_point: str) -> ast.FunctionDef | None:
    tree = parsed(prompt) or parsed(prompt.rstrip() + "\n    pass\n")
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            return node
    return None


def _examples(lines: list[str]) -> list[tuple[str, str]]:
    """Pairs of a call and its value, each as it would be written on one line."""
    found: list[tuple[str, str]] = []
    for i, line in enumerate(lines):
        if not line.lstrip().startswith(_PROMPT):
            continue
        call = line.lstrip().removeprefix(_PROMPT).strip()
        value: list[str] = []
        for below in lines[i + 1 :]:
            if not below.strip() or below.lstrip().startswith(_PROMPT):
                break
            value.append(below.strip())
            if _is_literal(" ".join(value)):  # what stands behind it may be prose
                break
        tree = parsed(call)
        if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            found.append((ast.unparse(tree.body[0]), " ".join(value)))
    return found


def _called(expression: str) -> set[str]:
    tree = parsed(expression)
    return {
        node.func.id
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return bool(text)
