"""The suite ``tiny_code``: every test is one that its reference passes and that some plausible program fails."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

import ttc.evals.suites.tiny_code as module
from ttc import registry
from ttc.evals.suite import Suite, load_suite
from ttc.verifiers.code.answer_type import CodeAnswer

ROWS: list[dict[str, Any]] = [
    orjson.loads(line) for line in Path(module.__file__).with_suffix(".jsonl").read_bytes().splitlines()
]
"""The data, with one plausible ``wrong`` program for each problem, which the suite itself never reads."""

each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("tiny_code")


def passed(program: str, tests: list[tuple[str, str]]) -> list[bool]:
    """What a program of our own makes of pairs of a call and its value; an error is a failure."""
    names: dict[str, Any] = {}
    exec(program, names)
    results: list[bool] = []
    for call, value in tests:
        try:
            results.append(bool(eval(call, names) == ast.literal_eval(value)))
        except Exception:
            results.append(False)
    return results


def test_two_halves_are_all_of_it_and_as_mixed(suite: Suite) -> None:
    first, second = load_suite("tiny_code:limit=50").problems, load_suite("tiny_code:skip=50").problems
    assert [p.query.id for p in (*first, *second)] == [p.query.id for p in suite.problems]
    levels = [Counter(p.query.tags["level"] for p in half) for half in (first, second)]
    assert all(abs(levels[0][level] - levels[1][level]) <= 1 for level in ("easy", "medium", "hard"))
    assert len(load_suite("tiny_code:skip=90,limit=5").problems) == 5


# -- the data


@each
def test_the_reference_passes_its_tests(row: dict[str, Any]) -> None:
    assert all(passed(row["reference"], row["public"] + row["hidden"]))


@each
def test_a_plausible_wrong_program_fails_the_hidden_tests(row: dict[str, Any]) -> None:
    assert not all(passed(row["wrong"], row["hidden"]))


def test_passing_the_public_tests_does_not_imply_passing_the_hidden_ones() -> None:
    fooled = [row["name"] for row in ROWS if all(passed(row["wrong"], row["public"]))]
    assert len(ROWS) / 3 <= len(fooled) < len(ROWS)


@each
def test_there_are_two_or_three_public_tests_and_five_to_eight_others_that_are_hidden(row: dict[str, Any]) -> None:
    public, hidden = ([call for call, _ in row[kind]] for kind in ("public", "hidden"))
    assert 2 <= len(public) <= 3
    assert 5 <= len(hidden) <= 8
    assert len({*public, *hidden}) == len(public) + len(hidden)


@each
def test_the_reference_is_one_to_five_lines_of_the_signature_that_is_asked_for(row: dict[str, Any]) -> None:
    (function,) = ast.parse(row["reference"]).body
    assert isinstance(function, ast.FunctionDef)
    assert function.name == row["name"]
    assert function.returns is not None
    assert all(argument.annotation for argument in function.args.args)
    header, *body = row["reference"].splitlines()
    assert header == row["signature"]
    assert 1 <= len(body) <= 5


@each
def test_no_test_calls_anything_but_the_function_and_builtins(row: dict[str, Any]) -> None:
    for call, _ in row["public"] + row["hidden"]:
        names = [
            n.func.id for n in ast.walk(ast.parse(call)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        assert row["name"] in names
        assert set(names) <= {row["name"], "len"}


def test_no_two_functions_are_alike() -> None:
    def shape(row: dict[str, Any]) -> str:
        """The types and the reference, with its names replaced by numbers in the order in which they come."""
        (function,) = ast.parse(row["reference"]).body
        seen: dict[str, str] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.FunctionDef):
                node.name = "f"
            elif isinstance(node, ast.arg):
                node.arg = seen.setdefault(node.arg, f"x{len(seen)}")
        for node in ast.walk(function):
            if isinstance(node, ast.Name):
                node.id = seen.get(node.id, node.id)
        return ast.dump(function)

    for field in ("name", "description"):
        assert len({row[field] for row in ROWS}) == len(ROWS)
    assert [many for many in Counter(map(shape, ROWS)).items() if many[1] > 1] == []


# -- the suite


def test_it_has_a_hundred_problems_a_third_of_each_level(suite: Suite) -> None:
    levels = Counter(p.query.tags["level"] for p in suite.problems)
    assert sum(levels.values()) == 100
    assert set(levels) == {"easy", "medium", "hard"}
    assert min(levels.values()) >= 33


def test_topics_are_the_ones_that_are_named(suite: Suite) -> None:
    assert {p.query.tags["topic"] for p in suite.problems} == {"numbers", "strings", "lists", "dicts", "logic"}


def test_a_limit_keeps_the_mix_of_levels() -> None:
    problems = load_suite("tiny_code:limit=30").problems
    assert Counter(p.query.tags["level"] for p in problems) == {"easy": 10, "medium": 10, "hard": 10}


def test_each_id_names_the_function(suite: Suite) -> None:
    assert [p.query.id for p in suite.problems] == [f"tiny_code/{row['name']}" for row in ROWS]


def test_the_public_tests_are_shown_and_the_hidden_ones_are_not(suite: Suite) -> None:
    for problem, row in zip(suite.problems, ROWS, strict=True):
        for call, value in row["public"]:
            assert f">>> {call}\n    {value}\n" in problem.query.prompt
            assert f"assert {call} == {value}" in problem.query.public_tests
        words = repr(problem.query)
        assert not any(
            f"{call} == {value}" in words or f"{call}\n" in problem.query.prompt for call, value in row["hidden"]
        )
        assert problem.reference not in words


def test_the_signature_that_is_shown_is_python(suite: Suite) -> None:
    for problem in suite.problems:
        shown = problem.query.prompt.split("```python\n", 1)[1].removesuffix("```")
        (function,) = ast.parse(shown).body
        assert isinstance(function, ast.FunctionDef)
        assert ast.get_docstring(function)


def test_the_worked_example_is_no_problem(suite: Suite) -> None:
    shown = CodeAnswer("half").extract(str(suite.problems[0].query.messages[1]["content"]))
    assert shown is not None
    assert passed(shown, [("half(8)", "4"), ("half(7)", "3")]) == [True, True]
    assert shown.split("(")[1:] not in [row["reference"].split("(")[1:] for row in ROWS]
    assert all(p.query.messages[:2] == suite.problems[0].query.messages[:2] for p in suite.problems)


def test_programs_are_read_and_compared_by_what_they_do_on_the_public_tests(suite: Suite) -> None:
    for problem, row in zip(suite.problems, ROWS, strict=True):
        expected = CodeAnswer(entry_point=row["name"], probes=tuple(call for call, _ in row["public"]))
        assert problem.query.answer_type == expected
        assert problem.query.answer_type.extract(f"Here:\n```python\n{row['reference']}```") is not None


def test_it_is_registered() -> None:
    assert "tiny_code" in registry.names("suite")


# -- the grader, in the sandbox


async def grades(suite: Suite, field: str) -> dict[str, str]:
    """What the suite's grader makes of one program of each row."""
    return {
        row["name"]: await suite.grade(problem, row[field]) for problem, row in zip(suite.problems, ROWS, strict=True)
    }


@pytest.mark.anyio
async def test_references_are_graded_right_in_the_sandbox(suite: Suite) -> None:
    assert {name for name, grade in (await grades(suite, "reference")).items() if grade != "right"} == set()


@pytest.mark.anyio
async def test_wrong_programs_are_graded_wrong_in_the_sandbox(suite: Suite) -> None:
    assert {name for name, grade in (await grades(suite, "wrong")).items() if grade != "wrong"} == set()
