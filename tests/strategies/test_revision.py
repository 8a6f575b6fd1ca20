"""Chains of revisions: theory on the simulated model, what is shown, what is chosen, and every way to end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import sqrt

import anyio
import pytest

from ttc.budget import Budget
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Revising, Simulated
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.strategies.chain import Chain, ChainVote
from ttc.types import Candidate, Message, Outcome, Query, Request, Sample, TextAnswer
from ttc.verifiers.simulated import SimulatedVerifier

pytestmark = pytest.mark.anyio

QUERY = Query.of("how many?")


def shown(request: Request) -> list[str]:
    """The attempts that a request shows, in order."""
    return [str(m["content"]) for m in request.messages if m["role"] == "assistant"]


def asked(request: Request) -> str:
    return str(request.messages[-1]["content"])


class Scores:
    """Scores an answer by a table; everything else is worth nothing."""

    name = "scores"
    logprobs = 0

    def __init__(self, pass_fail: bool = False, **scores: float) -> None:
        self.pass_fail = pass_fail
        self.scores = scores

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [self.scores.get(c.answer or "", 0.0) for c in candidates]


class PublicTests(Scores):
    """Fails whatever it has words for."""

    async def critique(self, query: Query, candidate: Candidate, session: Session) -> str:
        return f"{candidate.answer} fails the test of zero" if candidate.answer == "one" else ""


def in_turn(*answers: str) -> Callable[[Request], str]:
    """A chain that says these in turn; chains see all of their attempts."""
    return lambda request: answers[len(shown(request))]


# -- theory --------------------------------------------------------------------------------------------------------


def within_errors(right: int, n: int, p: float) -> bool:
    """Whether a share is within four standard errors of what it should be."""
    return abs(right / n - p) <= 4 * sqrt(p * (1 - p) / n)


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 0.7255), (2, 0.9568), (4, 0.9766), (8, 0.9693), (16, 0.9194), (64, 0.5100)]
)
async def test_chains_of_any_length_succeed_as_often_as_the_formula_says(length: int, expected: float) -> None:
    p, fix, stuck, n = 0.02, 0.15, 0.5, 200
    closed = 1 - ((1 - p) * (stuck + (1 - stuck) * (1 - fix) ** (length - 1))) ** (64 / length)
    assert round(closed, 4) == expected
    population = Population(p=p, seed=length)
    model = Simulated(population, revising=Revising(fix=fix, breaks=0.38, stuck=stuck))
    strategy = f"revision:chains={64 // length},length={length}"
    outcomes = await solve_many(
        population.queries(n), strategy, model, verifier=SimulatedVerifier(population=population)
    )
    right = sum(population.is_right(q, o.answer) for q, o in zip(population.queries(n), outcomes, strict=True))
    assert within_errors(right, n, closed)


async def test_a_naive_chain_forgets_where_it_began_and_the_vote_over_it_does_better() -> None:
    population, n, place = Population(p=0.9), 600, 7
    model = Simulated(population, revising=Revising(fix=0.25, breaks=0.38))
    queries = population.queries(n)
    outcomes = await solve_many(queries, f"revision:chains=1,length={2 * place + 2}", model)
    limit = 0.25 / (0.25 + 0.38)
    assert round(limit, 4) == 0.3968
    expected = limit + (0.9 - limit) * (1 - 0.25 - 0.38) ** place
    attempts = [e["answer"] for o in outcomes for e in o.trace if e["event"] == "attempt" and e["number"] == place]
    assert len(attempts) == n  # before half of the votes are in none is certain
    right = sum(population.is_right(q, a) for q, a in zip(queries, attempts, strict=True))
    assert within_errors(right, n, expected)


# -- what is shown -------------------------------------------------------------------------------------------------


async def test_a_revision_sees_the_question_and_the_last_four_attempts_in_order() -> None:
    numbers = ("zero", "one", "two", "three", "four", "five", "six")
    # Attempts of a chain follow from the last one that is shown.
    model = Scripted(lambda r: numbers[numbers.index(shown(r)[-1]) + 1] if shown(r) else "zero")
    outcome = await solve(QUERY, "revision:chains=1,length=7", model)
    assert [shown(r) for r in model.requests] == [list(numbers[max(0, i - 4) : i]) for i in range(7)]
    for request in model.requests:
        assert request.messages[0] == QUERY.messages[0]
        roles = [m["role"] for m in request.messages]
        assert roles == ["user", *["assistant", "user"] * len(shown(request))]
    assert outcome.calls == {"generate": 1, "revise": 6}


async def test_prompts_grow_and_are_billed() -> None:
    model = Scripted(in_turn("one", "two", "three"))
    outcome = await solve(QUERY, "revision:chains=1,length=3", model)
    prompts = [await model.count_prompt(r.messages) for r in model.requests]
    assert prompts == sorted(set(prompts))
    assert outcome.total_usage.prompt_tokens == sum(prompts)


async def test_what_fails_is_said_by_the_verifier_and_everything_else_is_self_critique() -> None:
    model = Scripted(in_turn("one", "two", "three"))
    await solve(QUERY, "revision:chains=1,length=3", model, verifier=PublicTests())
    first, second, third = (asked(r) for r in model.requests)
    assert first == "how many?"
    assert "one fails the test of zero" in second
    assert "Check your answer" not in second
    assert "Check your answer" in third
    # What was said about an attempt stays behind it.
    assert second in [m["content"] for m in model.requests[2].messages]


def test_a_failed_call_shows_nothing_and_a_prompt_that_is_too_long_gets_shorter() -> None:
    chain = Chain(QUERY.messages, shown=3)
    for word in ("one", "two"):
        chain.add(Candidate(word, Sample(text=word)))
    chain.add(Candidate(None, Sample(finish="failed", error_type="BadResponse")))
    assert [m["content"] for m in chain.prompt("") if m["role"] == "assistant"] == ["one", "two"]
    for left in (["two"], []):
        chain.add(Candidate(None, Sample(finish="failed", error_type="ContextOverflow")))
        assert [m["content"] for m in chain.prompt("") if m["role"] == "assistant"] == left
    assert chain.last is None
    assert chain.prompt("") == list(QUERY.messages)


# -- what is chosen ------------------------------------------------------------------------------------------------


async def test_a_right_answer_in_the_middle_of_a_chain_is_not_lost() -> None:
    model = Scripted(in_turn("wrong", "right", "other", "last"))
    outcome = await solve(QUERY, "revision:chains=1,length=4", model, verifier=Scores(right=0.9, last=0.3))
    assert outcome.answer == "right"


async def test_without_a_verifier_the_most_frequent_answer_wins_and_not_the_last() -> None:
    model = Scripted(in_turn("one", "right", "right", "last"))
    assert (await solve(QUERY, "revision:chains=1,length=4", model)).answer == "right"


def chosen(chains: Sequence[Sequence[str]], scores: dict[str, float] | None = None) -> str | None:
    vote = ChainVote(TextAnswer(), random.Random(0), chains=len(chains), scored=scores is not None)
    for number, chain in enumerate(chains):
        for word in chain:
            answer = word.rstrip("0123456789")
            vote.add(number, Candidate(answer, Sample(text=answer), (scores or {}).get(word)))
    best = vote.best()
    return best.answer if best else None


def test_without_scores_all_attempts_vote_at_once() -> None:
    # Three chains of two are tied within, and the fourth would win a majority of majorities half the time.
    assert chosen([["a", "b"], ["a", "c"], ["a", "d"], ["e", "e"]]) == "a"


def test_with_scores_the_choice_is_within_chains_and_then_across() -> None:
    scores = {"a1": 0.4, "a2": 0.4, "a3": 0.4, "b1": 0.95, "b2": 0.3}
    # Within the first chain a (1.2) beats b (.95); across, a's best of .4 beats b's of .3. Summed flat, b would win.
    assert chosen([["a1", "a2", "b1", "a3"], ["b2"]], scores) == "a"


def test_nobody_who_abstains_is_chosen() -> None:
    assert chosen([[], []], {}) is None


# -- ends ----------------------------------------------------------------------------------------------------------


async def test_an_attempt_that_passes_ends_everything() -> None:
    passing = in_turn("one", "right", "two", "three")
    model = Scripted(lambda r: passing(r) if r.index == 0 else "no", latency=lambda r: 0.0)
    outcome = await solve(QUERY, "revision:chains=3,length=4", model, verifier=Scores(pass_fail=True, right=1.0))
    assert (outcome.answer, outcome.ended_by) == ("right", "stopped_early")
    assert sum(outcome.calls.values()) < 12
    assert model.running == 0


async def test_the_first_attempts_that_pass_need_no_revision() -> None:
    model = Scripted(lambda r: "right")
    outcome = await solve(QUERY, "revision:chains=2,length=4", model, verifier=Scores(pass_fail=True, right=1.0))
    assert "revise" not in outcome.calls
    assert outcome.answer == "right"


async def test_a_vote_that_is_certain_ends_the_chains() -> None:
    model = Scripted(lambda r: "same")
    outcome = await solve(QUERY, "revision:chains=1,length=8", model)
    assert (outcome.ended_by, len(outcome.checkpoints)) == ("stopped_early", 5)


@pytest.mark.parametrize("verifier", [None, Scores(right=0.8, one=0.2), Scores(pass_fail=True, right=1.0)])
async def test_who_is_faster_changes_nothing(verifier: Scores | None) -> None:
    def reply(request: Request) -> str:
        return random.Random(request.seed).choice(["one", "two", "three", "four", "five", "right"])

    seen: list[object] = []
    for speed in range(4):

        def latency(request: Request, speed: int = speed) -> float:
            return random.Random(request.seed + speed).choice((0.0, 0.001, 0.003))

        outcome = await solve(QUERY, "revision:chains=4,length=4", Scripted(reply, latency=latency), verifier=verifier)
        seen.append((outcome.answer, outcome.ended_by, [(c.answer, c.samples, c.prefix) for c in outcome.checkpoints]))
    assert seen == seen[:1] * 4


async def test_a_budget_ends_it_with_the_choice_so_far() -> None:
    model = Scripted(in_turn("right", "right", "three", "four"))
    outcome = await solve(QUERY, "revision:chains=1,length=4", model, budget=Budget(calls=3))
    assert (outcome.answer, outcome.ended_by) == ("right", "budget")
    assert outcome.calls == {"generate": 1, "revise": 2}


async def test_an_attempt_that_could_be_paid_for_and_not_be_judged_still_counts() -> None:
    class Dear(Scores):
        async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
            await session.choose([{"role": "user", "content": "?"}], ("Yes", "No"))
            return await super().score(query, candidates, session)

    model = Scripted(lambda r: "Yes" if r.choices else in_turn("", "only")(r))  # the first attempt holds no answer
    outcome = await solve(QUERY, "revision:chains=1,length=4", model, budget=Budget(calls=2), verifier=Dear(only=0.5))
    assert (outcome.answer, outcome.ended_by) == ("only", "budget")


async def test_a_deadline_ends_it_with_the_choice_so_far_and_leaves_nothing() -> None:
    model = Scripted(in_turn("one", "two"), latency=lambda r: 100.0 if shown(r) else 0.0)
    outcome = await solve(QUERY, "revision:chains=2,length=2", model, budget=Budget(seconds=0.05))
    assert (outcome.answer, outcome.ended_by) == ("one", "deadline")
    assert (model.running, model.limiter.borrowed_tokens) == (0, 0)
    assert outcome.calls == {"generate": 2, "revise": 2}  # those under way are charged


async def test_when_all_calls_fail_it_says_why() -> None:
    model = Simulated(Population(), failures=1.0)
    outcome = await solve(Population().query(0), "revision:chains=2,length=3", model)
    assert (outcome.answer, outcome.ended_by, outcome.error) == (None, "all_calls_failed", "a simulated failure")


async def test_cancelled_chains_leave_nothing() -> None:
    model = Scripted(in_turn(*"abcdefgh"), latency=lambda r: 0.001, in_flight=2)
    draw = random.Random(1)
    for _ in range(30):
        with anyio.move_on_after(draw.random() * 0.01):
            await solve(QUERY, "revision:chains=3,length=8", model)
        assert (model.running, model.limiter.borrowed_tokens) == (0, 0)


# -- composed ------------------------------------------------------------------------------------------------------


def counting(request: Request) -> str:
    """Two of three samples agree, on how many attempts they see."""
    return "noise" if request.index % 3 == 2 else f"seen {len(shown(request))}"


async def test_a_majority_decides_each_attempt() -> None:
    model = Scripted(counting)
    outcome = await solve(QUERY, "revision:chains=2,length=3,each=(majority:n=3,stop=never)", model)
    assert outcome.calls == {"generate": 18}
    assert max((shown(r) for r in model.requests), key=len) == ["seen 0", "seen 1"]
    decided = [e["answer"] for e in outcome.trace if e["event"] == "attempt"]
    assert decided == ["seen 0", "seen 0", "seen 1", "seen 1", "seen 2", "seen 2"]


def depth(trace: Sequence[object]) -> int:
    return max((1 + depth(e.get("events", [])) for e in trace if isinstance(e, dict)), default=0)  # pyright: ignore


async def test_the_trace_holds_the_samples_of_each_inner_decision() -> None:
    outcome: Outcome = await solve(QUERY, "revision:chains=1,length=2,each=(majority:n=3)", Scripted(counting))
    assert depth(outcome.trace) == 3  # attempt, its decision, samples


async def test_samples_that_were_handed_on_are_the_first_attempts() -> None:
    model = Scripted(lambda r: f"say {r.index}" if not shown(r) else "say 1")
    outcome = await solve(QUERY, "adaptive:probe=3,hard=(revision:chains=3,length=2)", model)
    assert outcome.calls == {"probe": 3, "revise": 3}
    assert [shown(r) for r in model.requests[3:]] == [["say 0"], ["say 1"], ["say 2"]]


def test_a_prompt_of_several_messages_comes_first() -> None:
    question: list[Message] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "how many?"}]
    chain = Chain(question, shown=2)
    chain.add(Candidate(None, Sample(text="")))
    assert chain.prompt("x")[:2] == question
    assert chain.prompt("x")[2] == {"role": "assistant", "content": "(no answer)"}


async def test_a_refusal_among_the_tasks_of_a_verifier_ends_one_chain_and_keeps_its_attempt() -> None:
    class AsksInATask(Scores):
        async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
            async with anyio.create_task_group() as group:
                group.start_soon(session.choose, [{"role": "user", "content": "right?"}], ("Yes", "No"))
            return [1.0 for _ in candidates]

    model = Scripted(lambda r: "Yes" if r.choices else f"answer {len(shown(r))}")
    strategy, budget = "revision:chains=1,length=3", Budget(calls=3)
    outcome = await solve(QUERY, strategy, model, verifier=AsksInATask(), budget=budget)
    assert outcome.ended_by == "budget"
    assert outcome.calls == {"generate": 1, "judge": 1, "revise": 1}
    assert [c.samples for c in outcome.checkpoints] == [1, 2]  # the attempt that could not be scored was paid for
    assert [e["answer"] for e in outcome.trace if e["event"] == "attempt"] == ["answer 1"]
