"""Step checkers: a function of one's own scores each new step once, and what goes wrong in it is not hidden."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import pytest

from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.types import Candidate, Query, Request, Sample
from ttc.verifier import StepScorer, Verifier
from ttc.verifiers.step_checker import Check, StepChecker

QUERY = Query.of("Come to 24.", answer_type="number", id="q24")


class Recorder:
    """A check that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], bool]] = []
        self.threads: set[int] = set()

    def __call__(self, query: Query, steps: Sequence[str], over: bool) -> float:
        assert query is QUERY
        self.asked.append((tuple(steps), over))
        self.threads.add(threading.get_ident())
        return len(steps) / 10


def session(check: Check | StepChecker) -> Session:
    verifier = check if isinstance(check, StepChecker) else StepChecker(check)
    return Session(QUERY, Scripted(lambda _: ""), Ledger(), verifier=verifier)


@pytest.mark.anyio
async def test_it_is_called_once_for_each_new_step_with_the_steps_up_to_it() -> None:
    check = Recorder()
    scores = await session(check).score_steps(
        [
            Solution(("a", "b", "c"), scores=(0.1,), over=True),
            Solution(("a", "x"), over=False),
            Solution(("a",), (), (1,)),
        ]
    )
    assert scores == [[0.2, 0.3], [0.1, 0.2], []]
    assert check.asked == [(("a", "b"), False), (("a", "b", "c"), True), (("a",), False), (("a", "x"), False)]
    assert threading.get_ident() not in check.threads  # the event loop has other things to do


@pytest.mark.anyio
@pytest.mark.parametrize(("separator", "n"), [("", 2), ("\n\n", 2), ("\n", 3), ("\\n", 3), ("none", 1)])
async def test_a_whole_candidate_is_checked_once_after_its_last_step(separator: str, n: int) -> None:
    check = Recorder()
    candidates = [Candidate("1", Sample(text=text)) for text in ("a\n\nb\nc", " \n")]
    scored = await session(StepChecker(check, separator=separator)).score(candidates)
    assert [c.score for c in scored] == [n / 10, 0.0]
    assert [over for _, over in check.asked] == [True]  # of what has no step nothing is asked


@pytest.mark.anyio
async def test_it_may_say_true_or_false() -> None:
    said = session(lambda query, steps, over: "bad" not in steps)
    assert await said.score_steps([Solution(("a", "bad", "c"))]) == [[1.0, 0.0, 0.0]]


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["function", "object", "partial"])
async def test_an_async_check_is_called_for_a_whole_wave_at_once(form: str) -> None:
    under_way = 0
    all_there = anyio.Event()

    async def check(query: Query, steps: Sequence[str], over: bool) -> float:
        nonlocal under_way
        under_way += 1
        if under_way == 4:
            all_there.set()
        await all_there.wait()
        return len(steps) / 10

    class Checks:
        async def __call__(self, query: Query, steps: Sequence[str], over: bool) -> float:
            return await check(query, steps, over)

    checks: dict[str, Check] = {"function": check, "object": Checks(), "partial": partial(check)}
    with anyio.fail_after(30):
        scores = await session(checks[form]).score_steps([Solution(("a", "b")), Solution(("a",)), Solution(("a",))])
    assert scores == [[0.1, 0.2], [0.1], [0.1]]


def broken(query: Query, steps: Sequence[str], over: bool) -> float:
    return {"fine": 1.0}[steps[-1]]


async def broken_too(query: Query, steps: Sequence[str], over: bool) -> float:
    return broken(query, steps, over)


@pytest.mark.anyio
@pytest.mark.parametrize("check", [broken, broken_too])
async def test_an_error_in_it_leaves_as_it_is_and_says_at_which_step(check: Check) -> None:
    with pytest.raises(KeyError, match="strange") as caught:
        await session(check).score_steps([Solution(("fine", "strange"))])
    assert caught.value.__notes__ == [
        f"in step checker '{check.__name__}', at step 2 of query 'q24': 'strange'"  # pyright: ignore
    ]


@pytest.mark.anyio
async def test_an_error_in_it_ends_a_search() -> None:
    with pytest.raises(KeyError) as caught:
        await solve(QUERY, "beam:n=4,m=2", Scripted(lambda r: "x" * 500), verifier=StepChecker(broken, name="mine"))
    (note,) = caught.value.__notes__
    assert note.startswith("in step checker 'mine', at step 1 of query 'q24': 'xxx")
    assert len(note) < 300


@pytest.mark.anyio
@pytest.mark.parametrize("said", [2, -0.1, None, "yes", float("nan")])
async def test_what_is_no_number_from_0_to_1_is_refused(said: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"step checker 'mine' returned .*: a score is a number from 0 to 1"):
        await session(StepChecker(lambda query, steps, over: said, name="mine")).score_steps([Solution(("a",))])


def test_it_is_called_as_its_function_is_and_is_all_that_a_verifier_is() -> None:
    verifier = StepChecker(broken)
    assert (verifier.name, StepChecker(Recorder()).name, StepChecker(broken, name="x").name) == (
        "broken",
        "Recorder",
        "x",
    )
    assert isinstance(verifier, Verifier)
    assert isinstance(verifier, StepScorer)
    assert not verifier.pass_fail


def countdown(query: Query, steps: Sequence[str], over: bool) -> bool:
    """The example of the docstring."""
    total = 0
    for step in steps:
        verb, _, number = step.partition(" ")
        if verb not in ("add", "subtract") or not number.isdigit():
            return False
        total += int(number) if verb == "add" else -int(number)
    return total == 24 if over else total <= 24


def player(request: Request) -> Sample:
    """Adds 10, 20 or 4, and ends with the third move."""
    said = request.messages[-1]["content"] if request.continue_final else ""
    depth = said.count("add")
    return Sample(text=f"add {(10, 20, 4)[(request.index + depth) % 3]}", finish="step" if depth < 2 else "stop")


@pytest.mark.anyio
async def test_a_beam_plays_by_the_rules() -> None:
    """Six pairs of moves are within the rules and four are kept, so one of the three that can win is among them."""
    verifier = StepChecker(countdown, separator="\n", pass_fail=True)
    outcome = await solve(QUERY, "beam:n=12,m=3,separator=\\n", Scripted(player), verifier=verifier)
    steps = outcome.text.split("\n")
    assert sorted(steps) == ["add 10", "add 10", "add 4"]
    assert outcome.ended_by == "stopped_early"
    assert set(outcome.calls) == {"generate"}
    nodes = [node for event in outcome.trace if event["event"] == "grow" for node in event["nodes"]]
    assert 0.0 in {node["score"] for node in nodes}
