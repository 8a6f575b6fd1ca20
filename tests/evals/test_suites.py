"""The suites: what they ask, what they hold right, and what they say when they cannot be had."""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ttc import registry
from ttc.answer_type import same_answer
from ttc.errors import ConfigurationError, MissingExtra
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.suites.arithmetic import FAMILIES, Arithmetic
from ttc.evals.suites.gsm8k import GSM8K
from ttc.verifiers.maths import NumberAnswer

if Arithmetic().missing():
    pytest.skip(f"reasoning-gym is not installed: {Arithmetic().missing()}", allow_module_level=True)


def questions(suite: Suite) -> list[str]:
    return [p.query.prompt for p in suite.problems]


def outcome(answer: str | None) -> Any:
    return SimpleNamespace(answer=answer)


# -- arithmetic


@pytest.fixture(scope="module")
def arithmetic() -> Suite:
    return load_suite("arithmetic:per_family=100")


def test_arithmetic_has_as_many_problems_of_each_family_as_asked_for(arithmetic: Suite) -> None:
    assert Counter(p.query.tags["family"] for p in arithmetic.problems) == dict.fromkeys(FAMILIES, 100)


def test_arithmetic_has_three_levels(arithmetic: Suite) -> None:
    assert {p.query.tags["level"] for p in arithmetic.problems} == {"easy", "medium", "hard"}


def test_arithmetic_asks_nothing_twice(arithmetic: Suite) -> None:
    assert len(set(questions(arithmetic))) == len(arithmetic.problems)
    assert len({p.query.id for p in arithmetic.problems}) == len(arithmetic.problems)


def test_no_worked_example_is_a_problem(arithmetic: Suite) -> None:
    shown = {m["content"] for p in arithmetic.problems for m in p.query.messages[:-1] if m["role"] == "user"}
    assert shown
    assert shown.isdisjoint(questions(arithmetic))


