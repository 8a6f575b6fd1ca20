"""When to draw no further: learned from recorded samples, as an optimal stopping problem under a going rate.

A query may stop at any of several numbers of samples. What it is worth to stop there is P(the answer that stands is
right); what it is worth to go on is what the rest brings when it is stopped well, less its tokens at the going rate.
That is least-squares Monte Carlo (Longstaff and Schwartz 2001, "Valuing American options by simulation"): from the
last point backwards, the gain of going on is regressed on what the samples so far say. So a vote that is decided ends,
and so does one on a hopeless prompt, whose samples cost more than they will ever bring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.trajectories import Trajectories
from ttc.logistic import fit_logistic, sigmoid

__all__ = ["Confidence", "LearnedStop", "Linear", "points_from"]

Floats = NDArray[np.float64]

RIDGE = 4.0
"""Shrinks the regressions, in problems: on standardised features that many problems without any signal."""

_AT = {name: i for i, name in enumerate(EVIDENCE)}
_PRODUCTS = (
    ("share", "share"),
    ("share", "second"),
    ("share", "margin"),
    ("share", "classes"),
    ("share", "length"),
    ("share", "score"),
    ("share", "prior"),
    ("margin", "margin"),
    ("classes", "length"),
    ("length", "length"),
    ("score", "score"),
    ("prior", "prior"),
)
"""Of features, beside them: to go on pays least where all agree and where nobody does, which no line can say."""


def points_from(first: int, last: int, *, growth: float = 0.25) -> tuple[int, ...]:
    """The numbers of samples at which a draw may stop: ``first``, then waves of ``growth`` more, up to ``last``.

    Small waves cost latency and read the prompt again from the prefix cache; large ones draw what is not needed.
    """
    points = [min(first, last)]
    while points[-1] < last:
        points.append(min(last, points[-1] + max(1, int(points[-1] * growth))))
    return tuple(points)


class Linear(BaseModel):
    """A linear function of features that are standardised first."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intercept: float
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    weight: tuple[float, ...]

    @classmethod
    def fit(cls, x: Floats, y: Floats, *, weights: Floats, ridge: float = RIDGE) -> Linear:
        """Fit by weighted least squares with a ridge.

        Args:
            x: shape (rows, features).
            y: shape (rows,).
            weights: of each row; they sum to the number of problems.
            ridge: in problems.
        """
        total = weights.sum()
        mean = weights @ x / total
        sd = np.sqrt(weights @ (x - mean) ** 2 / total)
        there = sd > 1e-9
        z = np.where(there, (x - mean) / np.where(there, sd, 1.0), 0.0)
        centre = float(weights @ y / total)
        gram = (z * weights[:, None]).T @ z + ridge * np.eye(x.shape[1])
        weight = np.linalg.solve(gram, (z * weights[:, None]).T @ (y - centre))
        return cls(
            intercept=centre,
            mean=tuple(mean.tolist()),
            sd=tuple(np.where(there, sd, 1.0).tolist()),
            weight=tuple(np.where(there, weight, 0.0).tolist()),
        )

    def at(self, x: Floats) -> Floats:
        """Return the values; shape (rows,)."""
        slope = np.array(self.weight) / np.array(self.sd)
        return x @ slope + (self.intercept - float(np.array(self.mean) @ slope))


