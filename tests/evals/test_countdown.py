"""The suites ``countdown`` and ``game24``: what they ask, and that their checker and their grader agree."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.countdown import TUNED_ON, untuned
from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.suites.countdown import _SHOWN, _SHOWN_24, Countdown, Game24, puzzle_key
from ttc.evals.suites.gym_grader import RGGrader
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.types import Candidate, Sample
from ttc.verifiers.games import Countdown as Checker
from ttc.verifiers.games import CountdownAnswer, Puzzle, RandomPlayer, State, Step, read_puzzle, read_step, solution

if Countdown().missing():
    pytest.skip(f"reasoning-gym is not installed: {Countdown().missing()}", allow_module_level=True)

SPECS = ("countdown:size=40", "countdown:numbers=4,size=20", "game24:size=20")


def puzzle(problem: Problem) -> Puzzle:
    found = read_puzzle(problem.query.prompt)
    assert found is not None
    return found


async def gyms(suite: Suite, problem: Problem, answer: str) -> float:
    """What reasoning-gym's own scorer gives, whatever the gold answer is."""
    assert isinstance(suite.grader, RGGrader)
    job = {"index": suite.grader.places[problem.query.id], "answer": answer}
    reply = await suite.grader._ask(job, seconds=60)
    assert reply is not None
    return reply["score"]


async def checked(problem: Problem, text: str) -> float:
    candidate = Candidate(problem.query.answer_type.extract(text), Sample(text=text))
    session = Session(problem.query, Scripted(lambda _: ""), Ledger())
    return (await Checker().score(problem.query, [candidate], session))[0]


def told(moves: Sequence[object]) -> str:
    return "\n".join(map(str, moves))


# -- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS)
def test_no_puzzle_is_asked_twice_or_shown(spec: str) -> None:
    suite = load_suite(spec)
    asked = [puzzle_key(p) for p in map(puzzle, suite.problems)]
    shown = [read_puzzle(str(m["content"])) for m in suite.problems[0].query.messages[:-1]]
    assert len(set(asked)) == len(asked) == int(spec.rpartition("=")[2])
    assert {puzzle_key(p) for p in shown if p}.isdisjoint(asked)
    assert len({p.query.id for p in suite.problems}) == len(asked)


@pytest.mark.parametrize("spec", SPECS)
def test_every_puzzle_has_a_solution(spec: str) -> None:
    for problem in load_suite(spec).problems:
        assert solution(puzzle(problem)) is not None, problem.query.prompt


@pytest.mark.parametrize("spec", SPECS)
def test_the_numbers_are_the_generators_and_the_gold_answer_is_nowhere_in_the_query(spec: str) -> None:
    for problem in load_suite(spec).problems:
        key = CountdownAnswer().key(problem.gold)
        assert key == f"{puzzle(problem).target} of {', '.join(map(str, sorted(puzzle(problem).numbers)))}"
        assert problem.gold not in str(problem.query)


def test_options_bound_numbers_and_targets() -> None:
    puzzles = [puzzle(p) for p in load_suite("countdown:numbers=4,max_value=6,min_target=5,max_target=12").problems]
    assert {len(p.numbers) for p in puzzles} == {4}
    assert max(n for p in puzzles for n in p.numbers) == 6
    assert all(5 <= p.target <= 12 for p in puzzles)


@pytest.mark.parametrize(("numbers", "target", "moves"), [*(s for shown in _SHOWN.values() for s in shown), *_SHOWN_24])
def test_every_worked_example_is_a_game_that_is_won(numbers: str, target: int, moves: tuple[str, ...]) -> None:
    state: State | None = State.of(Puzzle(tuple(int(n) for n in numbers.split(",")), target))
    for move in moves:
        step = read_step(move)
        assert step is not None
        assert state is not None
        state = state.after(step)
    assert state is not None
    assert state.solved


def test_the_same_seed_draws_the_same_and_another_seed_others() -> None:
    first, again, other = (
        load_suite(f"countdown:size=40,max_value=50,max_target=90,seed={seed}") for seed in (1, 1, 2)
    )
    assert first.digest() == again.digest()
    few = {p.query.prompt for p in first.problems} & {p.query.prompt for p in other.problems}
    assert len(few) < 4


