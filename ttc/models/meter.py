"""How far a running call may go under its lease, and what to charge where its usage is never told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ttc.ledger import Lease
from ttc.models.in_flight import Permit
from ttc.types import Usage

__all__ = ["Meter"]


@dataclass(slots=True)
class Meter:
    """A running call's view of its lease: how far it may go, and what to charge if it ends before its usage is known.

    Attributes:
        lease: what the call may generate.
        cap: the request's max_tokens, over all its choices; lowered to what the server was told (:meth:`max_tokens`).
        reserve: tokens of the lease kept back for forcing an answer.
        chunk: how much a growing lease asks for at a time.
        overrun: tokens that a server may have generated beyond what was seen (two stream intervals).
        n: choices of the request.
        seen: generated tokens seen of the current attempt.
        wasted: upper bound on the generated tokens of earlier, broken attempts.
        broken: how many of those the server may have worked on, and so read the prompt.
        prompt: prompt tokens of one attempt: as leased, then as the server says; 0 where nobody has told.
        sent: whether the current attempt has been sent, so that cancelling it costs something.
        attempts: how often the call was sent.
        permit: what the call holds while it is in flight.
        paid: what is settled already; then :meth:`lost` is just that.
    """

    lease: Lease
    cap: int
    reserve: int = 0
    chunk: int = 256
    overrun: int = 2
    streamed: bool = True
    is_head: Callable[[], bool] = lambda: False
    n: int = 1
    seen: int = 0
    wasted: int = 0
    broken: int = 0
    prompt: int = 0
    sent: bool = False
    attempts: int = 0
    permit: Permit | None = None
    paid: Usage | None = None

    def __post_init__(self) -> None:
        self.prompt = self.prompt or self.lease.prompt

    def allowance(self) -> int:
        """Tokens that the current attempt may generate, as granted now."""
        return max(0, self.lease.generated - self.reserve - self.wasted)

    def max_tokens(self) -> int:
        """The cap to send for each choice: what can be granted at the most, so that the server keeps the last bit."""
        room = self.lease.room() if self.streamed else 0
        if room is not None:
            self.cap = max(1, min(self.cap, self.allowance() + room))
        return self.cap // self.n

    def grow(self, seen: int) -> bool:
        """Note that ``seen`` tokens were generated; return False when the call has to be cut now."""
        self.seen = max(self.seen, seen)
        while self.allowance() < self.cap and self.seen + 2 * self.overrun >= self.allowance():
            missing = self.cap - self.allowance()
            if not self.lease.extend(missing if self.is_head() else min(self.chunk, missing)):
                return False
        return True

    def bound(self) -> int:
        """Upper bound on what the current attempt generated."""
        if not self.sent:
            return 0
        # What was seen counts in any case, also where a lagging client saw it too late to cut in time.
        return max(self.seen, min(self.allowance(), self.seen + self.overrun)) if self.streamed else self.allowance()

    def lost(self) -> Usage:
        """Upper bound on what a call cost that brought nothing, all its attempts together."""
        if self.paid is not None:
            return self.paid
        generated = self.wasted + self.bound()
        return Usage((self.broken + self.sent) * self.prompt, 0, 0, generated, upper_bound=generated > 0)

    def start(self) -> None:
        """An attempt is about to be sent."""
        self.sent, self.seen = True, 0
        self.attempts += 1

    def broke(self, *, generated: bool) -> bool:
        """An attempt failed; return whether the lease carries another.

        Args:
            generated: whether the server may have generated tokens (it had accepted the request).
        """
        if generated:
            self.wasted += self.bound()
            self.broken += 1
        self.sent, self.seen = False, 0
        if generated and self.lease.prompt and not self.lease.add_prompt(self.prompt):
            return False  # the prompt is read, and billed, once more
        if self.allowance() < min(self.cap, self.chunk):
            self.lease.extend(min(self.cap, self.chunk) - self.allowance())
        return self.allowance() > 0