def test_the_chat_alternates_and_ends_with_the_question(arithmetic: Suite) -> None:
    for p in arithmetic.problems:
        roles = [m["role"] for m in p.query.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_every_worked_example_states_its_answer_where_the_answer_type_reads_it(arithmetic: Suite) -> None:
    for p in arithmetic.problems:
        for message in p.query.messages:
            if message["role"] == "assistant":
                stated = NumberAnswer().extract(message["content"])
                assert stated is not None
                assert message["content"].endswith(f"The answer is {stated}.")


def check_by_hand(problem: Problem) -> int:
    """Solve a problem from its words alone."""
    words = problem.query.prompt.replace("?", "").replace(",", "").replace('"', "").split()
    numbers = [int(w) for w in words if w.isdigit()]
    match problem.query.tags["family"]:
        case "multiplication":
            return numbers[0] * numbers[1]
        case "counting":
            return words[-1].count(words[words.index("letter") + 1])
        case "smallest":
            return min(numbers)
        case _:
            return sum(numbers)


def test_every_gold_answer_is_right(arithmetic: Suite) -> None:
    for p in arithmetic.problems:
        assert p.gold == str(check_by_hand(p)), p.query.prompt


def test_terms_are_as_long_as_the_family_says(arithmetic: Suite) -> None:
    for p in arithmetic.problems:
        terms = [int(w) for w in re.findall(r"\d+", p.query.prompt)]
        match p.query.tags["family"]:
            case "addition" | "multiplication":
                assert all(0 <= t <= 10 for t in terms)
            case "two_digit_addition" | "smallest":
                assert all(10 <= t <= 99 for t in terms)
            case _:
                assert all(2 <= t <= 9 for t in terms)


@pytest.mark.anyio
async def test_grading_accepts_the_gold_answer_and_nothing_else(arithmetic: Suite) -> None:
    for p in arithmetic.problems:
        assert await arithmetic.grade(p, p.gold) == "right"
        assert await arithmetic.grade(p, f"{p.gold}.0") == "right"
        assert await arithmetic.grade(p, str(int(p.gold) + 1)) == "wrong"
        assert await arithmetic.grade(p, None) == "wrong"
        assert await arithmetic.grade(p, "") == "wrong"


def test_counting_cannot_be_answered_by_a_constant(arithmetic: Suite) -> None:
    golds = Counter(p.gold for p in arithmetic.problems if p.query.tags["family"] == "counting")
    assert max(golds.values()) < 75


def test_the_same_seed_draws_the_same_problems_and_another_seed_others() -> None:
    first = load_suite("arithmetic:per_family=20,families=[story,two_digit_addition]")
    assert first.digest() == load_suite("arithmetic:per_family=20,families=[story,two_digit_addition]").digest()
    other = load_suite("arithmetic:per_family=20,seed=1,families=[story,two_digit_addition]")
    assert len(set(questions(first)) & set(questions(other))) < 5


def test_fewer_problems_are_the_first_ones_of_more() -> None:
    few = Arithmetic(per_family=5, families=("counting",)).load()
    many = Arithmetic(per_family=10, families=("counting",)).load()
    assert [p.query.id for p in few.problems] == [p.query.id for p in many.problems][:5]


def test_a_family_without_enough_problems_says_how_many_it_has() -> None:
    with pytest.raises(ConfigurationError, match=r"'addition' has \d+ different problems, and per_family=2000"):
        load_suite("arithmetic:per_family=2000,families=[addition]")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("arithmetic:families=[adition]", "Did you mean 'addition'"),
        ("arithmetic:families=[]", "at least one family"),
        ("arithmetic:families=[story,story]", "each of them once"),
        ("arithmetic:per_family=0", "per_family"),
        ("arithmetic:perfamily=5", "Did you mean 'per_family'"),
        ("arithmetik", "Did you mean 'arithmetic'"),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(spec: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_suite(spec)
    assert "\n" not in str(caught.value)


def test_without_reasoning_gym_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"ttc-compute\[suites\]"):
        Arithmetic(per_family=1, families=("addition",)).load()


# -- gsm8k

ROWS = [
    {"question": "Tom has 2 pens and buys 3. How many?", "answer": "2+3=<<2+3=5>>5 pens\n#### 5"},
    {"question": "Three steps?", "answer": "<<1+1=2>>2 <<2+1=3>>3 <<3+1=4>>4\n#### 1,004"},
    {"question": "Five steps?", "answer": "<<1>><<2>><<3>><<4>><<5>>\n#### -7"},
]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return str(path)


def test_gsm8k_reads_a_file(tmp_path: Path) -> None:
    suite = load_suite(f"gsm8k:path={write(tmp_path / 'made.jsonl', ROWS)}")
    assert [p.gold for p in suite.problems] == ["5", "1,004", "-7"]
    assert [p.query.tags["level"] for p in suite.problems] == ["easy", "medium", "hard"]
    assert suite.problems[0].query.prompt.startswith("Tom has 2 pens")
    assert "The answer is" in suite.problems[0].query.prompt
    assert suite.info["licence"] == "MIT"
    assert same_answer(suite.problems[1].query.answer_type, suite.problems[1].gold, "1004")


def test_no_part_of_a_solution_is_in_the_query(tmp_path: Path) -> None:
    suite = load_suite(f"gsm8k:path={write(tmp_path / 'made.jsonl', ROWS)}")
    for p in suite.problems:
        assert "<<" not in str(p.query.messages)
        assert "####" not in str(p.query.messages)
        assert p.gold not in str(p.query)


def test_gsm8k_stops_at_the_limit_without_looking_further(tmp_path: Path) -> None:
    suite = load_suite(f"gsm8k:limit=2,path={write(tmp_path / 'made.jsonl', [*ROWS[:2], 'not json'])}")
    assert len(suite.problems) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ({"question": "x"}, "'answer' is missing"),
        ({"question": " ", "answer": "#### 1"}, "'question' is missing"),
        ({"question": 3, "answer": "#### 1"}, "'question' is missing or no text"),
        ({"question": "x", "answer": "no result"}, "does not end with"),
        ({"question": "x", "answer": "#### many"}, "does not end with"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path: Path, bad: Any, message: str) -> None:
    path = write(tmp_path / "made.jsonl", [ROWS[0], bad])
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_suite(f"gsm8k:path={path}")
    assert f"{path}, line 2" in str(caught.value)


def test_an_empty_file_and_a_missing_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no problems"):
        load_suite(f"gsm8k:path={write(tmp_path / 'made.jsonl', [])}")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_suite(f"gsm8k:path={tmp_path / 'nowhere.jsonl'}")
    assert "there is no file" in GSM8K(path=str(tmp_path / "nowhere.jsonl")).missing()


def hub(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    module = ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_gsm8k_reads_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(*args: Any, **kwargs: Any) -> list[Any]:
        asked.append((args, kwargs))
        return ROWS

    hub(monkeypatch, load)
    suite = load_suite("gsm8k:split=train,limit=1")
    assert asked == [(("openai/gsm8k", "main"), {"split": "train"})]
    assert [p.gold for p in suite.problems] == ["5"]
    assert suite.problems[0].query.id == "gsm8k/train/0"


def test_without_a_network_gsm8k_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args: Any, **kwargs: Any) -> list[Any]:
        raise ConnectionError("no route")

    hub(monkeypatch, load)
    with pytest.raises(ConfigurationError, match=r"no route.*gsm8k:path=FILE"):
        load_suite("gsm8k")


def test_without_datasets_gsm8k_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"ttc-compute\[suites\]"):
        load_suite("gsm8k")


# -- all


def unfilled(name: str) -> Any:
    """A suite's config without a choice made: one that needs a file or a name is given an empty one."""
    suite = registry.load("suite", name)
    first = getattr(suite, "positional", "")
    return suite.model_construct(**{first: ""}) if first else suite()


@pytest.mark.parametrize("name", registry.names("suite"))
def test_asking_what_is_missing_reads_no_file_and_imports_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = unfilled(name)
    before = set(sys.modules)

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("opened a file")

    monkeypatch.setattr(builtins, "open", refused)
    assert isinstance(config.missing(), str)
    assert not {m for m in set(sys.modules) - before if m.startswith(("datasets", "reasoning_gym"))}


PUBLISHED = [name for name in registry.names("suite") if hasattr(registry.load("suite", name), "hub")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_suite_says_whose_it_is_and_since_when_it_is_public(name: str) -> None:
    suite = registry.load("suite", name)
    assert suite.suite == name
    assert suite.about["licence"]
    assert re.fullmatch(r"20\d\d-\d\d", suite.about["released"])
    assert suite.about["home"].startswith("https://")
    assert suite.about.get("size", 1) > 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_suite_without_a_file_says_how_to_get_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    missing = unfilled(name).missing()
    assert "ttc-compute[suites]" in missing
    assert f"{name}:path=FILE" in missing
    assert "there is no file nowhere.jsonl" in type(unfilled(name))(path="nowhere.jsonl").missing()
