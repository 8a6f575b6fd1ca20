"""Calls to other models' servers: counted and paid within the limits, their tokens never added to the others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from ttc.budget import Budget, Price
from ttc.errors import BudgetExhausted
from ttc.evals.records import outcome_from_json, outcome_to_json
from ttc.foreign import lease_foreign
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.types import Candidate, Query, Usage

PRICE = Price(prompt=10.0, generated=0.0)


@dataclass
class Reward:
    """A reward model: reads 1,000 tokens a score."""

    price: Price | None = None
    read: int = 1000
    fails: bool = False
    prepared: int = 0
    name: str = "reward"
    logprobs: int = 0

    async def prepare(self) -> None:
        self.prepared += 1

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        scores: list[float] = []
        for candidate in candidates:
            lease = await session.foreign_call("prm", 2000, price=self.price)
            await anyio.lowlevel.checkpoint()
            if self.fails:
                lease.release()
            else:
                lease.settle(Usage(prompt_tokens=self.read))
            scores.append(float(candidate.answer == "3"))
        return scores


def model(price: Price | None = None) -> Scripted:
    return Scripted(lambda request: str(request.index), price=price)


@pytest.mark.anyio
async def test_its_tokens_stand_apart_and_its_calls_count() -> None:
    reward = Reward()
    outcome = await solve("?", "best_of_n:n=4", model(), verifier=reward)
    assert outcome.answer == "3"
    assert outcome.calls == {"generate": 4, "reward@prm": 4}
    assert outcome.foreign == {"reward@prm": Usage(prompt_tokens=4000)}
    assert set(outcome.usage) == {"generate"}
    assert outcome.total_usage.prompt_tokens < 1000
    assert outcome.dollars is None
    assert reward.prepared == 1  # before anything was drawn
    assert outcome_from_json(outcome_to_json(outcome)) == outcome


@pytest.mark.anyio
async def test_a_limit_on_tokens_does_not_count_them_and_one_on_calls_does() -> None:
    outcome = await solve("?", "best_of_n:n=4", model(), verifier=Reward(), budget=Budget(total_tokens=200000, calls=9))
    assert outcome.ended_by == "finished"
    outcome = await solve("?", "best_of_n:n=4", model(), verifier=Reward(), budget=Budget(calls=6))
    assert sum(outcome.calls.values()) <= 6
    assert outcome.ended_by == "budget"
    assert outcome.answer is not None


@pytest.mark.anyio
@pytest.mark.parametrize("cents", [1, 2, 3, 5, 8])
async def test_dollars_are_a_hard_limit_over_both_models(cents: int) -> None:
    """A score costs one cent, promised at two; samples are all but free."""
    own = Price(prompt=0.0, generated=0.001)
    outcome = await solve(
        "?", "best_of_n:n=8", model(own), verifier=Reward(PRICE), budget=Budget(dollars=cents / 100 + 1e-4)
    )
    assert outcome.dollars is not None
    assert outcome.dollars <= cents / 100 + 1e-4
    assert outcome.calls.get("reward@prm", 0) >= min(8, cents - 1)
    assert outcome.checkpoints[-1].dollars == pytest.approx(outcome.dollars)


@pytest.mark.anyio
async def test_what_was_not_sent_is_not_charged() -> None:
    own = Price(prompt=0.0, generated=0.001)
    outcome = await solve(
        "?", "best_of_n:n=4", model(own), verifier=Reward(PRICE, fails=True), budget=Budget(dollars=0.021)
    )
    assert "reward@prm" not in outcome.calls
    assert outcome.foreign == {}
    assert outcome.dollars is not None
    assert outcome.dollars < 0.001


@pytest.mark.anyio
@pytest.mark.parametrize(("used", "granted"), [(5, []), (0, [5])])
async def test_who_waits_gets_what_a_score_did_not_use_and_not_what_it_did(used: int, granted: list[int]) -> None:
    price = Price(prompt=1e6, generated=1e6)  # a dollar a token
    ledger = Ledger(Budget(dollars=10.0), price=price)
    sample = ledger.lease_now("generate", want=4)
    score = lease_foreign(ledger, "reward@prm", 5, price=price)
    assert sample is not None
    assert score is not None
    got: list[int] = []

    async def wait() -> None:
        with contextlib.suppress(BudgetExhausted):
            lease = await ledger.lease("generate", want=5, enough=5, least=5)
            got.append(lease.generated)
            lease.settle(Usage(answer_tokens=lease.generated))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        score.settle(Usage(prompt_tokens=used))
        await anyio.wait_all_tasks_blocked()
        assert got == granted
        sample.settle(Usage(answer_tokens=4))
    assert ledger.dollars <= 10.0


@pytest.mark.anyio
async def test_who_waits_for_a_score_alone_is_not_refused() -> None:
    price = Price(prompt=1e6, generated=1e6)
    ledger = Ledger(Budget(dollars=10.0), price=price)
    score = lease_foreign(ledger, "reward@prm", 8, price=price)
    assert score is not None
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            assert (await ledger.lease("generate", want=5)).generated == 5

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        score.settle(Usage(prompt_tokens=2))


@pytest.mark.anyio
async def test_a_lease_ends_once() -> None:
    lease = lease_foreign(Ledger(), "reward@prm", 9)
    assert lease is not None
    lease.settle(Usage(prompt_tokens=9))
    with pytest.raises(RuntimeError, match="twice"):
        lease.release()
