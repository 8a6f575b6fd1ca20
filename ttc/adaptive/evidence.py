"""What the samples drawn so far say about the answer that stands: the numbers that learned stops look at. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from ttc.strategies.vote import CLAMP, Vote
from ttc.types import AnswerType, Candidate

__all__ = ["EVIDENCE", "Evidence", "log_odds"]

EVIDENCE = (
    "share",
    "second",
    "margin",
    "classes",
    "abstained",
    "unanimous",
    "scattered",
    "length",
    "relative_length",
    "score",
    "rival_score",
    "logprob",
    "relative_logprob",
    "prior",
)
"""The features by name, in their order:

- ``share``, ``second``: of the samples, those that hold the answer that stands, and the most frequent other one;
- ``margin``: their difference over the root of their sum plus one;
- ``classes``: different answers per sample; ``abstained``: samples without an answer;
- ``unanimous``, ``scattered``: 1 where all samples agree, and where no two do;
- ``length``: mean log of the generated tokens; ``relative_length``: that of the answer's own samples less that of all;
- ``score``: mean verifier score of the answer that stands; ``rival_score``: the highest mean score of another answer;
- ``logprob``: mean log-probability of the answer's samples; ``relative_logprob``: the same less that of all samples;
- ``prior``: log-odds of P(one sample is correct) as it was estimated before the first sample.

What is not known (no verifier, no logprobs, no estimate) is 0.
"""


class Evidence:
    """The samples of one query so far, summed up as :data:`EVIDENCE` after each one. Adding one costs a look-up."""

    __slots__ = ("_drawn", "_length", "_logprob", "_logprobs", "_prior", "_vote")

    def __init__(self, answer_type: AnswerType, *, prior: float | None = None) -> None:
        """Start with nothing.

        Args:
            answer_type: the query's.
            prior: P(one sample is correct) as it was estimated before the first sample; None: not estimated.
        """
        self._vote = Vote(answer_type, random.Random(0))  # classes alone count; nobody wins here
        self._prior = 0.0 if prior is None else float(log_odds(np.asarray(prior)))
        self._drawn = 0
        self._length = 0.0
        self._logprob = 0.0
        self._logprobs = 0

    @property
    def drawn(self) -> int:
        """Samples added so far."""
        return self._drawn

    def add(self, candidate: Candidate) -> None:
        """Take one more sample into account."""
        sample = candidate.sample
        self._drawn += 1
        self._length += log(max(1, sample.usage.generated))
        if sample.logprobs:
            self._logprob += sum(sample.logprobs) / len(sample.logprobs)
            self._logprobs += 1
        self._vote.add(candidate)

    def extend(self, candidates: Sequence[Candidate]) -> None:
        """Take those in that were not added yet: all behind the first :attr:`drawn`."""
        for candidate in candidates[self._drawn :]:
            self.add(candidate)

    def features(self, answer: str | None) -> tuple[float, ...]:
        """Return the features, seen from the answer that stands; None: nothing does."""
        n = max(1, self._drawn)
        home = self._vote.home(answer) if answer is not None else None
        first = len(home.members) if home else 0
        rivals = [c for c in self._vote.classes if c is not home]
        second = max((len(c.members) for c in rivals), default=0)
        most = max(first, second)
        mean_length, mean_logprob = self._length / n, self._logprob / max(1, self._logprobs)
        length = score = logprob = 0.0
        if home is not None:
            own = home.members
            length = sum(log(max(1, c.sample.usage.generated)) for c in own) / first - mean_length
            score = home.score / first
            logprobs = [sum(c.sample.logprobs) / len(c.sample.logprobs) for c in own if c.sample.logprobs]
            logprob = sum(logprobs) / len(logprobs) if logprobs else mean_logprob
        return (
            first / n,
            second / n,
            (first - second) / sqrt(first + second + 1),
            len(self._vote.classes) / n,
            self._vote.abstained / n,
            float(first == self._drawn),
            float(most <= 1),
            mean_length,
            length,
            score,
            max((c.score / len(c.members) for c in rivals), default=0.0),
            logprob,
            logprob - mean_logprob,
            self._prior,
        )


def log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of probabilities in an array, clamped like a score (:func:`ttc.strategies.vote.log_odds`)."""
    p = np.clip(p, CLAMP, 1 - CLAMP)
    return np.log(p / (1 - p))
