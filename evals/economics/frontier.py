"""Which points are worth running: no other is as good for less, or better for no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ttc.evals.economics.curves import NEARLY, Floats

__all__ = ["on_frontier"]


def on_frontier(cost: Floats, accuracy: Floats) -> NDArray[np.bool_]:
    """Return which points are on the Pareto frontier, of many sets of points at once; equal points are both on it.

    Args:
        cost: shape (..., points).
        accuracy: of the same shape.
    """
    cheaper = cost[..., :, None] - cost[..., None, :]  # how much the second costs less
    better = accuracy[..., None, :] - accuracy[..., :, None]
    no_worse = (cheaper >= 0) & (better >= -NEARLY)
    return np.asarray(~(no_worse & ((cheaper > 0) | (better > NEARLY))).any(axis=-1), dtype=np.bool_)
