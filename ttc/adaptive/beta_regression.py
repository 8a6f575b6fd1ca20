"""Beta-binomial regression: P(one sample is correct) of a query from what is seen of it, and how far it may be off.

A query's own probability is Beta distributed around a mean that its features give on the log-odds scale; so is, with
other weights, the log of the concentration: four samples that agree say more than four that do not. Counts of right
samples are then beta-binomial, so that a problem counts by what its samples say and no more, however many they are.
Fitted by penalised maximum likelihood; what was fitted is plain numbers, and predicting takes numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from math import exp, pi, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ttc.adaptive.beliefs import Belief
from ttc.errors import MissingExtra
from ttc.logistic import sigmoid

__all__ = ["BetaRegression", "Coefficient", "Features", "fit_beta_regression", "of_tune"]

Features: TypeAlias = Mapping[str, float | None]
"""By name; None, or absent, where it is not known."""

Floats: TypeAlias = NDArray[np.float64]

_SPREAD_PRIOR = 0.7  # log of a concentration of 2: what is assumed where nothing tells
_CLOSE = {"maxiter": 200, "ftol": 1e-7, "gtol": 1e-3}
_FAR = 4.0
"""What lies further from the mean counts as if it lay there."""
_LEAST, _MOST = -4.0, 8.0  # of the log of the concentration


class Coefficient(BaseModel):
    """What one feature counts, as ``(value - mean) / scale``, or by its absence.

    Attributes:
        weight: on the log-odds of the mean.
        spread: on the log of the concentration.
        gaps: whether it was missing somewhere in training; the next two count then.
        missing: on the log-odds of the mean, where it is not known.
        missing_spread: on the log of the concentration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    mean: float
    scale: float = Field(gt=0)
    weight: float
    spread: float
    gaps: bool = False
    missing: float = 0.0
    missing_spread: float = 0.0


class BetaRegression(BaseModel):
    """What was fitted.

    Attributes:
        intercept: log-odds of the mean where every feature has its mean.
        spread: log of the concentration there.
        coefficients: of the features that varied in training.
        covariance: of intercept, weights and missing weights, in the order of the design: how far so few problems may
            have led the mean astray. It widens every belief.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    intercept: float
    spread: float
    coefficients: tuple[Coefficient, ...]
    covariance: tuple[tuple[float, ...], ...]

    def predict(self, features: Features) -> Belief:
        """Return what is believed of a query with these features."""
        row = [1.0]
        log_odds, log_spread = self.intercept, self.spread
        for c in self.coefficients:
            value = features.get(c.name)
            known = value is not None
            standard = min(max((value - c.mean) / c.scale, -_FAR), _FAR) if value is not None else 0.0
            row.append(standard)
            log_odds += c.weight * standard
            log_spread += c.spread * standard
            if c.gaps:
                row.append(float(not known))
                if not known:
                    log_odds += c.missing
                    log_spread += c.missing_spread
        x = np.array(row)
        concentration = exp(min(max(log_spread, _LEAST), _MOST))
        doubt = float(x @ np.array(self.covariance) @ x)  # variance of the log-odds of the mean
        # The mean over that doubt lies nearer to 1/2 (MacKay 1992, "The evidence framework", eq. 3.8).
        mean = float(np.clip(sigmoid(np.array(log_odds / sqrt(1 + pi * doubt / 8))), 1e-4, 1 - 1e-4))
        width = mean * (1 - mean)
        variance = min(width / (concentration + 1) + width * width * doubt, 0.99 * width)
        return Belief(mean, max(width / variance - 1, exp(_LEAST)))


def fit_beta_regression(
    rows: Sequence[Features],
    right: Floats,
    total: Floats,
    *,
    weights: Floats | None = None,
    scales: Mapping[str, float] | None = None,
    upward: Sequence[str] = (),
    ridge: float = 1.0,
) -> BetaRegression:
    """Fit the two regressions at once.

    Args:
        rows: features of each row.
        right: (rows,) right samples, or the sum of what is believed of each.
        total: (rows,) samples, of which those are right.
        weights: (rows,) how much each row counts: rows of one problem make up 1 together.
        scales: units of features that have a natural one (an indicator, log-odds); others are divided by their
            standard deviation.
        upward: features that may only raise the mean: those that are predictions themselves.
        ridge: shrinks the weights; those of the concentration twice as much.

    Raises:
        MissingExtra: scipy is not installed.
    """
    optimise: Any = of_tune("scipy.optimize", "fitting an estimator")
    special: Any = of_tune("scipy.special", "fitting an estimator")
    counts = np.ones(len(rows)) if weights is None else weights
    shapes, design = _design(rows, counts, scales or {})
    names = ["", *(name for s in shapes for name in (s[0], "")[: 1 + s[3]])]
    width = design.shape[1]
    rate = float(np.clip(counts @ (right / total) / counts.sum(), 0.01, 0.99))
    centre = np.zeros(2 * width)
    centre[width] = _SPREAD_PRIOR
    shrink = np.full(2 * width, ridge)
    shrink[0], shrink[width], shrink[width + 1 :] = 0.02, 0.25, 2 * ridge

    def loss(w: Floats) -> tuple[float, Floats]:
        mean = np.clip(sigmoid(design @ w[:width]), 1e-6, 1 - 1e-6)
        raw = design @ w[width:]
        spread = np.exp(np.clip(raw, _LEAST, _MOST))
        a, b = mean * spread, (1 - mean) * spread
        gain: Floats = (
            special.betaln(right + a, total - right + b) - special.betaln(a, b)  # up to what does not depend on w
        )
        whole = special.psi(total + spread) - special.psi(spread)
        by_a: Floats = special.psi(right + a) - special.psi(a) - whole
        by_b: Floats = special.psi(total - right + b) - special.psi(b) - whole
        by_mean = counts * spread * (by_a - by_b) * mean * (1 - mean)
        by_spread = counts * spread * (mean * by_a + (1 - mean) * by_b) * ((raw > _LEAST) & (raw < _MOST))
        off = w - centre
        slope = np.concatenate([design.T @ by_mean, design.T @ by_spread])
        return float(-(counts @ gain) + 0.5 * shrink @ off**2), shrink * off - slope

    bounds = [(0.0 if name in upward else None, None) for name in names] + [(None, None)] * width
    start = centre.copy()
    start[0] = np.log(rate / (1 - rate))
    found: Floats = optimise.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_CLOSE).x
    mean = sigmoid(design @ found[:width])
    spread = np.exp(np.clip(design @ found[width:], _LEAST, _MOST))
    worth = counts * total * mean * (1 - mean) * (spread + 1) / (spread + total)  # information on the log-odds
    covariance = np.linalg.inv((design * worth[:, None]).T @ design + np.diag(shrink[:width]))
    return BetaRegression(
        intercept=float(found[0]),
        spread=float(found[width]),
        coefficients=_coefficients(shapes, found[1:width], found[width + 1 :]),
        covariance=tuple(tuple(float(v) for v in line) for line in np.round(covariance, 8)),
    )


def of_tune(module: str, purpose: str) -> Any:
    """Import a module that the extra ``tune`` brings.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        package = {"sklearn": "scikit-learn"}.get(name := module.partition(".")[0], name)
        raise MissingExtra(package, "tune", purpose) from None


