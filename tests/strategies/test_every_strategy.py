"""What holds for every strategy, whatever the server's speed, its failures, the budget and who gives up when."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.conftest import (
    PRICE,
    QUERY,
    RACES,
    SPECS,
    assert_kept,
    assert_last_proposal,
    assert_nothing_is_promised,
    in_steps,
    judged_by,
    said,
)
from ttc import registry
from ttc.budget import Budget
from ttc.errors import BadResponse
from ttc.ledger import Ledger
from ttc.models.base import Meter
from ttc.models.population import Population, SimulatedAnswer
from ttc.models.scripted import Scripted
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run as on_a_clock
from ttc.solve import solve
from ttc.strategies.tree_search import TreeSearch
from ttc.strategy import make_strategy
from ttc.types import Outcome, Request, Sample, Sampling, Usage


def test_every_registered_strategy_is_among_them() -> None:
    assert {spec.partition(":")[0] for spec in SPECS} == set(registry.names("strategy"))


class Flaky(Scripted):
    """Fails some calls, chosen by their seed."""

    share = 0.0

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if random.Random(request.seed ^ 1).random() < self.share:
            meter.start()
            await anyio.lowlevel.checkpoint()
            meter.broke(generated=False)
            raise BadResponse("scripted failure")
        return await super().call(request, meter)


def reply(request: Request) -> Sample:
    text = said(request.seed, request.choices)
    if request.choices:
        return Sample(text=text, first_choices=((text, -0.1),))
    draw = random.Random(request.seed)
    finish = "stop"
    if request.until:
        text, separator, _ = in_steps(request.seed, text).partition("\n\n")
        finish = "step" if separator else "stop"
    return Sample(text=text, finish=finish, top_logprobs=tuple((-draw.random(), -3.0) for _ in range(3)))


async def run(
    spec: str, model: Scripted, *, budget: Budget | None = None, parent: Ledger | None = None, seed: int = 0
) -> Outcome:
    return await solve(
        QUERY,
        spec,
        model,
        budget=budget,
        verifier=judged_by(spec),
        comparator="judge",
        sampling=Sampling(max_tokens=64),
        seed=seed,
        parent=parent,
    )


def latency(seed: int) -> Callable[[Request], float]:
    return lambda request: random.Random(request.seed + seed).choice((0.0, 0.0, 0.001, 0.002))


budgets = st.builds(
    Budget,
    generated_tokens=st.none() | st.integers(1, 600),
    total_tokens=st.none() | st.none() | st.integers(1, 2000),
    calls=st.none() | st.integers(1, 20),
    dollars=st.none() | st.none() | st.floats(1e-6, 2e-3),
    seconds=st.none() | st.none() | st.floats(0.001, 0.01),
)


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    budget=budgets,
    over=st.none() | budgets,
    failing=st.sampled_from((0.0, 0.0, 0.3, 1.0)),
    in_flight=st.integers(1, 8),
    interval=st.sampled_from((1, 4)),
    gives_up=st.none() | st.none() | st.floats(0, 0.01),
)
def test_no_limit_is_exceeded_and_nothing_is_left_behind(
    spec: str,
    seed: int,
    budget: Budget,
    over: Budget | None,
    failing: float,
    in_flight: int,
    interval: int,
    gives_up: float | None,
) -> None:
    """Alone, or three queries at once under one more budget; to the end, or until nobody wants it any more."""

    async def check() -> None:
        model = Flaky(reply, latency=latency(seed), in_flight=in_flight, interval=interval, price=PRICE)
        model.chunk, model.share = 16, failing
        whole = Ledger(over, price=PRICE)
        parents = [Ledger(budget, parent=whole) for _ in range(1 if over is None else 3)]
        outcomes: list[Outcome] = []

        async def one(number: int) -> None:
            outcomes.append(await run(spec, model, parent=parents[number], seed=seed + number))

        with anyio.fail_after(60), anyio.move_on_after(gives_up):
            async with anyio.create_task_group() as group:
                for number in range(len(parents)):
                    group.start_soon(one, number)
        # No call and no permit is left, nothing is promised, and nobody waits.
        assert model.running == 0
        assert model.limiter.borrowed_tokens == 0
        for ledger in (whole, *parents):
            assert_nothing_is_promised(ledger)
        # No limit is exceeded, and the ledger counts what was generated: at least that where it says so.
        for ledger in (whole, *parents):
            assert_kept(ledger)
        assert model.generated <= whole.spent.generated
        if not whole.spent.upper_bound:
            assert model.generated == whole.spent.generated
        for outcome in outcomes:
            assert_last_proposal(outcome)
            if failing == 1.0 and outcome.ended_by not in ("deadline", "budget"):
                assert (outcome.ended_by, outcome.error) == ("all_calls_failed", "scripted failure")
        if gives_up is None:
            assert sum((o.total_usage for o in outcomes), Usage()).total == whole.spent.total

    anyio.run(check)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith(RACES)])
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), other=st.integers(1, 100))
def test_the_outcome_does_not_depend_on_who_finishes_first(spec: str, seed: int, other: int) -> None:
    async def check() -> None:
        seen: list[tuple[object, ...]] = []
        asked: list[set[tuple[int, int, str]]] = []
        for speed in (0, other):
            model = Scripted(reply, latency=latency(speed))
            outcome = await run(spec, model, seed=seed)
            drawn = {(r.index, r.seed, r.content()) for r in model.requests if not r.choices}
            stops_early = make_strategy(spec).prefix_valid or spec.startswith("adaptive")
            points = [(c.answer, c.samples, c.prefix) for c in outcome.checkpoints]
            seen.append((outcome.answer, outcome.ended_by, points, () if stops_early else drawn))
            asked.append(drawn)
        assert seen[0] == seen[1]
        # Who stops early cancels what is in flight. How far that was sent depends on the clock; what it is does not.
        assert min(asked, key=len) <= max(asked, key=len)

    anyio.run(check)


@pytest.mark.parametrize("spec", SPECS)
def test_a_deadline_is_kept_to_the_second_and_keeps_what_there_was(spec: str) -> None:
    """On a clock that jumps, where each token takes a second: nothing takes longer than it may."""
    population = Population(p=0.4, wrong=(2.0, 1.0))
    lengths, latency = Lengths(mean=20, sigma=0.8), Latency(first=5.0, per_token=1.0, sigma=0.3)

    async def solved(seconds: float | None) -> Outcome:
        steps = 3 if isinstance(make_strategy(spec), TreeSearch) else 1
        model = Simulated(population, lengths=lengths, latency=latency, interval=1, in_flight=3, steps=steps)
        outcome = await solve(
            replace(population.query(0), answer_type=SimulatedAnswer(cue=" answer:")),
            spec,
            model,
            budget=Budget(seconds=seconds),
            verifier=judged_by(spec),
            comparator="judge",
            sampling=Sampling(max_tokens=64),
        )
        assert model.limiter.borrowed_tokens == 0
        return outcome

    whole = on_a_clock(solved, None)
    for share in (0.1, 0.5, 0.9):
        limit = whole.seconds * share
        outcome = on_a_clock(solved, limit)
        assert outcome.seconds <= limit * (1 + 1e-9)
        assert outcome.ended_by == "deadline"
        assert outcome.generated_tokens <= whole.generated_tokens or outcome.total_usage.upper_bound
        assert_last_proposal(outcome)
        seen = [(c.answer, c.samples) for c in outcome.checkpoints]
        if isinstance(make_strategy(spec), TreeSearch):
            if outcome.candidate and outcome.candidate.sample.forced:
                seen.pop()  # a tree keeps time back for an answer that it forces at its end
            waves = {c.samples for c in whole.checkpoints}
            seen = [(answer, samples) for answer, samples in seen if samples in waves]  # the last one may be cut
        assert seen == [(c.answer, c.samples) for c in whole.checkpoints][: len(seen)]


@pytest.mark.anyio
@pytest.mark.parametrize("spec", SPECS)
async def test_one_seed_asks_the_same_questions(spec: str) -> None:
    sent: list[set[tuple[int, int]]] = []
    for _ in range(2):
        model = Scripted(reply)
        await run(spec, model, seed=5)
        sent.append({(r.index, r.seed) for r in model.requests})
    other = Scripted(reply)
    await run(spec, other, seed=6)
    assert sent[0] == sent[1]
    assert not {seed for _, seed in sent[0]} & {r.seed for r in other.requests}


@pytest.mark.anyio
@pytest.mark.parametrize("spec", SPECS)
async def test_a_hundred_rounds_of_giving_up_leave_every_permit(spec: str) -> None:
    model = Scripted(reply, latency=latency(3), in_flight=2)
    draw = random.Random(spec)
    for round_ in range(100):
        with anyio.move_on_after(draw.random() * 0.004):
            await run(spec, model, seed=round_)
        assert model.running == 0
        assert model.limiter.borrowed_tokens == 0
    with anyio.fail_after(30):
        assert (await run(spec, model)).answer is not None
