"""Choosing among samples by a verifier, in closed form."""

from __future__ import annotations

from math import erf, log, pi, sqrt
from typing import Literal

import numpy as np

from ttc.strategies.theory.votes import Floats

__all__ = [
    "best_of_n_accuracy",
    "best_of_n_kl_bound",
    "best_of_n_win_rate_bound",
    "first_pass_accuracy",
    "first_pass_ceiling",
]


def best_of_n_kl_bound(n: int) -> float:
    """Return how far best-of-n can be from the model at the most, KL in nats: log n - (n-1)/n.

    Beirami et al. 2024, arXiv 2401.01879.
    """
    return log(n) - (n - 1) / n


def best_of_n_win_rate_bound(n: int) -> float:
    """Return how often the best of n can beat a single sample at the most: n/(n+1) (arXiv 2401.01879)."""
    return n / (n + 1)


def best_of_n_accuracy(n: int, p: float, *, noise: Literal["gaussian", "t3"] = "gaussian") -> float:
    """Return how often the best of ``n`` is right by score = correct (1 or 0) + noise of unit scale.

    Every sample is a draw from a mixture, so the best one is right with ∫ n p f(x-1) G(x)^(n-1) dx, where
    G(x) = p F(x-1) + (1-p) F(x). With Gaussian noise it grows with n; with heavy tails (Student's t, 3 degrees of
    freedom) the largest noise decides in the end, and it falls: over-optimisation (Gao et al. 2022, arXiv 2210.10760).
    """
    s = np.linspace(-12, 12, 12_001)  # x = sinh(s) reaches far into the tails, where the trapezoid rule still converges
    x = np.sinh(s)
    mixed = p * _cdf(x - 1, noise) + (1 - p) * _cdf(x, noise)
    return float((n * p * _density(x - 1, noise) * mixed ** (n - 1) * np.cosh(s)).sum() * (s[1] - s[0]))


def first_pass_accuracy(k: int, *, p: float, tpr: float, fpr: float, fallback: bool = False) -> float:
    """Return how often the first of up to ``k`` samples that a pass/fail verifier passes is right.

    Args:
        k: samples at the most.
        p: how often a sample is right.
        tpr: how often the verifier passes a right one.
        fpr: how often it passes a wrong one.
        fallback: where none passes take a random one (the anytime rule), and else count it as wrong.
    """
    passes = p * tpr + (1 - p) * fpr
    none = (1 - passes) ** k
    right = (1 - none) * first_pass_ceiling(p=p, tpr=tpr, fpr=fpr)
    return right + (none * p * (1 - tpr) / (1 - passes) if fallback and none else 0.0)


def first_pass_ceiling(*, p: float, tpr: float, fpr: float) -> float:
    """Return how often what passes is right, which no number of samples exceeds: p·tpr / (p·tpr + (1-p)·fpr)."""
    passes = p * tpr + (1 - p) * fpr
    return p * tpr / passes if passes else 0.0


def _density(x: Floats, noise: str) -> Floats:
    if noise == "gaussian":
        return np.exp(-np.minimum(x * x, 1400) / 2) / sqrt(2 * pi)
    return 2 / (pi * sqrt(3) * (1 + x * x / 3) ** 2)


def _cdf(x: Floats, noise: str) -> Floats:
    if noise == "gaussian":
        return np.array([0.5 + erf(v / sqrt(2)) / 2 for v in x])
    z = x / sqrt(3)
    return 0.5 + (z / (1 + z * z) + np.arctan(z)) / pi
