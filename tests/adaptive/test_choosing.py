"""Of plans that are alike the learned one is kept: what looks best by luck is not picked."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.choosing import choose_plans
from ttc.adaptive.plans import PlanKind, Results
from ttc.pools import Pool, RecordedProblem

LEARNED = PlanKind(0, 4, None, (1, 2, 4), None)
FIXED = PlanKind(0, 4, None, (), None)
PROBLEMS = 100


@pytest.fixture(scope="module")
def bench() -> Bench:
    problems = tuple(
        RecordedProblem(id=str(i), answers=("yes",) * 4, right=(float(i % 2),) * 4, generated=(10.0,) * 4)
        for i in range(PROBLEMS)
    )
    return anyio.run(lambda: gather([Pool(name="pool", model="m", problems=problems)], orders=1))


def chosen(bench: Bench, better: int, worse: int) -> PlanKind:
    """What is picked where the fixed plan is right on so many problems more, and on so many less."""
    train = np.ones(PROBLEMS, dtype=bool)
    learned, fixed = Results.empty(PROBLEMS), Results.empty(PROBLEMS)
    fixed.right[:better] = 1
    learned.right[better : better + worse] = 1
    scored = {LEARNED: learned, FIXED: fixed}
    found = choose_plans(bench, train, None, (), scored, 1e-6, least=20, shrink=20)
    return found["default", 0]


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        (0, 0, LEARNED),
        (2, 1, LEARNED),
        (6, 4, LEARNED),  # two points, with a standard error of three
        (3, 0, FIXED),  # three points, with one of two
        (10, 4, FIXED),
        (4, 10, LEARNED),
    ],
)
def test_a_plan_without_a_learned_stop_has_to_win_by_a_standard_error(
    bench: Bench, better: int, worse: int, expected: PlanKind
) -> None:
    assert chosen(bench, better, worse) == expected
