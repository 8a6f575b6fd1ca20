"""A Swiss tournament: a pure object that a strategy drives. It makes no model calls."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ttc.strategies.tournament import Match, alike_by
from ttc.types import AnswerType, Candidate

__all__ = ["SwissPairing"]


@dataclass(slots=True, eq=False)
class _Player:
    """Somebody in the table, with points and opponents so far."""

    seat: int
    lot: float
    known: bool = False
    candidate: Candidate | None = None
    results: list[float] = field(default_factory=list[float])
    byes: int = 0
    met: list[_Player | None] = field(default_factory=list["_Player | None"])

    def points(self, stage: int | None) -> float:
        return sum(self.results[:stage])

    def played(self, stage: int | None) -> int:
        return len(self.results[:stage])

    def rank(self, stage: int | None) -> tuple[float, float, float]:
        """Points, then Buchholz (what the opponents have), then the lot, by the rounds up to ``stage``."""
        return (self.points(stage), sum(other.points(stage) for other in self.met[:stage] if other), self.lot)


class SwissPairing:
    """Nobody is out: every round pairs neighbours in the table, k comparisons a pair, and most points win.

    A win is a point and a tie half of one. The first round is drawn over the seats, so that its pairs can play while
    others are still awaited; a later one starts when the round before is over, pairs from the top with the next one
    who was not met yet, and where that leaves two who have met at the end, swaps them with a pair above if it can. One
    that is left over, of the lowest of those with the fewest byes, or next to an empty seat has a bye, worth a win.
    Ties break by Buchholz, then by lot. Decided when no other class can catch up; the first member of the leader's
    class by seat then speaks for it. Rules: FIDE Handbook C.04.

    A pair of one answer class is scored by a lot, without a call: that is what a comparator which cannot tell them
    apart does on average. Half a point each would hold back the classes with many members, since their best would
    never score in full against each other; sparing the pair altogether would favour classes with few.
    """

    def __init__(self, n: int, rounds: int, k: int, *, answer_type: AnswerType, rng: random.Random) -> None:
        self._rounds = rounds
        self._k = k
        self._alike = alike_by(answer_type)
        self._players = [_Player(seat, rng.random()) for seat in range(n)]
        self._expected = n
        self._lots = [[rng.random() < 0.5 for _ in range(n)] for _ in range(rounds)]
        order = rng.sample(self._players, n)
        self._pairs = _paired([*order, *_nobody(order)])
        self._open = len(self._pairs)
        self._ready: list[Match] = []
        self.stages_closed = 0

    def champion(self, stage: int | None = None) -> Candidate | None:
        """Who won, once no other class can catch up; None while it is open or nobody has an answer."""
        still = self.standing(stage)
        if self._expected or not still or not all(self._alike(still[0], other) for other in still[1:]):
            return None
        everybody = (player.candidate for player in self._players if player.candidate)
        return next(c for c in everybody if c is still[0] or self._alike(c, still[0]))

    def enter(self, seat: int, candidate: Candidate | None) -> None:
        """Say who took a seat, once each; None, or who has no answer, leaves it empty."""
        player = self._players[seat]
        self._expected -= 1
        player.known = True
        if candidate is not None and candidate.answer is not None:
            player.candidate = candidate
        number, pair = next((i, pair) for i, pair in enumerate(self._pairs) if player in pair)
        if all(one.known for one in pair):
            self._start(number)
        self._go_on()

    def ready(self) -> list[Match]:
        """Return the matches that can start now, in (stage, number) order, each of them once."""
        ready, self._ready = sorted(self._ready, key=lambda m: (m.stage, m.number)), []
        return ready

    def tell(self, match: Match) -> None:
        """Say that a match is decided."""
        self._score(match.number, match.score)
        self._go_on()

    def standing(self, stage: int | None = None) -> list[Candidate]:
        """Return those who can still win (after this round), the leading one first."""
        table = self._table(stage)
        if (self.stages_closed if stage is None else stage) == self._rounds:
            table = table[:1]
        still = [p for p in table if p.points(stage) + self._rounds - p.played(stage) >= table[0].points(stage)]
        return [p.candidate for p in still if p.candidate]

    def _table(self, stage: int | None) -> list[_Player]:
        return sorted((p for p in self._players if p.candidate), key=lambda p: p.rank(stage), reverse=True)

    def _start(self, number: int) -> None:
        """Hand out a pair's match, or score what needs none."""
        a, b = self._pairs[number]
        lot = self._lots[self.stages_closed][number]
        if a.candidate and b.candidate:
            a.met.append(b)
            b.met.append(a)
            if self._alike(a.candidate, b.candidate):
                self._score(number, float(lot))
            else:
                self._ready.append(Match(a.candidate, b.candidate, self._k, self.stages_closed + 1, number, lot))
        else:
            for one in (a, b):
                one.byes += 1
                one.met.append(None)
            self._score(number, float(a.candidate is not None))

    def _score(self, number: int, points: float) -> None:
        a, b = self._pairs[number]
        a.results.append(points)
        b.results.append(1 - points)
        self._open -= 1

    def _go_on(self) -> None:
        """Close the round when it is over, and start the next one."""
        while not (self._open or self._expected or self.stages_closed == self._rounds):
            self.stages_closed += 1
            if self.stages_closed < self._rounds:
                self._pairs = self._draw()
                self._open = len(self._pairs)
                for number in range(len(self._pairs)):
                    self._start(number)

    def _draw(self) -> list[tuple[_Player, _Player]]:
        """Pair neighbours in the table who have not met, as far as that can be."""
        line = self._table(self.stages_closed)
        spared = [min(reversed(line), key=lambda p: p.byes)] if len(line) % 2 else []
        line = [p for p in line if p not in spared]
        pairs: list[tuple[_Player, _Player]] = []
        while line:
            a = line.pop(0)
            b = next((other for other in line if other not in a.met), line[0])
            line.remove(b)
            pairs.append((a, b))
        for i, (a, b) in enumerate(pairs):
            swaps = [(j, *pair) for j in reversed(range(len(pairs))) for pair in (pairs[j], pairs[j][::-1]) if i != j]
            swap = next((s for s in swaps if s[1] not in a.met and s[2] not in b.met), None)
            if b in a.met and swap:
                j, c, d = swap
                pairs[i], pairs[j] = (a, c), (b, d)
        return pairs + _paired([*spared, *_nobody(spared)])


def _nobody(players: list[_Player]) -> list[_Player]:
    """Return whom the last of an odd number meets: an empty seat."""
    return [_Player(-1, 0.0, known=True)] if len(players) % 2 else []


def _paired(line: list[_Player]) -> list[tuple[_Player, _Player]]:
    return list(zip(line[::2], line[1::2], strict=True))
