"""Hard budgets over HTTP, whatever the lengths: the server's own counter is the judge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply, words
from ttc.types import Query, Request, Sample, Sampling

ASK = Request(messages=({"role": "user", "content": "6 times 7?"},), max_tokens=32_000)
N = 16


@dataclass
class Run:
    server: FakeServer
    ledger: Ledger
    samples: list[Sample]


async def draw_sixteen(lengths: list[int], *, cap: int, budget: int, interval: int, together: bool) -> Run:
    """Draw 16 samples of given lengths; ``together``: nobody goes on generating before all have come in."""
    arrived = 0
    everybody = anyio.Event()

    async def wait_for_all(seconds: float) -> None:
        if together:
            await everybody.wait()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    def reply(body: dict[str, Any], k: int) -> Reply:
        nonlocal arrived
        arrived += 1
        if arrived == N:
            everybody.set()
        return Reply(text=words(lengths[int(body["seed"])]))

    server = FakeServer(reply, stream_interval=interval, token_delay=1e-9, sleep=wait_for_all)
    async with server, VLLMServer(server.url) as model:
        ledger = Ledger(Budget(generated_tokens=budget))
        requests = [replace(ASK, max_tokens=cap, seed=i, index=i) for i in range(N)]
        async with model.open(requests, ledger) as stream:
            samples = [s async for s in stream]
        while server.running:  # noqa: ASYNC110  # the last disconnect is on its way
            await anyio.sleep(0.001)  # another process would not tell us either
    return Run(server, ledger, samples)


def check_the_books(run: Run, budget: int) -> None:
    spent = run.ledger.spent
    assert run.server.generated_tokens <= spent.generated <= budget
    assert run.ledger.leased_tokens == 0
    assert spent.generated == sum(s.usage.generated for s in run.samples)
    # What was measured is exact; only cut samples are bounds, and those by a few intervals.
    cut = [s for s in run.samples if s.usage.upper_bound]
    slack = sum(10 * run.server.stream_interval for _ in cut)
    assert spent.generated - run.server.generated_tokens <= slack
    if not cut:
        assert spent.generated == run.server.generated_tokens
    assert all(s.finish == "cut" for s in cut)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.sampled_from([30, 700, 5000, 9000, 20_000, 40_000]), min_size=N, max_size=N),
    interval=st.sampled_from([16, 32]),
)
def test_sixteen_long_samples_start_at_once_and_never_overspend(lengths: list[int], interval: int) -> None:
    budget = 128_000

    async def main() -> Run:
        return await draw_sixteen(lengths, cap=32_000, budget=budget, interval=interval, together=True)

    run = anyio.run(main)
    # Each waits for all sixteen to have come in: were one not sent at once, this would never end.
    assert run.server.peak == N
    assert len(run.server.requests) == N
    assert [s.index for s in run.samples] == list(range(N))
    check_the_books(run, budget)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.integers(1, 2500), min_size=N, max_size=N),
    interval=st.integers(1, 16),
    budget=st.sampled_from([4000, 4000, 300, 40]),
)
def test_a_small_budget_neither_deadlocks_nor_ends_with_nothing(lengths: list[int], interval: int, budget: int) -> None:
    async def main() -> Run:
        with anyio.fail_after(60):
            return await draw_sixteen(lengths, cap=2048, budget=budget, interval=interval, together=False)

    run = anyio.run(main)
    check_the_books(run, budget)
    assert any(s.text for s in run.samples)
    if budget == 4000:
        # The oldest sample is promised its whole cap, so at least one comes to its own end.
        assert any(s.finish in ("stop", "length") for s in run.samples)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=f"{words(50 + 100 * (body['seed'] % 5))} 42")

    async with FakeServer(reply, stream_interval=4) as fake:
        yield fake


@pytest.mark.anyio
async def test_a_vote_under_a_small_budget_has_an_answer(server: FakeServer) -> None:
    async with VLLMServer(server.url) as model:
        outcome = await solve(
            Query.of("6 times 7?"),
            "majority:n=16,stop=never",
            model,
            budget=Budget(generated_tokens=4000),
            sampling=Sampling(max_tokens=2048),
        )
    assert outcome.answer is not None
    assert server.generated_tokens <= outcome.generated_tokens <= 4000
    assert server.generated_tokens > 3000  # little of it is spent on samples that are cut


@pytest.mark.anyio
async def test_a_decided_vote_stops_what_is_in_flight(server: FakeServer) -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="42") if k < 9 else Reply(text=words(30_000))

    server._reply = reply
    async with VLLMServer(server.url) as model:
        outcome = await solve(Query.of("6 times 7?"), "majority:n=16", model, sampling=Sampling(max_tokens=32_000))
        assert (outcome.answer, outcome.ended_by) == ("42", "stopped_early")
        for _ in range(50):
            if not server.running:
                break
            await anyio.sleep(0.02)
        assert server.running == 0
    assert server.generated_tokens <= outcome.generated_tokens < 7 * 30_000
    assert outcome.total_usage.upper_bound
