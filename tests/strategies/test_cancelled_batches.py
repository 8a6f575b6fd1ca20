"""Batches that are given up at any moment, with fewer permits than calls: the next one never hangs, books balance."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest

from tests.strategies.conftest import (
    PRICE,
    QUERY,
    SPECS,
    assert_kept,
    assert_last_proposal,
    assert_nothing_is_promised,
    in_steps,
    judged_by,
    said,
)
from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.base import LiveModel
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve_many
from ttc.testing import FakeServer, Reply
from ttc.types import Outcome, Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

TOTALS = [
    Budget(),
    Budget(generated_tokens=700),
    Budget(total_tokens=2500, calls=40),
    Budget(dollars=0.002),
    Budget(generated_tokens=300, calls=25),
]


def named(i: int) -> Query:
    return replace(QUERY, id=f"q{i}")


async def batch(specs: Sequence[str], model: LiveModel, ledger: Ledger, *, seed: int, tight: bool) -> list[Outcome]:
    """Three queries under each of some strategies, all at once, all under one ledger; with budgets of their own."""
    outcomes: list[Outcome] = []

    async def many(spec: str) -> None:
        outcomes.extend(
            await solve_many(
                [named(i) for i in range(3)],
                spec,
                model,
                budget=Budget(generated_tokens=400) if tight else None,
                total=Budget(generated_tokens=900) if tight else None,
                concurrency=2,
                parent=ledger,
                verifier=judged_by(spec),
                comparator="judge",
                sampling=Sampling(max_tokens=64),
                seed=seed,
            )
        )

    async with anyio.create_task_group() as group:
        for spec in specs:
            group.start_soon(many, spec)
    return outcomes


async def give_up_and_go_on(
    model: LiveModel, rounds: int, *, longest: float, served: Callable[[], int], quiet: Callable[[], bool]
) -> None:
    """Give up a batch at a random time, look at the books, and hold the next one, so many times."""
    draw = random.Random(rounds)
    for round_ in range(rounds):
        ledger = Ledger(draw.choice(TOTALS), price=PRICE)
        before = served()
        with anyio.fail_after(60), anyio.move_on_after(draw.random() * longest):
            await batch(draw.sample(SPECS, 3), model, ledger, seed=round_, tight=True)
        assert model.limiter.borrowed_tokens == 0
        assert_nothing_is_promised(ledger)
        assert_kept(ledger)
        with anyio.fail_after(10):
            while not quiet():  # noqa: ASYNC110  # the last disconnect is on its way
                await anyio.sleep(0.001)
        spent = ledger.spent
        assert served() - before <= spent.generated
        assert spent.upper_bound or served() - before == spent.generated
        if round_ % 10 == 0:
            await a_whole_batch(model, draw.sample(SPECS, 2), seed=round_)


async def a_whole_batch(model: LiveModel, specs: Sequence[str], *, seed: int) -> None:
    with anyio.fail_after(60):
        outcomes = await batch(specs, model, Ledger(price=PRICE), seed=seed, tight=False)
    assert len(outcomes) == 6
    for outcome in outcomes:
        assert outcome.candidate is not None  # whether it answers is for the words that the model happens to say
        assert_last_proposal(outcome)


async def test_a_hundred_batches_that_are_given_up_leave_every_permit_and_lease() -> None:
    def reply(request: Request) -> Sample:
        text = said(request.seed, request.choices)
        first = ((text, -0.1),) if request.choices else ()
        text, separator, _ = in_steps(request.seed, text).partition("\n\n") if request.until else (text, "", "")
        finish = "step" if separator else "stop"
        return Sample(text=text, finish=finish, first_choices=first, top_logprobs=((-0.5, -3.0),))

    model = Scripted(reply, latency=lambda r: random.Random(r.seed).choice((0.0, 0.0, 0.001)), in_flight=3, price=PRICE)
    model.chunk = 16
    await give_up_and_go_on(model, 100, longest=0.02, served=lambda: model.generated, quiet=lambda: model.running == 0)
    assert len(model.requests) > 300  # there was something to give up


async def test_batches_that_are_given_up_leave_a_server_with_nothing_to_do() -> None:
    def reply(body: dict[str, object], k: int) -> Reply:
        structured = body.get("structured_outputs")
        choices = structured["choice"] if isinstance(structured, dict) else []  # pyright: ignore[reportUnknownVariableType]
        assert isinstance(body["seed"], int)
        text = said(body["seed"], choices)  # pyright: ignore[reportUnknownArgumentType]
        return Reply(text=in_steps(body["seed"], text) if body.get("stop") else text)

    async with FakeServer(reply) as server, VLLMServer(server.url, in_flight=3, price=PRICE) as model:
        model.chunk = 16
        await give_up_and_go_on(
            model,
            30,
            longest=0.15,
            served=lambda: server.generated_tokens,
            quiet=lambda: not (server.running or server.open_connections),
        )
