"""Recorded scores need no task of their own: outcomes and traces are those of a verifier that is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ttc.adaptive.recorded_scores import RecordedScores
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.budget import Budget
from ttc.models.population import Population
from ttc.pools import replay_model
from ttc.solve import solve

pytestmark = pytest.mark.anyio

POOL = simulated_pool(Population(p=(2.0, 1.3), wrong=(3, 2, 1), seed=4), problems=12, width=16)


@pytest.mark.parametrize(
    "spec",
    ["best_of_n:n=16", "best_of_n:n=16,wave=4", "majority:n=16,weights=score", "majority:n=12,weights=log_odds,wave=5"],
)
@pytest.mark.parametrize("budget", [None, Budget(generated_tokens=3000)])
async def test_scores_that_are_there_change_nothing_but_the_speed(spec: str, budget: Budget | None):
    scores = RecordedScores.of(POOL, "simulated")
    model = replay_model(POOL, seed=1)
    for problem in POOL.problems:
        at_once = await solve(problem.query(), spec, model, verifier=scores, budget=budget)
        waited = await solve(problem.query(), spec, model, verifier=replace(scores, at_once=False), budget=budget)
        assert replace(at_once, seconds=0) == replace(waited, seconds=0)
        assert sum(event["event"] == "score" for event in at_once.trace) > 0
