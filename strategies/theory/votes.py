"""Votes and coverage in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, exp, isclose, lgamma, log, prod

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError

__all__ = ["binomial", "majority_accuracy", "pass_at_k", "pass_at_k_beta", "vote_accuracy", "weighted_vote_accuracy"]

Floats = NDArray[np.float64]


def binomial(n: int, p: float) -> Floats:
    """Return P(X = 0), ..., P(X = n) for X ~ Bin(n, p)."""
    j = np.arange(n + 1)
    if p in (0.0, 1.0):
        return (j == (n if p else 0)).astype(float)
    factorial = _log_factorials(n)
    return np.exp(factorial[n] - factorial - factorial[::-1] + j * log(p) + (n - j) * log(1 - p))


def majority_accuracy(n: int, p: float) -> float:
    """Return how often the majority of ``n`` binary votes is right that are each right with ``p``; ties count half."""
    return more_than_half(binomial(n, p))


def vote_accuracy(n: int, shares: Sequence[float]) -> float:
    """Return how often the first class gets the most of ``n`` votes that fall on classes by ``shares``; ties by lot.

    Multinomial counts are independent Poisson ones given their sum, so for every count of the first class the others,
    capped at it, are one coefficient of a product of polynomials. A lot among T + 1 that tie is the mean of t^T over
    t in (0, 1). Voting converges to the mode: with shares of .45 (right), .46 and .09 more votes are worse.

    Raises:
        ConfigurationError: the shares are no distribution.
    """
    if not shares or min(shares) < 0 or not isclose(sum(shares), 1, abs_tol=1e-9):
        raise ConfigurationError(f"shares={list(shares)} must be >= 0 and add up to 1")
    if len(shares) == 1:
        return 1.0
    right, *others = (_poisson(n, n * share) for share in shares)
    nodes, weights = unit_interval(len(others) // 2 + 1)
    mass = 0.0
    for top in range(ceil(n / len(shares)), n + 1):
        for t, weight in zip(nodes, weights, strict=True):
            capped = [np.append(other[:top], t * other[top]) for other in others]
            mass += right[top] * weight * _coefficient(capped, n - top)
    return float(mass / _poisson(n, n)[n])


def weighted_vote_accuracy(accuracies: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return how often a weighted binary vote of voters with known accuracies is right; ties count half.

    Args:
        accuracies: P(right) of each voter, independent; all 2^n outcomes are gone through.
        weights: what each vote counts; by default log(c/(1-c)), the optimum (Nitzan and Paroush 1982).
    """
    ballots = [log(c / (1 - c)) for c in accuracies] if weights is None else list(weights)
    right = 0.0
    for outcome in product((True, False), repeat=len(accuracies)):
        margin = sum(w if good else -w for w, good in zip(ballots, outcome, strict=True))
        chance = prod(c if good else 1 - c for c, good in zip(accuracies, outcome, strict=True))
        right += chance * (0.5 if abs(margin) < 1e-12 else margin > 0)
    return right


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of pass@k of ``c`` right samples among ``n``: 1 - C(n-c, k)/C(n, k), as a product.

    Chen et al. 2021, arXiv 2107.03374. Plugging c/n into 1 - (1-p)^k is biased downwards.

    Raises:
        ConfigurationError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ConfigurationError(f"pass@{k} of {c} right samples among {n}: needs 0 <= c <= n and 1 <= k <= n")
    return 1.0 - (prod(1 - k / i for i in range(n - c + 1, n + 1)) if n - c >= k else 0.0)


def pass_at_k_beta(k: int, a: float, b: float) -> float:
    """Return pass@k over problems whose p is Beta(a, b): 1 - B(a, b+k)/B(a, b), with a tail of Γ(a+b)/Γ(b) k^-a."""
    return 1 - exp(lgamma(b + k) - lgamma(a + b + k) + lgamma(a + b) - lgamma(b))


def more_than_half(mass: Floats) -> float:
    """Return P(X > n/2) + P(X = n/2)/2 of a distribution over 0, ..., n."""
    n = len(mass) - 1
    return float(mass[n // 2 + 1 :].sum() + (mass[n // 2] / 2 if n % 2 == 0 else 0.0))


def _log_factorials(n: int) -> Floats:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))


def _poisson(n: int, rate: float) -> Floats:
    """Return P(X = 0), ..., P(X = n) for a Poisson X."""
    j = np.arange(n + 1)
    return np.exp(j * log(rate) - rate - _log_factorials(n)) if rate else (j == 0).astype(float)


def unit_interval(nodes: int) -> tuple[Floats, Floats]:
    """Return points and weights that integrate polynomials up to degree 2 nodes - 1 over (0, 1) exactly (Gauss)."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1) / 2, weights / 2


def _coefficient(factors: Sequence[Floats], power: int) -> float:
    """Return one coefficient of a product of polynomials."""
    *most, last = factors
    whole = np.ones(1)
    for factor in most:
        whole = np.convolve(whole, factor)[: power + 1]
    low, high = max(0, power - len(last) + 1), min(power, len(whole) - 1)
    return float(whole[low : high + 1] @ last[power - high : power - low + 1][::-1]) if low <= high else 0.0
