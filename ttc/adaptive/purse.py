"""What a batch of queries has left to spend, and what one more sample of a query is likely to cost."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ttc.ledger import Ledger
from ttc.session import Session
from ttc.types import Candidate, Usage

__all__ = ["NOTHING_LEFT", "Purse"]

NOTHING_LEFT = "no sample was drawn: the batch's tokens were handed out before the query's turn came"
"""What the outcome of a query says that got nothing."""

SHRINK = 2
"""The batch's mean counts as so many samples of a query, beside its own."""


class Purse:
    """The tokens of a batch: what is spent, what is promised to waves in flight, and the mean cost of a sample.

    Tokens are generated ones, and prompt tokens where a limit counts them. What a verifier's calls take is part of a
    sample's cost.

    Attributes:
        ledger: the batch's; it keeps the limit, whatever is expected here.
        samples: how many were drawn so far.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.samples = 0
        self._tokens = 0
        self._prompts = ledger.counts_prompts
        self._before = self._spent(ledger)
        self._limit = ledger.left() or 0
        self._known: dict[Hashable, tuple[Session, int, int]] = {}  # with the samples and tokens that are counted
        self._promised: dict[Hashable, tuple[Session, float]] = {}  # with what it may have spent when it is over

    def _count(self, usage: Usage) -> int:
        return usage.generated + (usage.prompt_tokens if self._prompts else 0)

    def _spent(self, ledger: Ledger) -> int:
        """What a ledger's calls used: asked for with every wave, so without making a sum of usages."""
        return ledger._spent_generated + (ledger._spent_prompt if self._prompts else 0)

    @property
    def left(self) -> int:
        """What is not spent, promised or not."""
        return self._limit - (self._spent(self.ledger) - self._before)

    def spent_by(self, session: Session) -> int:
        """What a query has spent so far, with what is in flight and has come back."""
        return self._spent(session._whole)

    def free(self, *, alone: bool) -> float:
        """What is neither spent nor promised. ``alone``: nothing is in flight, so that the ledger knows for certain."""
        if alone:
            return min(self.left, self.ledger.left() or 0)
        promised = (upto - self.spent_by(session) for session, upto in self._promised.values())
        return self.left - sum(max(0.0, tokens) for tokens in promised)

    def promise(self, who: Hashable, tokens: float) -> None:
        """Promise tokens to a query's next wave."""
        session = self._known[who][0]
        self._promised[who] = (session, self.spent_by(session) + tokens)

    def note(self, who: Hashable, session: Session, drawn: Sequence[Candidate]) -> None:
        """Count what a query has drawn since, and take back what its last wave did not need."""
        _, samples, tokens = self._known.get(who, (session, 0, 0))
        self._promised.pop(who, None)
        spent = self.spent_by(session)
        if len(drawn) < samples:
            samples = 0  # a draw of its own: the query has gone on to another model, or to more thinking
        self.samples += len(drawn) - samples
        self._tokens += spent - tokens
        self._known[who] = (session, len(drawn), spent)

    def close(self, who: Hashable, drawn: Sequence[Candidate]) -> None:
        """Count what a query drew last: it is over."""
        if who in self._known:
            self.note(who, self._known[who][0], drawn)
            del self._known[who]

    def cost(self, who: Hashable, session: Session) -> float:
        """Tokens that a sample of this query is likely to take: its mean, shrunk to the batch's; at first its cap."""
        if not self.samples:
            return float(session.sampling.max_tokens + session.sampling.force_answer)
        _, samples, tokens = self._known.get(who, (session, 0, 0))
        return max(1.0, (SHRINK * self._tokens / self.samples + tokens) / (SHRINK + samples))

    def longest(self, drawn: Sequence[Candidate]) -> int:
        """Tokens of the longest of these samples."""
        return max((self._count(c.sample.usage) for c in drawn), default=0)
