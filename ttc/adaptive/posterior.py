"""What the samples of a query say about further ones: Beta posteriors, and what a vote would gain. Pure.

Two cases. Where a verifier lets right answers pass, the number that passes is binomial, and a query gains the
probability that one of the next samples passes. Where answers are voted on, more samples are worth something only if
they may change the leader: the expected value of sample information (Raiffa and Schlaifer 1961) of the choice between
the first two classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, exp, lgamma, log

__all__ = ["JEFFREYS", "Beta", "fit_beta", "p_ahead", "vote_gain", "vote_value"]

AHEAD = (1, 2, 4, 8)
"""Waves that are looked ahead: one vote more never overturns a lead of two, but four may."""


@dataclass(frozen=True, slots=True)
class Beta:
    """A belief about P(one sample is right), worth ``a + b`` samples."""

    a: float
    b: float

    @classmethod
    def around(cls, p: float, concentration: float) -> Beta:
        """The belief with mean ``p`` that is worth ``concentration`` samples: what a difficulty estimate says."""
        p, concentration = min(max(p, 1e-3), 1 - 1e-3), max(concentration, 1e-3)
        return cls(p * concentration, (1 - p) * concentration)

    @property
    def mean(self) -> float:
        """P(the next sample is right)."""
        return self.a / (self.a + self.b)

    def after(self, passes: int, failures: int) -> Beta:
        """The posterior after so many right and wrong samples."""
        return Beta(self.a + passes, self.b + failures)

    def within(self, n: int) -> float:
        """P(one of the next ``n`` samples is right): 1 - B(a, b + n) / B(a, b)."""
        missed = 1.0
        for i in range(n):
            missed *= (self.b + i) / (self.a + self.b + i)
        return 1 - missed


JEFFREYS = Beta(0.5, 0.5)
"""What is believed where nothing is known."""

_MEANS = tuple(i / 20 for i in range(1, 20))
_CONCENTRATIONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def fit_beta(counts: Mapping[tuple[int, int], int]) -> Beta:
    """Fit the population that queries were drawn from: empirical Bayes, the most probable one of a grid.

    When a query stopped is no matter, since its stop depended on its samples alone: the likelihood of ``s`` passes and
    ``f`` failures is B(a + s, b + f) / B(a, b) in any case. The grid keeps the means within .05 and .95 and the belief
    within 1/4 and 32 samples, so that a batch of some queries convinces nobody of more. Single samples say nothing of
    how much queries differ, so the concentration has a log-normal prior around 1.

    Args:
        counts: how many queries have these (passes, failures).
    """
    best, found = -float("inf"), JEFFREYS
    for concentration in _CONCENTRATIONS:
        for mean in _MEANS:
            belief = Beta(mean * concentration, (1 - mean) * concentration)
            base = _log_beta(belief.a, belief.b)
            fit = -(log(concentration) ** 2) / 2 + sum(
                n * (_log_beta(belief.a + s, belief.b + f) - base) for (s, f), n in counts.items()
            )
            if fit > best:
                best, found = fit, belief
    return found


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


# -- votes ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def p_ahead(first: int, second: int) -> float:
    """P(the first of two answers is the likelier one) after so many votes each.

    With x = p1 / (p1 + p2) ~ Beta(first + 1, second + 1) it is P(x > 1/2), by the identity of the beta and binomial
    tails P(Bin(first + second + 1, 1/2) <= first).
    """
    n = first + second + 1
    return sum(comb(n, j) for j in range(first + 1)) / 2**n


@lru_cache(maxsize=100_000)
def vote_value(first: int, second: int, more: int) -> float:
    """How much likelier the leader of two answers will be the likelier one, after ``more`` votes for one of them.

    The expectation runs over the beta-binomial predictive of those votes. Only where the lead changes hands anything is
    gained, so it is 0 where ``more`` votes cannot overturn it, and never negative.
    """
    first, second = max(first, second), min(first, second)
    value = 0.0
    base = _log_beta(first + 1, second + 1)
    for k in range(more + 1):
        if first + k >= second + more - k:
            break  # from here on the leader leads
        chance = comb(more, k) * exp(_log_beta(first + 1 + k, second + 1 + more - k) - base)
        value += chance * (1 - 2 * p_ahead(first + k, second + more - k))
    return value


@lru_cache(maxsize=100_000)
def _expected_value(first: int, second: int, more: int, share: float) -> float:
    """The value of ``more`` samples, of which each is a vote for one of the first two with ``share``."""
    if share >= 1:
        return vote_value(first, second, more)
    value = 0.0
    for votes in range(1, more + 1):
        value += comb(more, votes) * share**votes * (1 - share) ** (more - votes) * vote_value(first, second, votes)
    return value


def vote_gain(counts: Sequence[int], drawn: int, wave: int, *, prior: Beta = JEFFREYS) -> float:
    """What a wave of ``wave`` more samples gains, in P(the answer of the vote is right).

    The answer that wins the vote in the long run is right with some probability: it is taken to be what is believed of
    the leader's own share, which is P(one sample is right) if it is the right one. That is little where no two samples
    agree. Times this goes the value of being surer which answer wins in the long run (:func:`vote_value`). Samples that
    abstain, or open further classes, decide nothing between the first two, and cost as much.

    A single vote cannot overturn a lead of two, and yet several can: a draw gains by fits and starts. So what counts is
    the best average rate over one to eight waves, which is the slope of the curve's concave hull.

    Args:
        counts: votes by class, descending.
        drawn: samples so far, those that abstained among them.
        wave: samples to be drawn.
        prior: belief in P(one sample is right) before the first sample.
    """
    first, second = (*counts, 0, 0)[:2]
    if not first:
        return prior.after(0, drawn).within(wave)
    right = prior.after(first, drawn - first).mean
    share = min(1.0, (first + max(second, 1)) / drawn)
    rates = (_expected_value(first, second, wave * ahead, share) / ahead for ahead in AHEAD)
    return right * max(rates)
