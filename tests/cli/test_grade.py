"""``ttc grade``: completions from anywhere get verdicts, and what cannot be graded is said with its line."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.data import dataset
from ttc.cli import app
from ttc.errors import ConfigurationError, SandboxUnavailable
from ttc.verifiers.code import shared_sandbox

RUN = CliRunner()


def jsonl(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return file


def grade(*arguments: str | Path) -> Result:
    return RUN.invoke(app, ["grade", *map(str, arguments)])


def report(*arguments: str | Path) -> dict[str, Any]:
    done = grade(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def complaint(*arguments: str | Path) -> str:
    done = grade(*arguments)
    assert isinstance(done.exception, ConfigurationError), done.stdout
    return str(done.exception)


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """A suite of four questions whose answers are 0 to 3; the last two are of medium level."""
    rows = [{"question": f"{i}?", "answer": f"{'<<>>' * (3 * (i > 1))} #### {i}"} for i in range(4)]
    return f"gsm8k:path={jsonl(tmp_path / 'questions.jsonl', *rows)}"


def test_samples_of_problems_give_accuracy_and_pass_at_k(tmp_path: Path, questions: str) -> None:
    # Right of three samples each: 3, 2, 1, 0.
    rows = [
        {"id": f"gsm8k/questions/{i}", "completion": f"The answer is {i if k + i < 3 else 99}."}
        for i in range(4)
        for k in range(3)
    ]
    data = report(jsonl(tmp_path / "c.jsonl", *rows), "--suite", questions)
    assert (data["completions"], data["problems"], data["suite_problems"], data["right"]) == (12, 4, 4, 6)
    assert data["accuracy"]["value"] == 0.5
    assert data["accuracy"]["n"] == 4  # the error is clustered on problems
    expected = {k: sum(1 - comb(3 - c, k) / comb(3, k) for c in (3, 2, 1, 0)) / 4 for k in (1, 2, 3)}
    assert {int(k): m["value"] for k, m in data["pass_at"].items()} == pytest.approx(expected)
    assert {level: m["value"] for level, m in data["levels"].items()} == pytest.approx({"easy": 5 / 6, "medium": 1 / 6})
    text = grade(tmp_path / "c.jsonl", "--suite", questions).stdout
    assert "12 completions of 4 of 4 problems: 6 right, 0 undecided, 0 without an answer" in text
    assert "pass@3" in text


def test_what_has_no_answer_is_wrong_and_counted(tmp_path: Path, questions: str) -> None:
    file = jsonl(tmp_path / "c.jsonl", {"id": "0", "text": ""}, {"id": "1", "text": "1"}, {"id": 2, "text": "no idea"})
    data = report(file, "--suite", questions)
    assert (data["right"], data["unanswered"], data["problems"]) == (1, 2, 3)
    assert data["accuracy"]["value"] == pytest.approx(1 / 3)


def test_verdicts_are_written_whole_with_their_origin(tmp_path: Path, questions: str) -> None:
    rows = [{"problem": "0", "response": "0"}, {"problem": "0", "response": "7"}, {"problem": "3", "response": ""}]
    out = tmp_path / "verdicts.jsonl"
    report(jsonl(tmp_path / "c.jsonl", *rows), "--suite", questions, "--out", out)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(w["id"], w["sample"], w["verdict"], w["answer"]) for w in written] == [
        ("gsm8k/questions/0", 0, "right", "0"),
        ("gsm8k/questions/0", 1, "wrong", "7"),
        ("gsm8k/questions/3", 0, "wrong", None),
    ]
    assert written[1]["from"].endswith("c.jsonl, line 2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.jsonl", "questions.jsonl", "verdicts.jsonl"]


def test_an_interrupted_grading_leaves_no_verdicts(
    tmp_path: Path, questions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "verdicts.jsonl"
    out.write_text("of before\n")

    async def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ttc.evals.grading.AnswerGrader.grade", broken)
    done = grade(jsonl(tmp_path / "c.jsonl", {"id": "0", "text": "0"}), "--suite", questions, "--out", out)
    assert done.exit_code != 0
    assert out.read_text() == "of before\n"


def test_columns_may_be_named(tmp_path: Path, questions: str) -> None:
    file = jsonl(tmp_path / "c.jsonl", {"nr": 3, "said": "3", "text": "99"})
    assert report(file, "--suite", questions, "--id-field", "nr", "--text-field", "said")["right"] == 1


def test_rows_may_bring_their_own_gold_answers(tmp_path: Path) -> None:
    rows = [
        {"completion": "The answer is \\boxed{\\frac{1}{2}}.", "target": "0.5"},
        {"completion": "\\boxed{3}", "target": 4},
        {"completion": "\\boxed{5}", "target": 5},
    ]
    data = report(jsonl(tmp_path / "c.jsonl", *rows), "--gold-field", "target", "--answer-type", "maths")
    assert (data["right"], data["problems"], data["suite_problems"]) == (2, 3, None)


def test_an_answer_column_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = [{"id": "a", "answer": "x + 1", "gold": "1 + x"}, {"id": "b", "answer": "1", "gold": "x + 1"}]
    data = report(jsonl(tmp_path / "c.jsonl", *rows), "--gold-field", "gold", "--answer-type", "maths")
    assert (data["right"], data["unanswered"]) == (1, 0)


def test_programs_are_run_whole_or_as_what_a_base_model_went_on_with(tmp_path: Path) -> None:
    try:
        shared_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    suite = f"humaneval:path={dataset('HumanEval.jsonl.gz')},limit=4"
    rows = [
        {"task_id": "HumanEval/2", "completion": "    return number % 1.0\n"},
        {"task_id": "HumanEval/2", "completion": "Sure:\n```python\ndef truncate_number(x):\n    return x % 1\n```"},
        {"task_id": "HumanEval/2", "completion": "def truncate_number(x):\n    return x\n"},
        {"task_id": "HumanEval/2", "completion": "I cannot."},
    ]
    out = tmp_path / "v.jsonl"
    report(jsonl(tmp_path / "c.jsonl", *rows), "--suite", suite, "--out", out)
    verdicts = [json.loads(line)["verdict"] for line in out.read_text().splitlines()]
    assert verdicts == ["right", "right", "wrong", "wrong"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "0", "text": "0"}, {"id": "9", "text": "0"}], r"line 2: .* has no problem '9' \('id'\)"),
        ([{"id": "0", "text": "0"}, {"text": "0"}], "line 2: 'id' is missing"),
        ([{"id": "0", "text": "0"}, {"id": "1"}], "line 2: 'text' is missing"),
        ([{"id": "0", "text": "0"}, {"id": "1", "text": ["0"]}], "line 2: 'text' is no text"),
        ([{"nr": "0", "text": "0"}], "line 1: none of the columns id, .*--id-field"),
        ([{"id": "0", "words": "0"}], "line 1: none of the columns completion, .*--text-field"),
    ],
)
def test_a_row_that_cannot_be_graded_is_named(
    tmp_path: Path, questions: str, rows: list[dict[str, Any]], message: str
) -> None:
    out = tmp_path / "verdicts.jsonl"
    with pytest.raises(ConfigurationError, match=message):
        raise ConfigurationError(complaint(jsonl(tmp_path / "c.jsonl", *rows), "--suite", questions, "--out", out))
    assert not out.exists()


def test_what_has_to_be_said_is_asked_for(tmp_path: Path, questions: str) -> None:
    file = jsonl(tmp_path / "c.jsonl", {"id": "0", "text": "0", "gold": "0"}, {"id": "0", "text": "0", "gold": "1"})
    assert "either --suite, or --gold-field" in complaint(file)
    assert "either --suite, or --gold-field" in complaint(file, "--suite", questions, "--gold-field", "gold")
    assert "the suite says how" in complaint(file, "--suite", questions, "--answer-type", "maths")
    assert "line 2: 'gold' of problem '0' is '1', and was '0'" in complaint(file, "--gold-field", "gold")
    assert "unknown answer type 'math'" in complaint(file, "--gold-field", "gold", "--answer-type", "math")
    assert "no folder" in complaint(file, "--suite", questions, "--out", tmp_path / "none" / "v.jsonl")
    assert "cannot be read" in complaint(tmp_path / "none.jsonl", "--suite", questions)
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "holds no rows" in complaint(tmp_path / "empty.jsonl", "--suite", questions)


def test_a_level_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    problems = [{"question": f"{i}?", "gold": i, "level": level} for i, level in enumerate(("[/b]", "[red]"))]
    suite = f"file:{jsonl(tmp_path / 'p.jsonl', *problems)},prompt=question,answer=gold,tags=level"
    rows = [{"id": f"p/{i}", "text": f"{i}"} for i in range(2)]
    done = grade(jsonl(tmp_path / "c.jsonl", *rows), "--suite", suite)
    assert done.exception is None
    assert "[/b]" in done.stdout
    assert "[red]" in done.stdout


@pytest.mark.parametrize(("golds", "kind", "right"), [((1, "2.50"), "number", 2), ((1, "two"), "text", 1)])
def test_the_answer_type_that_fits_the_gold_answers_is_taken_and_said(
    tmp_path: Path, golds: tuple[object, ...], kind: str, right: int
) -> None:
    said = ("It is 1.", "2.5") if kind == "number" else ("It is 1.", "two")
    rows = [{"completion": text, "gold": gold} for text, gold in zip(said, golds, strict=True)]
    file = jsonl(tmp_path / "c.jsonl", *rows)
    data = report(file, "--gold-field", "gold")
    assert (data["answer_type"], data["answer_type_inferred"], data["right"]) == (kind, True, right)
    assert f"answers compared as {kind}" in grade(file, "--gold-field", "gold").stdout
    given = report(file, "--gold-field", "gold", "--answer-type", kind)
    assert (given["answer_type_inferred"], given["right"]) == (False, right)


def test_one_is_one(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "c.jsonl", {"completion": "1", "gold": 1})
    assert "1 completion of 1 problem: 1 right" in grade(file, "--gold-field", "gold").stdout


def test_where_programs_ran_is_said_and_nothing_where_none_did(tmp_path: Path, questions: str) -> None:
    assert report(jsonl(tmp_path / "n.jsonl", {"id": "0", "text": "0"}), "--suite", questions)["isolation"] == ""
    try:
        isolation = shared_sandbox().isolation
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    row = {"question": "Write f.", "tests": ["assert f(1) == 2"], "entry_point": "f"}
    suite = f"file:{jsonl(tmp_path / 'p.jsonl', row)},prompt=question,tests=tests"
    file = jsonl(tmp_path / "c.jsonl", {"id": "p/0", "text": "def f(x):\n    return x + 1\n"})
    data = report(file, "--suite", suite)
    assert (data["right"], data["isolation"]) == (1, isolation)
    assert grade(file, "--suite", suite).stdout.splitlines()[-1] == f"isolation: {isolation}"


def test_where_verdicts_go_is_looked_at_before_the_work(tmp_path: Path, questions: str) -> None:
    file = tmp_path / "not_looked_at.jsonl"
    assert "this is a folder" in complaint(file, "--suite", questions, "--out", tmp_path)
    assert "there is no folder" in complaint(file, "--suite", questions, "--out", tmp_path / "gone" / "v.jsonl")
