"""Tests that the model writes: which of its lines are run, what each counts, and who is chosen by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc import Query, solve
from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.types import Candidate, Request, Sample
from ttc.verifiers.code.agreement import Agreement
from ttc.verifiers.code.answer_type import CodeAnswer
from ttc.verifiers.code.asserts import read_asserts
from ttc.verifiers.code.scoring import agreement_score, pass_rate, plausibility, validity_weighted
from ttc.verifiers.code.written_tests import WrittenTests

RIGHT = "def double(x):\n    return x * 2"
ALSO_RIGHT = "def double(x):\n    return x + x"
SQUARE = "def double(x):\n    return x * x"
SAME = "def double(x):\n    return x"
#: two valid ones, and two that only a program passes which is as wrong as they are
WRITTEN = "\n".join(f"assert double({a}) == {b}" for a, b in ((3, 6), (-1, -2), (4, 16), (5, 25)))
QUERY = Query.of("Write double(x).", answer_type=CodeAnswer("double"), public_tests=("assert double(1) == 2",))


def candidate(program: str | None) -> Candidate:
    return Candidate(program, Sample(text=program or ""))


def session_of(query: Query, text: str = WRITTEN, *, budget: Budget | None = None) -> tuple[Session, Scripted]:
    model = Scripted(lambda request: f"Here they are:\n```python\n{text}\n```")
    return Session(query, model, Ledger(budget)), model


# -- pure scores ----------------------------------------------------------------------------------------------------

#: five candidates by four tests: three alike, one that passes more on its own, one that passes nothing
BITS = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]


def test_the_scores_of_a_small_matrix() -> None:
    passed = [[bool(bit) for bit in row] for row in BITS]
    assert pass_rate(passed) == [0.5, 0.5, 0.5, 0.75, 0.0]
    assert agreement_score(passed) == pytest.approx([6 / 20, 6 / 20, 6 / 20, 3 / 20, 0])
    assert plausibility(passed) == pytest.approx([3 / 4, 1, 1 / 4, 1 / 4])
    group, lone = (1.75 / 2.25) * 0.6**0.5, (1.5 / 2.25) * 0.2**0.5
    assert validity_weighted(passed) == pytest.approx([group, group, group, lone, 0])


@pytest.mark.parametrize("score", [pass_rate, agreement_score, validity_weighted])
@given(
    passed=st.integers(0, 6).flatmap(lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), max_size=8))
)
def test_scores_are_shares_and_do_not_depend_on_the_order(score: object, passed: list[list[bool]]) -> None:
    assert callable(score)
    scores: list[float] = score(passed)
    assert len(scores) == len(passed)
    assert all(0 <= s <= 1 + 1e-12 for s in scores)
    assert all(s == 0 for s, row in zip(scores, passed, strict=True) if not any(row))
    assert score(passed[::-1]) == pytest.approx(scores[::-1])
    assert score([row[::-1] for row in passed]) == pytest.approx(scores)
    assert len({s for s, row in zip(scores, passed, strict=True) if row == passed[0]}) <= 1


@given(st.integers(1, 20), st.integers(1, 10))
def test_candidates_that_all_pass_everything_score_one(n: int, tests: int) -> None:
    passed = [[True] * tests] * n
    for score in (pass_rate, agreement_score, validity_weighted):
        assert score(passed) == pytest.approx([1.0] * n)


# -- what a model writes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "test"),
    [
        ("assert f(1) == 2", "assert f(1) == 2"),
        ("- assert f( 1,'a' )==[2]  # so", "assert f(1, 'a') == [2]"),
        ("3. `assert f(-1) == -2`", "assert f(-1) == -2"),
        ('assert f(x=1) == 2, "message"', "assert f(x=1) == 2"),
        ("assert not f([])", "assert not f([])"),
        ("assert abs(f(1.5) - 3.0) < 1e-6", "assert abs(f(1.5) - 3.0) < 1e-06"),
        ("assert sorted(f({'a': (1, None)})) == [1, 2]", "assert sorted(f({'a': (1, None)})) == [1, 2]"),
        (">>> assert f(True) is True and f(0) != 0", "assert f(True) is True and f(0) != 0"),
    ],
)
def test_asserts_of_literal_calls_are_read(line: str, test: str) -> None:
    assert read_asserts(f"Tests:\n{line}\nThat is all.", "f", limit=5) == (test,)


@pytest.mark.parametrize(
    "line",
    [
        "assert g(1) == 2",
        "assert True",
        "assert f == f",
        "assert f(x) == 2",
        "assert f(abs) == 2",
        "assert f(f(1)) == 2",
        "assert f(*[1]) == 2",
        "assert f(**{'a': 1}) == 2",
        "assert f(1).upper() == 'A'",
        "assert f(open('x')) == 2",
        "assert __import__('os').system('ls') == f(1)",
        "assert f(9 ** 9 ** 9) == 2",
        "assert [f(i) for i in range(3)] == [1]",
        "assert (lambda: f(1))() == 2",
        "assert f(1) ==",
        "assert f(1) == 2; f(2)",
        "assertion f(1) == 2",
        "f(1) == 2",
        "assert f(" + "[" * 500 + "]" * 500 + ") == 2",
        "assert f(" + "-" * 900 + "1) == 2",
        "assert f(" + "not " * 200 + "1) == 2",
        "assert f(" + "1" * 2000 + ") == 2",
        "assert f('\\q') == ",
    ],
)
def test_nothing_else_is(line: str) -> None:
    assert read_asserts(line, "f", limit=5) == ()


def test_each_is_taken_once_and_no_more_than_were_asked_for() -> None:
    text = "assert f(1) == 1\nassert f(1)==1\nassert f(2) == 2\nassert f(3) == 3"
    assert read_asserts(text, "f", limit=2) == ("assert f(1) == 1", "assert f(2) == 2")


@given(st.text(alphabet="assert f(12)[]{}==\n'\"\\-,.#`", max_size=120))
def test_no_text_breaks_reading(text: str) -> None:
    for test in read_asserts(f"assert {text}\n{text}", "f", limit=9):
        assert test.startswith("assert ")
        assert "f(" in test


# -- with a model and the sandbox -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_tests_are_written_once_per_query_and_are_no_sample_of_it() -> None:
    session, model = session_of(QUERY)
    drawn = [candidate(p) for p in (RIGHT, SQUARE, ALSO_RIGHT)]
    for k in range(1, 4):
        await WrittenTests().score(QUERY, drawn[:k], session)
    await Agreement().score(QUERY, drawn, session)
    assert [request.kind for request in model.requests] == ["judge"]
    asked = str(model.requests[0].messages[-1]["content"])
    assert all(words in asked for words in ("Write double(x).", "assert double(1) == 2", "10 tests"))
    assert session._ledger.spent.generated == model.generated > 0
    assert session.progress.consumed.generated == model.generated
    assert session.progress.drawn == 0


@pytest.mark.anyio
async def test_a_test_counts_by_who_passes_it() -> None:
    session, _ = session_of(QUERY)
    programs = [RIGHT, ALSO_RIGHT, SQUARE, SAME, None, "def double(x:"]
    scores = await WrittenTests().score(QUERY, [candidate(p) for p in programs], session)
    # Each of the two kinds passes two tests of the four: what tells them apart is how many agree.
    assert scores[0] == scores[1] > scores[2] > scores[3] == scores[4] == scores[5] == 0
    validity = next(event for event in session.progress.trace if event["event"] == "validity")
    assert [p for _, p in validity["tests"]] == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3], abs=1e-4)


@pytest.mark.anyio
@pytest.mark.parametrize(("tests", "most"), [("public", 1), ("written", 4), ("both", 5)])
async def test_agreement_is_group_size_times_tests_passed(tests: str, most: int) -> None:
    session, model = session_of(QUERY)
    verifier = Agreement.model_validate({"tests": tests})
    scores = await verifier.score(QUERY, [candidate(p) for p in (RIGHT, ALSO_RIGHT, SQUARE, None)], session)
    of_right = {"public": 1, "written": 2, "both": 3}[tests]
    of_square = {"public": 0, "written": 2, "both": 2}[tests]
    assert scores == pytest.approx([2 * of_right / (3 * most)] * 2 + [of_square / (3 * most), 0])
    assert len(model.requests) == (tests != "public")


@pytest.mark.anyio
@pytest.mark.parametrize("verifier", ["written_tests", "agreement", "agreement:tests=written,n=4"])
async def test_best_of_n_takes_the_program_that_others_vouch_for(verifier: str) -> None:
    said = [SQUARE, SAME, RIGHT, ALSO_RIGHT, "def double(x:"]

    def reply(request: Request) -> str:
        return WRITTEN if request.kind == "judge" else f"```python\n{said[request.index]}\n```"

    outcome = await solve(QUERY, "best_of_n:n=5,weighted=false", Scripted(reply), verifier=verifier)
    assert outcome.answer in (RIGHT, ALSO_RIGHT)
    # The first one stood before there were tokens for scoring it; the call that writes tests is no sample.
    assert [point.samples for point in outcome.checkpoints] == [1, 1, 2, 3, 4, 5]
    assert outcome.calls == {"generate": 5, "judge": 1}


@pytest.mark.anyio
async def test_a_model_that_writes_no_test_leaves_all_as_good_as_each_other() -> None:
    session, _ = session_of(QUERY, "I would test it thoroughly.")
    assert await WrittenTests().score(QUERY, [candidate(RIGHT), candidate(None)], session) == [0.5, 0.0]
    assert any("wrote no test" in warning for warning in session.progress.warnings)


@pytest.mark.anyio
async def test_without_a_function_to_test_or_tokens_to_write_it_says_so() -> None:
    query = Query.of("Print the sum.", answer_type=CodeAnswer())
    session, _ = session_of(query)
    with pytest.raises(ConfigurationError, match="names no function"):
        await WrittenTests().score(query, [candidate("print(1)")], session)
    poor, model = session_of(QUERY, budget=Budget(calls=1))
    await poor.generate()
    with pytest.raises(BudgetExhausted):
        await WrittenTests().score(QUERY, [candidate(RIGHT)], poor)
    assert [request.kind for request in model.requests] == ["generate"]
