"""The ledger keeps spending to a budget.

A call leases before it is sent and settles at what it really used. ``left = limit - spent - leased`` over the ledger
and all its ancestors, checked and taken without an await, so no interleaving of tasks can exceed a limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

import anyio

from ttc.budget import Budget, Price
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.types import Tally, Usage

__all__ = ["Lease", "Ledger"]


class Ledger:
    """What was spent and what is promised, under one budget and those of its ancestors.

    A parent spans several ledgers (a batch of queries, a nested strategy): every lease counts in all ancestors.
    """

    def __init__(self, budget: Budget | None = None, *, parent: Ledger | None = None, price: Price | None = None):
        self.budget = budget or Budget()
        self.parent = parent
        self.price = price or (parent.price if parent else None)
        if self.budget.dollars is not None and self.price is None:
            raise ConfigurationError("a budget in dollars needs a model with a price: Price(prompt=, generated=)")
        self.calls: dict[str, int] = {}
        self.dollars = 0.0
        self.refused = False
        self.ends: float | None = None
        self._spent: dict[str, Tally] = {}
        self._foreign: dict[str, Tally] = {}
        self._foreign_open = 0
        self._spent_generated = 0
        self._spent_prompt = 0
        self._spent_calls = 0
        self._leased_generated = 0
        self._held_generated = 0  # kept back, and nobody waits for it
        self._leased_prompt = 0
        self._leased_calls = 0
        self._priced: dict[Price, list[int]] = {}
        self._waiting: deque[_Waiter] = deque()
        own = self.budget
        self.limited: bool = (parent is not None and parent.limited) or any(
            limit is not None for limit in (own.generated_tokens, own.total_tokens, own.calls, own.dollars)
        )

    def chain(self) -> Iterator[Ledger]:
        """This ledger, its parent, and so on up."""
        ledger: Ledger | None = self
        while ledger is not None:
            yield ledger
            ledger = ledger.parent

    @property
    def usage(self) -> dict[str, Usage]:
        """What settled calls used, by kind."""
        return {kind: tally.usage() for kind, tally in self._spent.items()}

    @property
    def foreign(self) -> dict[str, Usage]:
        """What settled calls to other models' servers used, by kind and model."""
        return {kind: tally.usage() for kind, tally in self._foreign.items()}

    @property
    def spent(self) -> Usage:
        """The sum of all settled calls."""
        tallies = iter(self._spent.values())
        total = next(tallies, Tally()).usage()
        for tally in tallies:
            total = total + tally.usage()
        return total

    def has_spent(self, consumed: Tally) -> bool:
        """Whether what was consumed is all that was spent."""
        return consumed.prompt == self._spent_prompt and consumed.reasoning + consumed.answer == self._spent_generated

    @property
    def seconds_left(self) -> float:
        """Seconds until the first deadline here or above; the clock of each runs from when it was first asked."""
        now, left = anyio.current_time(), inf
        for ledger in self.chain():
            if ledger.budget.seconds is not None:
                if ledger.ends is None:
                    ledger.ends = now + ledger.budget.seconds
                left = min(left, max(0.0, ledger.ends - now))
        return left

    @property
    def leased_tokens(self) -> int:
        """Generated tokens promised to calls that are under way."""
        return self._leased_generated

    @property
    def counts_prompts(self) -> bool:
        """Whether a limit here or above makes prompt tokens part of a lease."""
        return any(x.budget.total_tokens is not None or x.budget.dollars is not None for x in self.chain())

    def left(self, prompt: int = 0, *, calls: int = 1, price: Price | None = None) -> int | None:
        """Generated tokens that a call with this many prompt tokens could still be granted now; None: no limit.

        With ``calls=0`` those that a call under way could be granted.
        """
        if not self.limited:
            return None
        room = min(x._room(prompt, leased=True, calls=calls, price=price) for x in self.chain())
        return None if room == inf else int(max(0, room))

    def pay(self, kind: str, usage: Usage, *, price: Price | None = None) -> None:
        """Charge a call that took no time, within what :meth:`left` has just said."""
        self._charge(kind, usage, price or self.price)
        if self.limited:
            self._pump_all()

    def lease_now(
        self, kind: str, *, want: int, enough: int | None = None, prompt: int = 0, price: Price | None = None
    ) -> Lease | None:
        """Lease between ``enough`` and ``want`` generated tokens if they are there now, else None."""
        granted, _ = self._grant(want, want if enough is None else enough, prompt, price)
        return self._take(kind, granted, prompt, price) if granted is not None else None

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
        """Lease generated tokens for one call, waiting while leases under way may still return some.

        Args:
            kind: what the call is for.
            want: generated tokens asked for; as many of them as there are, once ``enough`` are.
            enough: the grant that is worth starting with (default: ``want``).
            least: below this nothing is granted, not even when nothing more can come back.
            prompt: prompt tokens of the call, counted where total tokens or dollars are limited.
            price: of this call's model, where several models spend from one ledger (default: the ledger's).

        Raises:
            BudgetExhausted: so much can never be granted.
        """
        enough = min(want, want if enough is None else enough)
        least = min(least, enough)
        granted, short = self._grant(want, enough, prompt, price, least=least)
        # First come, first served: nobody overtakes those who wait for the same ledger.
        if granted is not None and not any(x._waiting for x in self.chain()):
            return self._take(kind, granted, prompt, price)
        waiter = _Waiter(self, kind, want, enough, least, prompt, price)
        queue = short if short is not None else next(x for x in self.chain() if x._waiting)
        queue._waiting.append(waiter)
        queue._pump()
        try:
            await waiter.event.wait()
        except BaseException:
            waiter.abandon()
            raise
        if waiter.lease is None:
            self.refused = True
            raise BudgetExhausted(f"the budget cannot grant {least} more tokens for a call of kind '{kind}'")
        return waiter.lease

    # What follows never awaits.

    @property
    def _outstanding(self) -> bool:
        """Whether calls under way may still return something."""
        return bool(self._leased_generated or self._foreign_open)

    def _room(self, prompt: int, *, leased: bool, calls: int = 1, price: Price | None = None) -> float:
        """Generated tokens that this ledger alone could still grant beside ``prompt``; without leases if asked."""
        budget, room = self.budget, inf
        generated = self._spent_generated + (self._leased_generated + self._held_generated if leased else 0)
        prompts = self._spent_prompt + (self._leased_prompt if leased else 0)
        if budget.generated_tokens is not None:
            room = min(room, budget.generated_tokens - generated)
        if budget.total_tokens is not None:
            room = min(room, budget.total_tokens - generated - prompts - prompt)
        price = price or self.price
        if budget.dollars is not None and price is not None:
            promised = self._promised() if leased else 0.0
            money = budget.dollars - self.dollars - promised - price.of(Usage(prompt))
            room = min(room, money * 1e6 // price.generated if price.generated else money * inf if money else 0)
        if budget.calls is not None and self._spent_calls + self._leased_calls + calls > budget.calls:
            return -inf  # a call once leased is never returned, so waiting for it is in vain
        return room

    def _promised(self) -> float:
        """Dollars that leases under way may take."""
        return sum(p.of(Usage(n, 0, 0, m)) for p, (n, m) in self._priced.items())

    def _grant(
        self, want: int, enough: int, prompt: int, price: Price | None, *, least: int | None = None
    ) -> tuple[int | None, Ledger | None]:
        """Return the grant, or None with the ledger that is short. With ``least``, shrink where nothing is leased."""
        if not self.limited:
            return want, None
        granted: float = want
        for ledger in self.chain():
            room = ledger._room(prompt, leased=True, price=price)
            if room >= enough:
                granted = min(granted, room)
            elif least is not None and not ledger._outstanding and room >= least:
                granted = min(granted, room)
                enough = min(enough, int(room))
            else:
                return None, ledger
        return int(granted), None

    def _take(self, kind: str, generated: int, prompt: int, price: Price | None) -> Lease:
        price = price or self.price
        self._promise(generated, prompt, 1, price)
        return Lease(self, kind, generated, prompt, price)

    def _promise(self, generated: int, prompt: int, n_calls: int, price: Price | None) -> None:
        for ledger in self.chain():
            ledger._leased_generated += generated
            ledger._leased_prompt += prompt
            ledger._leased_calls += n_calls
            if price is not None:
                promised = ledger._priced.setdefault(price, [0, 0])
                promised[0] += prompt
                promised[1] += generated

    def _charge(self, kind: str, usage: Usage, price: Price | None) -> None:
        ledger: Ledger | None = self
        while ledger is not None:
            tally = ledger._spent.get(kind)
            if tally is None:
                tally = ledger._spent[kind] = Tally()
            tally.add(usage)
            ledger._spent_generated += usage.reasoning_tokens + usage.answer_tokens
            ledger._spent_prompt += usage.prompt_tokens
            ledger.calls[kind] = ledger.calls.get(kind, 0) + 1
            ledger._spent_calls += 1
            if price is not None:
                ledger.dollars += price.of(usage)
            ledger = ledger.parent

    def _pump(self) -> None:
        """Serve those who wait here, in order, until one has to go on waiting."""
        while self._waiting:
            waiter = self._waiting[0]
            granted, short = waiter.ledger._grant(
                waiter.want, waiter.enough, waiter.prompt, waiter.price, least=waiter.least
            )
            if granted is not None:
                self._waiting.popleft()
                waiter.lease = waiter.ledger._take(waiter.kind, granted, waiter.prompt, waiter.price)
                waiter.event.set()
            elif any(
                x._room(waiter.prompt, leased=False, price=waiter.price) < waiter.least for x in waiter.ledger.chain()
            ) or (short is not None and not short._outstanding):
                self._waiting.popleft()
                waiter.event.set()  # nothing under way can bring enough: refused
            elif short is self:
                return
            else:
                assert short is not None
                self._waiting.popleft()
                short._waiting.append(waiter)

    def _pump_all(self) -> None:
        ledger: Ledger | None = self
        while ledger is not None:
            if ledger._waiting:
                ledger._pump()
            ledger = ledger.parent


@dataclass(slots=True, eq=False)
class _Waiter:
    ledger: Ledger
    kind: str
    want: int
    enough: int
    least: int
    prompt: int
    price: Price | None
    lease: Lease | None = None
    event: anyio.Event = field(default_factory=anyio.Event)

    def abandon(self) -> None:
        """The one who waits was cancelled: leave the queue, return what was granted meanwhile."""
        if self.lease is not None:
            self.lease.release()
            return
        for ledger in self.ledger.chain():
            if self in ledger._waiting:
                ledger._waiting.remove(self)
                ledger._pump()


class Lease:
    """Tokens promised to one call. Ends in exactly one of :meth:`settle` or :meth:`release`.

    Attributes:
        generated: generated tokens granted so far.
        prompt: prompt tokens granted.
    """

    __slots__ = ("_kind", "_ledger", "_open", "_price", "generated", "prompt")

    def __init__(self, ledger: Ledger, kind: str, generated: int, prompt: int, price: Price | None) -> None:
        self._ledger = ledger
        self._kind = kind
        self._price = price
        self._open = True
        self.generated = generated
        self.prompt = prompt

    @property
    def open(self) -> bool:
        """Whether it still has to be settled or released."""
        return self._open

    def room(self) -> int | None:
        """Tokens that :meth:`extend` could get now; None: no limit."""
        return self._ledger.left(calls=0, price=self._price)

    def extend(self, more: int) -> int:
        """Take up to ``more`` further tokens if they are there now; return how many were granted."""
        left = self.room()
        granted = max(0, more if left is None else min(more, left))
        self._ledger._promise(granted, 0, 0, self._price)
        self.generated += granted
        return granted

    def add_prompt(self, prompt: int) -> bool:
        """Take further prompt tokens, for a call that is sent again; False where they are not there now.

        What is short of them is given back from the generated tokens.
        """
        rooms = (x._room(prompt, leased=True, calls=0, price=self._price) for x in self._ledger.chain())
        short = max(0.0, -min(rooms))
        if short > self.generated:
            return False
        self._ledger._promise(-int(short), prompt, 0, self._price)
        self.generated -= int(short)
        self.prompt += prompt
        return True

    def split(self, tokens: int, *, prompt: int = 0) -> Lease | None:
        """Hand ``tokens`` of this lease to one further call, or return None where that call cannot be granted.

        The further call adds its own ``prompt`` tokens and itself to what is counted.
        """
        rooms = (x._room(prompt, leased=True, price=self._price) for x in self._ledger.chain())
        if tokens > self.generated or any(room < 0 for room in rooms):
            return None
        self.generated -= tokens
        self._ledger._promise(0, prompt, 1, self._price)
        return Lease(self._ledger, self._kind, tokens, prompt, self._price)

    def settle(self, usage: Usage) -> None:
        """Charge what the call used, return the rest and serve those who wait. Also for cut and broken calls."""
        self._end()
        self._ledger._charge(self._kind, usage, self._price)
        self._ledger._pump_all()

    def release(self) -> None:
        """Return everything: the call was never sent."""
        self._end()
        self._ledger._pump_all()

    def _end(self) -> None:
        if not self._open:
            raise RuntimeError("a lease was ended twice")
        self._open = False
        self._ledger._promise(-self.generated, -self.prompt, -1, self._price)
