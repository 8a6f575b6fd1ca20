"""Budgets and the ledger: no interleaving of calls exceeds a limit."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ttc.budget import Budget, Price
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.ledger import Lease, Ledger
from ttc.types import Usage


class LedgerMachine(RuleBasedStateMachine):
    """Any order of leasing, growing, splitting, settling and releasing, on two ledgers under one parent."""

    def __init__(self) -> None:
        super().__init__()
        price = Price(prompt=1.0, generated=2.0)
        self.parent = Ledger(Budget(generated_tokens=1500, dollars=0.006), price=price)
        self.ledgers = [
            Ledger(Budget(generated_tokens=1000, calls=9), parent=self.parent),
            Ledger(Budget(total_tokens=900), parent=self.parent),
        ]
        self.leases: list[Lease] = []

    @rule(which=st.integers(0, 1), want=st.integers(1, 500), enough=st.integers(1, 500), prompt=st.integers(0, 100))
    def lease(self, which: int, want: int, enough: int, prompt: int) -> None:
        lease = self.ledgers[which].lease_now("generate", want=want, enough=min(want, enough), prompt=prompt)
        if lease is not None:
            assert min(want, enough) <= lease.generated <= want
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), more=st.integers(1, 400))
    def extend(self, data: st.DataObject, more: int) -> None:
        assert 0 <= data.draw(st.sampled_from(self.leases)).extend(more) <= more

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), tokens=st.integers(1, 100), prompt=st.integers(0, 50))
    def split(self, data: st.DataObject, tokens: int, prompt: int) -> None:
        part = data.draw(st.sampled_from(self.leases)).split(tokens, prompt=prompt)
        if part is not None:
            self.leases.append(part)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), prompt=st.integers(1, 50))
    def send_again(self, data: st.DataObject, prompt: int) -> None:
        data.draw(st.sampled_from(self.leases)).add_prompt(prompt)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), share=st.floats(0, 1))
    def settle(self, data: st.DataObject, share: float) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        lease.settle(Usage(lease.prompt, 0, 0, int(share * lease.generated)))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1))).release()

    @invariant()
    def keeps_every_limit(self) -> None:
        first, second = self.ledgers
        assert first.spent.generated + first.leased_tokens <= 1000
        assert sum(first.calls.values()) <= 9
        assert second.spent.total + second.leased_tokens <= 900
        assert self.parent.spent.generated + self.parent.leased_tokens <= 1500
        assert self.parent.dollars <= 0.006 + 1e-12

    @invariant()
    def parents_hold_what_children_spent(self) -> None:
        assert self.parent.spent == self.ledgers[0].spent + self.ledgers[1].spent

    def teardown(self) -> None:
        for lease in self.leases:
            lease.release()
        assert self.parent.leased_tokens == self.ledgers[0].leased_tokens == self.ledgers[1].leased_tokens == 0


TestLedger = LedgerMachine.TestCase


@pytest.mark.anyio
async def test_a_waiter_is_served_when_a_lease_returns() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    first = await ledger.lease("generate", want=100)
    got: list[int] = []

    async def wait() -> None:
        second = await ledger.lease("generate", want=80)
        got.append(second.generated)
        second.release()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        first.settle(Usage(0, 0, 0, 10))
    assert got == [80]


@pytest.mark.anyio
async def test_waiters_are_served_in_the_order_they_came() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    first = await ledger.lease("generate", want=100)
    order: list[str] = []

    async def wait(name: str, want: int) -> None:
        lease = await ledger.lease("generate", want=want)
        order.append(name)
        lease.settle(Usage(0, 0, 0, 1))

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "large", 90)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait, "small", 1)
        await anyio.wait_all_tasks_blocked()
        first.settle(Usage(0, 0, 0, 5))
    assert order == ["large", "small"]


@pytest.mark.anyio
async def test_with_nothing_under_way_the_grant_shrinks_to_what_is_left() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    (await ledger.lease("generate", want=100)).settle(Usage(0, 0, 0, 70))
    lease = await ledger.lease("generate", want=64, least=16)
    assert lease.generated == 30


@pytest.mark.anyio
async def test_what_can_never_be_granted_ends_at_once() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    running = await ledger.lease("generate", want=50)
    running.settle(Usage(0, 0, 0, 50))
    still = await ledger.lease("generate", want=45)
    with pytest.raises(BudgetExhausted, match="judge"):  # 50 spent: not even all of what is leased would do
        await ledger.lease("judge", want=60, least=60)
    still.release()
    assert ledger.refused


@pytest.mark.anyio
async def test_one_waiter_that_gives_up_does_not_hold_up_the_next() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    first = await ledger.lease("generate", want=60)
    served: list[int] = []

    async def wait(want: int, scope: anyio.CancelScope) -> None:
        with scope:
            lease = await ledger.lease("generate", want=want)
            served.append(want)
            lease.release()

    large, small = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(wait, 90, large)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait, 10, small)
        await anyio.wait_all_tasks_blocked()
        assert served == []
        large.cancel()
        await anyio.wait_all_tasks_blocked()
        assert served == [10]
    first.release()
    assert ledger.leased_tokens == 0


@pytest.mark.anyio
async def test_a_grant_that_meets_a_cancellation_is_returned() -> None:
    ledger = Ledger(Budget(generated_tokens=100))
    first = await ledger.lease("generate", want=100)

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            await ledger.lease("generate", want=50)

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(wait, scope)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()  # nobody wants it any more, and in the same step ...
        first.release()  # ... it is granted
    assert ledger.leased_tokens == 0


def test_a_lease_ends_once() -> None:
    lease = Ledger().lease_now("generate", want=5)
    assert lease is not None
    lease.settle(Usage(0, 0, 0, 5))
    with pytest.raises(RuntimeError, match="twice"):
        lease.release()


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("4000", Budget(generated_tokens=4000)),
        ("total_tokens=10,seconds=.5", Budget(total_tokens=10, seconds=0.5)),
        ("calls=3, dollars=0.01", Budget(calls=3, dollars=0.01)),
        ("", Budget()),
    ],
)
def test_budgets_are_read_from_the_command_line(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tokens=5", "Known: calls"),
        ("calls=x", "not a number"),
        ("calls=inf", "not a number"),
        ("nan", "not a number"),
        ("calls=0", "positive"),
        ("calls=-1", "positive"),
    ],
)
def test_a_bad_budget_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Budget.parse(text)


def test_half_a_token_is_no_limit() -> None:
    with pytest.raises(ConfigurationError, match="tokens and calls are whole numbers"):
        Budget(generated_tokens=1.5)  # pyright: ignore[reportArgumentType]


def test_dollars_need_a_price() -> None:
    with pytest.raises(ConfigurationError, match="Price"):
        Ledger(Budget(dollars=1))
