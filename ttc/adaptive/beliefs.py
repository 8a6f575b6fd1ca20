"""What is believed of an unknown probability: a Beta distribution, its intervals, and bins of difficulty. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ABSOLUTE", "LEVEL", "Belief", "Bins", "BinsBy", "Difficulty"]

BinsBy = Literal["quantile", "absolute"]

LEVEL = 0.9
"""Mass of the intervals."""

ABSOLUTE = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """How hard a query is for one model, in the form of what one sample of it is worth.

    Attributes:
        p: P(one sample is correct).
        low: lower end of the 90% interval for the query's own probability.
        high: upper end.
        bin: 1 for the easiest queries to 5 for the hardest.
        by: the estimator's kind.
        bins: ``quantile``: each bin holds a fifth of the queries that the estimator was fitted on; ``absolute``: bounds
            at .2, .4, .6 and .8.
        concentration: how sure it is, in samples: the belief is Beta(p * concentration, (1 - p) * concentration), which
            a sample known to be right or wrong would raise by one.
        samples: how many drawn samples it looked at: they were paid for, and are charged where they were drawn.
        generated: tokens of those.
    """

    p: float
    low: float
    high: float
    bin: int
    by: str
    bins: BinsBy = "quantile"
    concentration: float = 0.0
    samples: int = 0
    generated: int = 0


@dataclass(frozen=True, slots=True)
class Belief:
    """Beta(mean * concentration, (1 - mean) * concentration)."""

    mean: float
    concentration: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the bounds that leave out the same mass at each end."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def quantile(self, q: float) -> float:
        """Return the value below which a share ``q`` of the mass lies."""
        at, below = _cumulated(round(self.mean * self.concentration, 4), round((1 - self.mean) * self.concentration, 4))
        return float(np.interp(q, below, at))


@lru_cache(maxsize=10_000)
def _cumulated(a: float, b: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values in [0, 1] and the mass of Beta(a, b) below each.

    In log-odds the density is bounded whatever a and b; below and above the grid it is an exponential, whose mass is
    known, and which lies within a millionth of 0 or 1.
    """
    a, b = max(a, 1e-4), max(b, 1e-4)
    centre, width = log(a / b), 12 / min(1.0, max(a, b)) ** 0.5  # wide enough for what a flat density spreads over
    lowest, highest = max(-15.0, min(centre - width, -6.0)), min(15.0, max(centre + width, 6.0))
    if min(a, b) > 50:  # narrow: a few standard deviations of the log-odds do
        spread = 8 * (1 / a + 1 / b) ** 0.5
        lowest, highest = centre - spread, centre + spread
    t = np.linspace(lowest, highest, 601)
    logs = -a * np.logaddexp(0.0, -t) - b * np.logaddexp(0.0, t)
    density = np.exp(logs - logs.max())
    steps = (density[1:] + density[:-1]) / 2 * (t[1] - t[0])
    under, over = density[0] / a, density[-1] / b
    mass = under + np.concatenate([[0.0], np.cumsum(steps)])
    values = 1 / (1 + np.exp(-t))
    total = mass[-1] + over
    return np.concatenate([[0.0], values, [1.0]]), np.concatenate([[0.0], mass / total, [1.0]])


class Bins(BaseModel):
    """Five bins of P(one sample is correct), counted from the easiest: 1 holds the highest, 5 the lowest.

    The five levels of "Scaling LLM Test-Time Compute Optimally" (arXiv 2408.03314).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by: BinsBy = Field(default="absolute", description="how the bounds were set")
    bounds: tuple[float, float, float, float] = Field(default=ABSOLUTE, description="bounds of P, ascending")

    @classmethod
    def quantiles(cls, predictions: Sequence[float] | NDArray[np.float64]) -> Bins:
        """Make bins that hold a fifth of these predictions each."""
        a, b, c, d = (float(q) for q in np.quantile(predictions, ABSOLUTE))
        return cls(by="quantile", bounds=(a, b, c, d))

    def of(self, p: float) -> int:
        """Return the bin of a probability; a bound belongs to the easier bin."""
        return 5 - sum(p >= bound for bound in self.bounds)
