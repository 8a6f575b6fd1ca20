"""The published suites with a number, a formula or a letter for an answer: on real data where it is at hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data import dataset
from ttc.errors import ConfigurationError
from ttc.evals.suite import Suite, load_suite

FILES = {
    "gsm8k": ("gsm8k_test.jsonl",),
    "math500": ("math500_test.json",),
    "svamp": ("svamp.jsonl",),
    "aime24": ("aime24.jsonl",),
    "aime25": ("aime25_I.jsonl", "aime25_II.jsonl"),
    "amc23": ("amc23.jsonl",),
}
PROBLEMS = {"gsm8k": 1319, "math500": 500, "svamp": 1000, "aime24": 30, "aime25": 30, "amc23": 40}


def real(name: str) -> Suite:
    return load_suite(f"{name}:path={'+'.join(str(dataset(file)) for file in FILES[name])}")


every_suite = pytest.mark.parametrize("name", FILES)


@every_suite
def test_it_has_the_published_number_of_problems(name: str) -> None:
    suite = real(name)
    assert len(suite.problems) == PROBLEMS[name] == suite.info["size"]
    assert suite.info["problems"] == PROBLEMS[name]


@every_suite
@pytest.mark.parametrize(
    "say", ["The answer is {}", "The answer is {}.", "We get 17.\n\nThe answer is ${}$.", "So it is $\\boxed{{{}}}$."]
)
def test_every_gold_answer_is_read_out_of_a_completion(name: str, say: str) -> None:
    missed: list[tuple[str, str | None]] = []
    for problem in real(name).problems:
        answer_type = problem.query.answer_type
        found = answer_type.extract(say.format(problem.gold))
        if found is None or answer_type.key(found) != answer_type.key(problem.gold):
            missed.append((problem.gold, found))
    assert missed == []


@every_suite
@pytest.mark.anyio
async def test_every_gold_answer_is_right(name: str) -> None:
    suite = real(name)
    grades = Counter([await suite.grade(problem, problem.gold) for problem in suite.problems])
    assert grades == {"right": PROBLEMS[name]}


@every_suite
def test_every_problem_has_a_name_of_its_own_a_family_and_a_level(name: str) -> None:
    problems = real(name).problems
    assert len({p.query.id for p in problems}) == len(problems)
    assert {p.query.tags["family"] for p in problems} == {name}
    assert {p.query.tags["level"] for p in problems} <= {"easy", "medium", "hard"}


@every_suite
def test_no_solution_is_in_the_prompt(name: str) -> None:
    for problem in real(name).problems:
        (message,) = problem.query.messages
        assert "<<" not in str(message)
        assert "solution" not in message


def test_levels_of_the_aime_are_thirds_of_each_paper() -> None:
    for name in ("aime24", "aime25"):
        levels = Counter(p.query.tags["level"] for p in real(name).problems)
        assert levels == {"easy": 10, "medium": 10, "hard": 10}


def test_math500_has_its_seven_subjects_and_published_levels() -> None:
    problems = real("math500").problems
    assert len({p.query.tags["subject"] for p in problems}) == 7
    assert Counter(p.query.tags["level"] for p in problems) == {"easy": 43 + 90, "medium": 105 + 128, "hard": 134}


def test_svamp_tells_a_whole_story_before_its_question() -> None:
    first = real("svamp").problems[0]
    assert "oranges are organized into 93 groups, How big is each group of bananas?" in first.query.prompt
    assert (first.gold, first.query.tags["subject"], first.query.tags["level"]) == ("145", "division", "easy")


Write = Callable[[object], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(row: object) -> str:
        path = tmp_path / "made.jsonl"
        path.write_text(json.dumps(row) + "\n")
        return str(path)

    return write


@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("math500", {"problem": "x"}, "'answer' is missing; the columns are: problem"),
        ("math500", {"problem": "x", "answer": " "}, "'answer' is missing: the column is empty"),
        ("math500", {"answer": "1"}, "'problem' is missing"),
        ("svamp", {"Question": "x", "Answer": "many"}, "'Answer' is no number"),
        ("svamp", {"Body": "x", "Answer": 1}, "'Question' is missing"),
        ("aime24", {"Problem": "x", "Answer": "none"}, "'answer' is no number"),
        ("aime25", {"problem": "x"}, "'answer' or 'Answer' is missing"),
        ("amc23", {"answer": 1.0}, "'problem' or 'Problem' or 'question' is missing"),
    ],
)
def test_a_bad_row_is_named_with_its_line(write: Write, name: str, row: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_suite(f"{name}:path={write(row)}")
    assert "made.jsonl, line 1: " in str(caught.value)


def test_columns_of_other_copies_are_read_too(write: Write) -> None:
    row = {"ID": "2024-II-4", "Problem": "What?", "Solution": "Because.", "Answer": 33}
    (problem,) = load_suite(f"aime24:path={write(row)}").problems
    assert (problem.query.id, problem.gold, problem.query.tags["level"]) == ("aime24/2024-II-4", "33", "easy")


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    path.write_text('{"id": 1, "problem": "a", "answer": 1}\n{"id": 1, "problem": "b", "answer": 2}\n')
    with pytest.raises(ConfigurationError, match=r"line 2: the id 'amc23/1' was given already, in .*line 1"):
        load_suite(f"amc23:path={path}")


# -- gpqa

GPQA = [
    {
        "Record ID": f"rec{i}",
        "Question": f"Question {i}?",
        "Correct Answer": f"right {i}",
        "Incorrect Answer 1": "wrong 1",
        "Incorrect Answer 2": "wrong 2",
        "Incorrect Answer 3": "wrong 3",
        "High-level domain": "Physics",
        "Writer's Difficulty Estimate": estimate,
    }
    for i, estimate in enumerate(
        ["Easy undergraduate level (or easier)", "Hard undergraduate level", "Hard graduate"] * 20
    )
]


@pytest.fixture
def gpqa(tmp_path: Path) -> str:
    path = tmp_path / "gpqa_diamond.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(GPQA[0]))
        table.writeheader()
        table.writerows(GPQA)
    return str(path)


def test_gpqa_asks_for_the_letter_in_front_of_the_right_choice(gpqa: str) -> None:
    for number, problem in enumerate(load_suite(f"gpqa:path={gpqa}").problems):
        assert f"({problem.gold}) right {number}\n" in problem.query.prompt + "\n"
        assert problem.query.answer_type.extract(f"The answer is ({problem.gold}).") == problem.gold
        assert problem.query.answer_type.key("E") == ""
        assert problem.query.tags["subject"] == "physics"


def test_gpqa_shuffles_by_question_and_seed_alone(gpqa: str) -> None:
    golds = [[p.gold for p in load_suite(f"gpqa:path={gpqa},seed={seed}").problems] for seed in (0, 0, 1)]
    assert golds[0] == golds[1] != golds[2]
    assert set(golds[0]) == set("ABCD")
    assert max(Counter(golds[0]).values()) < 15 + 4 * (60 * 3 / 16) ** 0.5
    assert [p.gold for p in load_suite(f"gpqa:path={gpqa},limit=10").problems] == golds[0][:10]


def test_gpqa_takes_its_levels_from_the_writers(gpqa: str) -> None:
    levels = Counter(p.query.tags["level"] for p in load_suite(f"gpqa:path={gpqa}").problems)
    assert levels == {"easy": 20, "medium": 20, "hard": 20}
