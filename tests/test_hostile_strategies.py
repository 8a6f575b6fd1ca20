"""The core against strategies, verifiers and comparators that make mistakes: a clear error, nothing left, no hang."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ttc.answer_type import TextAnswer
from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.types import Candidate, Outcome, Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

Body = Callable[[Session], Awaitable[None]]


class Does(Strategy):
    """A strategy that is a function."""

    body: Any = None

    async def solve(self, query: Query, session: Session) -> None:
        await self.body(session)


class Scores:
    """A verifier that is a function of the candidates; one call each where it ``asks``."""

    name = "scores"
    logprobs = 0

    def __init__(self, score: Callable[[Sequence[Candidate]], Any], *, asks: bool = False) -> None:
        self._score = score
        self._asks = asks

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        for candidate in candidates if self._asks else ():
            await session.choose([{"role": "user", "content": candidate.sample.text}], ("Yes", "No"))
        await anyio.sleep(0.001)
        return self._score(candidates)


class Compares:
    """A comparator that is a function of the two candidates."""

    name = "compares"

    def __init__(self, compare: Callable[[Candidate, Candidate], Any]) -> None:
        self._compare = compare

    async def compare(self, query: Query, first: Candidate, second: Candidate, session: Session) -> float:
        await anyio.sleep(0.001)
        return self._compare(first, second)


def half(candidates: Sequence[Candidate]) -> list[float]:
    return [0.5] * len(candidates)


def mine(*_: object) -> float:
    raise KeyError("mine")


def reply(request: Request) -> Sample:
    draw = random.Random(request.seed)
    return Sample(text=draw.choice(request.choices) if request.choices else str(draw.randint(0, 9)))


async def run(strategy: Strategy | str | Body, *, model: Scripted | None = None, **settings: Any) -> Outcome:
    """Solve within seconds, and look that nothing is left."""
    model = model or Scripted(reply, in_flight=3, latency=lambda r: r.seed % 3 / 1000)
    ledger = Ledger()
    chosen = strategy if isinstance(strategy, Strategy | str) else Does(body=strategy)
    query = Query.of("2 + 5?", answer_type=TextAnswer())
    try:
        with anyio.fail_after(30):
            return await solve(query, chosen, model, parent=ledger, sampling=Sampling(max_tokens=8), **settings)
    finally:
        assert model.running == model.limiter.borrowed_tokens == ledger.leased_tokens == 0


SCORED = ["best_of_n:n=6", "best_of_n:n=6,wave=2", "majority:n=5,weights=score", "revision:chains=2,length=2"]


@pytest.mark.parametrize("spec", SCORED)
async def test_an_error_of_a_verifier_leaves_alone(spec: str) -> None:
    with pytest.raises(KeyError, match="mine"):
        await run(spec, verifier=Scores(mine))


@pytest.mark.parametrize("spec", SCORED)
@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.1, 7, None, "good"])
async def test_what_is_no_score_is_an_error_that_names_the_verifier(spec: str, score: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"verifier 'scores' .*a score is a number from 0 to 1"):
        await run(spec, verifier=Scores(lambda candidates: [score] * len(candidates)))


@pytest.mark.parametrize("spec", SCORED)
async def test_more_scores_than_candidates_are_an_error(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="2 scores for 1 candidates"):
        await run(spec, verifier=Scores(lambda candidates: [0.5, 0.5]))


TOURNAMENTS = ["knockout:n=8,k=2", "league:n=6,k=2", "swiss:n=6,rounds=2"]


@pytest.mark.parametrize("spec", TOURNAMENTS)
async def test_an_error_of_a_comparator_leaves_alone(spec: str) -> None:
    with pytest.raises(KeyError, match="mine"):
        await run(spec, comparator=Compares(mine))


@pytest.mark.parametrize("spec", TOURNAMENTS)
@pytest.mark.parametrize("verdict", [math.nan, 7, -1, None])
async def test_what_is_no_verdict_is_an_error_that_names_the_comparator(spec: str, verdict: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"comparator 'compares' .*a verdict is a number from 0 to 1"):
        await run(spec, comparator=Compares(lambda a, b: verdict))


async def test_no_two_draws_of_a_query_have_the_same_seed_whatever_their_branches_are_called() -> None:
    seeds: list[int] = []

    async def body(session: Session) -> None:
        for _ in range(3):  # a branch that was merged may be opened again: it goes on where it was
            branch = session.branch("try")
            seeds.append((await branch.generate()).sample.seed)
            session.merge(branch)
        for branch in (session, session.branch("a", "b"), session.branch("a").branch("b"), session.branch(1, 1)):
            seeds.append((await branch.generate()).sample.seed)

    await run(body)
    assert len(seeds) == len(set(seeds)) == 7


@pytest.mark.parametrize("names", [[("a",), ("a",)], [(1,), ("1",)], [()]])
async def test_branches_have_names_of_their_own(names: list[tuple[str | int, ...]]) -> None:
    async def body(session: Session) -> None:
        for name in names:
            session.branch(*name)

    with pytest.raises(ConfigurationError, match="branch"):
        await run(body)


async def test_a_scored_draw_that_is_left_early_leaves_no_name_behind() -> None:
    async def body(session: Session) -> None:
        probe = [await session.generate(kind="probe") for _ in range(3)]
        for _ in range(2):  # the same candidates are handed on and scored twice
            async with (
                session.within(Budget(calls=50), hand_on=probe) as child,
                child.sample(n=5, scored=True, wave=2) as samples,
            ):
                async for candidate in samples:
                    session.propose(candidate)
                    break

    outcome = await run(body, verifier=Scores(half, asks=True))
    assert outcome.candidate is not None
    assert outcome.candidate.score == 0.5


async def test_a_candidate_that_is_handed_on_twice_is_scored_twice() -> None:
    scores: list[float | None] = []

    async def body(session: Session) -> None:
        probe = [await session.generate()] * 2
        async with (
            session.within(Budget(calls=50), hand_on=probe) as child,
            child.sample(n=3, scored=True) as samples,
        ):
            async for candidate in samples:
                scores.append(candidate.score)

    await run(body, verifier=Scores(half))
    assert scores == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("by_finish", [False, True])
async def test_waves_hand_on_all_that_was_asked_for(scored: bool, by_finish: bool) -> None:
    drawn: list[Candidate] = []

    async def body(session: Session) -> None:
        probe = [await session.generate() for _ in range(4)]
        async with (
            session.within(Budget(), hand_on=probe) as child,
            child.sample(n=11, wave=3, scored=scored, by_finish=by_finish) as samples,
        ):
            async for candidate in samples:
                drawn.append(candidate)

    outcome = await run(body, verifier=Scores(half, asks=True))
    assert sorted(c.sample.index for c in drawn) == list(range(11))
    assert outcome.calls == {"generate": 11} | ({"judge": 11} if scored else {})


@pytest.mark.parametrize("verb", ["generate", "continue_", "compare", "score"])
async def test_a_strategy_that_goes_on_after_a_refusal_ended_by_the_budget(verb: str) -> None:
    async def body(session: Session) -> None:
        candidate = await session.generate()
        session.propose(candidate)
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "generate": session.generate,
            "continue_": lambda: session.continue_(candidate, cue=" so"),
            "compare": lambda: session.compare(candidate, candidate),
            "score": lambda: session.score([candidate]),
        }
        refused = 0
        while refused < 3:
            try:
                await verbs[verb]()
            except BudgetExhausted:
                refused += 1

    outcome = await run(body, budget=Budget(calls=4), verifier=Scores(half, asks=True), comparator="judge")
    assert sum(outcome.calls.values()) == 4
    assert outcome.ended_by == "budget"
    assert outcome.answer is not None


async def test_a_strategy_that_never_proposes_has_no_answer_and_its_bill() -> None:
    async def body(session: Session) -> None:
        await session.generate()

    outcome = await run(body)
    assert (outcome.answer, outcome.candidate, outcome.checkpoints) == (None, None, ())
    assert (outcome.ended_by, outcome.calls) == ("finished", {"generate": 1})


@pytest.mark.parametrize("swallows", [False, True])
async def test_what_is_proposed_when_the_deadline_is_over_counts_and_is_called_late(swallows: bool) -> None:
    async def body(session: Session) -> None:
        candidate = await session.generate()
        try:
            await anyio.sleep(30)
        except BaseException:
            session.propose(candidate)
            if not swallows:
                raise

    outcome = await run(body, budget=Budget(seconds=0.05))
    assert outcome.answer is not None
    assert outcome.ended_by == "deadline"


async def test_the_seconds_of_a_child_end_its_block_and_nothing_else() -> None:
    async def body(session: Session) -> None:
        async with session.within(Budget(seconds=0.01)):
            await anyio.sleep(30)
        session.propose(await session.generate())

    assert (await run(body)).ended_by == "finished"


@pytest.mark.parametrize(
    ("changed", "text", "reasoning"),
    [
        ({"finish": "failed", "text": "", "error": "gone"}, " so 7", ""),
        ({"finish": "cut"}, "first so 7", ""),
        ({"finish": "halted"}, "first so 7", ""),
        ({"finish": "length", "text": "", "reasoning": "hm"}, "", "hm so7"),
    ],
)
async def test_any_sample_can_be_continued(changed: dict[str, Any], text: str, reasoning: str) -> None:
    found: list[Sample] = []

    async def body(session: Session) -> None:
        first = replace((await session.generate()).sample, **changed)
        longer = await session.continue_(Candidate(None, first), cue=" so", close_thought=False)
        found.append(longer.sample)

    def say(request: Request) -> str:
        return ("7" if changed.get("reasoning") else " 7") if request.continue_final else "first"

    outcome = await run(body, model=Scripted(say))
    assert (found[0].text, found[0].reasoning) == (text, reasoning)
    assert (found[0].ok, found[0].error, found[0].finish) == (True, "", "stop")
    assert found[0].usage.generated == outcome.generated_tokens == 2


async def test_an_error_of_a_task_leaves_every_permit() -> None:
    async def body(session: Session) -> None:
        async with session.sample(n=9) as samples, anyio.create_task_group() as group:
            async for candidate in samples:
                session.propose(candidate)
                if candidate.sample.index == 3:
                    group.start_soon(fails)

    async def fails() -> None:
        mine()

    with pytest.raises(KeyError, match="mine"):
        await run(body)