def test_fewer_puzzles_are_the_first_ones_of_more() -> None:
    few, many = (load_suite(f"countdown:size={size}") for size in (10, 20))
    assert [p.query.prompt for p in few.problems] == [p.query.prompt for p in many.problems][:10]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("countdown:numbers=2,max_value=2,max_target=4", "different puzzles"),
        ("countdown:min_target=50,max_target=20", "max_target"),
        ("countdown:numbers=1", "numbers"),
        ("game24:max_value=11", "max_value"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_line(spec: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_suite(spec)
    assert "\n" not in str(caught.value)


def test_they_name_their_checker() -> None:
    assert Countdown.verifier == Game24.verifier == "countdown"


# -- what the benchmark leaves out ------------------------------------------------------------------------------------


def test_the_benchmark_draws_on_for_every_puzzle_that_it_leaves_out() -> None:
    suite, left_out = untuned("countdown", size=30, seed=4, tuned="countdown:size=10,seed=4")
    assert left_out == 10
    assert suite.problems == load_suite("countdown:size=40,seed=4").problems[10:]


def test_the_benchmark_leaves_out_what_the_prompt_was_tuned_on_in_any_order_of_its_numbers() -> None:
    tuned = load_suite(TUNED_ON).problems
    suite, left_out = untuned("countdown", size=60, seed=0)
    drawn = load_suite(f"countdown:size={60 + left_out},seed=0").problems
    gone = [p for p in drawn if p not in suite.problems]
    assert len(suite.problems) == 60
    assert {puzzle_key(puzzle(p)) for p in suite.problems}.isdisjoint(puzzle_key(puzzle(p)) for p in tuned)
    assert {puzzle_key(puzzle(p)) for p in gone} <= {puzzle_key(puzzle(p)) for p in tuned}
    assert len(gone) == left_out >= 6
    assert {p.query.prompt for p in gone} - {p.query.prompt for p in tuned}  # the same numbers in another order


# -- checker and grader -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("spec", SPECS)
async def test_what_the_checker_passes_is_right_by_reasoning_gyms_scorer(spec: str) -> None:
    """80 puzzles, solved by the solver."""
    suite = load_suite(spec)
    for problem in suite.problems:
        moves = solution(puzzle(problem))
        assert moves is not None
        answer = CountdownAnswer().extract(told(moves))
        assert answer is not None
        assert await checked(problem, told(moves)) == 1
        assert await gyms(suite, problem, answer) == 1
        assert await suite.grade(problem, answer) == "right"


@pytest.mark.anyio
@pytest.mark.parametrize("spec", ["rg:countdown,size=30,max_numbers=5", "rg:puzzle24,size=20"])
async def test_the_checker_reads_reasoning_gyms_own_words(spec: str) -> None:
    suite = load_suite(spec)
    for problem in suite.problems:
        moves = solution(puzzle(problem))
        assert moves is not None
        text = f"{told(moves)}\n<answer>{CountdownAnswer().extract(told(moves))}</answer>"
        assert await checked(problem, text) == 1
        assert await suite.grade(problem, problem.query.answer_type.extract(text)) == "right"


@pytest.mark.anyio
async def test_games_by_lot_pass_where_the_scorer_gives_full_marks_and_nowhere_else() -> None:
    suite = load_suite("countdown:size=30")
    rng, passed = random.Random(1), 0
    for problem in suite.problems:
        for _ in range(10):
            state, moves = State.of(puzzle(problem)), list[Step]()
            while not state.over:
                moves.append(rng.choice(list(state.steps())))
                after = state.after(moves[-1])
                assert after is not None
                state = after
            answer = CountdownAnswer().extract(told(moves))
            assert answer is not None
            right = await gyms(suite, problem, answer) >= 1
            assert (await checked(problem, told(moves)) == 1) == right
            assert (await suite.grade(problem, answer) == "right") == right
            passed += right
    assert passed > 10


@pytest.mark.anyio
@pytest.mark.parametrize("answer", ["1 + 1", "", "no", "x" * 60_000, "2 ** 9", "1 / 0"])
async def test_what_is_no_solution_is_graded_wrong(answer: str) -> None:
    suite = load_suite("countdown:size=1,seed=3")
    assert await suite.grade(suite.problems[0], answer) == "wrong"


# -- in a run ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_in_a_run_what_passed_is_right(tmp_path: Path) -> None:
    config = EvalConfig(
        suites=("countdown:size=12",),
        strategies=("best_of_n:n=16", "beam:n=16,m=4,separator=\\n"),
        verifier="countdown",
        runs=tmp_path,
    )
    ran = await run_eval(config, Scripted(RandomPlayer(illegal=0.1)))
    units = list(read_units(ran.directory))
    assert {unit.outcome.ended_by for unit in units} == {"stopped_early", "finished"}
    for unit in units:
        assert unit.correct or unit.outcome.ended_by == "finished"
