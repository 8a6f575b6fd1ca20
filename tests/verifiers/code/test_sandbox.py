"""What the sandbox answers for programs that mean no harm."""

from __future__ import annotations

import signal
import threading
from typing import Any

import anyio
import pytest

from tests.data import dataset, lines
from ttc.errors import ConfigurationError
from ttc.verifiers.code import Limits, Sandbox, TestResult, shared_sandbox

pytestmark = pytest.mark.anyio
ADD = "def add(a, b):\n    return a + b\n"


async def statuses(sandbox: Sandbox, source: str, tests: list[Any], **options: Any) -> list[str]:
    return [result.status for result in await sandbox.check(source, tests, **options)]


# -- tests -----------------------------------------------------------------------------------------------------------


async def test_each_test_has_its_own_result_in_order(sandbox: Sandbox):
    tests = ["assert add(1, 2) == 3", "assert add(1, 2) == 4", "assert add(1) == 1", "assert sub(1) == 1", "assert ("]
    assert await statuses(sandbox, ADD, tests) == ["passed", "failed", "error", "error", "error"]
    assert await sandbox.check(ADD, []) == []


async def test_a_failure_says_what_was_expected_and_what_was_returned(sandbox: Sandbox):
    (failed, raised, unknown) = await sandbox.check(
        ADD, ["x = 2\nassert add(x,\n  2) == 5, 'no sum'", "assert add([], 1)", "assert sub(1) == 1"]
    )
    assert failed == TestResult("failed", "assert add(x,\n  2) == 5; no sum; add(2, 2) returned 4")
    assert raised.detail.startswith("TypeError: can only concatenate list")
    assert raised.detail.endswith("(add([], 1) raised TypeError)")
    assert unknown.detail == "NameError: name 'sub' is not defined"


