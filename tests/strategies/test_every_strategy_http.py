"""What holds for every strategy, through the real client: a server that is slow, breaks, and counts what it serves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
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
from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.strategy import make_strategy
from ttc.testing import FakeServer, Fault, Reply
from ttc.types import Outcome, Sampling

FAULTS: list[Fault | int] = [500, 503, 429, "reset_before_headers", "reset_mid_body", "truncated_json", "sse_error"]


@dataclass
class World:
    """A server and what goes wrong with it.

    Attributes:
        speed: seeds how long each step of each completion takes, and so the order in which they end.
        failing: share of the attempts that go wrong, drawn from the request's seed and the attempt's number.
        faults: how they go wrong.
        thinks: some replies come with thoughts.
    """

    speed: int
    failing: float = 0.0
    faults: list[Fault | int] = field(default_factory=lambda: FAULTS)
    interval: int = 1
    thinks: bool = False
    in_flight: int = 64
    attempts: Counter[str] = field(default_factory=Counter[str])

    def server(self) -> FakeServer:
        return FakeServer(self.reply, stream_interval=self.interval, token_delay=1e-9, sleep=self.pauses())

    def model(self, server: FakeServer) -> VLLMServer:
        async def at_once(seconds: float) -> None:
            await anyio.lowlevel.checkpoint()

        return VLLMServer(
            server.url,
            in_flight=self.in_flight,
            price=PRICE,
            stream_interval=self.interval,
            patience=10,
            sleep=at_once,
            rng=random.Random(1),
        )

    def pauses(self) -> Callable[[float], Awaitable[None]]:
        draw = random.Random(self.speed)

        async def pause(seconds: float) -> None:
            for _ in range(3):  # as many turns of the loop as a client on it needs to see the last step
                await anyio.lowlevel.checkpoint()
            if draw.random() < 0.1:
                await anyio.sleep(draw.choice((0.0005, 0.002)))

        return pause

    def reply(self, body: dict[str, Any], k: int) -> Reply:
        seed: int = body.get("seed") or 0
        key = f"{seed} {body['messages']}"
        self.attempts[key] += 1
        draw = random.Random(f"{key} {self.attempts[key]}")
        if draw.random() < self.failing:
            wrong = draw.choice(self.faults)
            if isinstance(wrong, int):
                return Reply(status=wrong)
            return Reply(text=said(seed), fault=wrong, fault_after=draw.randint(0, 6))
        structured: dict[str, list[str]] = body.get("structured_outputs") or {}
        choices = structured.get("choice", [])
        text = in_steps(seed, said(seed)) if body.get("stop") else said(seed, choices)
        if choices or body.get("continue_final_message") or not self.thinks or draw.random() < 0.5:
            return Reply(text=text, first={text: -0.1} if choices else {}, cached_tokens=draw.randint(0, 3))
        thoughts, _, answer = text.rpartition(" ")
        return Reply(reasoning=thoughts, text=answer)


async def run(spec: str, model: VLLMServer, *, seed: int, parent: Ledger | None = None) -> Outcome:
    return await solve(
        QUERY,
        spec,
        model,
        verifier=judged_by(spec),
        comparator="judge",
        sampling=Sampling(max_tokens=64),
        seed=seed,
        parent=parent,
    )


async def settled(server: FakeServer) -> None:
    """Wait until the last disconnect has come in: another process would not tell us either."""
    with anyio.fail_after(10):
        while server.running or server.open_connections:  # noqa: ASYNC110
            await anyio.sleep(0.001)


def balanced(server: FakeServer, model: VLLMServer, ledger: Ledger) -> None:
    """The books agree with the server's: to the token, or from above where the ledger says so."""
    spent = ledger.spent
    # Probes of a server that fell silent are in no ledger; their prompt is a "." in its frame.
    probes = sum("seed" not in body for body in server.requests)
    served, prompts = server.generated_tokens - model.probe_tokens, server.prompt_tokens - 5 * probes
    assert served <= spent.generated
    if ledger.counts_prompts:
        assert prompts <= spent.prompt_tokens
    if not spent.upper_bound:
        assert (served, prompts) == (spent.generated, spent.prompt_tokens)


