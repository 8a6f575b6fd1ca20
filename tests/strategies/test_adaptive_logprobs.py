"""What was learned on recorded log-probabilities sees them when it is used: ``adaptive`` asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.strategies.conftest import LastWord
from tests.strategies.hand_made_stops import gain, stopped
from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.stopping import LearnedStop
from ttc.models.scripted import Scripted
from ttc.pools import Pool, RecordedProblem, replay_model
from ttc.solve import solve
from ttc.strategies.adaptive import Adaptive
from ttc.types import Query, Request

pytestmark = pytest.mark.anyio

QUERY = Query.of("how many?", answer_type=LastWord(), id="q")


def stopping_by(width: int, **weights: float) -> LearnedStop:
    """Goes on as long as the gain by some features is above zero."""
    return LearnedStop(points=(1, 2, 3, 4), rate=0.001, gains=(gain(width, 0.05, **weights),) * 3)


@pytest.fixture
def width() -> int:
    return len(stopped((1, 2)).stops["between"]["gains"][0]["weight"])


def adaptive(folder: Path, stop: LearnedStop) -> Adaptive:
    path = folder / "policy.toml"
    stopped((1, 2, 3, 4), stops={"between": stop.model_dump(mode="json")}).write(path)
    return Adaptive(policy=path)


@pytest.mark.parametrize(("feature", "asked"), [("logprob", 1), ("relative_logprob", 1), ("share", None)])
async def test_a_stop_that_goes_by_logprobs_has_them_asked_for(
    tmp_path: Path, width: int, feature: str, asked: int | None
) -> None:
    seen: list[int | None] = []

    def reply(request: Request) -> str:
        seen.append(request.logprobs)
        return "it is 42"

    await solve(QUERY, adaptive(tmp_path, stopping_by(width, **{feature: 0.01})), Scripted(reply))
    assert set(seen) == {asked}


async def test_without_a_policy_none_are_asked_for() -> None:
    seen: list[int | None] = []

    def reply(request: Request) -> str:
        seen.append(request.logprobs)
        return "it is 42"

    await solve(QUERY, Adaptive(), Scripted(reply))
    assert set(seen) == {None}


@pytest.mark.parametrize(("logprob", "drawn"), [(-0.01, 1), (-0.9, 3)])
async def test_what_it_sees_decides(tmp_path: Path, width: int, logprob: float, drawn: int) -> None:
    assert "logprob" in EVIDENCE
    stop = stopping_by(width, logprob=-0.1).model_copy(
        update={
            "gains": (gain(width, -0.05, logprob=-0.1),) * 3
        }  # doubtful ones ask for others, until the vote is decided
    )
    problem = RecordedProblem(
        id="q", answers=("42",) * 4, right=(1,) * 4, generated=(10,) * 4, seconds=(), logprobs=(logprob,) * 4
    )
    pool = Pool(name="made", model="small", problems=(problem,))
    outcome = await solve(problem.query(), adaptive(tmp_path, stop), replay_model(pool))
    assert sum(outcome.calls.values()) == drawn
