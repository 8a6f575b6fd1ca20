"""How the difficulty of problems is spread: a Beta distribution fitted to how many samples of each were right."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError

__all__ = ["BetaFit", "fit_beta_binomial"]

_STEPS = 200
_CLOSE = 1e-10
_LARGEST = 1e5
"""Of a + b: beyond it problems do not differ by more than chance."""


class BetaFit(NamedTuple):
    """P(one sample is right) over problems is spread as Beta(a, b)."""

    a: float
    b: float


def fit_beta_binomial(counts: Iterable[tuple[int, int]]) -> BetaFit | None:
    """Fit Beta(a, b) to (right, samples) of each problem by maximum likelihood of the beta-binomial distribution.

    Newton's method on log a and log b; a step that does not improve is halved. None where no finite fit is the best:
    with a sample a problem or fewer than two problems nothing says how they differ; where they differ by no more than
    chance, or the samples of each are all alike, the likelihood grows without an end.

    Raises:
        ConfigurationError: more right ones than samples.
    """
    data = [(right, n) for right, n in counts if n]
    if wrong := [(right, n) for right, n in data if not 0 <= right <= n]:
        raise ConfigurationError(f"{wrong[0][0]} right samples of {wrong[0][1]}: there are no more than all")
    if len(data) < 2 or all(right in (0, n) for right, n in data):
        return None
    # The likelihood is made of terms log(a + j), log(b + j) and log(a + b + j), each as often as a count exceeds j.
    tails = [_exceeding(column) for column in zip(*((r, n - r, n) for r, n in data), strict=True)]
    p = sum(r / n for r, n in data) / len(data)
    p = min(max(p, 0.01), 0.99)
    at = np.array([log(p), log(1 - p)])
    value, gradient, hessian = _likelihood(at, tails)
    for _ in range(_STEPS):
        step = _direction(gradient, hessian)
        size = min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
        while size > 1e-8:
            ahead = _likelihood(at + size * step, tails)
            if ahead[0] >= value:
                break
            size /= 2
        else:
            break
        at = at + size * step
        if float(np.exp(at).sum()) > _LARGEST:
            return None
        done = ahead[0] - value < _CLOSE and float(np.abs(gradient).max()) < 1e-6 * len(data)
        value, gradient, hessian = ahead
        if done:
            break
    return BetaFit(exp(float(at[0])), exp(float(at[1])))


Floats = NDArray[np.float64]


def _exceeding(column: tuple[int, ...]) -> Floats:
    """How many values exceed 0, 1, 2, ..."""
    values = np.asarray(column)
    return np.array([float((values > j).sum()) for j in range(int(values.max()))])


def _likelihood(at: Floats, tails: list[Floats]) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood at (log a, log b), without constants, with its gradient and its second derivatives."""
    a, b = np.exp(at)
    value, first, second = 0.0, [0.0] * 3, [0.0] * 3
    for i, (x, tail) in enumerate(zip((a, b, a + b), tails, strict=True)):
        shifted = x + np.arange(len(tail))
        sign = -1.0 if i == 2 else 1.0
        value += sign * float(tail @ np.log(shifted))
        first[i] = sign * float((tail / shifted).sum())
        second[i] = -sign * float((tail / shifted**2).sum())
    da, db = first[0] + first[2], first[1] + first[2]
    gradient = np.array([a * da, b * db])
    hessian = np.array(
        [
            [a * da + a * a * (second[0] + second[2]), a * b * second[2]],
            [a * b * second[2], b * db + b * b * (second[1] + second[2])],
        ]
    )
    return value, gradient, hessian


def _direction(gradient: Floats, hessian: Floats) -> Floats:
    """Newton's step where it goes up, else the gradient's."""
    values, vectors = np.linalg.eigh(-hessian)
    curved = np.maximum(np.abs(values), 1e-6)
    return vectors @ ((vectors.T @ gradient) / curved)
