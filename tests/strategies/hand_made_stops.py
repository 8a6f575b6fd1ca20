"""Learned stops that nobody learned: their gains are written down, so that a test knows where they stop.

``python -m tests.strategies.hand_made_stops`` writes the policy of the tests that holds one.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from tests.strategies.conftest import POLICIES
from ttc.adaptive import stopping
from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.policy import Estimation, Policy, Row
from ttc.adaptive.stopping import Confidence, LearnedStop, Linear


def gain(width: int, intercept: float, **weights: float) -> Linear:
    """A gain of so many inputs: the features by name, and ``share_squared``."""
    column = {name: i for i, name in enumerate(EVIDENCE)}
    column["share_squared"] = len(EVIDENCE) + stopping._PRODUCTS.index(("share", "share"))
    found = [0.0] * width
    for name, weight in weights.items():
        found[column[name]] = weight
    return Linear(intercept=intercept, mean=(0.0,) * width, sd=(1.0,) * width, weight=tuple(found))


def between(low: float, high: float, points: tuple[int, ...]) -> LearnedStop:
    """Goes on where the share of the answer that stands lies between two bounds: neither hopeless nor decided."""
    width = stopping._with_products(np.zeros((1, len(EVIDENCE)))).shape[1]
    one = gain(width, -low * high, share=low + high, share_squared=-1.0)
    return LearnedStop(points=points, rate=0.0001, gains=(one,) * (len(points) - 1))


def surer_than(intercept: float, **weights: float) -> Confidence:
    """A confidence by some features: the log-odds are ``intercept`` and those."""
    width = stopping._with_number(np.zeros((1, len(EVIDENCE))), 1).shape[1]
    return Confidence(linear=gain(width, intercept, **weights))


def stopped(points: tuple[int, ...] = (4, 6, 12), **changed: Any) -> Policy:
    """A vote that ends where a third or less agree, and where nearly all do. Changed fields are those of the policy."""
    fields: dict[str, Any] = {
        "made": date(2026, 11, 28),
        "calibrated": False,
        "difficulty": Estimation(estimator="none", probe=0),
        "rows": (Row(query_class="default", strategy=f"majority:n={points[-1]}", stop="between"),),
        "stops": {"between": between(0.3, 0.8, points).model_dump(mode="json")},
    }
    return Policy(**{**fields, **changed})


if __name__ == "__main__":
    stopped().write(POLICIES / "learned_stop.toml")