class LearnedStop(BaseModel):
    """Where to stop a draw.

    Attributes:
        points: numbers of samples at which it may stop, ascending; the last one ends it.
        rate: accuracy that one token (or what else is the unit) has to bring.
        gains: at each point but the last, the expected gain of going on, net of its cost; of the features and some of
            their products.
        names: of the features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    points: tuple[int, ...] = Field(min_length=1)
    rate: float = Field(ge=0)
    gains: tuple[Linear, ...]
    names: tuple[str, ...] = Field(default=EVIDENCE)

    @classmethod
    def fit(
        cls,
        paths: Trajectories,
        *,
        rate: float,
        points: Sequence[int],
        costs: Floats | None = None,
        worth: Floats | None = None,
    ) -> LearnedStop:
        """Learn where to stop, from the last point backwards.

        Args:
            paths: on problems with verdicts.
            rate: the going rate, in accuracy per unit of ``costs``.
            points: where a draw may stop.
            costs: of each path after each sample (default: ``paths.cost``).
            worth: of stopping there (default: ``paths.right``); more where a stop may hand on to somebody else.
        """
        spent = paths.cost if costs is None else costs
        stays = paths.right if worth is None else worth
        weights = _weights(paths)
        at = [p - 1 for p in points]
        value = stays[:, at[-1]]
        gains: list[Linear] = []
        for here, after in zip(reversed(at[:-1]), reversed(at[1:]), strict=True):
            stay = stays[:, here]
            go = value - rate * (spent[:, after] - spent[:, here])
            x = _with_products(paths.features[:, here])
            gain = Linear.fit(x, go - stay, weights=weights)
            value = np.where(gain.at(x) > 0, go, stay)
            gains.append(gain)
        return cls(points=tuple(points), rate=rate, gains=tuple(reversed(gains)))

    def gain(self, n: int, features: Sequence[float]) -> float:
        """Return the expected net gain of going on after ``n`` samples; minus infinity behind the last point.

        Between two points nothing was learned: there it is what it takes to reach the next one, plus infinity.
        """
        if n >= self.points[-1]:
            return -np.inf
        if n not in self.points:
            return np.inf
        gain = self.gains[self.points.index(n)]
        return float(gain.at(_with_products(np.array([features], dtype=float)))[0])

    def next_point(self, n: int) -> int:
        """Return the first point behind ``n`` samples; ``n`` itself behind the last one."""
        return next((p for p in self.points if p > n), n)

    def stops(self, paths: Trajectories) -> NDArray[np.int64]:
        """Return at how many samples each path stops; shape (paths,)."""
        stop = np.full(len(paths.problem), self.points[-1])
        going = np.ones(len(stop), dtype=bool)
        for point, gain in zip(self.points, self.gains, strict=False):
            ends = going & (gain.at(_with_products(paths.features[:, point - 1])) <= 0)
            stop[ends] = point
            going &= ~ends
        return stop


class Confidence(BaseModel):
    """P(the answer that stands is right), from the same features and the number of samples: a logistic regression.

    Attributes:
        linear: log-odds, of the features with log2 of the number of samples, and that times ``share``, behind them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    linear: Linear

    @classmethod
    def fit(cls, paths: Trajectories, *, points: Sequence[int], ridge: float = RIDGE) -> Confidence:
        """Fit on what stood at each of some numbers of samples."""
        x = np.concatenate([_with_number(paths.features[:, p - 1], p) for p in points])
        y = np.concatenate([paths.right[:, p - 1] for p in points])
        weights = np.tile(_weights(paths) / len(points), len(points))
        linear = Linear.fit(x, y, weights=weights, ridge=ridge)  # for its standardisation
        z = (x - np.array(linear.mean)) / np.array(linear.sd)
        beta = fit_logistic(z, y, weights=weights, ridge=ridge)
        return cls(linear=linear.model_copy(update={"intercept": float(beta[0]), "weight": tuple(beta[1:].tolist())}))

    def at(self, n: int | NDArray[np.int64], features: Floats) -> Floats:
        """Return P(right) of each row of features after ``n`` samples, one number for all or one for each."""
        return sigmoid(self.linear.at(_with_number(features, n)))


def _weights(paths: Trajectories) -> Floats:
    """Every problem counts once, however many orders of its samples there are."""
    counts = np.bincount(paths.problem)
    return 1.0 / counts[paths.problem]


def _with_products(features: Floats) -> Floats:
    products = [features[:, _AT[a]] * features[:, _AT[b]] for a, b in _PRODUCTS]
    return np.column_stack([features, *products, np.maximum(0.0, features[:, _AT["share"]] - 0.5)])


def _with_number(features: Floats, n: int | NDArray[np.int64]) -> Floats:
    size = np.broadcast_to(np.log2(n), len(features))
    return np.column_stack([features, size, size * features[:, 0]])
