"""Folds: of equal size, groups whole, and the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from ttc.folds import folds_of

GROUPS = [f"g{i // 2}" for i in range(40)]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_folds_are_of_equal_size_and_keep_groups_together(seed: int | None):
    folds = folds_of(GROUPS, 5, seed=seed)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).tolist() == [8] * 5


def test_each_seed_deals_anew_and_none_is_a_deal_of_its_own():
    deals = {tuple(folds_of(GROUPS, 5, seed=seed).tolist()) for seed in (None, 0, 1)}
    assert len(deals) == 3


def test_a_fold_follows_from_the_names_and_not_from_their_order():
    there = dict(zip(GROUPS, folds_of(GROUPS, 5), strict=True))
    back = dict(zip(GROUPS[::-1], folds_of(GROUPS[::-1], 5), strict=True))
    assert there == back


def test_it_deals_as_it_always_did():
    names = [f"p{i}" for i in range(12)]
    assert folds_of(names, 4).tolist() == [3, 3, 1, 2, 2, 1, 3, 0, 0, 2, 0, 1]
    assert folds_of(names, 4, seed=0).tolist() == [1, 1, 3, 2, 3, 0, 0, 2, 3, 2, 0, 1]
