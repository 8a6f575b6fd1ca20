"""What stop rules of a vote cost and lose, by going through all states of a binary vote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from ttc.strategies.vote import leads_beyond_doubt

__all__ = ["Stopped", "beta_stop", "window_stop"]


class Stopped(NamedTuple):
    """What comes of a vote that may stop.

    Attributes:
        samples: how many are drawn on average.
        accuracy: how often the majority of what was drawn is right; ties count half.
    """

    samples: float
    accuracy: float


def beta_stop(p: float, n: int = 40, *, confidence: float = 0.95, certain: bool = False) -> Stopped:
    """Vote until the leader is the likelier one of the top two with ``confidence``, or ``n`` samples are drawn.

    Adaptive-Consistency, Aggarwal et al. 2023, arXiv 2305.11860.

    Args:
        p: how often a sample is right; all wrong ones agree.
        n: samples at the most.
        confidence: P(X > 1/2) for X ~ Beta(a+1, b+1) that is enough.
        certain: stop also when the runner-up cannot overtake any more.
    """
    return _vote(p, n, lambda good, bad, _: leads_beyond_doubt(max(good, bad), min(good, bad), confidence), n, certain)


def window_stop(p: float, n: int = 40, *, window: int = 5, certain: bool = False) -> Stopped:
    """Vote until the ``window`` samples of one window agree, or ``n`` samples are drawn.

    ESC, Li et al. 2024, arXiv 2401.10480. Arguments as in :func:`beta_stop`.
    """

    def unanimous(good: int, bad: int, in_window: int) -> bool:
        return (good + bad) % window == 0 and in_window in (0, window)

    return _vote(p, n, unanimous, window, certain)


def _vote(p: float, n: int, stops: Callable[[int, int, int], bool], window: int, certain: bool) -> Stopped:
    """Go through the states (right, wrong, right in this window) sample by sample."""
    states, samples, accuracy = {(0, 0, 0): 1.0}, 0.0, 0.0
    for drawn in range(1, n + 1):
        following: defaultdict[tuple[int, int, int], float] = defaultdict(float)
        for (good, bad, in_window), mass in states.items():
            new = 0 if (drawn - 1) % window == 0 else in_window
            following[good + 1, bad, new + 1] += mass * p
            following[good, bad + 1, new] += mass * (1 - p)
        states = {}
        for (good, bad, in_window), mass in following.items():
            over = certain and abs(good - bad) > n - drawn
            if drawn == n or over or stops(good, bad, in_window):
                samples += mass * drawn
                accuracy += mass * (0.5 if good == bad else good > bad)
            else:
                states[good, bad, in_window] = mass
    return Stopped(samples, accuracy)