_Shape: TypeAlias = tuple[str, float, float, bool]


def _design(rows: Sequence[Features], counts: Floats, scales: Mapping[str, float]) -> tuple[list[_Shape], Floats]:
    """Standardise each feature that varies, with an indicator of its own where it is missing; ones stand first."""
    columns = [np.ones(len(rows))]
    shapes: list[_Shape] = []
    for name in dict.fromkeys(name for row in rows for name in row):
        raw = np.array([np.nan if (v := row.get(name)) is None else v for row in rows], dtype=float)
        missing = np.isnan(raw)
        if missing.all():
            continue
        mean = float(np.average(raw[~missing], weights=counts[~missing]))
        sd = float(np.sqrt(np.average((raw[~missing] - mean) ** 2, weights=counts[~missing])))
        if sd < 1e-9 and not missing.any():
            continue
        scale = scales.get(name, max(sd, 1e-6))
        gaps = bool(missing.any())
        columns.append(np.where(missing, 0.0, np.clip((raw - mean) / scale, -_FAR, _FAR)))
        if gaps:
            columns.append(missing.astype(float))
        shapes.append((name, mean, scale, gaps))
    return shapes, np.column_stack(columns)


def _coefficients(shapes: Sequence[_Shape], weights: Floats, spreads: Floats) -> tuple[Coefficient, ...]:
    found_weights: list[float] = weights.tolist()
    found_spreads: list[float] = spreads.tolist()
    left = iter(zip(found_weights, found_spreads, strict=True))
    found: list[Coefficient] = []
    for name, mean, scale, gaps in shapes:
        weight, spread = next(left)
        missing, missing_spread = next(left) if gaps else (0.0, 0.0)
        found.append(
            Coefficient(
                name=name,
                mean=mean,
                scale=scale,
                weight=weight,
                spread=spread,
                gaps=gaps,
                missing=missing,
                missing_spread=missing_spread,
            )
        )
    return tuple(found)
