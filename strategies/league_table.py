"""A league: a pure object that a strategy drives. It makes no model calls."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

from ttc.seeds import hashed
from ttc.strategies.tournament import Match, alike_by
from ttc.types import AnswerType, Candidate

__all__ = ["League"]


@dataclass(slots=True, eq=False)
class _Row:
    """A seat in the table: who took it, and the points of each meeting (None: still to be decided)."""

    seat: int
    lot: float
    results: list[float | None]
    candidate: Candidate | None = None

    def points(self, stage: int | None) -> float:
        return sum(won or 0.0 for won in self.results[:stage])

    def left(self, stage: int | None) -> int:
        return self.results.count(None) if stage is None else len(self.results) - stage


class League:
    """Each candidate meets k opponents, drawn with replacement; the highest mean wins, ties by lot.

    Only the results of who drew the opponent count for them, one comparison each: 1, 1/2 or 0. A meeting within one
    answer class is a coin (what a judge that cannot tell them apart does), or with ``redraw`` is drawn again among the
    candidates of other classes. Stage j is everybody's j-th meeting; all stages may be played at once. Empty seats are
    nobody's opponents: every meeting has its own endless sequence of draws, made from the seed, and takes the first
    one that turns out to be an opponent, waiting for whom it may have to. Decided when no other class can overtake the
    leader; its first member by seat then speaks for the class (Chen et al. 2024, arXiv 2411.19477).
    """

    def __init__(self, n: int, k: int, *, answer_type: AnswerType, rng: random.Random, redraw: bool = False) -> None:
        self._k = k
        self._redraw = redraw
        self._alike = alike_by(answer_type)
        self._seed = rng.getrandbits(63)
        self._rows = [_Row(seat, rng.random(), [None] * k) for seat in range(n)]
        self._expected = set(range(n))
        self._waiting: dict[int, list[tuple[_Row, int, int]]] = defaultdict(list)  # for a seat: (who, meeting, draw)
        self._ready: list[Match] = []
        self._open = [n] * k  # meetings to be decided, by stage

    @property
    def stages_closed(self) -> int:
        """For how many j everybody's first j meetings are over."""
        return next((j for j, left in enumerate(self._open) if left), self._k)

    def champion(self, stage: int | None = None) -> Candidate | None:
        """Who won, once no other class can overtake the leader; None while it is open or nobody has an answer."""
        still = self.standing(stage)
        if self._expected or not still or not all(self._alike(still[0], other) for other in still[1:]):
            return None
        everybody = (row.candidate for row in self._rows if row.candidate)
        return next(c for c in everybody if c is still[0] or self._alike(c, still[0]))

    def enter(self, seat: int, candidate: Candidate | None) -> None:
        """Say who took a seat, once each; None, or who has no answer, leaves it empty."""
        row = self._rows[seat]
        self._expected.discard(seat)
        if candidate is not None and candidate.answer is not None:
            row.candidate = candidate
        for meeting in range(self._k):
            self._seek(row, meeting, 0)
        for asking in self._waiting.pop(seat, ()):
            self._seek(*asking)

    def ready(self) -> list[Match]:
        """Return the matches that can start now, in (stage, number) order, each of them once."""
        ready, self._ready = sorted(self._ready, key=lambda m: (m.stage, m.number)), []
        return ready

    def tell(self, match: Match) -> None:
        """Say that a match is decided."""
        self._close(self._rows[match.number], match.stage - 1, match.score)

    def standing(self, stage: int | None = None) -> list[Candidate]:
        """Return those who can still win (after everybody's first meetings), the one with the most points first."""
        rows = [row for row in self._rows if row.candidate]
        rows.sort(key=lambda row: (row.points(stage), row.lot), reverse=True)
        still = [r for r in rows if (r.points(stage) + r.left(stage), r.lot) >= (rows[0].points(stage), rows[0].lot)]
        return [row.candidate for row in still if row.candidate]

    def _seek(self, row: _Row, meeting: int, draw: int) -> None:
        """Find the opponent of a meeting from the given draw on, or wait where the next one drawn has not come yet."""
        me = row.candidate
        nobody = not self._expected and not any(self._opposes(me, other) for other in self._rows)
        while me and not nobody:
            drawn = self._rows[hashed(self._seed, row.seat, meeting, draw) % len(self._rows)]
            if drawn.seat in self._expected:
                self._waiting[drawn.seat].append((row, meeting, draw))
                return
            if drawn.candidate and self._opposes(me, drawn):
                coin = hashed(self._seed, "coin", row.seat, meeting, bits=1) == 1
                if self._alike(me, drawn.candidate):
                    return self._close(row, meeting, float(coin))
                match = Match(me, drawn.candidate, 1, meeting + 1, row.seat, coin)
                self._ready.append(match)
                return
            draw += 1
        self._close(row, meeting, 0.0)

    def _opposes(self, me: Candidate | None, row: _Row) -> bool:
        """Whether a seat holds somebody to meet: another one, and with ``redraw`` of another class."""
        other = row.candidate
        if me is None or other is None or other is me:
            return False
        return not (self._redraw and self._alike(me, other))

    def _close(self, row: _Row, meeting: int, points: float) -> None:
        row.results[meeting] = points
        self._open[meeting] -= 1
