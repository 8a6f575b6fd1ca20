"""Logistic regression with a ridge, fitted by Newton's method (iteratively reweighted least squares)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_logistic", "sigmoid"]

_STEPS = 100
_CLOSE = 1e-9


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def fit_logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], *, ridge: float = 1.0, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the coefficients that minimise the negative log-likelihood plus ``ridge / 2`` times their squared norm.

    A step that does not improve is halved, so that it converges whatever the data; with a ridge the minimum is one and
    finite also where the classes can be told apart without an error.

    Args:
        x: (samples, features), of comparable scale.
        y: (samples,) from 0 to 1.
        ridge: above zero; the intercept is not shrunk.
        weights: (samples,), how often each one counts (default: once).

    Returns:
        (1 + features,): the intercept first.
    """
    counts = np.ones(len(x)) if weights is None else weights
    design = np.hstack([np.ones((len(x), 1)), x])
    shrink = np.full(design.shape[1], ridge)
    shrink[0] = 0.0
    w = np.zeros(design.shape[1])
    rate = np.clip(counts @ y / counts.sum(), 1e-3, 1 - 1e-3)
    w[0] = np.log(rate / (1 - rate))
    loss = _loss(design, y, w, shrink, counts)
    for _ in range(_STEPS):
        p = sigmoid(design @ w)
        slope = design.T @ (counts * (p - y)) + shrink * w
        curve = (design * (counts * p * (1 - p))[:, None]).T @ design + np.diag(shrink + 1e-12)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while (better := _loss(design, y, w - size * step, shrink, counts)) > loss and size > _CLOSE:
            size /= 2
        if better > loss:
            break
        w, gained, loss = w - size * step, loss - better, better
        if gained <= _CLOSE * max(1.0, abs(loss)):
            break
    return w


def _loss(
    design: NDArray[np.float64],
    y: NDArray[np.float64],
    w: NDArray[np.float64],
    shrink: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> float:
    z = design @ w
    return float(np.sum(counts * (np.logaddexp(0.0, z) - y * z)) + 0.5 * np.sum(shrink * w * w))
