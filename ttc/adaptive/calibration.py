"""How good estimates of difficulty are: against the verdicts on samples that the estimator did not see. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Calibration", "Prediction", "ReliabilityRow", "calibration_of", "rank_correlation"]

Floats: TypeAlias = NDArray[np.float64]

_MOST_BINS = 10
_FEWEST_IN_BIN = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was estimated of one problem, and the verdicts on samples that the estimate did not look at.

    Attributes:
        problem: its id.
        group: what was held out together.
        p: P(one sample is correct), as estimated.
        low: lower end of its 90% interval.
        high: upper end.
        right: sum of the verdicts.
        squares: sum of their squares, which is the same where all are 0 or 1.
        total: number of verdicts.
        repeat: which of several estimates of the same problem, each from other samples, this is.
        weight: 1 over their number.
    """

    problem: str
    group: str
    p: float
    low: float
    high: float
    right: float
    squares: float
    total: int
    repeat: int = 0
    weight: float = 1.0


class ReliabilityRow(BaseModel):
    """One bin of equal mass: the mean estimate, the share of right samples, its standard error, and problems in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    predicted: float
    right: float
    se: float
    n: float


class Calibration(BaseModel):
    """How good the estimates were, each problem counting once.

    Attributes:
        brier: mean squared error against the verdict on each sample. A sample is right or wrong, so that even the true
            probabilities have one.
        brier_of_mean: that of always saying the mean of these very problems.
        ece: expected calibration error: the mean distance of estimate and share of right samples, over bins that hold
            equally many problems.
        ece_noise: what so few problems would show on average if the estimates were calibrated. An error below about
            twice this is not resolved.
        rank_correlation: Spearman's, of the estimate with the share of right samples.
        n: problems.
        out_of_fold: whether each was estimated by a fit on others.
        reliability: the bins, from the lowest estimates to the highest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    brier: float
    brier_of_mean: float
    ece: float
    ece_noise: float
    rank_correlation: float
    n: int
    out_of_fold: bool = True
    reliability: tuple[ReliabilityRow, ...] = ()

    @property
    def skill(self) -> float:
        """Share of the Brier score of always saying the mean that is saved; below 0: worse than saying the mean."""
        return 1 - self.brier / self.brier_of_mean if self.brier_of_mean else 0.0


def calibration_of(predictions: Sequence[Prediction], *, out_of_fold: bool = True) -> Calibration:
    """Hold estimates against verdicts.

    Args:
        predictions: one or several of each problem; one at the least.
        out_of_fold: whether each was estimated by a fit on other problems.
    """
    p = np.array([x.p for x in predictions])
    rate = np.array([x.right / x.total for x in predictions])
    squares = np.array([x.squares / x.total for x in predictions])
    weight = np.array([x.weight for x in predictions])
    weight = weight / weight.sum()
    mean = float(weight @ rate)
    groups = [x.group for x in predictions]
    n = len({x.problem for x in predictions})
    rows = _reliability(p, rate, weight * n, groups)
    share = np.array([row.n for row in rows]) / n
    return Calibration(
        brier=float(weight @ (p * p - 2 * p * rate + squares)),
        brier_of_mean=float(weight @ (mean * mean - 2 * mean * rate + squares)),
        ece=float(share @ np.array([abs(row.predicted - row.right) for row in rows])),
        ece_noise=float(share @ np.array([row.se for row in rows])) * sqrt(2 / pi),  # mean of |N(0, se)|
        rank_correlation=_by_repeat(predictions, p, rate),
        n=n,
        out_of_fold=out_of_fold,
        reliability=tuple(rows),
    )


def rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's correlation; ties share the mean of their ranks, and 0 where one of them does not vary."""
    if len(a) < 2:
        return 0.0
    x, y = _ranks(a), _ranks(b)
    if not (x.std() and y.std()):
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(np.round(values, 12), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _by_repeat(predictions: Sequence[Prediction], p: Floats, rate: Floats) -> float:
    """Average over the repeats: the mean of several probes would be better than the one that there is in use."""
    repeat = np.array([x.repeat for x in predictions])
    sizes: list[int] = []
    found: list[float] = []
    for number in np.unique(repeat):
        here = repeat == number
        sizes.append(int(here.sum()))
        found.append(rank_correlation(p[here], rate[here]))
    return float(np.average(found, weights=sizes))


def _reliability(p: Floats, rate: Floats, weight: Floats, groups: Sequence[str]) -> list[ReliabilityRow]:
    """Sort by estimate, and cut into bins of equal mass; what was estimated alike stays together."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    n_bins = max(2, min(_MOST_BINS, len(number) // _FEWEST_IN_BIN))
    order = np.argsort(p, kind="stable")
    _, level = np.unique(np.round(p[order], 9), return_inverse=True)
    mass = np.cumsum(np.bincount(level, weights=weight[order])) / weight.sum()
    bin_of_level = np.minimum((n_bins * (mass - np.diff(mass, prepend=0.0) / 2)).astype(int), n_bins - 1)
    home = np.empty(len(p), dtype=int)
    home[order] = bin_of_level[level]
    member = np.array([number[g] for g in groups])
    rows: list[ReliabilityRow] = []
    for b in np.unique(home):
        here = home == b
        w, off = weight[here], rate[here] - p[here]
        total = w.sum()
        # Estimates of one group share its luck: they are one observation.
        together = np.bincount(member[here], weights=w * (off - (w @ off) / total))
        m = len(np.unique(member[here]))
        se = sqrt(float(together @ together) * m / (m - 1)) / total if m > 1 else 0.5
        rows.append(
            ReliabilityRow(
                predicted=float(w @ p[here] / total), right=float(w @ rate[here] / total), se=se, n=float(total)
            )
        )
    return rows
