"""Keeping something back from a budget: what a search leaves for the answer that it must give at its end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from copy import copy
from math import inf
from typing import TYPE_CHECKING

import anyio

from ttc.budget import Budget, Price
from ttc.ledger import Lease, Ledger
from ttc.types import Usage

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["KeptBack", "Reserve", "reserve"]


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

    def left(self, prompt: int = 0, *, calls: int = 1, price: Price | None = None) -> int | None:
        """Generated tokens that its call could be granted now, what was kept back among them; None: no limit."""
        if self._kept is None:
            return super().left(prompt, calls=calls, price=price)
        self._keep(-1, *self._kept)
        left = super().left(prompt, calls=calls, price=price)
        self._keep(1, *self._kept)
        return left

    def pay(self, kind: str, usage: Usage, *, price: Price | None = None) -> None:
        """Charge a call that took no time, out of what was kept back."""
        self.drop()
        super().pay(kind, usage, price=price)

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


class KeptBack:
    """One call's worth of budget and time that nobody else can take, as long as it is kept."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reserve: Reserve | None = None

    def keep(self, generated: int, *, prompt: int = 0) -> bool:
        """Keep back one call, instead of what was kept by now; return False where nothing is left beside it.

        It is kept even then, as long as there is so much.

        Args:
            generated: tokens that it may generate.
            prompt: tokens that it reads; counted where total tokens or dollars are limited.
        """
        self.drop()
        s = self._session
        self._reserve = reserve(
            s._ledger, generated=generated, prompt=prompt, price=s._model.price_of(s.sampling.model)
        )
        short = self._reserve is None or self._reserve.is_all
        s.progress.out_of_budget = s.progress.out_of_budget or short
        return not short

    def drop(self) -> None:
        """Keep nothing back any more."""
        if self._reserve is not None:
            self._reserve.drop()
            self._reserve = None

    @contextmanager
    def time(self, seconds: float) -> Generator[bool]:
        """Give the block up when no more than ``seconds`` are left; yields whether there is more at all."""
        left = self._session.seconds_left - seconds
        if left == inf or not seconds:
            yield True
            return
        with anyio.move_on_after(max(left, 0)) as clock:
            yield left > 0
        if left <= 0 or clock.cancelled_caught:
            self._session.progress.out_of_time = True

    @property
    def session(self) -> Session:
        """The session whose next call is let in to what was kept back, before all others."""
        if self._reserve is None:
            return self._session
        child = copy(self._session)
        child._ledger = self._reserve
        return child
