"""Public tests of programming problems: what the prompt itself shows, as asserts that a verifier may run.

Hidden tests grade, and nothing that selects may see them; so public tests are made of the prompt's own text alone.
"""

from __future__ import annotations

import ast
import re
import warnings

__all__ = ["asserts", "calls", "docstring_asserts", "parsed", "shown_tests", "split_prompt"]

_PROMPT = ">>>"
_LONGEST_PROMPT = 16_384
_LONGEST_LINE = 1000
_LONGEST_TEST = 20
"""Lines of one assert, or of the value of an example."""

_DEFINED = re.compile(r"^[ \t]*+(?:async )?def[ \t]++(\w+)[ \t]*+\(", re.MULTILINE)
_BEFORE = re.compile(r"^\s*+(?:>>> |\* |- |for )?+")
_SIGN = re.compile(r"\s*+(?:# )?+(?:==>|=>|->|==|=|➞|should return|returns)\s*+")


def docstring_asserts(prompt: str, entry_point: str) -> tuple[str, ...]:
    """Turn the examples in the docstring of a function into asserts: ``>>>`` ones, and ``f(1) => 2`` on a line.

    Left out are those that are no call of the function with a literal as its value: prose in place of a value, other
    notations, exceptions.
    """
    function = _function(prompt, entry_point)
    return _examples(((ast.get_docstring(function) if function else None) or "").splitlines(), entry_point)


def shown_tests(prompt: str, entry_point: str = "") -> tuple[str, ...]:
    """Return the tests that a prompt in words shows, wherever they stand in it: asserts, and examples as above.

    Args:
        prompt: what was asked; one of more than 16,384 characters is not searched.
        entry_point: the function that is asked for; by default the last one whose ``def`` stands in the prompt.
    """
    if len(prompt) > _LONGEST_PROMPT:
        return ()
    entry_point = entry_point or next((m[1] for m in reversed(list(_DEFINED.finditer(prompt)))), "")
    written = (test for test in asserts(prompt) if entry_point in _called(test))
    return tuple(dict.fromkeys((*_examples(prompt.splitlines(), entry_point), *written))) if entry_point else ()


def _examples(lines: list[str], entry_point: str) -> tuple[str, ...]:
    found: list[str] = []
    for i, line in enumerate(lines):
        example = _arrow(line, entry_point) or _session(lines[i:])
        if example and entry_point in _called(example[0]) and _literal(example[1]):
            found.append(f"assert {example[0]} == {_literal(example[1])}")
    return tuple(dict.fromkeys(found))


def asserts(text: str) -> tuple[str, ...]:
    """Return the assert statements in a text, which may go over several lines; what does not parse is left out."""
    lines = text.splitlines()
    found: list[str] = []
    for start, line in enumerate(lines):
        if not line.lstrip().startswith("assert"):
            continue
        for end in range(start + 1, min(start + _LONGEST_TEST, len(lines)) + 1):
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


def _session(lines: list[str]) -> tuple[str, str] | None:
    """The call behind ``>>>`` in the first line, and its value in those below, each on one line."""
    if not lines[0].lstrip().startswith(_PROMPT):
        return None
    tree = parsed(lines[0].lstrip().removeprefix(_PROMPT).strip())
    if not tree or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    value = ""
    for below in lines[1 : _LONGEST_TEST + 1]:
        if not below.strip() or below.lstrip().startswith(_PROMPT) or _literal(value):
            break  # what stands behind the value may be prose
        value = f"{value} {below.strip()}".strip()
    return ast.unparse(tree.body[0]), value


def _arrow(line: str, entry_point: str) -> tuple[str, str] | None:
    """The call at the beginning of a line, and its value behind an arrow or its like."""
    line = _BEFORE.sub("", line)
    if not line.startswith(f"{entry_point}(") or len(line) > _LONGEST_LINE:
        return None
    for end in (i + 1 for i, c in enumerate(line) if c == ")"):
        if parsed(line[:end]) and (sign := _SIGN.match(line, end)):
            return line[:end], line[sign.end() :]
    return None


def _called(expression: str) -> set[str]:
    """The functions that an expression calls; none where it has other names, which nobody has defined."""
    tree = parsed(expression)
    nodes = list(ast.walk(tree)) if tree else []
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if any(name not in functions for name in names):
        return set()
    return {name.id for name in names}


def _literal(text: str) -> str:
    """The Python literal that a text is, maybe with a full stop or a comment behind it; empty where it is none."""
    for part in (text, text.rstrip().removesuffix("."), text.partition(" (")[0]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return repr(ast.literal_eval(part.strip()))
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return ""
