"""reasoning-gym's data sets as suites: drawn alike everywhere, and scored where a hostile answer does no harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ttc.errors import ConfigurationError, MissingExtra, UnknownName
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Suite, load_suite
from ttc.evals.suites.gym import spread
from ttc.evals.suites.gym_grader import GymProcess, RGGrader, shared_process
from ttc.evals.suites.gym_worker import plain_formula
from ttc.evals.suites.rg import ReasoningGym
from ttc.evals.suites.tagged import TaggedAnswer
from ttc.models.scripted import Scripted
from ttc.types import Request

if ReasoningGym(name="").missing():
    pytest.skip(f"reasoning-gym is not installed: {ReasoningGym(name='').missing()}", allow_module_level=True)


def golds(suite: Suite) -> list[str]:
    return [problem.gold for problem in suite.problems]


def test_a_data_set_is_drawn_with_its_own_options() -> None:
    suite = load_suite("rg:chain_sum,min_terms=3,max_terms=3,min_digits=1,max_digits=1,size=50,seed=1")
    assert len(suite.problems) == 50
    for problem in suite.problems:
        task = problem.query.prompt.partition(": ")[2].partition(" =")[0]
        terms = task.split()
        assert len(terms[::2]) == 3
        assert sum(
            (-1 if sign == "-" else 1) * int(x) for sign, x in zip(["+", *terms[1::2]], terms[::2], strict=True)
        ) == int(problem.gold)
        assert problem.query.answer_type.name == "number"
        assert problem.query.tags == {"family": "chain_sum", "subject": "arithmetic"}
    assert len({problem.query.prompt for problem in suite.problems}) == 50


def test_the_same_seed_draws_the_same_and_another_seed_others() -> None:
    first, again, other = (load_suite(f"rg:chain_sum,size=20,seed={seed}") for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()
    assert golds(load_suite("rg:chain_sum,size=5,seed=1")) == golds(first)[:5]


@pytest.mark.parametrize("name", ["chain_sum", "basic_arithmetic", "pool_matrix"])
def test_neighbouring_seeds_share_next_to_no_problems(name: str) -> None:
    first, other = ({p.query.prompt for p in load_suite(f"rg:{name},seed={seed}").problems} for seed in (0, 1))
    assert len(first) == len(other) == 100
    assert len(first & other) <= 3  # small sums come again by chance


def test_seeds_are_spread_as_far_as_a_suite_looks_and_stay_within_32_bits() -> None:
    seeds = sorted(map(spread, range(2000)))
    assert all(b - a > 1_000_000 for a, b in pairwise(seeds))
    assert 0 <= spread(10**12) < 2**31
    assert len(load_suite(f"rg:pool_matrix,size=3,seed={10**12}").problems) == 3  # numpy takes no more


def test_ids_and_the_run_card_hold_the_seed_that_was_asked_for() -> None:
    suite = load_suite("rg:chain_sum,size=2,seed=7")
    assert [p.query.id for p in suite.problems] == ["rg/chain_sum/7/0", "rg/chain_sum/7/1"]
    assert suite.info["seed"] == 7


@pytest.mark.parametrize("name", ["word_ladder", "isomorphic_strings", "ransom_note", "polynomial_multiplication"])
def test_what_depends_on_the_order_of_a_set_is_the_same_in_another_process(name: str) -> None:
    data_set = {"name": name, "size": 5, "seed": 3, "settings": {}}
    other = GymProcess()
    try:
        drawn = [p.ask({"data_set": data_set, "draw": 5}, seconds=120) for p in (shared_process(), other)]
    finally:
        other.close()
    assert drawn[0] is not None
    assert drawn[0]["entries"]
    assert drawn[0] == drawn[1]


def test_options_are_read_in_the_form_of_a_command_line() -> None:
    suite = load_suite("rg:basic_arithmetic,operators=[+],allow_parentheses=false,allow_negation=false,size=20")
    assert not any(set(p.query.prompt.partition("\n\n")[0]) & set("*/()") for p in suite.problems)


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("rg", ConfigurationError, "name is missing"),
        (
            "rg:chain_sun",
            UnknownName,
            r"unknown data set of reasoning-gym 'chain_sun'. Did you mean 'chain_sum'\? Known: ab,",
        ),
        (
            "rg:chain_sum,min_term=2",
            UnknownName,
            r"Did you mean 'min_terms'\? Known: min_terms \(int\), max_terms \(int\)",
        ),
        ("rg:chain_sum,min_terms=few", ConfigurationError, "min_terms=few: must be of type int"),
        ("rg:chain_sum,min_terms=9,max_terms=2", ConfigurationError, "rg:chain_sum: max_terms must be >= min_terms"),
        (
            "rg:coin_flip,min_trials=1,max_trials=2",
            ConfigurationError,
            "has 10 different problems .* size=100 asks for more",
        ),
        ("rg:composite", ConfigurationError, "rg:composite: Must specify at least one dataset"),
        ("rg:chain_sum,size=0", ConfigurationError, "size=0: must be 1 to 100000"),
    ],
)
def test_a_mistake_is_one_clear_line(spec: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        load_suite(spec)
    assert "\n" not in str(caught.value)


def test_without_reasoning_gym_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"ttc-compute\[suites\]"):
        load_suite("rg:chain_sum")


# -- scoring


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["chain_sum", "countdown", "n_queens", "mini_sudoku", "word_sorting", "gcd"])
async def test_gold_answers_are_right_and_others_are_not(name: str) -> None:
    suite = load_suite(f"rg:{name},size=4")
    await suite.grader.prepare()
    for problem in suite.problems:
        stated = problem.query.answer_type.extract(f"So:\n<answer>{problem.gold}</answer>")
        assert await suite.grade(problem, stated) == "right"
        assert await suite.grade(problem, "17 cows") == "wrong"


@pytest.mark.anyio
async def test_another_solution_of_a_puzzle_is_right_as_well() -> None:
    suite = load_suite("rg:countdown,size=6,min_numbers=3,max_numbers=3")
    for problem in suite.problems:
        assert await suite.grade(problem, f"({problem.gold}) * 1 * 1") == "wrong"  # numbers that were not given
        assert await suite.grade(problem, f"(({problem.gold}))") == "right"
        assert isinstance(suite.grader, RGGrader)


@pytest.mark.anyio
async def test_a_puzzle_without_a_gold_answer_is_graded_by_its_scorer() -> None:
    suite = load_suite("rg:graph_color,size=3")
    assert golds(suite) == ["", "", ""]
    assert await suite.grade(suite.problems[0], "{}") == "wrong"


@pytest.mark.anyio
async def test_a_scorer_that_gives_full_marks_to_nonsense_is_not_asked() -> None:
    suite = load_suite("rg:game_of_life_halting,size=6")
    assert suite.info["grader"] == "answer"
    assert [await suite.grade(p, "no answer") for p in suite.problems] == ["wrong"] * 6
    assert [await suite.grade(p, p.gold) for p in suite.problems] == ["right"] * 6


EVALUATING = [
    "binary_matrix",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
]
"""Data sets whose scorers call eval or parse_expr on an answer."""


def hostile(mark: Path) -> Iterator[str]:
    touch = f"__import__('pathlib').Path('{mark}').touch()"
    yield touch
    yield f"[{touch}]"
    yield f"open('{mark}', 'w')"
    yield f'f\'{{open("{mark}", "w")}}\''
    yield f'sin("{touch}")'
    yield f'S("{touch}")'
    yield f"(lambda: {touch})()"
    yield f"[{touch} for _ in '1']"
    yield f"().__class__.__base__.__subclasses__()[0].__init__.__globals__ or {touch}"
    yield f'exec("{touch}")'
    yield "[" * 5000
    yield "1," * 5000
    yield "'a' * 10**11"


@pytest.mark.anyio
@pytest.mark.parametrize("name", EVALUATING)
async def test_nothing_that_an_answer_says_is_run(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    suite = load_suite(f"rg:{name},size=2")
    for answer in hostile(mark):
        assert await suite.grade(suite.problems[0], answer) in ("wrong", "undecided")
        assert not mark.exists(), answer
    assert await suite.grade(suite.problems[0], suite.problems[0].gold) == "right"


@pytest.mark.anyio
async def test_an_answer_that_takes_for_ever_is_undecided_and_the_next_one_is_scored() -> None:
    suite = load_suite("rg:countdown,size=2")
    assert isinstance(suite.grader, RGGrader)
    hasty = RGGrader(suite.grader.data_set, suite.grader.places, seconds=0.5)
    started = shared_process().started
    assert await hasty.grade(suite.problems[0], "9**9**9**9") == "undecided"
    assert await suite.grade(suite.problems[1], f"({suite.problems[1].gold})") == "right"
    assert shared_process().started == started + 1


@pytest.mark.anyio
async def test_many_answers_are_scored_at_once_while_the_loop_goes_on() -> None:
    suite = load_suite("rg:chain_sum,size=100")
    grades: dict[int, str] = {}
    turns = 0

    async def grade(i: int) -> None:
        grades[i] = await suite.grade(suite.problems[i], f"{suite.problems[i].gold}1")

    async with anyio.create_task_group() as group:
        for i in range(100):
            group.start_soon(grade, i)
        while len(grades) < 100:
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert grades == dict.fromkeys(range(100), "wrong")
    assert turns > 100


def code(text: str) -> CodeType:
    return compile(text, "", "eval")


@pytest.mark.parametrize("text", ["1 + 2", "[[1, 2], ['a']]", "sqrt(Symbol('x')) ** Integer(2)", "x * sin(t) + C"])
def test_formulas_may_be_evaluated(text: str) -> None:
    assert plain_formula(code(text))


@pytest.mark.parametrize(
    "text", ["open('x')", "x.real", "(1).real", "__import__('os')", "lambda: 1", "[i for i in x]", "getattr(x, 'y')"]
)
def test_what_is_more_than_a_formula_may_not(text: str) -> None:
    assert not plain_formula(code(text))


# -- answers between tags


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Thinking.\n<answer>1 2\n3 4</answer> Done.", "1 2\n3 4"),
        ("<answer>no</answer> wait <answer> yes </answer>", "yes"),
        ("<answer>cut off", "cut off"),
        ("<think><answer>a</answer></think>The answer is **left**.", "left"),
        ("First this.\nthen that", "then that"),
        ("<answer></answer>", None),
        ("", None),
    ],
)
def test_an_answer_is_what_stands_between_the_last_tags(text: str, answer: str | None) -> None:
    assert TaggedAnswer().extract(text) == answer


def test_an_answer_is_concluded_when_its_tag_is_closed_or_a_cue_states_it() -> None:
    tagged: Any = TaggedAnswer()
    assert tagged.concludes("<answer>x</answer>")
    assert not tagged.concludes("<answer>x")
    assert not tagged.concludes("so far so good")


def test_answers_are_the_same_up_to_white_space() -> None:
    tagged = TaggedAnswer()
    assert tagged.key("1  2 \n\n 3 4") == tagged.key("1 2\n3 4")
    assert tagged.key("Left") != tagged.key("left")
    assert not tagged.equivalent(" ", "\n")


# -- in a run


@pytest.mark.anyio
async def test_a_run_grades_puzzles_by_their_scorers(tmp_path: Path) -> None:
    spec = "rg:countdown,size=4,min_numbers=3,max_numbers=3"
    solutions = {p.query.prompt: p.gold for p in load_suite(spec).problems}
    solved = list(solutions)[:3]

    def reply(request: Request) -> str:
        asked = str(request.messages[-1]["content"])
        return f"Let me see. <answer>({solutions[asked] if asked in solved else '1 + 1'})</answer>"

    config = EvalConfig(suites=(spec,), strategies=("majority:n=2",), runs=tmp_path)
    ran = await run_eval(config, Scripted(reply))
    grades = Counter("right" if unit.correct else "wrong" for unit in read_units(ran.directory))
    assert grades == {"right": 3, "wrong": 1}
