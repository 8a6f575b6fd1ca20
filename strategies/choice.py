"""The choice among scored candidates: the heaviest class of answers, or the single highest score. Pure."""

from __future__ import annotations

import random
from typing import Literal

from ttc.strategies.vote import Vote
from ttc.types import Candidate, Query

__all__ = ["By", "Choice"]

By = Literal["weighted", "best", "majority"]
"""By what the answer is chosen: summed scores of equivalent answers, the highest score, or votes."""


class Choice:
    """The best of what was scored so far; equal scores go by lot, and what holds no answer cannot win.

    Attributes:
        vote: the classes of answers.
    """

    def __init__(self, query: Query, lots: float, *, by: By) -> None:
        """Open a choice.

        Args:
            query: whose answers they are.
            lots: seeds what is drawn by lot; choices of equal lots over equal candidates are equal.
            by: what decides.
        """
        self._query, self._lots = query, lots
        self._rng = random.Random(lots)
        self.vote = Vote(query.answer_type, self._rng)
        self._by: By = by
        self._highest: Candidate | None = None
        self._height = (-1.0, 0.0)

    def anew(self) -> Choice:
        """Open another one of equal lots, with nothing in it."""
        return Choice(self._query, self._lots, by=self._by)

    def add(self, candidate: Candidate, *, copies: int = 1) -> None:
        """Take a candidate into account, as often as it was drawn."""
        score = candidate.score or 0.0
        self.vote.add(candidate, weight=copies * (1.0 if self._by == "majority" else score))
        if candidate.answer is None:
            return
        lot = max(self._rng.random() for _ in range(copies))  # each copy draws one
        if (reached := (score, lot)) > self._height:
            self._highest, self._height = candidate, reached

    def best(self) -> Candidate | None:
        """Return the choice so far, or None where nothing holds an answer."""
        leader = self.vote.leader()
        if self._by != "best" and leader and leader.weight > 0:
            return leader.best
        return self._highest
