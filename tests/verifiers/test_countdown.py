"""The numbers game: exact arithmetic, moves that are checked, and a solver that says what can still be reached."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc import registry
from ttc.answer_type import AnswerType
from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.types import Candidate, Outcome, Query, Sample, Sampling
from ttc.verifier import StepScorer, Verifier
from ttc.verifiers.games import (
    Countdown,
    CountdownAnswer,
    Puzzle,
    RandomPlayer,
    State,
    Step,
    reachable,
    read_expression,
    read_puzzle,
    read_step,
    solution,
    solves,
)
from ttc.verifiers.games.reading import MOST_STEPS, Composition

ANSWER = CountdownAnswer()


def asked(puzzle: Puzzle) -> Query:
    return Query.of(f"Numbers: {', '.join(map(str, puzzle.numbers))}\nTarget: {puzzle.target}", answer_type=ANSWER)


QUERY = asked(Puzzle((36, 29, 19, 1), 133))


def session(query: Query = QUERY) -> Session:
    return Session(query, Scripted(lambda _: ""), Ledger())


async def step_scores(query: Query, *steps: str, reachable: bool = False) -> Sequence[float]:
    solutions = [Solution(tuple(steps))]
    return (await Countdown(reachable=reachable).score_steps(query, solutions, session(query)))[0]


async def score(query: Query, text: str, answer: str | None = None) -> float:
    candidate = Candidate(answer or ANSWER.extract(text), Sample(text=text))
    return (await Countdown().score(query, [candidate], session(query)))[0]


numbers = st.integers(1, 12)
puzzles = st.builds(Puzzle, st.lists(numbers, min_size=2, max_size=4).map(tuple), st.integers(0, 40))


def played(puzzle: Puzzle, choose: st.DataObject) -> list[Step]:
    """A game of legal moves, drawn by lot, to its end."""
    state, moves = State.of(puzzle), list[Step]()
    while not state.over:
        moves.append(choose.draw(st.sampled_from(list(state.steps()))))
        after = state.after(moves[-1])
        assert after is not None
        state = after
    return moves


# -- the puzzle in a prompt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "puzzle"),
    [
        ("Numbers: 7, 95, 32\nTarget: 139", Puzzle((7, 95, 32), 139)),
        ("Calculate 139 using all of these numbers: 36, 29, 95, 32, 4, 15.\nEach number may be used at most once.",
         Puzzle((36, 29, 95, 32, 4, 15), 139)),
        ("Find a way to make 139 using all of these numbers: 36, 29.\nEach number can only be used once.",
         Puzzle((36, 29), 139)),
        ("Using all the numbers 36, 29, 95, create an expression that equals 139.\nYou can only use each number once.",
         Puzzle((36, 29, 95), 139)),
        ("Make 24 using 2, 3, 4, 10. You can only use each number once. You can use the operators +, -, *, /.\n",
         Puzzle((2, 3, 4, 10), 24)),
        ("Make 24 using 2, 3, 4, 10. You can only use each number once. You can use the operators +, *.",
         Puzzle((2, 3, 4, 10), 24, "+*")),
        ("Numbers: 1, 2\nTarget: 3\n1 + 2 = 3 (left: 3)\n\nNumbers: 4, 5\nTarget: 9", Puzzle((4, 5), 9)),
    ],
)  # fmt: skip
def test_the_puzzle_is_read_out_of_the_prompt(prompt: str, puzzle: Puzzle) -> None:
    assert read_puzzle(prompt) == puzzle


@pytest.mark.parametrize("prompt", ["", "What is 6 * 7?", "Numbers: ٣, ٤\nTarget: ٧", "Numbers: 5\nTarget: 5"])
def test_a_prompt_without_a_puzzle_has_none(prompt: str) -> None:
    assert read_puzzle(prompt) is None


@pytest.mark.anyio
async def test_the_verifier_says_so_where_there_is_no_puzzle() -> None:
    with pytest.raises(ConfigurationError, match="numbers and target"):
        await score(Query.of("What is 6 * 7?", answer_type=ANSWER), "6 * 7 = 42")


# -- moves ------------------------------------------------------------------------------------------------------------


def test_a_move_is_read_with_what_is_left() -> None:
    step = Step(Fraction(36), "-", Fraction(29), Fraction(7), (Fraction(7), Fraction(95), Fraction(32)))
    assert read_step("36 - 29 = 7 (left: 7, 95, 32)") == step
    assert read_step("Step 1: 36 − 29 = 7 (left: 7, 95, 32).") == step
    assert str(step) == "36 - 29 = 7 (left: 7, 95, 32)"


def test_fractions_are_numbers_of_a_move() -> None:
    assert read_step("8 / 1/3 = 24") == Step(Fraction(8), "/", Fraction(1, 3), Fraction(24))
    assert read_step("7 / 2 = 3.5") == Step(Fraction(7), "/", Fraction(2), Fraction(7, 2))
    assert read_step("3 - -2 = 5") == Step(Fraction(3), "-", Fraction(-2), Fraction(5))


@pytest.mark.parametrize(
    "line",
    [
        "", "36 - 29", "= 7", "36 - 29 = seven", "٣ + ٤ = ٧", "1/0 + 2 = 3", "2 ** 3 = 8", "2 ^ 3 = 8", "1 + 2 + 3 = 6",
        "9" * 13 + " + 1 = 2", "1 + 1 = 2 (left: )", "1 + 1 = 2 (left: 1/0)", "__import__('os') + 1 = 2",
    ],
)  # fmt: skip
def test_what_is_no_move_is_none(line: str) -> None:
    assert read_step(line) is None


@given(st.data(), puzzles)
@settings(max_examples=60, deadline=None)
def test_legal_moves_are_read_as_they_are_written_and_are_legal(data: st.DataObject, puzzle: Puzzle) -> None:
    state = State.of(puzzle)
    for move in played(puzzle, data):
        assert read_step(str(move)) == move
        after = state.after(move)
        assert after is not None
        assert len(after.left) == len(state.left) - 1
        state = after


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("36 - 29 = 7 (left: 7, 19, 1)", 0.5),
        ("36 - 29 = 7", 0.5),  # what is left need not be said
        ("36 - 29 = 7 (left: 1, 7, 19)", 0.5),
        ("36 - 29 = 8 (left: 8, 19, 1)", 0.0),
        ("36 - 28 = 8 (left: 8, 19, 1)", 0.0),
        ("36 - 36 = 0 (left: 0, 19, 1)", 0.0),  # it is there once
        ("36 - 29 = 7 (left: 7, 19)", 0.0),
        ("36 - 29 = 7 (left: 7, 19, 1, 36)", 0.0),
        ("36 / 0 = 0 (left: 0, 29, 19, 1)", 0.0),
        ("Let me think.", 0.25),
    ],
)
async def test_a_first_step_scores_by_the_rules_alone(line: str, found: float) -> None:
    assert await step_scores(QUERY, line) == [found]


@pytest.mark.anyio
async def test_nothing_divides_by_zero() -> None:
    query = asked(Puzzle((2, 2, 5), 10))
    assert await step_scores(query, "2 - 2 = 0 (left: 0, 5)", "5 / 0 = 0 (left: 0)") == [0.5, 0.0]
    assert await step_scores(query, "2 - 2 = 0 (left: 0, 5)", "0 / 5 = 0 (left: 0)") == [0.5, 0.0]


@pytest.mark.anyio
async def test_only_the_target_of_all_numbers_scores_one() -> None:
    moves = ["36 - 29 = 7 (left: 7, 19, 1)", "7 * 19 = 133 (left: 133, 1)", "133 * 1 = 133 (left: 133)"]
    assert await step_scores(QUERY, *moves) == [0.5, 0.5, 1.0]
    assert await step_scores(QUERY, *moves[:2], "133 + 1 = 134 (left: 134)") == [0.5, 0.5, 0.0]
    assert await score(QUERY, "\n".join(moves)) == 1
    assert await score(QUERY, "\n".join(moves[:2])) == 0.5  # the target, but not of all numbers


@pytest.mark.anyio
async def test_nothing_saves_a_game_with_an_illegal_move() -> None:
    query = asked(Puzzle((3, 4, 2), 14))
    moves = ["3 + 4 = 8 (left: 8, 2)", "8 * 2 = 16 (left: 16)"]
    assert ANSWER.extract("\n".join(moves)) == "(3 + 4) * 2"  # which is 14
    assert await step_scores(query, *moves) == [0.0, 0.0]
    assert await score(query, "\n".join(moves)) == 0


@pytest.mark.anyio
async def test_what_is_said_behind_the_end_changes_nothing() -> None:
    query = asked(Puzzle((3, 4, 2), 14))
    text = "3 + 4 = 7 (left: 7, 2)\n7 * 2 = 14 (left: 14)\nNumbers: 5, 6\nTarget: 30\n5 * 6 = 31 (left: 31)"
    assert await score(query, text) == 1
    assert ANSWER.extract(text) == "(3 + 4) * 2"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is (36 - 29) * 19 * 1.", 1.0),
        ("<answer>(36 - 29) * 19 / 1</answer>", 1.0),
        ("<answer>(36 - 29) * 19 / 1 = 133</answer>", 1.0),
        ("The answer is (36 - 29) * 19.", 0.0),
        ("The answer is 133.", 0.25),
        ("<think>The answer is (36 - 29) * 19 * 1</think>", 0.0),
    ],
)
async def test_an_expression_that_is_stated_is_checked_as_a_whole(text: str, found: float) -> None:
    assert await score(QUERY, text) == found


@pytest.mark.anyio
async def test_an_operator_that_is_not_allowed_is_illegal() -> None:
    query = Query.of("Make 24 using 2, 3, 4, 1. You can only use each number once. You can use the operators +, *.")
    assert await step_scores(query, "3 - 1 = 2 (left: 2, 2, 4)") == [0]
    assert not solves(Puzzle((5, 1), 4, "+*"), "5 - 1")


@pytest.mark.anyio
async def test_an_answer_that_is_not_the_texts_does_not_pass() -> None:
    query = asked(Puzzle((3, 4), 7))
    assert await score(query, "3 + 4 = 7 (left: 7)", answer="3 * 4") == 0


@pytest.mark.anyio
async def test_steps_are_scored_once() -> None:
    moves = ("36 - 29 = 7 (left: 7, 19, 1)", "7 * 19 = 133 (left: 133, 1)")
    verifier = Countdown()
    solutions = [Solution(moves, scores=(0.5,)), Solution(moves, scores=(0.5, 0.5)), Solution(())]
    assert await verifier.score_steps(QUERY, solutions, session()) == [[0.5], [], []]


@given(st.data(), puzzles)
@settings(max_examples=60, deadline=None)
def test_what_the_checker_passes_is_right_by_an_arithmetic_of_its_own(data: st.DataObject, puzzle: Puzzle) -> None:
    moves = played(puzzle, data)
    answer = ANSWER.extract("\n".join(map(str, moves)))
    assert answer is not None
    made: Fraction = eval("".join(f"Fraction({t})" if t.isdigit() else t for t in _tokens(answer)))
    assert made == moves[-1].result
    assert sorted(int(t) for t in _tokens(answer) if t.isdigit()) == sorted(puzzle.numbers)
    assert solves(puzzle, answer) == (made == puzzle.target)


def _tokens(expression: str) -> list[str]:
    return ["".join(group) for digit, group in itertools.groupby(expression, str.isdigit) for group in
            ([group] if digit else group)]  # fmt: skip


# -- the solver -------------------------------------------------------------------------------------------------------


@given(puzzles)
@settings(max_examples=80, deadline=None)
def test_what_can_be_reached_is_reached_by_moves_that_the_checker_accepts(puzzle: Puzzle) -> None:
    moves = solution(puzzle)
    assert (moves is not None) == reachable(State.of(puzzle))
    state: State | None = State.of(puzzle)
    for move in moves or ():
        assert state is not None
        assert reachable(state)
        state = state.after(move)
    assert moves is None or (state is not None and state.solved)


@given(puzzles.filter(lambda p: len(p.numbers) < 4))
@settings(max_examples=60, deadline=None)
def test_what_cannot_be_reached_is_reached_by_no_game(puzzle: Puzzle) -> None:
    def ends(state: State) -> set[Fraction]:
        if state.over:
            return set(state.values)
        afters = [after for move in state.steps() if (after := state.after(move)) is not None]
        return {end for after in afters for end in ends(after)}

    state = State.of(puzzle)
    assert reachable(state) == (puzzle.target in ends(state))


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=4).map(tuple), st.integers(0, 3), st.sampled_from(["*/", "/", "-"])
)
@settings(max_examples=80, deadline=None)
def test_zeros_and_few_operators_are_no_exception(given_numbers: tuple[int, ...], target: int, operators: str) -> None:
    puzzle = Puzzle(given_numbers, target, operators)
    moves = solution(puzzle)
    assert (moves is not None) == reachable(State.of(puzzle))


def test_the_solver_is_exact_on_fractions() -> None:
    assert reachable(State.of(Puzzle((3, 3, 8, 8), 24)))  # 8 / (3 - 8/3)
    assert not reachable(State.of(Puzzle((1, 1, 1, 1), 24)))


def test_more_numbers_than_it_can_look_at_are_not_called_unreachable() -> None:
    assert reachable(State.of(Puzzle((1, 1, 1, 1, 1, 1), 999))) is None
    assert reachable(State.of(Puzzle((1, 1, 1, 1, 1), 999))) is False


@pytest.mark.anyio
async def test_with_reachable_a_dead_end_scores_nothing() -> None:
    dead, alive = "36 + 29 = 65 (left: 65, 19, 1)", "36 - 29 = 7 (left: 7, 19, 1)"
    assert await step_scores(QUERY, dead) == [0.5]
    assert await step_scores(QUERY, dead, reachable=True) == [0.0]
    assert await step_scores(QUERY, alive, reachable=True) == [0.5]


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("36 - 29 = 7 (left: 7, 19)\n7 * 19 = 133 (left: 133)", "(36 - 29) * 19"),
        ("2 + 2 = 4 (left: 4, 4)\n4 * 4 = 16 (left: 16)", "(2 + 2) * 4"),
        ("1 + 3 = 4 (left: 4, 2, 2)\n2 + 2 = 4 (left: 4, 4)\n4 * 4 = 16 (left: 16)", "(2 + 2) * (1 + 3)"),
        ("36 - 29 = 7", "36 - 29"),
        ("So: \n(36 − 29) × 19 = 133", "(36 - 29) * 19"),
        ("The answer is (36-29)*19.", "(36 - 29) * 19"),
        ("<answer> 4 ÷ 2 </answer>", "4 / 2"),
        ("<think>1 + 2 = 3 (left: 3)</think>\n2 + 1 = 3 (left: 3)", "2 + 1"),
        ("The answer is 5.", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_an_answer_is_composed_or_stated(text: str, answer: str | None) -> None:
    assert ANSWER.extract(text) == answer


def test_a_text_concludes_where_one_number_is_left_or_an_answer_is_stated() -> None:
    assert ANSWER.concludes("36 - 29 = 7 (left: 7, 19)\n7 * 19 = 133 (left: 133)")
    assert ANSWER.concludes("The answer is (36 - 29) * 19")
    assert not ANSWER.concludes("36 - 29 = 7 (left: 7, 19)")
    assert not ANSWER.concludes("(36 - 29) * 19 = 133")  # it may be a try


def test_a_text_of_known_numbers_ends_with_the_last_move_whatever_it_says() -> None:
    text = "36 - 29 = 7\n7 * 19 = 133\n133 - 36 = 97"
    assert CountdownAnswer(numbers=3).extract(text) == "(36 - 29) * 19"
    assert CountdownAnswer(numbers=3).concludes("36 - 29 = 7\n7 * 19 = 133")
    assert not CountdownAnswer(numbers=3).concludes("36 - 29 = 7")
    assert ANSWER.extract(text) == "((36 - 29) * 19) - 36"


def test_two_answers_are_the_same_with_the_same_numbers_and_the_same_value() -> None:
    assert ANSWER.key("(36 - 29) * 19") == ANSWER.key("19*(36-29)") == "133 of 19, 29, 36"
    assert ANSWER.equivalent("2 * 6", "6 + 6 - 0") is False
    assert ANSWER.key("2 + 2 + 4") != ANSWER.key("2 * 4")
    assert ANSWER.key("1 / 0") == ANSWER.key("1 / (2 - 2)") == ANSWER.key("x") == ANSWER.key("") == ""
    assert not ANSWER.equivalent("1 / 0", "1 / 0")


@pytest.mark.parametrize(
    "text",
    ["2 ** 9", "2 // 1", "2(3)", "1.5 + 2", "a + 1", "(1", "1)", "1 +", "+1", "- - 1", "()", "1e9", "٣ + 1",
     "9" * 13, "(" * 60 + "1" + ")" * 60, "1" + " + 1" * 300],
)  # fmt: skip
def test_what_is_no_expression_is_none(text: str) -> None:
    assert read_expression(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1 = 2\n" * 30_000,
        "(" * 200_000,
        "1 " * 100_000,
        "1/" * 100_000 + " = 1",
        "1 + 1 = 2 (left: " + "1, " * 60_000,
        "the answer is " * 20_000,
        "answer: 1 + 1\n" * 20_000,
        "<answer>" * 30_000,
        "-" * 200_000 + "1",
        "9" * 200_000,
        "\n" * 200_000,
        " " * 200_000 + "1 + 1 = 2",
        "Numbers: " + "1, " * 60_000 + "\nTarget: 1",
        "Make 24 using " * 10_000,
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_hostile_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    ANSWER.extract(text)
    ANSWER.concludes(text)
    read_puzzle(text)
    read_expression(text)
    await score(QUERY, text)
    assert time.process_time() - began < 5  # what is not linear takes minutes


def test_an_answer_is_composed_of_so_many_moves_and_no_more() -> None:
    composition = Composition()
    for i in range(1, 3 * MOST_STEPS):
        composition.read(f"{i} + 1 = {i + 1}")
    assert composition.answer is not None
    assert composition.answer.count("+") == MOST_STEPS


@given(st.text(alphabet="0123456789+-*/=()., :leftanswr\n", max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_and_its_answer_has_one_spelling(text: str) -> None:
    answer = ANSWER.extract(text)
    if answer is not None and (found := read_expression(answer)) is not None:
        assert read_expression(found.text) == found


# -- with strategies --------------------------------------------------------------------------------------------------


def test_they_are_registered() -> None:
    verifier = registry.create("verifier", "countdown:reachable=true")
    assert isinstance(verifier, Verifier)
    assert isinstance(verifier, StepScorer)
    assert verifier == Countdown(reachable=True)
    assert isinstance(registry.create("answer type", "countdown"), AnswerType)


async def solved(spec: str, puzzle: Puzzle, *, verifier: str = "countdown", seed: int = 0, **options: Any) -> Outcome:
    model = Scripted(RandomPlayer(illegal=0.2))
    return await solve(asked(puzzle), spec, model, verifier=verifier, seed=seed, **options)


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", ["best_of_n:n=64", "beam:n=16,m=4,separator=\\n"])
async def test_what_passes_solves_and_ends_the_search(strategy: str) -> None:
    puzzle = Puzzle((3, 4, 2), 14)
    outcomes = [await solved(strategy, puzzle, seed=seed) for seed in range(24)]
    passed = [o for o in outcomes if o.ended_by == "stopped_early"]
    assert passed
    for outcome in outcomes:
        assert solves(puzzle, outcome.answer) == (outcome in passed)


@pytest.mark.anyio
async def test_a_beam_sends_one_wave_a_step() -> None:
    outcome = await solved("beam:n=16,m=4,separator=\\n", Puzzle((3, 4, 2, 11), 999))
    waves = [event for event in outcome.trace if event["event"] == "grow"]
    assert len(waves) == 3  # four numbers are one after three moves
    assert outcome.calls == {"generate": 16 * 3}
    assert outcome.answer is not None  # none passes, and there is an answer all the same


async def share_solved(strategy: str, verifier: str, puzzles: Sequence[Puzzle], tokens: int) -> float:
    """The share of puzzles that a strategy solves under a budget of generated tokens."""
    right = 0
    for i, puzzle in enumerate(puzzles):
        limits = {"budget": Budget(generated_tokens=tokens), "sampling": Sampling(max_tokens=32, force_answer=0)}
        outcome = await solved(strategy, puzzle, verifier=verifier, seed=i, **limits)
        assert outcome.generated_tokens <= tokens
        right += solves(puzzle, outcome.answer)
    return right / len(puzzles)


@pytest.mark.anyio
async def test_knowing_what_can_be_reached_pays_for_a_beam_and_not_for_best_of_n() -> None:
    """40 puzzles of the 24 game under 400 tokens; the table is that of benchmarks/countdown.py --simulated."""
    rng, puzzles = random.Random(0), list[Puzzle]()
    while len(puzzles) < 40:
        puzzle = Puzzle(tuple(rng.randint(1, 10) for _ in range(4)), 24)
        puzzles += [puzzle] if reachable(State.of(puzzle)) else []
    beam, best = "beam:n=16,m=4,separator=\\n,step_tokens=12", "best_of_n:n=32"
    knowing, rules, many, many_knowing = [
        await share_solved(spec, verifier, puzzles, 400)
        for spec, verifier in (
            (beam, "countdown:reachable=true"),
            (beam, "countdown"),
            (best, "countdown"),
            (best, "countdown:reachable=true"),
        )
    ]
    assert knowing > rules + 0.1
    assert knowing > many + 0.1
    assert many == many_knowing  # it scores whole solutions
