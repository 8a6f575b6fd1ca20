"""Growing partial solutions through a session: waves of continuations, and what is kept back for an answer."""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.conftest import LastWord
from ttc.budget import Budget, Price
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.growing import Grown
from ttc.ledger import Ledger
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Lengths, Simulated
from ttc.session import Session
from ttc.types import Candidate, Query, Request, Sample, Sampling

QUERY = Query.of("2+5?", answer_type=LastWord())


def session(model: Scripted, budget: Budget | None = None, *, price: Price | None = None) -> Session:
    return Session(QUERY, model, Ledger(budget, price=price), sampling=Sampling(max_tokens=64))


async def grown(of: Session, parents: Sequence[Candidate | None], **how: object) -> list[Grown]:
    async with of.grow(parents, **{"until": "\n\n", **how}) as growing:  # pyright: ignore[reportArgumentType]
        return [one async for one in growing]


def part(text: str) -> Candidate:
    return Candidate(None, Sample(text=text, finish="step"))


def numbered(request: Request) -> Sample:
    return Sample(text=f"so {request.index}", finish="step")


@pytest.mark.anyio
async def test_a_wave_goes_on_from_each_as_often_as_it_stands_there() -> None:
    model, a, b = Scripted(numbered), part("a"), part("b")
    found = await grown(session(model), [a, a, None, b], cues=["\n\n", "\n\n", "", "\n\n"])
    assert [one.position for one in found] == [0, 1, 2, 3]
    assert [one.candidate.sample.text for one in found] == ["a\n\nso 0", "a\n\nso 1", "so 0", "b\n\nso 0"]
    assert [one.added.text for one in found] == ["so 0", "so 1", "so 0", "so 0"]
    assert len({one.candidate.sample.seed for one in found}) == 4
    assert [r.continue_final for r in model.requests] == [True, True, False, True]


@pytest.mark.anyio
async def test_what_is_asked_for_again_is_something_else() -> None:
    model, a = Scripted(numbered), part("a")
    of = session(model)
    assert [one.added.text for one in [*await grown(of, [a, a]), *await grown(of, [a])]] == ["so 0", "so 1", "so 2"]


@pytest.mark.anyio
async def test_all_of_a_wave_is_under_way_at_once_and_comes_in_order() -> None:
    together: list[int] = []

    def reply(request: Request) -> Sample:
        together.append(model.running)
        return numbered(request)

    model = Scripted(reply, latency=lambda r: random.Random(r.seed).random() / 100)
    found = await grown(session(model), [part("a")] * 3 + [part("b")] * 2 + [None] * 3)
    assert [one.position for one in found] == list(range(8))
    assert max(together) == 8


@pytest.mark.anyio
async def test_what_may_go_on_holds_no_answer_and_what_is_over_does() -> None:
    texts = [
        Sample(text="5", finish="step"),  # marks its answer at the end of a step
        Sample(text="so 5 so", finish="step"),
        Sample(text="5", finish="stop"),
        Sample(text="5", finish="length"),  # may be the beginning of 57
        Sample(text="so", finish="stop"),
    ]
    found = await grown(session(Scripted(lambda r: texts[r.index])), [None] * 5)
    assert [one.candidate.answer for one in found] == ["5", None, "5", None, None]


@pytest.mark.anyio
async def test_tokens_end_a_step_as_well() -> None:
    model = Scripted(lambda _: "so " * 9)
    of = session(model)
    (first,) = await grown(of, [None], until=4)
    (then,) = await grown(of, [first.candidate], until=3)
    assert [r.max_tokens for r in model.requests] == [4, 3]
    assert [(one.added.finish, one.candidate.sample.usage.generated) for one in (first, then)] == [
        ("length", 4),
        ("length", 7),
    ]
    longer = await of.continue_(then.candidate, until=2)
    assert longer.sample.usage.generated == 9
    async with of.sample(n=2, until=5) as samples:
        assert [c.sample.usage.generated async for c in samples] == [5, 5]


@pytest.mark.anyio
@pytest.mark.parametrize("until", ["", 0, -1])
async def test_what_ends_no_step_is_refused(until: str | int) -> None:
    model = Scripted(numbered)
    with pytest.raises(ConfigurationError, match="give a stop sequence, or one token at the least"):
        await grown(session(model), [None], until=until)
    with pytest.raises(ConfigurationError, match=r"grow\(\[\]\): say what to go on from"):
        await grown(session(model), [])
    assert model.requests == []


@pytest.mark.anyio
async def test_a_failed_call_is_data_and_spoils_none_beside_it() -> None:
    def reply(request: Request) -> Sample:
        return Sample(finish="failed", error="no") if request.index == 1 else numbered(request)

    of = session(Scripted(reply))
    found = await grown(of, [part("a")] * 3)
    assert [one.added.ok for one in found] == [True, False, True]
    assert found[1].candidate.sample.text == ""
    assert len(of.progress.failures) == 1


