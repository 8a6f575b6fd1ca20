"""How often tournaments fail: Chen et al. 2024, arXiv 2411.19477, exactly and by the paper's bounds.

``p`` = P(a candidate is correct); ``q`` = P(a comparison of a correct and a wrong candidate is won by the correct one).
"""

from __future__ import annotations

from math import ceil, exp, log, log2
from typing import Literal

import numpy as np

from ttc.strategies.theory.votes import Floats, binomial, more_than_half, unit_interval

__all__ = [
    "SameClass",
    "comparison_accuracy",
    "knockout_bound",
    "knockout_failure",
    "knockout_sufficient",
    "league_bound",
    "league_failure",
]

SameClass = Literal["coin", "half", "redraw"]
"""What a meeting of two candidates of one answer class is: a coin, half a point each, or drawn again."""


def comparison_accuracy(k: int, q: float, *, first_slot: float = 0.0, alternate: bool = True) -> float:
    """Return how often the correct one of a pair wins more than half of ``k`` comparisons; ties count half.

    Args:
        k: comparisons.
        q: how often the judge is right where it judges.
        first_slot: how often it picks the first slot without judging.
        alternate: the slots alternate, the first order drawn; else one order, drawn once, is kept. A biased judge
            that is asked more often tends to 1 with alternation, and to a coin without.
    """
    ahead, behind = first_slot + (1 - first_slot) * q, (1 - first_slot) * q  # with the correct one first, or second
    total = 0.0
    for starts_first in (True, False):
        firsts = (k + starts_first) // 2 if alternate else k * starts_first
        wins = np.convolve(binomial(firsts, ahead), binomial(k - firsts, behind)).astype(np.float64)
        total += more_than_half(wins) / 2
    return total


def knockout_failure(n: int, k: int, *, p: float, q: float, first_slot: float = 0.0, alternate: bool = True) -> float:
    """Return how often a knockout of ``n`` candidates with ``k`` comparisons a pair ends with a wrong one: exact.

    A round turns the failure f of an entrant into f² + 2f(1-f)(1-w), w being the accuracy of a majority of k (an even
    k's ties are drawn by lot, so that k = 2m does what k = 2m-1 does). An odd one has a bye and comes first in the next
    round, as in :class:`ttc.strategies.bracket.Bracket`; those whose way was another are followed one by one.
    """
    lose = 1 - comparison_accuracy(k, q, first_slot=first_slot, alternate=alternate)

    def meet(a: float, b: float) -> float:
        return a * b + (a * (1 - b) + b * (1 - a)) * lose

    regular, count = 1 - p, n
    first: list[float] = []  # who had a bye, or met somebody who had
    while count + len(first) > 1:
        if len(first) == 1:
            first.append(regular)
            count -= 1
        met, bye = [meet(*first)] if first else [], [regular] if count % 2 else []
        first, regular, count = bye + met, meet(regular, regular), count // 2
    return first[0] if first else regular


def knockout_bound(n: int, k: int, *, p: float, q: float) -> float:
    """Return the paper's bound on the failure of a knockout: (1-p)^n + ceil(log2 n) exp(-2k(q-1/2)²), at most 1."""
    return min(1.0, (1 - p) ** n + ceil(log2(n)) * exp(-2 * k * (q - 0.5) ** 2))


def knockout_sufficient(failure: float, *, p: float, q: float) -> tuple[int, int]:
    """Return an (n, k) that the paper's bound guarantees to fail at most that often.

    n >= ln(2/δ)/p, and k >= ln(2 ceil(log2 n)/δ) / (2(q-1/2)²).
    """
    n = ceil(log(2 / failure) / p)
    return n, ceil(log(2 * max(1, ceil(log2(n))) / failure) / (2 * (q - 0.5) ** 2))


def league_failure(n: int, k: int, *, p: float, q: float, same: SameClass = "coin") -> float:
    """Return how often a league of ``n`` candidates that draw ``k`` opponents each is won by a wrong one: exact.

    Only the results of whoever drew the opponent count for them, so with c correct candidates all scores are
    independent, those of one class alike: sums of k meetings. Ties are drawn by lot, which is what adding a uniform
    jitter below one step to every score does; the winner is then the maximum of independent variables.

    Args:
        n: candidates.
        k: opponents that each one draws.
        p: how often a candidate is correct.
        q: how often the correct one of a pair wins a comparison.
        same: what a meeting within a class is.
    """
    fail = float((1 - p) ** n)
    mass = binomial(n, p)
    jitter, weights = unit_interval(min(n // 2 + 1, 64))  # exact up to degree 127, and far beyond within rounding
    for c in range(1, n):
        if mass[c] < 1e-15:
            continue
        right = _scores(k, q, alike=(c - 1) / (n - 1), same=same)
        wrong = _scores(k, 1 - q, alike=(n - c - 1) / (n - 1), same=same)
        below_right = (np.cumsum(right) - right)[:, None] + right[:, None] * jitter
        below_wrong = (np.cumsum(wrong) - wrong)[:, None] + wrong[:, None] * jitter
        density = (n - c) * wrong[:, None] * below_wrong ** (n - c - 1) * below_right**c
        fail += float(mass[c] * (density @ weights).sum())
    return fail


def _scores(k: int, win: float, *, alike: float, same: SameClass) -> Floats:
    """Return the distribution of a candidate's score over ``k`` meetings, in steps of half a point where there are."""
    if same == "half":
        meeting = np.array([(1 - alike) * (1 - win), alike, (1 - alike) * win])
        scores = np.ones(1)
        for _ in range(k):
            scores = np.convolve(scores, meeting)
        return scores.astype(np.float64)
    return binomial(k, win if same == "redraw" else (1 - alike) * win + alike / 2)


def league_bound(n: int, k: int, *, p: float, gap: float) -> float:
    """Return the paper's bound on the failure of a league: (1-p)^n + 2n e^(-kΔ²/8) + 2n e^(-(n-1)Δ²/8), at most 1.

    ``gap`` is Δ, by how much the win rate of the correct candidates exceeds that of the others; it is q - 1/2 where
    meetings within a class are coins.
    """
    return min(1.0, (1 - p) ** n + 2 * n * (exp(-k * gap**2 / 8) + exp(-(n - 1) * gap**2 / 8)))
