"""Public tests choose among programs, end a query that passes, and tell a revision what failed."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from ttc import Query, Sampling, solve
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.types import Candidate, Request, Sample
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.public_tests import PublicTests
from ttc.verifiers.code.shown_tests import shown_tests

TESTS = ("assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add(0.5, 0.25) == 0.75")
RIGHT = "def add(a, b):\n    return a + b"
HALF = "def add(a, b):\n    return int(a + b)"
WRONG = "def add(a, b):\n    return a - b"
QUERY = Query.of("Write add(a, b).", answer_type=CodeAnswer("add"), public_tests=TESTS)
ECHO = Query.of(
    "Print the sum of the numbers in a line.",
    answer_type=CodeAnswer(),
    public_tests=({"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "5\n", "stdout": "5\n"}),
)


def session_of(query: Query) -> Session:
    return Session(query, Scripted(lambda request: ""), Ledger())


def candidate(program: str | None) -> Candidate:
    return Candidate(program, Sample(text=program or "I do not know."))


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


@pytest.mark.anyio
async def test_the_score_is_the_share_that_passes() -> None:
    programs = [RIGHT, HALF, WRONG, "def add(a, b:", None]
    scores = await PublicTests().score(QUERY, [candidate(p) for p in programs], session_of(QUERY))
    assert scores == [1.0, pytest.approx(2 / 3), 0.0, 0.0, 0.0]


@pytest.mark.anyio
async def test_whole_programs_are_tested_by_what_they_print() -> None:
    right, wrong = "print(sum(map(int, input().split())))", "print(3)"
    scores = await PublicTests().score(ECHO, [candidate(right), candidate(wrong)], session_of(ECHO))
    assert scores == [1.0, 0.5]
    said = await PublicTests().critique(ECHO, candidate(wrong), session_of(ECHO))
    assert "fails 1 of 2" in said
    assert "'5\\n'" in said


@pytest.mark.anyio
async def test_a_text_is_tested_by_the_program_in_it() -> None:
    query = Query.of("Write add(a, b).", public_tests=TESTS)
    texts = [f"Here:\n{fenced(p)}\nThat is all." for p in (RIGHT, WRONG)]
    assert await PublicTests().score(query, [candidate(text) for text in texts], session_of(query)) == [1.0, 0.0]


@pytest.mark.anyio
async def test_without_public_tests_all_programs_score_the_same_and_it_says_so() -> None:
    query = Query.of("Write add(a, b).", answer_type=CodeAnswer("add"))
    session = session_of(query)
    assert await PublicTests().score(query, [candidate(RIGHT), candidate(None)], session) == [0.5, 0.0]
    assert ["no public tests" in warning for warning in session.progress.warnings] == [True]
    assert await PublicTests().critique(query, candidate(RIGHT), session) == ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("program", "says", "says_not"),
    [
        (HALF, ["fails 1 of 3", "add(0.5, 0.25) == 0.75", "returned 0"], ["add(1, 2)"]),
        (WRONG, ["fails 3 of 3", "add(1, 2) == 3", "returned -1"], []),
        ("def add(a, b):\n    return a / 0", ["ZeroDivisionError"], []),
        ("def add(a, b:", ["all 3 tests in the same way", "SyntaxError"], ["add(1, 2)"]),
        ("def plus(a, b):\n    return a + b", ["all 3 tests in the same way", "add"], []),
        (None, ["no program"], []),
    ],
)
async def test_a_critique_says_what_failed_and_how(program: str | None, says: list[str], says_not: list[str]) -> None:
    said = await PublicTests().critique(QUERY, candidate(program), session_of(QUERY))
    assert all(words in said for words in says), said
    assert not any(words in said for words in says_not), said


@pytest.mark.anyio
async def test_there_is_nothing_to_say_about_what_passes() -> None:
    assert await PublicTests().critique(QUERY, candidate(RIGHT), session_of(QUERY)) == ""


@pytest.mark.anyio
async def test_best_of_n_takes_the_one_that_passes_and_stops() -> None:
    said = [fenced(p) for p in (WRONG, HALF, RIGHT, WRONG, WRONG)]
    model = Scripted(lambda request: said[request.index])
    outcome = await solve(QUERY, "best_of_n:n=5,wave=1", model, verifier="public_tests")
    assert (outcome.answer, outcome.ended_by, outcome.calls) == (RIGHT, "stopped_early", {"generate": 3})


@pytest.mark.anyio
async def test_a_revision_is_told_and_mends_it() -> None:
    def reply(request: Request) -> str:
        if request.kind == "generate":
            return fenced(HALF)
        told = str(request.messages[-1]["content"])
        return fenced(RIGHT if "add(0.5, 0.25) == 0.75" in told and "returned 0" in told else WRONG)

    outcome = await solve(QUERY, "revision:chains=1,length=4", Scripted(reply), verifier="public_tests")
    assert (outcome.answer, outcome.calls) == (RIGHT, {"generate": 1, "revise": 1})


@pytest.mark.anyio
async def test_a_program_is_run_once_per_query_however_often_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ttc.verifiers.code import shared_sandbox

    runs: list[str] = []
    check = shared_sandbox().check

    async def counted(source: str, *args: Any, **named: Any) -> Any:
        runs.append(source)
        return await check(source, *args, **named)

    monkeypatch.setattr(shared_sandbox(), "check", counted)
    session, verifier = session_of(QUERY), PublicTests()
    again = candidate(HALF + "  # rounded")
    await verifier.score(QUERY, [candidate(RIGHT), candidate(HALF), again], session)
    await verifier.score(QUERY, [candidate(RIGHT), again], session)
    await verifier.critique(QUERY, again, session)
    assert len(runs) == 2


@pytest.mark.anyio
async def test_a_query_is_refused_where_programs_cannot_be_jailed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ttc.errors import SandboxUnavailable
    from ttc.verifiers.code import tested

    def none() -> Any:
        raise SandboxUnavailable("this machine cannot jail a program: --unsafe-local-exec")

    monkeypatch.setattr(tested, "shared_sandbox", none)
    model = Scripted(lambda request: fenced(RIGHT))
    with pytest.raises(SandboxUnavailable, match="--unsafe-local-exec"):
        await solve(QUERY, "best_of_n:n=2", model, verifier="public_tests", sampling=Sampling(max_tokens=64))
    assert model.requests == []


PROMPT = """Write this function:

