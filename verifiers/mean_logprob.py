"""How likely the model held its own words: a verifier without a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import exp
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ttc.confidence import FLOOR
from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.steps import Solution
from ttc.types import Candidate, Query, Sample

__all__ = ["MeanLogprob", "drawn_as", "lowest_group_mean"]


class MeanLogprob(BaseModel):
    """Score a sample by the geometric mean probability of its tokens: exp of their mean log-probability.

    That is one over the sample's perplexity. Known as length-normalised sequence probability (Malinin and Gales 2021,
    arXiv 2002.07650), and as average log-probability in the choice among samples (Chen et al. 2021, arXiv 2107.03374).
    Costs no tokens; samples have to carry logprobs, which the session asks for.

    With ``window`` it is the lowest such mean over so many tokens in a row: one doubtful passage counts, however sure
    the rest is (the lowest group of DeepConf, Fu et al. 2025, arXiv 2508.15260).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "mean_logprob"
    logprobs: ClassVar[int] = 1

    window: int | None = Field(default=None, ge=1, description="tokens of a group, of which the least likely counts")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Score each candidate; 0 for one that carries no logprobs although the others do.

        Raises:
            ConfigurationError: no candidate carries logprobs (the server returned none).
        """
        return self._scores([c.sample for c in candidates])

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Score each step that has no score yet by its own tokens.

        Raises:
            ConfigurationError: no step carries logprobs.
        """
        scores = iter(self._scores(drawn_as(solutions)))
        return [[next(scores) for _ in solution.unscored] for solution in solutions]

    def _scores(self, samples: Sequence[Sample]) -> list[float]:
        means = [lowest_group_mean(sample.logprobs, self.window) for sample in samples]
        if samples and all(m is None for m in means) and any(sample.text for sample in samples):
            raise ConfigurationError(
                "verifier 'mean_logprob' needs logprobs, and the server returned none: start it without "
                "--max-logprobs 0, or take verifier 'judge'"
            )
        return [0.0 if m is None else min(1.0, exp(m)) for m in means]


def drawn_as(solutions: Sequence[Solution]) -> list[Sample]:
    """Return what the steps without a score were drawn as, of all solutions in a row.

    Raises:
        ConfigurationError: they were not drawn step by step.
    """
    if any(len(solution.samples) < len(solution.steps) for solution in solutions):
        raise ConfigurationError("logprobs of steps are those of steps that were drawn one by one: see session.grow")
    return [solution.samples[i] for solution in solutions for i in solution.unscored]


def lowest_group_mean(values: Sequence[float], window: int | None) -> float | None:
    """Return the lowest mean over ``window`` values in a row; over all of them where they are fewer or it is None."""
    if not values:
        return None
    floored = [v if v > FLOOR else FLOOR for v in values]
    size = min(window or len(floored), len(floored))
    sums = list(accumulate(floored, initial=0.0))
    return min(sums[i + size] - sums[i] for i in range(len(floored) - size + 1)) / size
