"""What chains of revisions reach, in closed form."""

from __future__ import annotations

__all__ = ["chain_coverage", "flip_chain_accuracy"]


def chain_coverage(samples: float, length: int, *, p: float, fix: float, stuck: float) -> float:
    """Return how often some attempt is right when ``samples`` are spent on chains of ``length``.

    A chain starts right with ``p``. With ``stuck`` its wrong start cannot be repaired; else each revision repairs it
    with ``fix``. So a chain fails with (1-p)(φ + (1-φ)(1-r)^(L-1)), and there are samples/length of them: where starts
    can be stuck neither one long chain nor only short ones is best.
    """
    return 1 - ((1 - p) * (stuck + (1 - stuck) * (1 - fix) ** (length - 1))) ** (samples / length)


def flip_chain_accuracy(revisions: float, *, p: float, fix: float, breaks: float) -> float:
    """Return how often the last answer of a chain is right after so many revisions (``math.inf``: in the long run).

    Each revision turns a wrong answer right with ``fix`` and a right one wrong with ``breaks``: a two-state Markov
    chain, whose share of right answers tends to fix/(fix + breaks) whatever p is.
    """
    settled = fix / (fix + breaks)
    return settled + (p - settled) * (1 - fix - breaks) ** revisions
