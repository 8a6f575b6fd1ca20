"""What one more wave of samples is worth to a query: where an allocation gets its gains from."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ttc.adaptive.posterior import JEFFREYS, Beta, fit_beta, vote_gain
from ttc.session import Session
from ttc.strategies.vote import Vote
from ttc.types import Candidate, Query
from ttc.verifier import passes

__all__ = ["GainModel", "Learning", "PosteriorGains", "Prior"]

Prior = Callable[[Query], Beta | None]
"""What is believed of P(one sample is right) before the first one, such as a difficulty estimate; None: nothing."""

FEWEST = 16
"""Queries; of fewer no population is learned."""


@runtime_checkable
class GainModel(Protocol):
    """Says what a query gains by more samples. Learned stops of a policy can stand in for :class:`PosteriorGains`."""

    def gain(self, session: Session, drawn: Sequence[Candidate], wave: int) -> float:
        """Return by how much ``wave`` more samples raise P(the answer is right), in expectation; 0: it is decided.

        Args:
            session: the query's; what is to be remembered of it goes into ``session.kept``.
            drawn: its samples so far, at least one, with their scores.
            wave: how many more.
        """
        ...


@runtime_checkable
class Learning(Protocol):
    """A gain model that learns from the batch."""

    @property
    def revision(self) -> int:
        """Goes up when the batch has taught something: gains that were asked for before are out of date."""
        ...

    def learn(self, session: Session, drawn: Sequence[Candidate]) -> None:
        """Take the last samples of a query into account: it is over."""
        ...


@dataclass(slots=True)
class _Seen:
    """What was made of a query's samples so far."""

    vote: Vote
    drawn: int = 0
    judged: bool = False
    passed: int = 0
    belief: Beta | None = None


@dataclass(eq=False)
class PosteriorGains:
    """Gains by Bayes' rule: of a pass/fail verifier's verdicts where samples have them, else of votes.

    What passed is decided. What did not gains P(one of the next samples passes), with a Beta belief that starts at the
    prior. Without a prior it starts at what the queries of the batch have shown so far (empirical Bayes), once sixteen
    of them have, and at Beta(1/2, 1/2) before.

    A vote gains by :func:`~ttc.adaptive.posterior.vote_gain`. It looks at the votes' number and not at their weights.

    Attributes:
        prior: belief in P(one sample is right) by query.
        revision: goes up when the batch has taught something: gains that were asked for before are out of date.
    """

    prior: Prior | None = None
    revision: int = 0
    _batch: list[_Seen] = field(default_factory=list["_Seen"], repr=False)
    _population: Beta = field(default=JEFFREYS, repr=False)
    _judged: int = field(default=0, repr=False)
    _learn_at: int = field(default=2 * FEWEST, repr=False)

    def gain(self, session: Session, drawn: Sequence[Candidate], wave: int) -> float:
        """Return the gain of ``wave`` more samples."""
        seen = self._taken_in(session, drawn)
        if not seen.judged:
            return vote_gain(seen.vote.counts(), seen.drawn, wave, prior=seen.belief or JEFFREYS)
        if seen.passed:
            return 0.0
        return (seen.belief or self._population).after(0, seen.drawn).within(wave)

    def learn(self, session: Session, drawn: Sequence[Candidate]) -> None:
        """Take the last samples of a query into account: it is over."""
        self._taken_in(session, drawn)

    def _taken_in(self, session: Session, drawn: Sequence[Candidate]) -> _Seen:
        seen = session.kept.get(self)
        if seen is None:
            # Nobody wins here: classes alone count, and a tie is a tie.
            seen = session.kept[self] = _Seen(Vote(session.query.answer_type, random.Random(0)))
            seen.belief = self.prior(session.query) if self.prior else None
            self._batch.append(seen)
        fresh, seen.drawn = drawn[seen.drawn :], max(seen.drawn, len(drawn))
        if getattr(session.verifier, "pass_fail", False) and any(c.score is not None for c in drawn):
            seen.judged = True
            seen.passed += sum(passes(session.verifier, c) for c in fresh)
            self._judged += len(fresh)
            self._learn()
        else:
            for candidate in fresh:
                seen.vote.add(candidate)
        return seen

    def _learn(self) -> None:
        """Fit the population anew whenever the batch has twice as many samples as last time."""
        if self.prior is not None or self._judged < self._learn_at or len(self._batch) < FEWEST:
            return
        self._learn_at = 2 * self._judged
        self._population = fit_beta(Counter((s.passed, s.drawn - s.passed) for s in self._batch if s.judged))
        self.revision += 1
