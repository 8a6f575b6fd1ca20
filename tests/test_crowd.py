"""Queries are open as the calls in flight have room for them, or as many as was said."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ttc.crowd import Crowd
from ttc.models import virtual_clock
from ttc.models.in_flight import InFlight, InFlightLaw
from ttc.models.scripted import Scripted
from ttc.solve import solve_many
from ttc.strategy import Strategy
from ttc.types import Query, Request


async def most_open(strategy: str, *, queries: int, limit: int | None, **settings: Any) -> tuple[int, int]:
    """Solve queries on a model whose law never changes its mind; return the most that were open, and in flight."""
    is_open = most = peak = 0

    class Counted(Strategy):
        async def solve(self, query: Query, session: Any) -> None:
            nonlocal is_open, most
            is_open += 1
            most = max(most, is_open) if solved > 30 else most
            async with session.sample(n=int(strategy)) as samples:
                async for candidate in samples:
                    session.propose(candidate)
            is_open -= 1

    def takes(request: Request) -> float:
        nonlocal peak
        peak = max(peak, model.running)
        return 1.0 + request.seed % 3

    solved = 0

    def count(_: int, __: object) -> None:
        nonlocal solved
        solved += 1

    model = Scripted(lambda r: "it is 4", latency=takes)
    if limit is not None:
        model.limiter = InFlight(InFlightLaw(limit=limit, cap=limit), clock=anyio.current_time)
    await solve_many([f"{i}?" for i in range(queries)], Counted(), model, on_outcome=count, **settings)
    return most, peak


@pytest.mark.parametrize(("samples", "limit", "least", "most"), [("1", 200, 199, 202), ("16", 32, 3, 8)])
def test_as_many_are_open_as_keep_the_calls_in_flight(samples: str, limit: int, least: int, most: int) -> None:
    queries = 900 // int(samples) + 100
    opened, peak = virtual_clock.run(lambda: most_open(samples, queries=queries, limit=limit))
    assert peak == limit
    if samples == "1":
        assert least <= opened <= most


def test_what_was_said_stands() -> None:
    assert virtual_clock.run(lambda: most_open("1", queries=80, limit=200, concurrency=7)) == (7, 7)


def test_a_model_of_a_fixed_limit_has_as_many_as_before() -> None:
    opened, _ = virtual_clock.run(lambda: most_open("1", queries=300, limit=None))
    assert opened == 64


@pytest.mark.anyio
async def test_places_shrink_to_a_few_where_calls_queue_up() -> None:
    limiter = InFlight(InFlightLaw(limit=1))
    model = Scripted(lambda r: "")
    model.limiter = limiter
    crowd = Crowd([model])
    await limiter.acquire()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        for i in range(60):
            async with crowd.place(i):
                pass
        assert crowd.places == 4
        group.cancel_scope.cancel()
