"""A knockout bracket: a pure object that a strategy drives. It makes no model calls."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ttc.types import AnswerType, Candidate

__all__ = ["Bracket", "Match"]


@dataclass(slots=True, eq=False)
class Match:
    """One pair that meets up to ``k`` times; more than half of the meetings win it.

    Attributes:
        a: one candidate.
        b: the other.
        k: meetings at the most.
        points: what ``a`` won of the ``played`` meetings; a verdict that could not be read is half a point.
    """

    a: Candidate
    b: Candidate
    k: int
    points: float = 0.0
    played: int = 0

    @property
    def decided(self) -> bool:
        """Whether the meetings that remain cannot change who wins."""
        left = self.k - self.played
        return left <= 0 or self.points > self.k / 2 or self.points + left < self.k / 2

    def tell(self, won: float) -> None:
        """Record a meeting: 1 for ``a``, 0 for ``b``, 1/2 for neither."""
        self.points += won
        self.played += 1

    def winner(self, rng: random.Random) -> Candidate:
        """Return who won; a tie is drawn by lot."""
        if self.points == self.k / 2 or (not self.played):
            return rng.choice((self.a, self.b))
        return self.a if self.points > self.played - self.points else self.b


class Bracket:
    """Rounds of random pairs; an odd candidate gets a bye (Chen et al. 2024, arXiv 2411.19477).

    A pair of one answer class advances without a meeting (the candidates are not merged), and the bracket is decided
    when one class is left. Candidates without an answer do not take part.
    """

    def __init__(self, candidates: list[Candidate], answer_type: AnswerType, rng: random.Random, *, k: int) -> None:
        self.standing = [c for c in candidates if c.answer is not None]
        self.round = 0
        self._type = answer_type
        self._rng = rng
        self._k = k
        self._next: list[Candidate] = []
        self._lots: dict[int, random.Random] = {}

    @property
    def champion(self) -> Candidate | None:
        """Who won, once one class is left; None while it is open or where nobody has an answer."""
        if self.standing and all(self._same(self.standing[0], c) for c in self.standing[1:]):
            return self.standing[0]
        return None

    def pair(self) -> list[Match]:
        """Draw the next round: the matches to be played. Pairs of one class and a bye advance at once."""
        order = list(self.standing)
        self._rng.shuffle(order)
        self.round += 1
        self._next = [order.pop()] if len(order) % 2 else []
        matches: list[Match] = []
        for a, b in zip(order[::2], order[1::2], strict=True):
            if self._same(a, b):
                self._next.append(a)
            else:
                matches.append(Match(a, b, self._k))
        return matches

    def advance(self, matches: list[Match]) -> None:
        """Close the round with its played matches."""
        self.standing = self._next + [m.winner(self._rng) for m in matches]

    def _same(self, a: Candidate, b: Candidate) -> bool:
        x, y = a.answer or "", b.answer or ""
        return self._type.key(x) == self._type.key(y) or self._type.equivalent(x, y)
