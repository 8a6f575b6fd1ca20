"""Keeping something back from a budget: what a search leaves for the answer that it must give at its end."""

from __future__ import annotations

from ttc.budget import Budget, Price
from ttc.ledger import Lease, Ledger

__all__ = ["Reserve", "reserve"]


def reserve(ledger: Ledger, *, generated: int, prompt: int, price: Price | None) -> Reserve | None:
    """Keep one call's worth of a ledger out of everybody's reach, or return None where there is not so much.

    Unlike a lease nobody waits for it to come back: whoever wants more than the rest is refused.

    Args:
        ledger: what is spent from, its ancestors with it.
        generated: tokens that the call may generate.
        prompt: tokens that it reads.
        price: of its model.
    """
    kept = Reserve(ledger, generated, prompt, price)
    if any(x._room(0, leased=True, calls=0, price=price) < 0 for x in ledger.chain()):
        kept.drop()
        return None
    return kept


class Reserve(Ledger):
    """A ledger whose next call is let in before all others: to what was kept back for it.

    It ends with that call, or with :meth:`drop`.
    """

    def __init__(self, ledger: Ledger, generated: int, prompt: int, price: Price | None) -> None:
        super().__init__(Budget(), parent=ledger)
        self._from = ledger
        self._kept: tuple[int, int, Price | None] | None = (generated, prompt, price)
        self._keep(1, generated, prompt, price)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left beside it."""
        return any(x._room(0, leased=True, price=self.price) <= 0 for x in self._from.chain())

    def drop(self) -> None:
        """Return it."""
        if self._kept is not None:
            self._keep(-1, *self._kept)
            self._kept = None

    async def lease(
        self,
        kind: str,
        *,
        want: int,
        enough: int | None = None,
        least: int = 1,
        prompt: int = 0,
        price: Price | None = None,
    ) -> Lease:
        """Lease what was kept back, or else like any other ledger.

        Raises:
            BudgetExhausted: so much can never be granted.
        """
        self.drop()  # and taken in the same breath: nobody comes between
        granted, _ = self._grant(want, min(want, want if enough is None else enough), prompt, price, least=least)
        if granted is not None:
            return self._take(kind, granted, prompt, price)
        return await super().lease(kind, want=want, enough=enough, least=least, prompt=prompt, price=price)

    def _keep(self, times: int, generated: int, prompt: int, price: Price | None) -> None:
        price = price or self.price
        for x in self._from.chain():
            x._held_generated += times * generated
            x._leased_prompt += times * prompt
            x._leased_calls += times
            if price is not None:
                promised = x._priced.setdefault(price, [0, 0])
                promised[0] += times * prompt
                promised[1] += times * generated
