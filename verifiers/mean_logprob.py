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
from ttc.types import Candidate, Query

__all__ = ["MeanLogprob", "lowest_group_mean"]


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

    window: int | None = Field(None, ge=1, description="tokens of a group, of which the least likely counts")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Score each candidate; 0 for one that carries no logprobs although the others do.

        Raises:
            ConfigurationError: no candidate carries logprobs (the server returned none).
        """
        means = [lowest_group_mean(c.sample.logprobs, self.window) for c in candidates]
        if candidates and all(m is None for m in means) and any(c.sample.text for c in candidates):
            raise ConfigurationError(
                "verifier 'mean_logprob' needs logprobs, and the server returned none: start it without "
                "--max-logprobs 0, or take verifier 'judge'"
            )
        return [0.0 if m is None else min(1.0, exp(m)) for m in means]


def lowest_group_mean(values: Sequence[float], window: int | None) -> float | None:
    """Return the lowest mean over ``window`` values in a row; over all of them where they are fewer or it is None."""
    if not values:
        return None
    floored = [v if v > FLOOR else FLOOR for v in values]
    size = min(window or len(floored), len(floored))
    sums = list(accumulate(floored, initial=0.0))
    return min(sums[i + size] - sums[i] for i in range(len(floored) - size + 1)) / size