budgets = st.builds(
    Budget,
    generated_tokens=st.none() | st.integers(1, 600),
    total_tokens=st.none() | st.integers(1, 3000),
    calls=st.none() | st.integers(1, 20),
    dollars=st.none() | st.floats(1e-6, 3e-3),
    seconds=st.none() | st.none() | st.floats(0.002, 0.05),
)


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    budget=budgets,
    over=st.none() | budgets,
    failing=st.sampled_from((0.0, 0.0, 0.2, 1.0)),
    in_flight=st.sampled_from((1, 3, 64)),
    interval=st.sampled_from((1, 4)),
    thinks=st.booleans(),
    gives_up=st.none() | st.none() | st.floats(0, 0.05),
)
def test_every_limit_is_kept_and_the_books_are_the_servers(
    spec: str,
    seed: int,
    budget: Budget,
    over: Budget | None,
    failing: float,
    in_flight: int,
    interval: int,
    thinks: bool,
    gives_up: float | None,
) -> None:
    async def check() -> None:
        before = asyncio.all_tasks()
        world = World(seed, failing, interval=interval, thinks=thinks, in_flight=in_flight)
        async with world.server() as server, world.model(server) as model:
            model.chunk = 16
            whole = Ledger(over, price=PRICE)
            ledger = Ledger(budget, parent=whole)
            outcomes: list[Outcome] = []

            async def one(number: int) -> None:
                outcomes.append(await run(spec, model, seed=seed + number, parent=ledger))

            with anyio.fail_after(60), anyio.move_on_after(gives_up):
                async with anyio.create_task_group() as group:
                    for number in range(1 if over is None else 3):
                        group.start_soon(one, number)
            assert model.limiter.borrowed_tokens == 0
            await settled(server)
            for books in (ledger, whole):
                assert_kept(books)
                balanced(server, model, books)
                assert_nothing_is_promised(books)
            assert gives_up is not None or len(outcomes) == (1 if over is None else 3)
            for outcome in outcomes:
                assert_last_proposal(outcome)
            if len(outcomes) == 1 and gives_up is None:
                assert outcomes[0].total_usage == ledger.spent
        assert asyncio.all_tasks() <= before

    anyio.run(check)


#: cut what streams by what they have read of it, which depends on how the server's bytes were split
READS_ALONG = ("budget_forcing", "deep_conf")


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith(RACES)])
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), speeds=st.tuples(st.integers(0, 99), st.integers(100, 199)), thinks=st.booleans())
def test_the_same_seed_asks_and_answers_the_same_whoever_finishes_first(
    spec: str, seed: int, speeds: tuple[int, int], thinks: bool
) -> None:
    async def check() -> None:
        seen: list[tuple[object, ...]] = []
        for speed in speeds:
            # Only what costs nothing goes wrong: how far a completion had come when it broke depends on the clock.
            world = World(speed, 0.1, faults=[429, 503], thinks=thinks)
            async with world.server() as server, world.model(server) as model:
                outcome = await run(spec, model, seed=seed)
            points = [
                (c.answer, c.samples, None if spec.startswith(READS_ALONG) else c.prefix) for c in outcome.checkpoints
            ]
            # Who stops early cancels what is in flight, and how much of that had been sent depends on the clock.
            # So it is with comparisons, which end when nothing can change who wins.
            asked = {str(body) for body in server.requests if "structured_outputs" not in body}
            stops_early = make_strategy(spec).prefix_valid or spec.startswith("adaptive")
            seen.append((outcome.answer, outcome.ended_by, points, () if stops_early else asked))
        assert seen[0] == seen[1]

    anyio.run(check)


@pytest.mark.anyio
async def test_a_race_asks_what_a_vote_asks() -> None:
    """Who is first depends on the server's speed; what they were asked does not."""
    asked: list[set[str]] = []
    for spec, speed in (("majority:n=6,stop=never", 0), ("short_m_at_k:k=6,m=2", 1), ("short_m_at_k:k=6,m=2", 2)):
        world = World(speed)
        async with world.server() as server, world.model(server) as model:
            outcome = await run(spec, model, seed=3)
        assert_last_proposal(outcome)
        asked.append({f"{body['seed']} {body['messages']} {body['max_tokens']}" for body in server.requests})
    assert asked[0] == asked[1] == asked[2]
