"""Answers whose comparison takes time: decided before a strategy sees them, the same whoever came first."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import permutations

import pytest

from ttc.answer_type import Equality
from ttc.budget import Budget
from ttc.equality import Deciding, SettledAnswers, decide
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.strategies.vote import Vote
from ttc.types import Candidate, Outcome, Query, Request, Sample


@dataclass(frozen=True)
class Modulo:
    """Numbers that are the same modulo ten, which takes a comparison to find out; nobody decides about 13."""

    asks: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    name: str = "modulo"
    cue: str = ""

    def extract(self, text: str) -> str | None:
        return text if text.isdigit() else None

    def concludes(self, text: str) -> bool:
        return text.isdigit()

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b

    async def decide(self, a: str, b: str, session: Session | None) -> Equality:
        self.asked.append((a, b))
        if self.asks and session is not None:
            await session.choose([{"role": "user", "content": f"{a} = {b}?"}], ("Yes", "No"))
        if "13" in (a, b):
            return "undecided"
        return "equal" if int(a) % 10 == int(b) % 10 else "different"


async def vote_on(answers: list[str], type_: Modulo, **settings: object) -> Outcome:
    model = Scripted(lambda request: "Yes" if request.choices else answers[request.index])
    query = Query.of("?", answer_type=type_)
    return await solve(query, f"majority:n={len(answers)},stop=never", model, **settings)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_votes_are_cast_on_what_is_equal_by_the_slow_comparison() -> None:
    type_ = Modulo()
    outcome = await vote_on(["5", "1", "21", "5", "31"], type_)
    assert outcome.answer == "1"  # 1, 21 and 31 against 5 twice, which letters alone would have given
    (vote,) = (e for e in outcome.trace if e["event"] == "vote")
    assert [n for _, n, _ in vote["classes"]] == [3, 2]
    assert len(type_.asked) == len(set(type_.asked))  # no pair twice, and no answer with itself
    assert outcome.calls == {"generate": 5}


@pytest.mark.anyio
@pytest.mark.parametrize("order", list(permutations(["1", "21", "13", "5"])))
async def test_classes_do_not_depend_on_who_came_first(order: tuple[str, ...]) -> None:
    outcome = await vote_on(list(order), Modulo())
    assert outcome.answer in ("1", "21")
    (vote,) = (e for e in outcome.trace if e["event"] == "vote")
    assert sorted(n for _, n, _ in vote["classes"]) == [1, 1, 2]


@pytest.mark.anyio
async def test_what_stays_undecided_counts_as_different_and_is_said() -> None:
    outcome = await vote_on(["13", "23", "3"], Modulo())
    assert outcome.answer in ("23", "3")
    noted = [set(e["answers"]) for e in outcome.trace if e["event"] == "undecided"]
    assert noted == [{"13", "23"}, {"13", "3"}]
    assert outcome.warnings == ("some answers could not be told apart or together, and count as different",)


@pytest.mark.anyio
async def test_a_comparison_that_asks_the_model_is_charged() -> None:
    outcome = await vote_on(["1", "21", "5"], Modulo(asks=True))
    assert outcome.answer in ("1", "21")
    assert outcome.calls == {"generate": 3, "judge": 2}  # 5 is compared with one of the class of 1 and 21
    short = await vote_on(["1", "21", "5"], Modulo(asks=True), budget=Budget(calls=3))
    assert short.calls == {"generate": 3}
    assert short.answer in ("1", "21", "5")
    assert [e["event"] for e in short.trace].count("undecided") == 3


@pytest.mark.anyio
async def test_grading_decides_without_a_session_and_cheap_keys_come_first() -> None:
    type_ = Modulo(asks=True)
    assert await decide(type_, "7", "7") == "equal"
    assert type_.asked == []
    assert await decide(type_, "7", "17") == "equal"
    assert await decide(type_, "7", "13") == "undecided"
    assert await decide(type_, "", "7") == "different"  # what is no answer equals nothing
    assert type_.asked == [("7", "17"), ("7", "13")]


@pytest.mark.anyio
async def test_a_strategy_sees_the_type_with_what_it_has_of_its_own() -> None:
    settled = SettledAnswers(Modulo())
    assert isinstance(Modulo(), Deciding)
    assert settled.asked == []
    assert (settled.name, settled.cue, settled.extract("x"), settled.concludes("1")) == ("modulo", "", None, True)
    with pytest.raises(AttributeError, match="letters"):
        _ = settled.letters
    vote = Vote(settled, random.Random(0))
    vote.add(Candidate("1", Sample()))
    vote.add(Candidate("21", Sample()))
    assert vote.counts() == [1, 1]  # nobody has settled them


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", ["knockout:n=4", "best_of_n:n=4", "revision:chains=2,length=2", "swiss:n=4"])
async def test_every_way_of_drawing_settles(strategy: str) -> None:
    """A bracket of one class needs no comparison, and scored or revised attempts are settled like any other."""
    type_ = Modulo()
    replies = iter(str(n) for n in (1, 11, 21, 31, 41))

    def reply(request: Request) -> Sample:
        return Sample(text="A" if request.choices else next(replies), logprobs=(-0.1,), top_logprobs=((-0.1, -3.0),))

    model = Scripted(reply)
    outcome = await solve(
        Query.of("?", answer_type=type_), strategy, model, comparator="judge", verifier="self_certainty"
    )
    assert int(outcome.answer or 0) % 10 == 1
    assert "judge" not in outcome.calls
    assert len(type_.asked) >= 3


@pytest.mark.anyio
async def test_an_answer_that_cannot_be_compared_is_not_tried_for_ever() -> None:
    """Ten answers of which no two can be told apart: a comparison takes seconds, and there are 45 pairs."""
    type_ = Modulo()
    stuck = [f"13{i:03}" for i in range(10)]

    async def decide_none(a: str, b: str, session: Session | None) -> Equality:
        type_.asked.append((a, b))
        return "undecided"

    object.__setattr__(type_, "decide", decide_none)
    outcome = await vote_on([*stuck, "7", "7"], type_)
    assert outcome.answer == "7"
    assert len(type_.asked) <= 3 * 11 // 2
