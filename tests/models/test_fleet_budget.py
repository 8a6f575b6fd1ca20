"""Dollars over models of several prices: no interleaving of their calls spends more, and each is charged at its own."""

from __future__ import annotations

import random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.budget import Budget, Price
from ttc.ledger import Ledger
from ttc.models.fleet import Fleet
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.types import Query, Request, Sample, Sampling

PRICES = {"small": Price(prompt=1.0, generated=2.0), "large": Price(prompt=5.0, generated=30.0, cached=1.0)}
FREE = {"small": Price(prompt=0.0, generated=0.0), "large": Price(prompt=5.0, generated=30.0)}


def reply(request: Request) -> Sample:
    draw = random.Random(request.seed)
    if request.choices:
        return Sample(text=draw.choice(request.choices))
    return Sample(text=" ".join(["so"] * draw.randint(0, 60) + [str(draw.randint(0, 9))]))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    spec=st.sampled_from(["knockout:n=6,k=2,models=small+large", "league:n=4,k=2,models=large+small", "majority:n=5"]),
    prices=st.sampled_from([PRICES, FREE]),
    dollars=st.floats(1e-6, 0.01),
    whole=st.none() | st.floats(1e-6, 0.01),
    gives_up=st.none() | st.none() | st.floats(0, 0.01),
)
def test_no_interleaving_spends_more_dollars_than_there_are(
    seed: int, spec: str, prices: dict[str, Price], dollars: float, whole: float | None, gives_up: float | None
) -> None:
    async def check() -> None:
        models = {
            name: Scripted(
                reply, latency=lambda r: random.Random(r.seed ^ seed).choice((0, 0, 0.001)), in_flight=3, price=price
            )
            for name, price in prices.items()
        }
        for model in models.values():
            model.chunk = 8
        fleet = Fleet(models)
        above = Ledger(Budget(dollars=whole), price=fleet.price)
        ledger = Ledger(Budget(dollars=dollars), parent=above)

        async def one(number: int) -> None:
            query = Query.of(f"{number}?", answer_type="number")
            await solve(query, spec, fleet, parent=ledger, comparator="judge", sampling=Sampling(max_tokens=64))

        with anyio.fail_after(30), anyio.move_on_after(gives_up):
            async with anyio.create_task_group() as group:
                for number in range(2):
                    group.start_soon(one, number)
        for model in models.values():
            assert model.running == model.limiter.borrowed_tokens == 0
        for books in (ledger, above):
            assert books.leased_tokens == 0
            assert books.budget.dollars is None or books.dollars <= books.budget.dollars * (1 + 1e-9)
            # Each at its own price, and at least what each of them generated.
            bill = sum(prices[kind.partition("@")[2]].of(usage) for kind, usage in books.usage.items())
            assert books.dollars == pytest.approx(bill)
            for name, model in models.items():
                counted = sum(u.generated for kind, u in books.usage.items() if kind.endswith(f"@{name}"))
                assert model.generated <= counted

    anyio.run(check)
