"""Searching over steps with a scorer that does not err, in closed form."""

from __future__ import annotations

import numpy as np

from ttc.errors import ConfigurationError
from ttc.strategies.theory.votes import Floats, binomial

__all__ = ["beam_accuracy"]


def beam_accuracy(n: int, m: int, *, step: float, depth: int) -> float:
    """Return how often a beam under a perfect step scorer has a right solution at its end.

    What is right up to here is kept first, so the number r of right ones that are kept is a Markov chain: of r there
    are min(n/m, Binomial(r m, step)) after the next step. With m = n one is kept, and it is (1 - (1-step)^n)^depth.

    Args:
        n: partial solutions in a wave.
        m: continuations of each one that is kept.
        step: P(a step is right).
        depth: steps of a solution.

    Raises:
        ConfigurationError: m does not divide n.
    """
    if n % m:
        raise ConfigurationError(f"m={m} does not divide n={n}: n/m partial solutions are kept")
    keep = n // m
    after = np.zeros((keep + 1, keep + 1))  # from so many right ones to so many
    for right in range(keep + 1):
        after[right] = _kept(right * m, keep, step)
    state = _kept(n, keep, step)
    for _ in range(depth - 1):
        state = state @ after
    return 1 - float(state[0])


def _kept(drawn: int, keep: int, step: float) -> Floats:
    """Return how likely it is that so many of those that are kept are right."""
    mass = np.zeros(keep + 1)
    chances = binomial(drawn, step)
    mass[: min(drawn, keep) + 1] = chances[: keep + 1]
    mass[-1] += chances[keep + 1 :].sum()
    return mass