async def test_a_program_that_does_not_load_fails_every_test(sandbox: Sandbox):
    for source, detail in [
        ("def f(:", "SyntaxError"),
        ("import no_such", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivision"),
    ]:
        results = await sandbox.check(source, ["assert True", "assert f(1)"])
        assert [result.status for result in results] == ["error", "error"]
        assert detail in results[0].detail


async def test_helpers_of_the_prompt_are_the_checkers_own_and_the_entry_point_never_is(sandbox: Sandbox):
    setup = "import math\ndef helper(x): return x + 1\ndef solve(x): return 'the stub'\n"
    source = "def helper(x): return 'forged'\ndef solve(x): return x + 1\n"
    tests = ["assert solve(3) == helper(3)", "assert math.isclose(solve(1.0), 2.0)"]
    assert await statuses(sandbox, source, tests, setup=setup, entry_point="solve") == ["passed", "passed"]
    (broken,) = await sandbox.check(source, ["assert True"], setup="1 / 0")
    assert broken == TestResult("error", "in the setup: ZeroDivisionError: division by zero")


async def test_names_of_the_program_are_what_a_test_needs_them_to_be(sandbox: Sandbox):
    source = """
LIMIT = [1, 2]
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def total(self): return self.a + self.b
    def __len__(self): return 2
    def __getitem__(self, i): return (self.a, self.b)[i]
    def __contains__(self, x): return x in (self.a, self.b)
    def __str__(self): return f"{self.a}|{self.b}"
def largest(pairs): return max(pair.b for pair in pairs)
def swapped(pair): return Pair(pair.b, pair.a)
def numbers():
    yield from (1, 2, 3)
"""
    tests = [
        "assert largest([Pair(5, 24), Pair(15, 25)]) == 25",
        "p = Pair(5, 24)\nassert p.total() == 29 and p.a == 5\np.a = 6\nassert p.total() == 30",
        "p = Pair(5, 24)\nassert len(p) == 2 and p[1] == 24 and 5 in p and str(p) == '5|24' and list(p) == [5, 24]",
        "assert swapped(Pair(1, 2)).a == 2",
        "assert list(numbers()) == [1, 2, 3] and next(numbers()) == 1",
        "assert LIMIT == [1, 2]",
        "p = Pair(1, 2)\nassert p == p and p in [p]",
    ]
    assert await statuses(sandbox, source, tests) == ["passed"] * 7


async def test_exceptions_of_the_program_can_be_expected(sandbox: Sandbox):
    source = "class Odd(ValueError): pass\ndef f(x):\n    if x % 2: raise Odd('odd')\n    raise KeyError(x)\n"
    expected = "try:\n    f({})\nexcept {}:\n    pass\nelse:\n    assert False"
    tests = [expected.format(1, "ValueError"), expected.format(2, "KeyError"), expected.format(2, "ValueError")]
    assert await statuses(sandbox, source, tests) == ["passed", "passed", "error"]


async def test_changes_to_arguments_reach_the_test(sandbox: Sandbox):
    source = "def f(xs, d):\n    xs.sort(); xs[0].append(9); d['new'] = {1}; d['old'].clear()\n    return None\n"
    test = """
inner = [1]
xs, d = [[2], inner], {"old": [1, 2]}
old = d["old"]
assert f(xs, d) is None
assert xs == [[1, 9], [2]] and d == {"old": [], "new": {1}} and old == []
"""
    assert await statuses(sandbox, source, [test]) == ["passed"]


async def test_what_a_test_cannot_do_is_an_error_and_no_pass(sandbox: Sandbox):
    source = "def apply(f, x): return f(x)\nclass Thing: pass\ndef thing(): return Thing()\n"
    tests = [
        "assert apply(lambda x: x, 1) == 1",
        "assert thing() == thing()",
        "assert thing() != 1",
        "assert not thing() == 1",
    ]
    results = await sandbox.check(source, tests)
    assert [result.status for result in results] == ["error"] * 4
    assert "no plain data" in results[0].detail


async def test_objects_of_the_program_are_as_true_as_they_were(sandbox: Sandbox):
    source = "import re\ndef find(x): return re.match('a', x)\nclass No:\n    def __bool__(self): return False\n"
    assert (
        await statuses(sandbox, source, ["assert find('ab')", "assert not find('b')", "assert not No()"])
        == ["passed"] * 3
    )


async def test_an_entry_point_may_have_the_name_of_a_builtin(sandbox: Sandbox):
    source = "def sum(a, b): return a * 100 + b"
    assert await statuses(sandbox, source, ["assert sum(3, 4) == 304"], entry_point="sum") == ["passed"]
    assert await statuses(sandbox, source, ["assert sum([3, 4]) == 7"]) == ["passed"]


async def test_common_modules_and_threads_work_in_the_jail(sandbox: Sandbox):
    source = """
import asyncio, threading, heapq, re, decimal, zoneinfo, hashlib, sqlite3, concurrent.futures
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
@dataclass
class Point: x: int = 1
async def answer(): await asyncio.sleep(0); return 42
def f():
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start(); thread.join()
    with concurrent.futures.ThreadPoolExecutor(2) as pool: seen += pool.map(abs, [-2])
    return [asyncio.run(answer()), seen, Point().x, Counter("aab"), defaultdict(int, a=1), hashlib.md5(b"").hexdigest()]
"""
    expected = "[42, [1, 2], 1, {'a': 2, 'b': 1}, {'a': 1}, 'd41d8cd98f00b204e9800998ecf8427e']"
    assert await statuses(sandbox, source, [f"assert f() == {expected}"]) == ["passed"]


async def test_a_test_that_stalls_leaves_the_ones_behind_it_their_turn(sandbox: Sandbox):
    source = "def f(x):\n    while x == 1: pass\n    return x\n"
    tests = ["assert f(0) == 0", "assert f(1) == 1", "assert f(2) == 2", "assert f(1) == 1", "assert f(3) == 4"]
    found = await statuses(sandbox, source, tests, limits=Limits(seconds=0.4))
    assert found == ["passed", "timeout", "passed", "timeout", "failed"]


async def test_a_test_that_ends_the_program_leaves_the_ones_behind_it_their_turn(sandbox: Sandbox):
    source = "import os\ndef f(x):\n    if x == 1: os._exit(0)\n    return x\n"
    found = await statuses(sandbox, source, ["assert f(1) == 1", "assert f(2) == 2"])
    assert found == ["crashed", "passed"]


async def test_the_time_for_all_tests_is_bounded(sandbox: Sandbox):
    results = await sandbox.check(
        "def f():\n    while 1: pass", ["f()"] * 50, limits=Limits(seconds=1, total_seconds=3)
    )
    assert {result.status for result in results} == {"timeout"}
    assert results[0].detail == "the test did not end within 1 s"
    assert results[-1].detail == "the 3 s for all tests were over"
    assert len(results) == 50
    (stalled,) = await sandbox.check("while 1: pass", ["pass"], limits=Limits(seconds=1))
    assert stalled == TestResult("timeout", "the import of the program did not end within 1 s")


async def test_running_out_of_memory_has_its_own_status(sandbox: Sandbox):
    limits = Limits(memory_mb=256)
    source = "def f(): return len(bytearray(1 << 30))"
    assert await statuses(sandbox, source, ["f()", "assert True"], limits=limits) == ["memory", "passed"]
    assert (await sandbox.execute("x = bytearray(1 << 30)", limits=limits)).status == "memory"


# -- programs --------------------------------------------------------------------------------------------------------


async def test_programs_read_and_write_the_standard_streams(sandbox: Sandbox):
    run = await sandbox.execute("import sys\nprint(input() + '!')\nprint(sys.stdin.read())", stdin="grüße\nrest\udcff")
    assert (run.status, run.stdout, run.error) == ("passed", "grüße!\nrest\udcff\n", "")
    for source, status, error in [
        ("import sys; sys.exit(0)", "passed", ""),
        ("import sys; sys.exit(3)", "error", "exit code 3"),
        ("import sys; sys.exit('sorry')", "error", "sorry\n"),
        ("print(1)\nraise ValueError('bad')", "error", "ValueError: bad"),
        ("import os; os.abort()", "crashed", "signal"),
        ("if __name__ == '__main__': print('main')", "passed", ""),
    ]:
        run = await sandbox.execute(source)
        assert run.status == status, source
        assert error in run.error


async def test_examples_of_a_program_are_compared_line_by_line(sandbox: Sandbox):
    source = "n = int(input())\nfor i in range(n): print(i, end='  \\n')\n"
    tests = [
        {"stdin": "2\n", "stdout": "0\n1"},
        {"stdin": "2\n", "stdout": "0\n1\n\n\n"},
        {"stdin": "2\n", "stdout": "0\n2\n"},
        {"stdin": "2\n", "stdout": "0"},
        {"stdin": "x\n", "stdout": "0"},
    ]
    results = await sandbox.check(source, tests)
    assert [result.status for result in results] == ["passed", "passed", "failed", "failed", "error"]
    assert results[2].detail == "line 2: expected '2', it wrote '1'"
    assert "ValueError" in results[4].detail
    mixed = await statuses(sandbox, ADD, [{"stdout": ""}, "assert add(1, 1) == 3", {"stdout": "1"}])
    assert mixed == ["passed", "failed", "failed"]


# -- values ----------------------------------------------------------------------------------------------------------


async def test_values_that_are_equal_have_the_same_text(sandbox: Sandbox):
    source = "def f(x): return x\n"
    pairs = [
        ("f({3, 1, 2})", "f(frozenset([2, 3, 1]))"),
        ("f({'b': 1, 'a': [2.5]})", "f({'a': [2.5], 'b': 1.0})"),
        ("f(1)", "f(True)"),
        ("f(0.0)", "f(-0.0)"),
        ("f(b'x')", "f(bytearray(b'x'))"),
        ("f(range(0, 3))", "f(range(0, 3, 1))"),
        ("f(10 ** 5000)", "f(10 ** 5000)"),
        ("f(float('nan'))", "f(-float('nan'))"),
    ]
    for one, other in pairs:
        first, second = await sandbox.evaluate(source, [one, other])
        assert first.status == second.status == "passed"
        assert first.value == second.value
    different = ["f([1])", "f((1,))", "f('1')", "f(1)", "f({1})", "f({1: 1})", "f(None)", "f(0.1 + 0.2)", "f(0.3)"]
    values = [observation.value for observation in await sandbox.evaluate(source, different)]
    assert len(set(values)) == len(different)
    assert values[7:] == ["0.30000000000000004", "0.3"]


async def test_what_is_raised_is_observed_too(sandbox: Sandbox):
    source = "def f(x):\n    if x: return object()\n    raise KeyError('secret of mine')\n"
    raised, opaque, unknown = await sandbox.evaluate(source, ["f(0)", "f(1)", "g(1)"])
    assert (raised.status, raised.value) == ("error", "raises KeyError")
    assert (opaque.status, opaque.value) == ("error", "raises TypeError")
    assert (unknown.status, unknown.value) == ("error", "raises NameError")
    (long,) = await sandbox.evaluate("def f(): return 'x' * 10**6", ["f()"])
    assert len(long.value) < 400
    assert "sha256:" in long.value


# -- the pool --------------------------------------------------------------------------------------------------------


async def test_more_jobs_than_workers_all_get_their_turn(sandbox: Sandbox):
    results: dict[int, list[TestResult]] = {}

    async def one(number: int) -> None:
        results[number] = await sandbox.check(ADD, [f"assert add({number}, 1) == {number + 1 + number % 2}"])

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(one, number)
    assert [results[n][0].status for n in range(60)] == ["passed", "failed"] * 30


def test_event_loops_in_several_threads_share_the_pool(sandbox: Sandbox):
    found: list[str] = []

    def loop() -> None:
        async def several() -> None:
            for _ in range(5):
                found.extend(await statuses(sandbox, ADD, ["assert add(1, 2) == 3"]))

        anyio.run(several)

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["passed"] * 20


async def test_a_zygote_that_is_killed_is_replaced(sandbox: Sandbox):
    assert await statuses(sandbox, ADD, ["assert add(1, 2) == 3"]) == ["passed"]
    for worker in list(sandbox._alive):
        worker.process.send_signal(signal.SIGKILL)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(statuses, sandbox, ADD, ["assert add(1, 2) == 3"])
    assert await statuses(sandbox, ADD, ["assert add(1, 2) == 3"]) == ["passed"]


async def test_the_shared_pool_is_one(sandbox: Sandbox):
    assert shared_sandbox() is shared_sandbox()
    assert (await shared_sandbox().execute("print(1)")).stdout == "1\n"


def test_limits_that_mean_nothing_are_refused():
    for wrong in ({"seconds": 0}, {"total_seconds": -1}, {"output_bytes": 0}, {"memory_mb": 1}):
        with pytest.raises(ConfigurationError):
            Limits(**wrong)
    with pytest.raises(ConfigurationError, match="at least 1"):
        Sandbox(0)


async def test_canonical_solutions_of_humaneval_pass(sandbox: Sandbox):
    problems = lines(dataset("HumanEval.jsonl.gz"))
    failed: dict[str, TestResult] = {}

    async def one(problem: dict[str, str]) -> None:
        name = problem["entry_point"]
        (result,) = await sandbox.check(
            problem["prompt"] + problem["canonical_solution"],
            [f"{problem['test']}\ncheck({name})"],
            entry_point=name,
            setup=problem["prompt"],
        )
        if not result.passed:
            failed[problem["task_id"]] = result

    async with anyio.create_task_group() as group:
        for problem in problems:
            group.start_soon(one, problem)
    assert failed == {}
    assert len(problems) == 164


async def test_surrogates_in_a_stdin_test_are_no_error(sandbox: Sandbox):
    echo = "import sys\nprint(len(sys.stdin.read()))"
    results = await sandbox.check(echo, [{"stdin": "\ud83d", "stdout": "1"}, {"stdin": "x", "stdout": "\ud800"}])
    assert [result.status for result in results] == ["passed", "failed"]
    assert (await sandbox.execute("import sys\nsys.stdout.buffer.write(b'\\xff 5')")).stdout == "\udcff 5"
