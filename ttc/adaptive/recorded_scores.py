"""The verifier of a replay: the scores that were recorded with the samples. Holds no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ttc.errors import ConfigurationError
from ttc.pools import Pool
from ttc.session import Session
from ttc.types import Candidate, Query

__all__ = ["RecordedScores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedScores:
    """Scores candidates of a replay as a verifier did when they were recorded.

    Attributes:
        scores: by problem and index of the sample; None for one that was not scored.
        name: the verifier's.
        pass_fail: whether a score of 1 means that the candidate passed.
        at_once: nothing is waited for (:class:`ttc.scored_at_once.ScoredAtOnce`).
    """

    scores: Mapping[str, Sequence[float | None]]
    name: str
    pass_fail: bool = False
    logprobs: int = 0
    at_once: bool = True

    @classmethod
    def of(cls, pool: Pool, verifier: str) -> RecordedScores:
        """Take the scores of one verifier out of a pool.

        Raises:
            ConfigurationError: not every problem was scored by it.
        """
        if verifier not in pool.verifiers:
            known = ", ".join(pool.verifiers) or "none"
            raise ConfigurationError(f"pool '{pool.name}' holds no scores of verifier '{verifier}'; it holds: {known}")
        return cls(
            scores={p.id: p.scores[verifier] for p in pool.problems},
            name=verifier,
            pass_fail=verifier in pool.pass_fail,
        )

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Look the scores up; a sample that was not scored counts as 0."""
        row = self.scores[query.id]
        return [row[c.sample.index] or 0.0 for c in candidates]
