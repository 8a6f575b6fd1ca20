"""Calls to other models' servers, such as a reward model's: counted and paid, their tokens kept apart."""

from __future__ import annotations

from collections.abc import Callable

from ttc.budget import Price
from ttc.ledger import Ledger
from ttc.types import Tally, Usage

__all__ = ["ForeignLease", "lease_foreign"]


def lease_foreign(
    ledger: Ledger,
    kind: str,
    prompt: int,
    *,
    price: Price | None = None,
    paid: Callable[[float], None] = lambda _: None,
) -> ForeignLease | None:
    """Lease one call to another model's server if calls and dollars are there now, else None.

    Its tokens are kept apart and no limit on tokens counts them: those of different models are never added up.

    Args:
        ledger: pays, and all its ancestors.
        kind: what the call is for, and of which model: ``reward@prm``.
        prompt: tokens that it reads, at the most.
        price: of that model; without one the call is free.
        paid: told what the call cost in dollars.
    """
    cost = price.of(Usage(prompt)) if price else 0.0
    if any(not _has_room(x, cost) for x in ledger.chain()):
        return None
    return ForeignLease(ledger, kind, prompt, price, paid)


def _has_room(ledger: Ledger, cost: float) -> bool:
    budget = ledger.budget
    if budget.calls is not None and ledger._spent_calls + ledger._leased_calls >= budget.calls:
        return False
    return budget.dollars is None or ledger.dollars + ledger._promised() + cost <= budget.dollars


class ForeignLease:
    """One call to another model's server, such as a reward model's. Ends like a :class:`Lease`, in one of the two."""

    __slots__ = ("_kind", "_ledger", "_open", "_paid", "_price", "_prompt")

    def __init__(
        self, ledger: Ledger, kind: str, prompt: int, price: Price | None, paid: Callable[[float], None]
    ) -> None:
        self._ledger = ledger
        self._kind = kind
        self._prompt = prompt
        self._price = price
        self._paid = paid
        self._open = True
        self._promise(prompt, 1)

    def settle(self, usage: Usage) -> None:
        """Charge what the call used."""
        self._end()
        cost = self._price.of(usage) if self._price else 0.0
        for ledger in self._ledger.chain():
            ledger._foreign.setdefault(self._kind, Tally()).add(usage)
            ledger.calls[self._kind] = ledger.calls.get(self._kind, 0) + 1
            ledger._spent_calls += 1
            ledger.dollars += cost
        self._paid(cost)
        self._ledger._pump_all()  # only now: those who wait may have what was promised and not used

    def release(self) -> None:
        """Return everything: the call was never sent."""
        self._end()
        self._ledger._pump_all()

    def _end(self) -> None:
        if not self._open:
            raise RuntimeError("a lease was ended twice")
        self._open = False
        self._promise(-self._prompt, -1)

    def _promise(self, prompt: int, n_calls: int) -> None:
        for ledger in self._ledger.chain():
            ledger._leased_calls += n_calls
            ledger._foreign_open += n_calls
            if self._price is not None:
                ledger._priced.setdefault(self._price, [0, 0])[0] += prompt
