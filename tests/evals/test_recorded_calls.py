"""What the store answers is charged like the calls that it replaces, and never beyond a budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ttc.budget import Budget
from ttc.evals.recorded_calls import StoredCalls
from ttc.evals.store import Store
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.types import Query, Request, Sampling

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
