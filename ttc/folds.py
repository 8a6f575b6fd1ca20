"""Folds: what is judged on problems that had no part in it is learned on the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ttc.seeds import hashed

__all__ = ["folds_of"]


def folds_of(groups: Sequence[str], folds: int, *, seed: int | None = None) -> NDArray[np.int64]:
    """Deal groups into folds of equal size, by the order of their hashes: the same on every machine.

    Args:
        groups: of each item the group that it belongs to, such as its problem; those of one are held out together.
        folds: how many.
        seed: another one deals anew; None is a deal of its own.

    Returns:
        The fold of each item, from 0.
    """
    salt = () if seed is None else (seed,)
    names = sorted(set(groups), key=lambda g: (hashed("fold", *salt, g), g))
    fold = {name: i % folds for i, name in enumerate(names)}
    return np.array([fold[g] for g in groups], dtype=np.int64)
