"""A vote over answers: a pure object that strategies drive. It makes no model calls."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import log

from ttc.types import AnswerType, Candidate

__all__ = ["CLAMP", "AnswerClass", "Vote", "leads_beyond_doubt", "log_odds"]

CLAMP = 0.01
"""No verifier is believed to be surer than this: a score counts as at least it, and at most one less it."""


@dataclass(slots=True, eq=False)
class AnswerClass:
    """Candidates whose answers are equivalent.

    Attributes:
        best: the member with the highest score, the first one where none has any; it speaks for the class.
        lot: drawn when the class is opened; breaks what is still tied.
        members: in issue order.
        weight: what the members' votes add up to (their number in a plain vote).
        score: summed verifier scores, which break ties.
    """

    best: Candidate
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

    Weights may be negative: evidence against an answer. Somebody leads all the same, if only as the least doubted one.
    A vote costs a look-up; the classes are gone through when one is opened or joined, or the leader falls back.
    """

    __slots__ = ("_by_answer", "_by_key", "_leader", "_rival", "_rng", "_type", "abstained", "classes")

    def __init__(self, answer_type: AnswerType, rng: random.Random) -> None:
        self.classes: list[AnswerClass] = []
        self.abstained = 0
        self._type = answer_type
        self._rng = rng
        self._by_answer: dict[str, AnswerClass] = {}
        self._by_key: dict[str, AnswerClass] = {}
        self._leader: AnswerClass | None = None
        self._rival: AnswerClass | None = None  # the strongest of the others when they were last gone through

    def add(self, candidate: Candidate, *, weight: float = 1.0) -> None:
        """Cast one vote."""
        answer = candidate.answer
        if answer is None:
            self.abstained += 1
            return
        home = self._by_answer.get(answer) or self._home(candidate, answer)
        home.members.append(candidate)
        home.weight += weight
        if score := candidate.score:
            home.score += score
            if score > (home.best.score or 0.0):
                home.best = candidate
        leader = self._leader
        if home is leader:
            if weight < 0:
                self._leader = max(self.classes, key=_standing)
        elif leader is None or (home.weight >= leader.weight and home.standing > leader.standing):
            self._leader = home

    def home(self, answer: str) -> AnswerClass | None:
        """Return the class of an answer that was voted for, or None."""
        return self._by_answer.get(answer)

    def leader(self) -> AnswerClass | None:
        """Return the leading class, or None where everybody abstained."""
        return self._leader

    def ranking(self) -> list[AnswerClass]:
        """Return the classes, the leading one first."""
        return sorted(self.classes, key=_standing, reverse=True)

    def counts(self) -> list[int]:
        """Return the votes per class, descending."""
        return sorted((len(c.members) for c in self.classes), reverse=True)

    def agreement(self) -> float:
        """Return the share of the votes, abstentions included, that the largest class holds."""
        cast = sum(self.counts()) + self.abstained
        return self.counts()[0] / cast if self.classes else 0.0

    def share(self) -> float:
        """Return the leader's share of the weight that was cast for anything; 0 where it has none."""
        leader = self._leader
        if leader is None or leader.weight <= 0:
            return 0.0
        return leader.weight / sum(c.weight for c in self.classes if c.weight > 0)

    def unanimous(self, candidates: Sequence[Candidate]) -> bool:
        """Whether votes that were cast are all for one class. One that abstained is for none."""
        homes = {id(self._by_answer[c.answer]) if c.answer is not None else 0 for c in candidates}
        return len(homes) == 1 and 0 not in homes

    def certain(self, remaining: int, *, most: float = 1.0) -> bool:
        """Whether no class can overtake with the votes that remain. Loses nothing, unless one of them joins classes.

        Args:
            remaining: how many votes may still be cast.
            most: the greatest weight that one of them can have, for or against.
        """
        leader = self._leader
        if leader is None:
            return False
        bar = leader.weight - remaining * most
        if bar <= 0:
            return False  # an answer that nobody has given yet may overtake
        rival = self._rival
        if rival is None or rival is leader or rival.weight < bar:
            others = (c for c in self.classes if c is not leader)
            self._rival = rival = max(others, key=_weight, default=None)
        return rival is None or rival.weight < bar

    def _home(self, candidate: Candidate, answer: str) -> AnswerClass:
        """Find or open the class of an answer that was not given before, letter by letter."""
        key = self._type.key(answer)
        home = self._by_key.get(key)
        if home is None:
            alike = [c for c in self.classes if self._alike(answer, c)]
            home = alike[0] if alike else AnswerClass(candidate, self._rng.random())
            if not alike:
                self.classes.append(home)
            for other in alike[1:]:
                self._join(home, other)
            self._by_key[key] = home
        self._by_answer[answer] = home
        return home

    def _alike(self, answer: str, other: AnswerClass) -> bool:
        first = other.members[0].answer
        return first is not None and self._type.equivalent(first, answer)

    def _join(self, home: AnswerClass, other: AnswerClass) -> None:
        home.members = sorted(home.members + other.members, key=lambda c: c.sample.index)
        home.best = max(home.members, key=lambda c: c.score or 0.0)
        home.weight += other.weight
        home.score += other.score
        self.classes.remove(other)
        for homes in (self._by_answer, self._by_key):
            homes.update({name: home for name, c in homes.items() if c is other})
        self._leader = max(self.classes, key=_standing)
        self._rival = None


def _standing(c: AnswerClass) -> tuple[float, float, float]:
    return (c.weight, c.score, c.lot)


def _weight(c: AnswerClass) -> float:
    return c.weight


def log_odds(score: float) -> float:
    """Return log(c/(1-c)) of a score c, clamped to [.01, .99]: the optimal weight of a voter who is right with c.

    It is so for independent voters and two possible answers: voters of .9/.6/.6 are right with .900, and with .792 by
    plain majority. Below 1/2 it is negative, and a vote counts against its answer.
    """
    score = min(max(score, CLAMP), 1 - CLAMP)
    return log(score / (1 - score))


@lru_cache(maxsize=100_000)
def leads_beyond_doubt(first: int, second: int, confidence: float) -> bool:
    """Beta stop of Adaptive-Consistency (arXiv 2305.11860): is the leader the likelier one of the top two?

    With counts a >= b, P(X > 1/2) for X ~ Beta(a+1, b+1) has to reach ``confidence``. By the identity of the beta and
    binomial tails that is P(Bin(a+b+1, 1/2) <= a), a finite sum: at .95 the boundaries are 4-0, 6-1, 8-2 and 9-3.
    """
    total = first + second + 1
    tail, term = 0, 1  # of P(Bin > a), which is P(Bin <= b)
    for j in range(second + 1):
        tail += term
        term = term * (total - j) // (j + 1)
    return 1 - tail / 2**total >= confidence
