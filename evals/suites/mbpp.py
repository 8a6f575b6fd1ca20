"""MBPP, sanitized: 427 basic Python functions (Austin et al. 2021, arXiv 2108.07732)."""

from __future__ import annotations

import ast
from typing import Any, ClassVar, cast

from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedPrograms
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.shown_tests import calls, parsed

__all__ = ["MATCHES", "MBPP", "as_truth", "asked_for"]

MATCHES = frozenset({737, 787, 794})
"""Problems whose references return a match object for True: there any object is as good (it is EvalPlus's rule too)."""

_PROMPT = """{prompt}

Your code must pass this test:

```python
{test}
```

Answer with the whole function in one ```python block."""


class MBPP(PublishedPrograms):
    """Basic Python functions from one sentence and one assert, graded by running all asserts in the sandbox.

    Columns ``task_id``, ``prompt``, ``code``, ``test_list``, ``test_imports``. Only the first assert is in the prompt,
    and so public. The common three-shot prompt shows all of them; then whatever selects by public tests would select
    by what grades. Figures are therefore lower than those of papers that show all three.
    """

    suite: ClassVar[str] = "mbpp"
    about: ClassVar[dict[str, Any]] = {
        "licence": "CC-BY-4.0",
        "released": "2021-08",
        "home": "https://github.com/google-research/google-research/tree/master/mbpp",
        "size": 427,
        "paper": "Austin et al. 2021, arXiv 2108.07732",
        "prompt": "zero-shot, the first of three asserts shown",
    }
    file: ClassVar[str] = "sanitized-mbpp.json"

    @property
    def hub(self) -> Hub:
        """Its sanitized configuration's test split (257); the file holds all 427."""
        return Hub("google-research-datasets/mbpp", "sanitized")

    def problem(self, row: Row, name: str) -> Problem:
        """Ask with the sentence and the first assert; grade with all of them."""
        shown = _texts(row, "test_list")
        if not shown:
            raise row.wrong("'test_list' is empty")
        code = row.text("code")
        entry_point = asked_for(code, shown[0])
        if not entry_point:
            raise row.wrong("the first assert of 'test_list' calls no function of 'code'")
        imports = _texts(row, "test_imports")
        tests = tuple("\n".join((*imports, test)) for test in shown)
        if row.value("task_id") in map(str, MATCHES):
            tests = tuple(map(as_truth, tests))
        public = tests[:1]
        query = Query(
            messages=({"role": "user", "content": _PROMPT.format(prompt=row.text("prompt", "text"), test=shown[0])},),
            id=f"mbpp/{row.value('task_id')}",
            answer_type=CodeAnswer(entry_point, calls(public, entry_point)),
            tags={"family": "mbpp"},
            public_tests=public,
        )
        return Problem(query, tests=tests, reference=code)


def asked_for(code: str, test: str) -> str:
    """Return the function of ``code`` that a test calls; empty where it calls none."""
    program, asked = parsed(code), parsed(test)
    defined = {n.name for n in (program.body if program else ()) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(asked) if asked else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    return ""


def as_truth(test: str) -> str:
    """Rewrite ``assert f(x)`` so that an object, which the checker knows nothing of, counts as true."""
    tree = ast.parse(test)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            negated = isinstance(node.test, ast.UnaryOp)
            call = ast.unparse(node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test)
            value = f"(found if isinstance(found := {call}, bool) else found is not None)"
            node.test = ast.parse(f"not {value}" if negated else value, mode="eval").body
    return ast.unparse(tree)


def _texts(row: Row, name: str) -> list[str]:
    value: Any = row.columns.get(name) or []
    texts: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise row.wrong(f"'{name}' is no list of texts")
    return texts
