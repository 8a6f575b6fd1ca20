"""EvalPlus: HumanEval and MBPP with some hundred times the tests (Liu et al. 2023, arXiv 2305.01210)."""

from __future__ import annotations

import ast
from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from ttc.evals.grading import Grader, TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suites.evalplus_inputs import kinds_of, restored
from ttc.evals.suites.humaneval import completion_problem
from ttc.evals.suites.mbpp import MATCHES, as_truth, asked_for
from ttc.evals.suites.published import PublishedPrograms
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.code import Limits
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.shown_tests import asserts, calls, parsed

__all__ = ["HumanEvalPlus", "MBPPPlus"]

_ANSWER = "Answer with the whole function in one ```python block."
_LIMITS = Limits(seconds=4.0, total_seconds=60.0, memory_mb=4096)
_SETS = frozenset({2, 7, 111, 140, 232, 249, 579, 769})
"""Problems of MBPP+ whose values are compared as sets: neither order nor number is asked for."""
_CONTRADICTED = {
    83: "the reference returns another letter",
    117: "the reference returns lists for the tuples",
    229: "the reference keeps the order of the others",
    249: "the reference's order is that of a set",
    295: "the reference counts the number among its divisors",
    396: "the reference returns a truth value for the words",
    400: "the reference takes (3, 4) and (4, 3) for different",
    442: "the reference does not round",
    461: "the reference counts the word's second capital too",
    574: "the reference's pi has more digits",
    582: "the reference takes no set",
    640: "the reference takes one text, not a list",
}
"""Problems of MBPP+ 0.1 whose reference solution fails the assert that the prompt shows: it is no public test there."""
_TOO_LARGE: dict[int, Callable[[Sequence[Any]], bool]] = {
    255: lambda arguments: arguments[1] > 70,  # 5 of 108; up to 1.7 million tuples of 77 words each
    599: lambda arguments: arguments[0] > 10**7,  # 16 of 108; sums of 10**8 numbers, 1.6 s each for the reference
}
"""Inputs of MBPP+ 0.1 that are left out, by problem: on them no solution can be held against the reference in time."""


class _EvalPlus(PublishedPrograms, ABC):
    def grader(self) -> Grader:
        """The reference's values, by EvalPlus's rules and limits."""
        oracle = Path(__file__).with_name("evalplus_oracle.py").read_text()
        oracle = oracle.replace("from __future__ import annotations\n", "")  # it does not stand first there
        return TestsGrader(_LIMITS, oracle=oracle, name="evalplus tests")


class HumanEvalPlus(_EvalPlus):
    """HumanEval with EvalPlus's tests: 164 functions, held against their reference solutions on many inputs.

    EvalPlus's JSONL by path, else the hub. Public tests are the examples of the docstring. 4 seconds a test, 4 GiB.
    """

    suite: ClassVar[str] = "humaneval+"
    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0 (tests), MIT (problems)",
        "released": "2023-05",
        "home": "https://github.com/evalplus/humanevalplus_release",
        "size": 164,
        "paper": "Liu et al. 2023, arXiv 2305.01210; Chen et al. 2021, arXiv 2107.03374",
        "prompt": "zero-shot: signature and docstring",
    }
    file: ClassVar[str] = "HumanEvalPlus.jsonl.gz"

    @property
    def hub(self) -> Hub:
        """Its only split."""
        return Hub("evalplus/humanevalplus")

    def problem(self, row: Row, name: str) -> Problem:
        """Ask as HumanEval does; the tests are inputs."""
        entry_point = row.text("entry_point")
        rule = "root" if entry_point == "find_zero" else ""
        return completion_problem(row, family="humaneval+", tests=_tests(entry_point, _inputs(row), _atol(row), rule))


