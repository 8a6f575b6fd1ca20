"""A learned stop as a pace: what ends a draw once its next wave would cost more than it is expected to bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttc.adaptive.evidence import Evidence
from ttc.adaptive.stopping import Confidence, LearnedStop
from ttc.session import Session
from ttc.types import AnswerType, Candidate

__all__ = ["StopPace"]


class StopPace:
    """Meters one draw by a learned stop, and keeps what its samples say. Without a stop it slows nobody down."""

    def __init__(self, stop: LearnedStop | None, answer_type: AnswerType, *, prior: float | None = None) -> None:
        """Start with nothing drawn.

        Args:
            stop: where to stop; None: nowhere.
            answer_type: the query's.
            prior: P(one sample is correct) as it was estimated before the first sample.
        """
        self._stop = stop
        self._evidence = Evidence(answer_type, prior=prior)
        self._drawn: Sequence[Candidate] = ()

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        """Draw up to the next point at which it may stop, or stop."""
        self._drawn = drawn  # the draw's own list: it goes on growing
        if self._stop is None:
            return left
        n = len(drawn)
        if n and n >= self._stop.points[0]:
            gain = self._stop.gain(n, self._features(session))
            if gain <= 0:
                session.note("pace", samples=n, gain=round(gain, 6) if np.isfinite(gain) else None)
                session.stop_early("no further sample is worth its cost")
                return 0
        return min(left, max(1, self._stop.next_point(n) - n))

    def confidence(self, session: Session, confidence: Confidence) -> float:
        """Return P(the answer that stands is right)."""
        features = np.array([self._features(session)])
        return float(confidence.at(max(1, len(self._drawn)), features)[0])

    def _features(self, session: Session) -> tuple[float, ...]:
        self._evidence.extend(self._drawn)
        return self._evidence.features(session.candidate.answer if session.candidate else None)
