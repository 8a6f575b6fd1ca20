"""What the store answers is charged like the calls that it replaces, and never beyond a budget."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from ttc.budget import Budget
from ttc.evals.recorded_calls import StoredCalls
from ttc.evals.records import sample_from_json
from ttc.evals.store import Store, read_paid
from ttc.evals.store_schema import reading
from ttc.models.meter import Meter
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply
from ttc.types import Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

QUERY = Query.of("How many?", answer_type="number")


def rambles(request: Request) -> str:
    """Thinks for ever, unless the answer is forced."""
    return "42" if request.continue_final else " ".join(["hm"] * 999)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as store:
        yield store


async def test_a_forced_answer_is_charged_as_the_two_calls_that_it_took(store: Store) -> None:
    model = Scripted(rambles)
    shared = StoredCalls(model, store)
    first = await solve(QUERY, "majority:n=2,stop=never", shared, sampling=Sampling(max_tokens=40))
    again = await solve(QUERY, "majority:n=2,stop=never", shared, sampling=Sampling(max_tokens=40))
    assert len(model.requests) == 4  # of the first one
    assert again.calls == first.calls == {"generate": 4}
    assert again.usage == first.usage


@pytest.mark.parametrize("limit", [20, 60, 85, 91, 200])
async def test_what_does_not_fit_the_budget_is_not_replayed_beyond_it(store: Store, limit: int) -> None:
    shared = StoredCalls(Scripted(rambles), store)
    await solve(QUERY, "single", shared, sampling=Sampling(max_tokens=40))
    for budget in (Budget(total_tokens=limit), Budget(generated_tokens=limit // 2), Budget(calls=1)):
        outcome = await solve(QUERY, "single", shared, sampling=Sampling(max_tokens=40), budget=budget)
        assert outcome.total_usage.total <= (budget.total_tokens or 10**6)
        assert outcome.generated_tokens <= (budget.generated_tokens or 10**6)
        assert sum(outcome.calls.values()) <= (budget.calls or 10**6)


@pytest.mark.parametrize("forced", [False, True])
async def test_a_call_that_was_sent_and_given_up_is_in_the_log(store: Store, forced: bool) -> None:
    reached = anyio.Event()

    class Slow(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            if request.continue_final or not forced:
                meter.start()
                reached.set()
                await anyio.sleep_forever()
            return await super().call(request, meter)

    shared = StoredCalls(Slow(rambles), store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(solve, QUERY, "single", shared, sampling=Sampling(max_tokens=40)))
        await reached.wait()
        tasks.cancel_scope.cancel()
    with reading(store.directory) as (connection, _):
        rows = connection.execute("SELECT finish, attempts, generated_tokens, sample FROM calls").fetchall()
    assert [row[:2] for row in rows] == [("cancelled", 1)]
    assert (rows[0][2] > 40) if forced else (rows[0][2] == 2)  # what may have been on its way
    assert sample_from_json(rows[0][3]).usage.upper_bound
    assert shared.counts.made == (2 if forced else 1)
    assert shared.counts.failed == 0


async def test_a_call_that_was_never_sent_is_not_counted(store: Store) -> None:
    reached = anyio.Event()

    class Waits(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            reached.set()
            await anyio.sleep_forever()
            return []

    shared = StoredCalls(Waits(rambles), store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(solve, QUERY, "single", shared)
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert shared.counts.made == 0
    assert read_paid(store.directory) == {}


async def test_rows_are_calls_made_where_a_vote_stops_early(store: Store) -> None:
    served = 0

    def late(_body: object, k: int) -> Reply:
        nonlocal served
        served += 1
        return Reply(text="the answer is 7" if k < 3 else " ".join(["hm"] * 200))

    async with FakeServer(late, model="m", token_delay=0.01) as server, VLLMServer(server.url, patience=0.0) as model:
        shared = StoredCalls(model, store)
        outcome = await solve(QUERY, "majority:n=4", shared)
    (paid,) = read_paid(store.directory).values()
    assert outcome.answer == "7"
    assert paid.calls == shared.counts.made == served == 4