@settings(deadline=None, max_examples=60)
@given(tokens=st.integers(1, 400), seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_under_a_budget_positions_are_told_right_and_the_first_ones_are_whole(tokens: int, seed: int, n: int) -> None:
    async def check() -> None:
        model = Scripted(lambda r: " ".join(["so"] * random.Random(r.seed).randint(1, 40)))
        of = session(model, Budget(generated_tokens=tokens))
        of._seed = seed
        parents = [None if i % 3 else part(f"p{i}") for i in range(n)]
        found = await grown(of, parents)
        assert [one.position for one in found] == list(range(len(found)))
        for one in found:
            before = parents[one.position]
            assert one.candidate.sample.text.startswith(before.sample.text if before else "so")
        assert all(one.added.finish == "stop" for one in found[:-1])
        assert of._ledger.spent.generated <= tokens
        assert len(found) == n or of.progress.out_of_budget

    anyio.run(check)


# -- keeping back ---------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    "budget",
    [
        Budget(generated_tokens=90),
        Budget(calls=4),
        Budget(total_tokens=150),
        Budget(dollars=1e-4),
        Budget(generated_tokens=90, calls=9, total_tokens=400),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
async def test_what_was_kept_back_is_there_at_the_end(budget: Budget, beside: bool) -> None:
    """Also where somebody else takes all there is, or waits for more."""
    price = Price(prompt=1, generated=1)
    of = session(Scripted(lambda _: "so " * 20, price=price), budget, price=price)
    other = of.branch("other")

    async def take(by: Session) -> None:
        try:
            while (await by.generate()).sample.ok:
                pass
        except BudgetExhausted:
            return

    with of.keeping_back() as kept:
        assert kept.keep(16, prompt=8)
        async with anyio.create_task_group() as group:
            group.start_soon(take, of)
            if beside:
                group.start_soon(take, other)
        used = sum(of._ledger.calls.values())
        assert used >= 2
        with pytest.raises(BudgetExhausted):
            await other.generate(max_tokens=16)
        answer = await kept.session.generate(max_tokens=16)
    assert answer.sample.usage.generated == 16
    assert sum(of._ledger.calls.values()) == used + 1


@pytest.mark.anyio
async def test_a_model_that_takes_no_time_is_let_in_to_what_was_kept_as_well() -> None:
    population = Population(p=0.5)
    of = Session(
        population.query(0),
        Simulated(population, lengths=Lengths(mean=20)),
        Ledger(Budget(generated_tokens=50)),
        sampling=Sampling(max_tokens=64),
    )
    with of.keeping_back() as kept:
        assert kept.keep(20)
        assert (await of.generate()).sample.usage.generated == 20
        with pytest.raises(BudgetExhausted):
            await of.generate()
        assert kept.session.tokens_left == 30
        assert (await kept.session.generate()).sample.usage.generated == 20
    assert of.tokens_left == 10


@pytest.mark.anyio
async def test_without_limits_nothing_is_kept_back() -> None:
    of = session(Scripted(lambda _: "so 5"))
    with of.keeping_back() as kept:
        assert kept.keep(10**9, prompt=10**9)
        with kept.time(10**9) as in_time:
            assert in_time
            assert (await of.generate()).answer == "5"
    assert not of.progress.out_of_budget
    assert not of.progress.out_of_time


@pytest.mark.anyio
async def test_where_nothing_would_be_left_nothing_is_kept() -> None:
    of = session(Scripted(lambda _: "so 5"), Budget(generated_tokens=20))
    with of.keeping_back() as kept:
        assert not kept.keep(21)
        assert of.progress.out_of_budget
        assert of.tokens_left == 20
        assert not kept.keep(20)
        assert of.tokens_left == 0
        assert kept.keep(8)
        assert of.tokens_left == 12
        assert kept.keep(5)  # instead of what was kept
        assert of.tokens_left == 15
    assert of.tokens_left == 20


@pytest.mark.anyio
async def test_time_is_kept_back_as_well() -> None:
    of = session(Scripted(lambda _: "so 5", latency=lambda _: 30.0), Budget(seconds=0.2))
    with of.keeping_back() as kept:
        with kept.time(0.15) as in_time:
            assert in_time
            await of.generate()
        assert of.progress.out_of_time
        assert of.seconds_left > 0
        with kept.time(1) as in_time:
            assert not in_time
    assert not of.progress.out_of_budget


@pytest.mark.anyio
async def test_limits_above_count_as_well() -> None:
    whole = Ledger(Budget(generated_tokens=60))
    of, beside = session(Scripted(lambda _: "so " * 99)), session(Scripted(lambda _: "so " * 99))
    of._ledger, beside._ledger = Ledger(Budget(), parent=whole), Ledger(Budget(), parent=whole)
    with of.keeping_back() as kept:
        assert kept.keep(20)
        assert (of.tokens_left, beside.tokens_left) == (40, 40)
        await beside.generate()
        assert whole.spent.generated == 40
        await kept.session.generate(max_tokens=20)
    assert whole.spent.generated == 60
