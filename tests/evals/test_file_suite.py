"""A suite of one's own: columns are named, and a row without one is named with its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ttc.errors import ConfigurationError, UnknownName
from ttc.evals.suite import Suite, load_suite
from ttc.evals.suites.file import File

ROWS: list[dict[str, Any]] = [
    {"question": "2 + 2?", "gold": 4, "unit": "eggs", "level": "easy", "topic": "sums", "name": "a"},
    {"question": "3 * 3?", "gold": "9", "unit": "pens", "level": "hard", "topic": "products", "name": "b"},
]
COLUMNS = "prompt=question,answer=gold"


def write(folder: Path, rows: Sequence[Any], name: str = "mine.jsonl") -> str:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def mine(folder: Path, parameters: str, rows: Sequence[Any] = ROWS) -> Suite:
    return load_suite(f"file:{write(folder, rows)},{parameters}")


def test_the_path_comes_first_and_columns_have_names_by_default(tmp_path: Path) -> None:
    suite = load_suite(f"file:{write(tmp_path, [{'prompt': 'Capital of France?', 'answer': 'Paris'}])}")
    (problem,) = suite.problems
    assert (problem.query.prompt, problem.gold) == ("Capital of France?", "Paris")
    assert problem.query.answer_type.name == "text"
    assert problem.query.id == "mine/0"
    assert suite.name == "file:mine"


def test_answers_are_numbers_where_all_of_them_are(tmp_path: Path) -> None:
    suite = mine(tmp_path, COLUMNS)
    assert [p.gold for p in suite.problems] == ["4", "9"]
    assert {p.query.answer_type.name for p in suite.problems} == {"number"}
    assert suite.info["answers"] == "number"


def test_a_csv_of_the_same_columns_is_the_same_suite(tmp_path: Path) -> None:
    table = write(tmp_path, ["question,gold", "2 + 2?,4", "3 * 3?,9"], "mine.csv")
    assert load_suite(f"file:{table},{COLUMNS}").digest() == mine(tmp_path, COLUMNS).digest()


def test_the_answer_type_can_be_named_with_its_parameters(tmp_path: Path) -> None:
    rows = [{"prompt": "A, B or C?", "answer": "b"}]
    (problem,) = mine(tmp_path, "type=(choice:letters=ABC)", rows).problems
    assert problem.query.answer_type.key("C") == "C"
    assert problem.query.answer_type.key("D") == ""


def test_names_and_tags_come_from_columns(tmp_path: Path) -> None:
    suite = mine(tmp_path, f"{COLUMNS},id=name,tags=(level+topic)")
    assert [p.query.id for p in suite.problems] == ["a", "b"]
    assert suite.problems[1].query.tags == {"family": "mine", "level": "hard", "topic": "products"}


def test_a_template_fills_in_columns_and_leaves_other_braces_alone(tmp_path: Path) -> None:
    template = r"template=({question} Answer in {unit} as \boxed{}, {{so}}.)"
    suite = mine(tmp_path, f"{template},answer=gold")
    assert suite.problems[0].query.prompt == r"2 + 2? Answer in eggs as \boxed{}, {so}."


def test_braces_in_a_column_stay_as_they_are(tmp_path: Path) -> None:
    suite = mine(tmp_path, "template=(Solve {prompt}.)", [{"prompt": "{{x}} or {y}", "answer": "1"}])
    assert suite.problems[0].query.prompt == "Solve {{x}} or {y}."


def test_a_template_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("{question}\nThink, then answer.")
    suite = mine(tmp_path, f"template=@{tmp_path / 'prompt.txt'},answer=gold,system=Be brief.")
    assert suite.problems[0].query.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?\nThink, then answer."},
    )


def test_a_column_may_hold_chat_messages(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2 + 2?"},
    ]
    (problem,) = mine(tmp_path, "type=number", [{"prompt": turns, "answer": 4}]).problems
    assert list(problem.query.messages) == turns


@pytest.mark.parametrize(
    ("bad", "parameters", "says"),
    [
        ({"question": "x"}, COLUMNS, "'gold' is missing; the columns are: question"),
        ({"gold": "1"}, COLUMNS, "'question' is missing; the columns are: gold"),
        ({"question": "x", "gold": ""}, COLUMNS, "'gold' is missing: the column is empty"),
        ({"question": "x", "gold": [1]}, COLUMNS, "'gold' is no text and no number"),
        ({"question": "x", "gold": "many"}, f"{COLUMNS},type=number", "'gold' is no answer of type number"),
        ({"question": "x", "gold": "1"}, f"{COLUMNS},tags=level", "'level' is missing"),
        ({"question": "x", "gold": "1"}, f"{COLUMNS},id=name", "'name' is missing"),
        ({"question": "x", "gold": "1"}, "template={question} {unit},answer=gold", "'unit' is missing"),
        (
            {"question": "x", "gold": "1", "level": "hard", "name": "a"},
            f"{COLUMNS},id=name",
            "'a' was given already, in",
        ),
        ({"question": [], "gold": "1"}, COLUMNS, "end with a message of the user"),
        ({"question": [{"role": "tool", "content": ""}], "gold": "1"}, COLUMNS, "a message of role 'tool'"),
        ({"question": ["x"], "gold": "1"}, COLUMNS, "not of messages"),
        ("{", COLUMNS, "not JSON"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, bad: Any, parameters: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        mine(tmp_path, parameters, [ROWS[0], bad])
    assert "mine.jsonl, line 2: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_in_the_spec_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="path is missing"):
        load_suite("file")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file"):
        load_suite("file:nowhere.jsonl")
    with pytest.raises(UnknownName, match="Did you mean 'maths'"):
        mine(tmp_path, f"{COLUMNS},type=math")
    with pytest.raises(UnknownName, match="Did you mean 'answer'"):
        mine(tmp_path, "answers=gold")
    with pytest.raises(ConfigurationError, match=r"has no column in it: write \{question\}"):
        mine(tmp_path, "template=Answer me,answer=gold")
    with pytest.raises(ConfigurationError, match=r"the template .* cannot be read"):
        mine(tmp_path, "template=@nowhere.txt,answer=gold")
    with pytest.raises(ConfigurationError, match="holds no problems"):
        mine(tmp_path, COLUMNS, [])
    with pytest.raises(ConfigurationError, match="graded by tests: name their column"):
        mine(tmp_path, f"{COLUMNS},type=code")


# -- programs

DOUBLE: dict[str, Any] = {
    "prompt": "Write double(x).",
    "tests": ["assert double(2) == 4", "assert double(-1) == -2"],
    "shown": "assert double(0) == 0",
    "entry_point": "double",
}
RIGHT = "def double(x):\n    return 2 * x\n"


def test_a_column_of_tests_makes_a_suite_of_programs_whose_tests_are_hidden(tmp_path: Path) -> None:
    (problem,) = mine(tmp_path, "tests=tests,public_tests=shown", [DOUBLE]).problems
    assert problem.query.answer_type.name == "code"
    assert getattr(problem.query.answer_type, "entry_point", "") == "double"
    assert problem.query.public_tests == ("assert double(0) == 0",)
    assert problem.tests == tuple(DOUBLE["tests"])
    assert "double(2)" not in str(problem.query)


def test_tests_in_a_table_are_written_as_json(tmp_path: Path) -> None:
    cell = json.dumps([{"stdin": "1\n", "stdout": "2\n"}]).replace('"', '""')
    table = write(tmp_path, ["prompt,tests", f'Double it.,"{cell}"'], "mine.csv")
    assert load_suite(f"file:{table},tests=tests").problems[0].tests == ({"stdin": "1\n", "stdout": "2\n"},)


PAIR = {"stdin": "1", "stdout": "2"}
WRITTEN: list[Any] = [PAIR, [PAIR], json.dumps(PAIR), json.dumps([PAIR]), {"stdin": 1, "stdout": 2}]


@pytest.mark.parametrize("tests", WRITTEN, ids=str)
@pytest.mark.parametrize("column", ["tests", "public_tests"])
def test_a_test_of_input_and_output_may_be_one_or_a_list_as_it_is_or_as_json(
    tmp_path: Path, tests: Any, column: str
) -> None:
    rows = [{"prompt": "x", "own": tests, "other": "assert f(1)"}]
    other = "public_tests" if column == "tests" else "tests"
    (problem,) = mine(tmp_path, f"{column}=own,{other}=other", rows).problems
    assert (problem.tests if column == "tests" else problem.query.public_tests) == (PAIR,)


def test_numbers_of_input_and_output_are_written_as_python_prints_them(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "tests": [{"stdin": 1.5, "stdout": 2.0}, {"stdin": -7, "stdout": ""}]}]
    (problem,) = mine(tmp_path, "tests=tests", rows).problems
    assert problem.tests == ({"stdin": "1.5", "stdout": "2.0"}, {"stdin": "-7", "stdout": ""})


BAD_TESTS: list[tuple[Any, str]] = [
    ([], "has no test"),
    ("[]", "has no test"),
    ([7], "neither asserts nor"),
    ([{"stdin": "1"}], "neither asserts nor"),
    ({"stdin": "1"}, "neither asserts nor"),
    ({"stdin": "1", "stdout": "2", "more": "3"}, "neither asserts nor"),
    ("[1", "no list of tests"),
    ('{"stdin": 1', "no list of tests"),
    (4, "is missing or no text"),
    ("4", "every program passes"),
    ('"just text"', "every program passes"),
    (["x = 1"], "every program passes"),
    ('""', "every program passes"),
    (["assert f(1) == 2", ""], "every program passes"),
    ("# assert f(1) == 2", "every program passes"),
    ("f(1) == 2", "every program passes"),
    ("def check(candidate):\n    assert candidate(1) == 2", "every program passes"),
    ("class Test:\n    def test(self):\n        assert f(1) == 2", "every program passes"),
    ("just text", "no Python"),
    ("assert f(1) = 2", "no Python"),
    ("assert f(1)\nreturn", "no Python"),
    (["assert f(1) == 2", "assert f("], "no Python"),
    ("assert f(1)\0", "no Python"),
    ([{"stdin": "1", "stdout": True}], "stdout is no text"),
    ([{"stdin": None, "stdout": "1"}], "stdin is no text"),
    ([{"stdin": ["1"], "stdout": "1"}], "stdin is no text"),
    ('{"stdin": "1", "stdout": 123456789012345678901234567890}', "stdout is no text"),
]


@pytest.mark.parametrize(("tests", "says"), BAD_TESTS, ids=[str(tests) for tests, _ in BAD_TESTS])
@pytest.mark.parametrize("column", ["tests", "public_tests"])
def test_a_test_that_grades_nothing_is_refused_with_its_line(
    tmp_path: Path, tests: Any, says: str, column: str
) -> None:
    rows = [{"prompt": "x", "own": "assert f(1) == 2", "other": "assert f(1)"}]
    other = "public_tests" if column == "tests" else "tests"
    with pytest.raises(ConfigurationError, match=rf"^\S*mine.jsonl, line 2: 'own' .*{says}") as caught:
        mine(tmp_path, f"{column}=own,{other}=other", [*rows, {**rows[0], "own": tests}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "test",
    [
        "assert f(1) == 2",
        "if f(1) != 2:\n    raise ValueError",
        "def check(candidate):\n    assert candidate(1) == 2\n\ncheck(f)",
        "class Test:\n    def test(self):\n        assert f(1) == 2\nTest().test()",
        "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError",
        "assert re.match('\\d', f(1)) is 7",
    ],
)
def test_a_test_that_a_program_can_fail_is_taken_as_it_is(tmp_path: Path, test: str) -> None:
    (problem,) = mine(tmp_path, "tests=tests", [{"prompt": "x", "tests": test}]).problems
    assert problem.tests == (test,)


@pytest.mark.anyio
async def test_programs_are_graded_by_running_their_hidden_tests(tmp_path: Path) -> None:
    suite = mine(tmp_path, "tests=tests", [DOUBLE])
    await suite.grader.prepare()
    assert await suite.grade(suite.problems[0], RIGHT) == "right"
    assert await suite.grade(suite.problems[0], RIGHT.replace("2 *", "3 *")) == "wrong"


@pytest.mark.anyio
async def test_a_cell_with_input_and_output_grades_what_a_program_prints(tmp_path: Path) -> None:
    table = write(tmp_path, ["prompt,tests", 'Double it.,"{""stdin"": 1, ""stdout"": ""2""}"'], "mine.csv")
    suite = load_suite(f"file:{table},tests=tests")
    assert await suite.grade(suite.problems[0], "print(2 * int(input()))") == "right"
    assert await suite.grade(suite.problems[0], "print(3 * int(input()))") == "wrong"


def test_a_suite_of_programs_says_what_a_jail_takes_and_another_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TTC_UNSAFE_LOCAL_EXEC", raising=False)
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    path = write(tmp_path, [DOUBLE])
    assert "ttc-compute[code]" in File(path=path, tests="tests").missing()
    assert File(path=path).missing() == ""
