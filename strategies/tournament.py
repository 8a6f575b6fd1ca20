"""What tournaments have in common: matches, and how a strategy asks for them and tells what came of them.

Tournaments are pure objects and make no model calls. All pairings and lots are drawn up front or derived from the seed,
so what comes out does not depend on the order in which candidates are entered and matches are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ttc.answer_type import same_answer
from ttc.types import AnswerType, Candidate

__all__ = ["Match", "Tournament", "alike_by", "swap_consistency"]


@dataclass(slots=True, eq=False)
class Match:
    """One pair that meets up to ``k`` times; more than half of the meetings win it.

    Attributes:
        a: one candidate.
        b: the other.
        k: meetings at the most.
        stage: the round that it belongs to, from 1.
        number: its place within the stage; (stage, number) names it whatever the order of play.
        lot: who wins a tie, drawn beforehand: True for ``a``.
        points: what ``a`` won of the ``played`` meetings; a verdict that could not be read is half a point.
        verdicts: of each meeting what ``a`` won, and whether it had the first slot (None: not known).
    """

    a: Candidate
    b: Candidate
    k: int
    stage: int = 1
    number: int = 0
    lot: bool = True
    points: float = 0.0
    played: int = 0
    verdicts: list[tuple[float, bool | None]] = field(default_factory=list[tuple[float, bool | None]])

    @property
    def decided(self) -> bool:
        """Whether the meetings that remain cannot change who wins."""
        left = self.k - self.played
        return left <= 0 or self.points > self.k / 2 or self.points + left < self.k / 2

    def tell(self, won: float, *, a_first: bool | None = None) -> None:
        """Record a meeting: 1 for ``a``, 0 for ``b``, 1/2 for neither; and whether ``a`` had the first slot."""
        self.points += won
        self.played += 1
        self.verdicts.append((won, a_first))

    @property
    def score(self) -> float:
        """What the match is worth to ``a``: 1, 0, or 1/2 where it is tied."""
        return (1 + (self.points > self.played / 2) - (self.points < self.played / 2)) / 2

    @property
    def winner(self) -> Candidate:
        """Who won; a tie goes by the lot."""
        return self.a if self.score > 0.5 or (self.score == 0.5 and self.lot) else self.b


class Tournament(Protocol):
    """Candidates take seats as they arrive, matches are handed out as soon as both sides are known.

    ::

        for seat, candidate in enumerate(arriving):
            tournament.enter(seat, candidate)
            for match in tournament.ready():  # also after every tell; matches may be played at once
                while not match.decided:
                    match.tell(...)
                tournament.tell(match)
    """

    def enter(self, seat: int, candidate: Candidate | None) -> None:
        """Say who took a seat (0 to n-1), once each; None, or who has no answer, leaves it empty."""
        ...

    def ready(self) -> list[Match]:
        """Return the matches that can start now, in (stage, number) order, each of them once."""
        ...

    def tell(self, match: Match) -> None:
        """Say that a match is decided. Later matches may become ready."""
        ...

    @property
    def stages_closed(self) -> int:
        """How many stages are over, each with all before it."""
        ...

    def champion(self, stage: int | None = None) -> Candidate | None:
        """Who won, as soon as nothing can change the answer; None while it is open or nobody has an answer."""
        ...

    def standing(self, stage: int | None = None) -> list[Candidate]:
        """Return those who can still win, the leading one first where there is an order.

        Both take a stage, to say what was so when it closed: of the results after it none counts then, so that
        nothing depends on which match was the faster one.
        """
        ...


def alike_by(answer_type: AnswerType) -> Callable[[Candidate, Candidate], bool]:
    """Return what says whether two candidates have answers of one class; it asks for each pair of answers once.

    No answer is like nothing, and so is the empty key.
    """
    known: dict[tuple[str, str], bool] = {}

    def alike(a: Candidate, b: Candidate) -> bool:
        if a.answer is None or b.answer is None:
            return False
        pair = (min(a.answer, b.answer), max(a.answer, b.answer))
        if pair not in known:
            known[pair] = same_answer(answer_type, *pair)
        return known[pair]

    return alike


def swap_consistency(matches: Iterable[Match]) -> tuple[int, int]:
    """Count how often a pair was judged in both slot orders, and how often with the same winner both times.

    Meetings of the same two candidates are taken two by two, those of different matches in (stage, number) order;
    where a verdict could not be read nothing was judged. A judge that always takes one slot is never consistent, one
    that tosses a coin half the time (real ones: GPT-4 65%, GPT-3.5 46%; Zheng et al. 2023, arXiv 2306.05685).
    """
    meetings: dict[frozenset[int], list[tuple[Candidate, float, bool]]] = {}
    for match in sorted(matches, key=lambda m: (m.stage, m.number)):
        pair = meetings.setdefault(frozenset((id(match.a), id(match.b))), [])
        pair.extend((match.a, won, first) for won, first in match.verdicts if first is not None)
    both = same = 0
    for pair in meetings.values():
        for (a, won, first), (other, won_then, first_then) in zip(pair[::2], pair[1::2], strict=False):
            if other is not a:
                won_then, first_then = 1 - won_then, not first_then
            if first != first_then and 0.5 not in (won, won_then):
                both += 1
                same += won == won_then
    return both, same
