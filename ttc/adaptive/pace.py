"""A learned stop as a pace: what ends a draw once its next wave would cost more than it is expected to bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pydantic

from ttc.adaptive.evidence import EVIDENCE, Evidence
from ttc.adaptive.stopping import Confidence, LearnedStop
from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.types import AnswerType, Candidate

__all__ = ["LearnedStops", "StopPace"]

_Learned = TypeVar("_Learned", LearnedStop, Confidence)


@dataclass(frozen=True, slots=True)
class LearnedStops:
    """What a policy has learned about when to stop: stops, and by stop what says P(the answer that stands is right)."""

    stops: Mapping[str, LearnedStop]
    confidences: Mapping[str, Confidence]

    @classmethod
    def read(cls, stops: Mapping[str, Any], confidences: Mapping[str, Any], *, where: str) -> LearnedStops:
        """Read both as a policy's file holds them, and make sure that they can be asked.

        Raises:
            ConfigurationError: one is no such thing, or goes by other features than there are.
        """
        blank = (0.0,) * len(EVIDENCE)
        found, sure = dict[str, LearnedStop](), dict[str, Confidence]()
        for name, data in stops.items():
            stop = found[name] = _read(LearnedStop, data, f"{where}, learned stop '{name}'")
            try:
                fits = stop.names == EVIDENCE and len(stop.gains) == len(stop.points) - 1
                _ = [stop.gain(n, blank) for n in stop.points if fits]
            except ValueError:
                fits = False
            if not fits or list(stop.points) != sorted({*stop.points}) or stop.points[0] < 1:
                raise ConfigurationError(
                    f"{where}, learned stop '{name}': it does not go by the features of this ttc, or its points do not "
                    "ascend: tune the policy anew ('ttc tune')"
                )
        for name, data in confidences.items():
            confidence = sure[name] = _read(Confidence, data, f"{where}, confidence '{name}'")
            try:
                confidence.at(1, np.array([blank]))
            except ValueError:
                raise ConfigurationError(
                    f"{where}, confidence '{name}': it does not go by the features of this ttc: tune the policy anew "
                    "('ttc tune')"
                ) from None
        return cls(found, sure)

    @property
    def look_at_logprobs(self) -> bool:
        """Whether any goes by how likely samples were: without log-probabilities it would take all of them for sure."""
        columns = [EVIDENCE.index("logprob"), EVIDENCE.index("relative_logprob")]
        fits = [gain for stop in self.stops.values() for gain in stop.gains]
        fits += [confidence.linear for confidence in self.confidences.values()]
        return any(fit.weight[column] for fit in fits for column in columns)


def _read(what: type[_Learned], data: Any, where: str) -> _Learned:
    try:
        return what.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{where}, {place}: {first['msg']}: tune the policy anew ('ttc tune')") from None


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

    def look_at(self, drawn: Sequence[Candidate]) -> None:
        """Take samples for those that were drawn, where nothing more is."""
        self._drawn = drawn

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

    def confidence(self, session: Session, confidence: Confidence | None) -> float:
        """Return P(the answer that stands is right); where none was learned, the share of the samples that hold it."""
        features = self._features(session)
        if confidence is None:
            return features[EVIDENCE.index("share")]
        return float(confidence.at(max(1, len(self._drawn)), np.array([features]))[0])

    def _features(self, session: Session) -> tuple[float, ...]:
        self._evidence.extend(self._drawn)
        return self._evidence.features(session.candidate.answer if session.candidate else None)
