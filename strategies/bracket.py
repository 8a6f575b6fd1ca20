"""A knockout bracket: a pure object that a strategy drives. It makes no model calls."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ttc.strategies.tournament import Match, alike_by
from ttc.types import AnswerType, Candidate

__all__ = ["Bracket"]


@dataclass(slots=True, eq=False)
class _Place:
    """Somebody's place in the tree: a seat, or the winner of the two places below."""

    stage: int = 0
    number: int = 0
    below: tuple[_Place, ...] = ()
    above: _Place | None = None
    lot: bool = True
    known: bool = False
    holder: Candidate | None = None


class Bracket:
    """Rounds of random pairs until one is left; see :class:`ttc.strategies.tournament.Tournament` for how it is driven.

    The tree is drawn up front, which equals random pairs in every round; an odd one has a bye and plays the first
    match of the next round. An empty seat loses to its neighbour at once. A pair of one answer class advances without
    a meeting, and its candidates are not merged: one representative a class would fail about .30 whatever n. So the
    champion is known as soon as all seats are taken and one class is left (Chen et al. 2024, arXiv 2411.19477).
    """

    def __init__(self, n: int, k: int, *, answer_type: AnswerType, rng: random.Random) -> None:
        self._k = k
        self._alike = alike_by(answer_type)
        self._ready: list[Match] = []
        self._seats = [_Place() for _ in range(n)]
        self._matches: dict[tuple[int, int], _Place] = {}
        self._open: list[int] = []  # places to be decided, by stage
        line = rng.sample(self._seats, n)
        while len(line) > 1:
            pairs = list(zip(line[::2], line[1::2], strict=False))
            bye = line[-1:] if len(line) % 2 else []
            self._open.append(len(pairs))
            line = bye
            for number, pair in enumerate(pairs):
                place = _Place(len(self._open), number, pair, lot=rng.random() < 0.5)
                self._matches[place.stage, number] = place
                for lower in pair:
                    lower.above = place
                line.append(place)
        self._top = line[0]

    @property
    def stages_closed(self) -> int:
        """How many rounds are over, each with all before it."""
        return next((i for i, left in enumerate(self._open) if left), len(self._open))

    def champion(self, stage: int | None = None) -> Candidate | None:
        """Who won, once one class is left (after this round); None while it is open or where nobody has an answer."""
        still = self.standing(stage)
        return self._top.holder if still and all(self._alike(still[0], other) for other in still[1:]) else None

    def enter(self, seat: int, candidate: Candidate | None) -> None:
        """Say who took a seat, once each; None, or who has no answer, leaves it empty."""
        self._settle(self._seats[seat], candidate if candidate and candidate.answer is not None else None)

    def ready(self) -> list[Match]:
        """Return the matches that can start now, in (stage, number) order, each of them once."""
        ready, self._ready = sorted(self._ready, key=lambda m: (m.stage, m.number)), []
        return ready

    def tell(self, match: Match) -> None:
        """Say that a match is decided: its winner goes on."""
        self._settle(self._matches[match.stage, match.number], match.winner)

    def standing(self, stage: int | None = None) -> list[Candidate]:
        """Return those who are still in (after this round), in the order of the tree."""
        return self._standing(self._top, len(self._open) if stage is None else stage)

    def _standing(self, place: _Place, stage: int) -> list[Candidate]:
        if place.known and place.stage <= stage:
            return [place.holder] if place.holder else []
        return [candidate for lower in place.below for candidate in self._standing(lower, stage)]

    def _settle(self, place: _Place, holder: Candidate | None) -> None:
        place.known, place.holder = True, holder
        if place.below:
            self._open[place.stage - 1] -= 1
        above = place.above
        if above is None or not all(lower.known for lower in above.below):
            return
        a, b = (lower.holder for lower in above.below)
        if a is None or b is None or self._alike(a, b):
            self._settle(above, a or b)
        else:
            self._ready.append(Match(a, b, self._k, above.stage, above.number, above.lot))
