"""The verifier of a replay hands out what was recorded, and nothing else."""

from __future__ import annotations

import pytest

from ttc import solve
from ttc.adaptive.recorded_scores import RecordedScores
from ttc.errors import ConfigurationError
from ttc.pools import Pool, RecordedProblem, replay_model

PROBLEM = RecordedProblem(
    id="p",
    answers=("a", "b", "c"),
    right=(0.0, 1.0, 0.0),
    scores={"judge": (0.2, 0.9, None), "tests": (0.0, 0.0, 1.0)},
)
POOL = Pool(name="p", model="m", problems=(PROBLEM,), pass_fail=frozenset({"tests"}))


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_each_sample_has_its_own_score_in_any_order(seed: int):
    scores = RecordedScores.of(POOL, "judge")
    outcome = await solve(
        PROBLEM.query(), "best_of_n:n=3,weighted=false", replay_model(POOL, seed=seed), verifier=scores
    )
    assert outcome.answer == "b"


@pytest.mark.anyio
async def test_a_sample_that_was_not_scored_counts_as_nothing():
    only = Pool(
        name="p", model="m", problems=(RecordedProblem(id="p", answers=("a",), right=(1.0,), scores={"j": (None,)}),)
    )
    outcome = await solve(
        only.problems[0].query(), "best_of_n:n=1", replay_model(only), verifier=RecordedScores.of(only, "j")
    )
    assert outcome.candidate is not None
    assert outcome.candidate.score == 0.0


def test_only_a_verifier_that_passes_or_fails_ends_a_query():
    assert RecordedScores.of(POOL, "tests").pass_fail
    assert not RecordedScores.of(POOL, "judge").pass_fail


def test_it_holds_no_verdict():
    assert set(RecordedScores.of(POOL, "judge").scores["p"]) == {0.2, 0.9, None}


def test_a_verifier_that_scored_nothing_is_refused_with_those_that_did():
    with pytest.raises(ConfigurationError, match=r"holds no scores of verifier 'prm'; it holds: judge, tests"):
        RecordedScores.of(POOL, "prm")