class MBPPPlus(_EvalPlus):
    """MBPP with EvalPlus's tests: 399 functions (378 from release 0.2), held against their references on many inputs.

    EvalPlus's JSONL by path, else the hub. Public is the one assert that the prompt shows. 4 seconds a test, 4 GiB.
    """

    suite: ClassVar[str] = "mbpp+"
    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0 (tests), CC-BY-4.0 (problems)",
        "released": "2023-11",
        "home": "https://github.com/evalplus/mbppplus_release",
        "paper": "Liu et al. 2023, arXiv 2305.01210; Austin et al. 2021, arXiv 2108.07732",
        "prompt": "zero-shot, one assert shown",
    }
    file: ClassVar[str] = "MbppPlus.jsonl.gz"

    @property
    def hub(self) -> Hub:
        """Its only split."""
        return Hub("evalplus/mbppplus")

    def problem(self, row: Row, name: str) -> Problem:
        """Ask with the sentence and its assert, which the prompt holds; the tests are inputs."""
        number = row.value("task_id").rpartition("/")[2]
        code, prompt = row.text("canonical_solution", "code"), row.text("prompt").strip().strip('"').strip()
        given = asserts(row.get("assertion") or "\n".join(cast("Sequence[str]", row.columns.get("test_list") or ())))
        entry_point = row.get("entry_point") or (asked_for(code, given[0]) if given else "")
        if not entry_point:
            raise row.wrong("'entry_point' is missing")
        shown = asserts(prompt)
        if not shown and given:  # the hub has them apart from the sentence
            shown, prompt = given[:1], f"{prompt}\n{given[0]}"
        imports = "import math\n" if any("math." in test for test in shown) else ""
        public = () if int(number) in _CONTRADICTED else tuple(imports + test for test in shown)
        if int(number) in MATCHES:
            public = tuple(map(as_truth, public))
        rule = "set" if int(number) in _SETS else "not_none" if int(number) in MATCHES else ""
        query = Query(
            messages=(
                {"role": "user", "content": f"{prompt}\n\nAnswer with the whole function in one ```python block."},
            ),
            id=f"Mbpp/{number}",
            answer_type=CodeAnswer(entry_point, calls(public, entry_point)),
            tags={"family": "mbpp+"},
            public_tests=public,
        )
        left_out = _TOO_LARGE.get(int(number), lambda _: False)
        inputs = (arguments for arguments in _inputs(row) if not left_out(arguments))
        return Problem(query, tests=_tests(entry_point, inputs, _atol(row), rule), reference=code)


def _tests(entry_point: str, inputs: Iterator[list[Any]], atol: float, rule: str) -> tuple[str, ...]:
    more = f", atol={atol!r}" * bool(atol) + f", rule={rule!r}" * bool(rule)
    return tuple(f"assert evalplus_agrees({entry_point}, {arguments!r}{more})" for arguments in inputs)


def _inputs(row: Row) -> Iterator[list[Any]]:
    """The arguments of every test: of EvalPlus's own columns, or out of the test program that the hub has."""
    columns = row.columns
    if "base_input" in columns:
        entry_point, contract = row.text("entry_point"), row.get("contract")
        kinds = kinds_of(row.get("assertion"), entry_point, contract=contract)
        for name in ("base_input", "plus_input"):
            given: Any = columns.get(name) or []  # of problems without further inputs {} in release 0.1
            if not isinstance(given, list):
                raise row.wrong(f"'{name}' is no list of arguments")
            for arguments in cast("list[Any]", given):
                if not isinstance(arguments, list):
                    raise row.wrong(f"'{name}' is no list of arguments")
                yield restored(cast("list[Any]", arguments), kinds)
        return
    tree = parsed(row.text("test"))
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "inputs":
            try:
                yield from map(list, cast("Sequence[Sequence[Any]]", _value(node.value)))
            except (ValueError, TypeError):
                break
            return
    raise row.wrong("no 'base_input', and 'test' assigns no list of literals to 'inputs'; take EvalPlus's own JSONL")


def _value(node: ast.expr) -> Any:
    """A literal, in which ``inf`` and ``nan`` may stand for numbers."""

    class Numbers(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node

    return ast.literal_eval(Numbers().visit(node))


def _atol(row: Row) -> float:
    value: Any = row.columns.get("atol") or 0
    if not isinstance(value, int | float):
        raise row.wrong("'atol' is no number")
    return float(value)
