"""How sure the model was of its own words, read from the logprobs: a verifier without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ttc.confidence import token_confidence
from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.steps import Solution
from ttc.types import Candidate, Query, Sample
from ttc.verifiers.mean_logprob import drawn_as, lowest_group_mean

__all__ = ["SelfCertainty"]


class SelfCertainty(BaseModel):
    """Score a sample by its mean token confidence, squashed to [0, 1).

    Token confidence is the negative mean of the top-k log-probabilities at a position: the more peaked the
    distribution, the smaller the k-th probability and the larger the value. Its mean C over the sample gives the
    score C / (C + ``half``); with ``window`` C is the lowest mean over so many tokens in a row. Costs no tokens; the
    samples have to carry top-k logprobs, which the session asks for.

    From Kang et al. 2025 (arXiv 2502.18581, over the whole vocabulary) and Fu et al. 2025 (arXiv 2508.15260, top-k).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "self_certainty"
    logprobs: int = Field(default=5, ge=1, le=20, description="alternatives per token")
    half: float = Field(default=8.0, gt=0, description="the confidence that scores one half")
    window: int | None = Field(default=None, ge=1, description="tokens of a group, of which the least sure counts")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Score each candidate; 0 for one that carries no logprobs although the others do.

        Raises:
            ConfigurationError: no candidate carries top-k logprobs (the server returned none).
        """
        return self._scores([c.sample for c in candidates])

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Score each step that has no score yet by its own tokens.

        Raises:
            ConfigurationError: no step carries top-k logprobs.
        """
        scores = iter(self._scores(drawn_as(solutions)))
        return [[next(scores) for _ in solution.unscored] for solution in solutions]

    def _scores(self, samples: Sequence[Sample]) -> list[float]:
        scores = [self.certainty(sample.top_logprobs) for sample in samples]
        if samples and all(s is None for s in scores) and any(sample.text for sample in samples):
            raise ConfigurationError(
                "verifier 'self_certainty' needs logprobs, and the server returned none: start it without "
                "--max-logprobs 0, or take verifier 'judge'"
            )
        return [s or 0.0 for s in scores]

    def certainty(self, top_logprobs: Sequence[Sequence[float]]) -> float | None:
        """Return the score of one sample's top-k logprobs, or None where it carries none."""
        mean = lowest_group_mean([token_confidence(row) for row in top_logprobs if row], self.window)
        return None if mean is None else mean / (mean + self.half)