def double(x):
    '''Twice x.

    >>> double(2)
    4
    >>> double("a")
    'aa'
    >>> triple(1)
    3
    '''

It must not print. For example, assert double(1) == 2 holds.
assert double(5) == 10
"""


def test_the_tests_that_a_prompt_shows_are_read_out_of_it() -> None:
    shown = ("assert double(2) == 4", "assert double('a') == 'aa'", "assert double(5) == 10")
    assert shown_tests(PROMPT) == shown_tests(PROMPT, "double") == shown
    assert shown_tests("What is 2 + 2?\n>>> f(1)\n2") == ()  # no function is asked for
    assert shown_tests(PROMPT + " " * 16_384) == ()


@pytest.mark.parametrize("line", ["assert (", "assert f(1,", ">>> f(1)\n[1,", "f(" + ")" * 400, ">>> f(" + "1," * 200])
def test_a_prompt_cannot_make_the_search_long(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that are parsed stay within a multiple of the prompt's own: it runs on the event loop."""
    parsed = 0

    def counting(source: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal parsed
        parsed += len(source)
        return parse(source, *args, **kwargs)

    parse = ast.parse
    monkeypatch.setattr(ast, "parse", counting)
    prompt = "def f(x):\n" + (line + "\n") * ((16_384 - 10) // (len(line) + 1))
    shown_tests(prompt)
    assert parsed < 800 * len(prompt)


@pytest.mark.anyio
async def test_a_prompt_with_examples_needs_no_public_tests_beside_it() -> None:
    replies = ["def double(x): return x + 2", "def double(x): return 2 * x"]
    model = Scripted(lambda request: replies[request.index])
    outcome = await solve(
        Query.of(PROMPT, answer_type=CodeAnswer("double")), "best_of_n:n=2", model, verifier="public_tests"
    )
    assert outcome.answer == replies[1]
    assert outcome.warnings == ()
