"""A vote over answers: a pure object that strategies drive. It makes no model calls."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import comb

from ttc.types import AnswerType, Candidate

__all__ = ["AnswerClass", "Vote", "leads_beyond_doubt"]


@dataclass(slots=True, eq=False)
class AnswerClass:
    """Candidates whose answers are equivalent.

    Attributes:
        members: in issue order; the first one speaks for the class.
        weight: what the members' votes add up to (their number in a plain vote).
        score: summed verifier scores, which break ties.
        lot: drawn when the class is opened; breaks what is still tied.
    """

    keys: set[str]
    lot: float
    members: list[Candidate] = field(default_factory=list[Candidate])
    weight: float = 0.0
    score: float = 0.0

    @property
    def standing(self) -> tuple[float, float, float]:
        """What classes are ranked by."""
        return (self.weight, self.score, self.lot)


class Vote:
    """Counts votes on equivalence classes of answers, never on strings.

    A candidate without an answer abstains: it costs tokens and can never win. Ties break by summed verifier score,
    then by a seeded lot, never by arrival order. Equivalence is made transitive by union: an answer that is
    equivalent to members of two classes joins them.
    """

    def __init__(self, answer_type: AnswerType, rng: random.Random) -> None:
        self.classes: list[AnswerClass] = []
        self.abstained = 0
        self._type = answer_type
        self._rng = rng

    def add(self, candidate: Candidate, *, weight: float = 1.0) -> None:
        """Cast one vote."""
        if candidate.answer is None:
            self.abstained += 1
            return
        key = self._type.key(candidate.answer)
        home = next((c for c in self.classes if key in c.keys), None)
        if home is None:
            alike = [c for c in self.classes if self._alike(candidate.answer, c)]
            home = alike[0] if alike else AnswerClass(set(), self._rng.random())
            if not alike:
                self.classes.append(home)
            for other in alike[1:]:
                self._merge(home, other)
            home.keys.add(key)
        home.members.append(candidate)
        home.weight += weight
        home.score += candidate.score or 0.0

    def ranking(self) -> list[AnswerClass]:
        """Return the classes, the leading one first."""
        return sorted(self.classes, key=lambda c: c.standing, reverse=True)

    def leader(self) -> AnswerClass | None:
        """Return the leading class, or None where everybody abstained."""
        return max(self.classes, key=lambda c: c.standing, default=None)

    def counts(self) -> list[int]:
        """Return the votes per class, descending."""
        return sorted((len(c.members) for c in self.classes), reverse=True)

    def agreement(self) -> float:
        """Return the share of the votes, abstentions included, that the largest class holds."""
        cast = sum(self.counts()) + self.abstained
        return self.counts()[0] / cast if self.classes else 0.0

    def certain(self, remaining: int) -> bool:
        """Whether no class can overtake with the votes that remain. Loses nothing in a plain vote."""
        first, second = (*self.counts(), 0, 0)[:2]
        return first > second + remaining

    def _alike(self, answer: str, other: AnswerClass) -> bool:
        first = other.members[0].answer
        return first is not None and self._type.equivalent(first, answer)

    def _merge(self, home: AnswerClass, other: AnswerClass) -> None:
        home.keys |= other.keys
        home.members = sorted(home.members + other.members, key=lambda c: c.sample.index)
        home.weight += other.weight
        home.score += other.score
        self.classes.remove(other)


def leads_beyond_doubt(first: int, second: int, confidence: float) -> bool:
    """Beta stop of Adaptive-Consistency (arXiv 2305.11860): is the leader the likelier one of the top two?

    With counts a >= b, P(X > 1/2) for X ~ Beta(a+1, b+1) has to reach ``confidence``. By the identity of the beta and
    binomial tails that is P(Bin(a+b+1, 1/2) <= a), a finite sum: at .95 the boundaries are 4-0, 6-1, 8-2 and 9-3.
    """
    total = first + second + 1
    return sum(comb(total, j) for j in range(first + 1)) >= confidence * 2**total
