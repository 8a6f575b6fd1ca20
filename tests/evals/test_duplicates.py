"""Near-duplicates: the same problem is found however it is dressed, and another one is not."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.data import dataset, lines, recorded
from ttc.cli import app
from ttc.errors import ConfigurationError
from ttc.evals import duplicates
from ttc.evals.duplicates import THRESHOLD, Pair, check_suite, near_duplicates, suite_warnings, worked_examples
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.types import Message, Query

STORY = (
    "A robe takes 2 bolts of blue fiber and half that much white fiber. The tailor of the old town makes 1,200 robes "
    "a year for the monks who live on the hill behind the mill. How many bolts does he need in total?"
)
OTHER = (
    "Every morning Ann walks 9 miles to the harbour, drinks two cups of coffee with the sailors of a ship called Hope, "
    "and walks back along the river. How many miles does she walk in the whole month of June?"
)


def alike(a: str, b: str) -> list[Pair]:
    return near_duplicates({"a": a}, {"b": b})


@pytest.mark.parametrize(
    "dressed",
    [
        STORY,
        STORY.upper().replace(",", "").replace(".", " ;"),
        STORY.replace(" ", "\n  "),
        f"Question: {STORY}\n\nThink step by step, and end with 'The answer is' and the number.",
        f"{OTHER}\n\n{STORY}",
        STORY.replace("the old town", "an old town"),
    ],
)
def test_a_problem_is_found_however_it_is_dressed(dressed: str) -> None:
    (pair,) = alike(STORY, dressed)
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.similarity >= duplicates.SURE
    assert pair.same_numbers


def test_other_numbers_are_said(tmp_path: Path) -> None:
    assert not alike(STORY, STORY.replace("1,200", "1,300"))[0].same_numbers
    assert alike(STORY, STORY.replace("1,200", "1200"))[0] == Pair("a", "b", 1.0, True)


@pytest.mark.parametrize(
    "other",
    [
        OTHER,
        "",
        "A robe takes 2 bolts of blue fiber.",
        STORY.replace("robe", "coat").replace("live", "sing").replace("year", "day").replace("bolts", "rolls"),
    ],
)
def test_another_problem_is_not(other: str) -> None:
    assert alike(STORY, other) == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is 3 + 4?", "What is 3 * 4?"),
        ("What is 3 + 4?", "What is 3 + 5?"),
        (
            "How often is the letter a in the word banana, please?",
            "How often is the letter a in the word papaya, please?",
        ),
    ],
)
def test_short_problems_are_compared_as_a_whole(a: str, b: str) -> None:
    assert alike(a, b) == []
    assert alike(a, a.lower()) == [Pair("a", "b", 1.0, True)]


def test_within_a_collection_each_pair_is_found_once_and_none_with_itself() -> None:
    texts = {"a": STORY, "b": OTHER, "c": STORY.lower()}
    assert near_duplicates(texts) == [Pair("a", "c", 1.0, True)]


def test_a_template_shared_by_many_makes_no_duplicates() -> None:
    rule = "Using each of the numbers once, write an expression with plus, minus, times and divided by that gives "
    texts = {str(i): f"{rule}{100 + i}. The numbers are {i}, {i + 7} and {i + 9}." for i in range(60)}
    assert near_duplicates(texts) == []


def test_only_texts_that_share_words_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}" for i in range(600)]
    texts = {str(i): " ".join(rng.choices(words, k=40)) for i in range(2000)}
    texts["copy"] = texts["7"]
    compared = Counter[str]()
    contained = duplicates._contained
    monkeypatch.setattr(
        duplicates, "_contained", lambda one, two, count: compared.update(["pairs"]) or contained(one, two, count)
    )
    assert near_duplicates(texts) == [Pair("7", "copy", 1.0, True)]
    assert compared["pairs"] < len(texts)  # of two million


# -- suites


def suite(*questions: str, shown: tuple[str, ...] = ()) -> Suite:
    turns: list[Message] = []
    for text in shown:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "7"}]
    ask: list[Message] = [{"role": "user", "content": q} for q in questions]
    return Suite("made", [Problem(Query((*turns, m), id=f"q{i}"), "1") for i, m in enumerate(ask)])


def test_a_suite_with_a_problem_twice_or_in_its_examples_is_warned_about() -> None:
    assert suite_warnings(suite(STORY, OTHER)) == []
    (twice,) = suite_warnings(suite(STORY, OTHER, STORY.lower()))
    assert "1 pair (q0 and q2) of problems are nearly the same" in twice
    (given,) = suite_warnings(suite(STORY, OTHER, shown=("What?", OTHER)))
    assert "1 pair (q1 and example 2 of q0) of a problem and a worked example" in given


def test_worked_examples_are_listed_once_each() -> None:
    assert list(worked_examples(suite(STORY, OTHER, shown=("One?", "Two?"))).values()) == ["One?", "Two?"]


def test_a_suite_is_held_against_other_texts() -> None:
    found = check_suite(suite(STORY, OTHER), {"pool": {"row 1": f"Solve: {OTHER}"}})
    assert found["pool"] == [Pair("q1", "row 1", 1.0, True)]
    assert found["itself"] == found["its examples"] == []


@pytest.mark.parametrize("name", ["arithmetic:per_family=50", "tiny_code"])
def test_our_own_suites_repeat_nothing(name: str) -> None:
    assert suite_warnings(load_suite(name)) == []


def test_what_is_found_in_real_data() -> None:
    svamp = load_suite(f"svamp:path={dataset('svamp.jsonl')}")
    (warning,) = suite_warnings(svamp)
    assert "1 pair (svamp/chal-87 and svamp/chal-934)" in warning  # birds and storks, storks and birds
    assert len(near_duplicates(duplicates.suite_texts(svamp))) == 97  # its variants of one story
    gsm8k = load_suite(f"gsm8k:path={dataset('gsm8k_test.jsonl')}")
    assert suite_warnings(gsm8k) == []
    assert check_suite(gsm8k, {"svamp": duplicates.suite_texts(svamp)})["svamp"] == []


def test_a_pool_of_math_shares_five_problems_with_math500() -> None:
    math500 = load_suite(f"math500:path={dataset('math500_test.json')}")
    pool = {row["id"]: row["question"] for row in lines(recorded("qwen_math_rm8.jsonl.gz"))}
    found = check_suite(math500, {"pool": pool})["pool"]
    same, like = [pair for pair in found if pair.similarity == 1], [pair for pair in found if pair.similarity < 1]
    assert len(same) == 5
    assert all(pair.same_numbers for pair in same)
    assert [(pair.first, pair.same_numbers) for pair in like] == [("math500/test/prealgebra/1742.json", False)]


# -- the command


def run(*arguments: Any) -> Any:
    ran = CliRunner().invoke(app, ["duplicates", *map(str, arguments)], env={"COLUMNS": "100"})
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_the_command_compares_a_suite_with_files_and_suites(tmp_path: Path) -> None:
    mine, pool = tmp_path / "mine.jsonl", tmp_path / "pool.jsonl"
    mine.write_text("\n".join(json.dumps({"prompt": p, "answer": 1}) for p in (STORY, OTHER)))
    pool.write_text("\n".join(json.dumps({"question": OTHER, "run": i}) for i in range(3)))
    found = json.loads(run(f"file:{mine}", pool, f"file:{mine}", "--json"))["pairs"]
    assert found[str(pool)] == [
        {"first": "mine/1", "second": f"{pool}, line 1", "similarity": 1.0, "same_numbers": True}
    ]
    assert [(p["first"], p["second"]) for p in found[f"file:{mine}"]] == [("mine/0", "mine/0"), ("mine/1", "mine/1")]
    shown = run(f"file:{mine}", pool)
    assert "file:mine (2 problems) and itself: 0 pairs" in shown
    assert "pool.jsonl, line 1" in shown


def test_a_file_without_the_column_is_an_error_with_its_line(tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"words": "x"}')
    ran = CliRunner().invoke(app, ["duplicates", "arithmetic:per_family=5", str(pool), "--column", "question"])
    assert ran.exit_code != 0
    assert "line 1: 'question' is missing; the columns are: words" in str(ran.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("arithmetic:per_family=5", "gone.jsonl"), "gone.jsonl: there is no such file"),
        (("arithmetic:per_family=5", "gone/pool"), "gone/pool: there is no such file"),
        (("arithmetic:per_family=5", "empty.jsonl"), "empty.jsonl: the file is empty"),
        (("arithmetic:per_family=5", "svanp"), "Did you mean 'svamp'"),
        (("gone.jsonl",), "gone.jsonl: there is no such file"),
        (("empty.jsonl",), "a suite comes first, and files behind it"),
    ],
)
def test_a_file_that_is_not_there_or_empty_is_said_and_taken_for_no_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").write_text("\n")
    ran = CliRunner().invoke(app, ["duplicates", *arguments])
    assert isinstance(ran.exception, ConfigurationError)
    assert said in str(ran.exception)


def test_the_command_shows_what_is_worth_showing_by_default() -> None:
    command = typer.main.get_group(app).commands["duplicates"]  # type: ignore[attr-defined]
    assert {p.name: p.default for p in command.params}["threshold"] == THRESHOLD
