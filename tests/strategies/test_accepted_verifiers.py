"""What a strategy cannot work with is refused before anything is prepared or paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ttc.errors import ConfigurationError
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.types import Candidate, Query, Sample

pytestmark = pytest.mark.anyio


class Whole:
    """Scores no steps, and is prepared."""

    name = "whole"
    logprobs = 0
    prepared = 0

    async def prepare(self) -> None:
        self.prepared += 1

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [0.5 for _ in candidates]


class StepsAlone:
    """Has score_steps, and nothing that any verifier says of itself."""

    async def score_steps(self, query: Query, solutions: Sequence[Solution], session: Session) -> Sequence[list[float]]:
        return [[0.5 for _ in solution.unscored] for solution in solutions]


class Named(StepsAlone):
    """Has a name beside it."""

    name = "mine"


async def refused(strategy: str, verifier: Any) -> str:
    model = Scripted(lambda _: Sample(text="7"))
    with pytest.raises(ConfigurationError) as refusal:
        await solve("3+4?", strategy, model, verifier=verifier, comparator="judge")
    assert model.requests == []
    return str(refusal.value)


@pytest.mark.parametrize(
    "strategy", ["beam:n=2", "particle_filter:n=2", "adaptive:medium=(beam:n=2)", "swiss:each=(beam:n=2)"]
)
async def test_a_verifier_that_scores_no_steps_is_refused_before_it_is_prepared(strategy: str) -> None:
    verifier = Whole()
    assert "needs a verifier that scores steps, and 'whole' does not" in await refused(strategy, verifier)
    assert verifier.prepared == 0


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        (StepsAlone(), "beam: step scorer 'StepsAlone' has no name and no logprobs"),
        (Named(), "beam: step scorer 'mine' has no logprobs"),
    ],
)
async def test_a_step_scorer_that_lacks_what_any_verifier_has_is_told_so(scorer: StepsAlone, said: str) -> None:
    assert said in await refused("beam:n=2", scorer)


async def test_what_lets_any_verifier_do_takes_one_that_scores_no_steps() -> None:
    outcome = await solve("3+4?", "ab_mcts:n=2", Scripted(lambda _: Sample(text="7")), verifier=Whole())
    assert outcome.answer == "7"
