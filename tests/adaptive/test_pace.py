"""A learned stop meters a live draw: waves up to its points, and an end where no further one is worth its cost."""

from __future__ import annotations

import numpy as np
import pytest

from ttc import solve
from ttc.adaptive.evidence import EVIDENCE, Evidence
from ttc.adaptive.pace import LearnedStops, StopPace
from ttc.adaptive.stopping import Confidence, LearnedStop, Linear
from ttc.errors import ConfigurationError
from ttc.pools import Pool, RecordedAnswer, RecordedProblem, candidate_of, replay_model
from ttc.session import Session
from ttc.types import Candidate

pytestmark = pytest.mark.anyio


def while_below(feature: str, bar: float, *, points: tuple[int, ...]) -> LearnedStop:
    """Goes on while a feature is below the bar."""
    mark = np.zeros(len(EVIDENCE) + 13)
    mark[EVIDENCE.index(feature)] = -1.0
    line = Linear(intercept=bar, mean=(0.0,) * len(mark), sd=(1.0,) * len(mark), weight=tuple(mark.tolist()))
    return LearnedStop(points=points, rate=0.0, gains=(line,) * (len(points) - 1))


SURE = Confidence(
    linear=Linear(
        intercept=-1.0,
        mean=(0.0,) * (len(EVIDENCE) + 2),
        sd=(1.0,) * (len(EVIDENCE) + 2),
        weight=(2.0, *(0.0,) * (len(EVIDENCE) - 1), 0.5, 0.0),  # of the share, and of log2 of the samples
    )
)


def of(answers: str) -> tuple[RecordedProblem, Pool]:
    problem = RecordedProblem(
        id="p", answers=tuple(answers), right=(1.0,) * len(answers), generated=(10.0,) * len(answers)
    )
    return problem, Pool(name="p", model="m", problems=(problem,))


class Watched(StopPace):
    """Keeps the waves that it lets go."""

    waves: list[int]

    async def next_wave(self, session: Session, drawn: list[Candidate], left: int) -> int:  # type: ignore[override]
        self.session = session
        found = await super().next_wave(session, drawn, left)
        self.waves = [*getattr(self, "waves", []), found]
        return found


async def drawn(answers: str, stop: LearnedStop | None, *, n: int = 8) -> tuple[Watched, int]:
    problem, pool = of(answers)
    pace = Watched(stop, RecordedAnswer())
    outcome = await solve(problem.query(), f"majority:n={n},stop=never", replay_model(pool), pace=pace)
    return pace, outcome.calls["generate"]


async def test_waves_reach_from_point_to_point():
    pace, n = await drawn("abcdefgh", while_below("share", 2.0, points=(2, 3, 5, 8)))
    assert pace.waves == [2, 1, 2, 3]
    assert n == 8


async def test_it_ends_where_going_on_gains_nothing():
    pace, n = await drawn("aaaaaaaa", while_below("share", 0.9, points=(2, 3, 5, 8)))
    assert pace.waves == [2, 0]
    assert n == 2


async def test_behind_the_last_point_it_ends():
    _, n = await drawn("abcdefgh", while_below("share", 2.0, points=(2, 4)))
    assert n == 4


async def test_it_never_asks_for_more_than_the_strategy_wants():
    _, n = await drawn("abcdefgh", while_below("share", 2.0, points=(4, 8)), n=3)
    assert n == 3


async def test_without_a_stop_nobody_is_slowed_down():
    pace, n = await drawn("abcdefgh", None)
    assert (pace.waves, n) == ([8], 8)


async def test_why_a_draw_ended_is_in_the_trace():
    problem, pool = of("aaaaaaaa")
    pace = StopPace(while_below("share", 0.9, points=(2, 8)), RecordedAnswer())
    outcome = await solve(problem.query(), "majority:n=8,stop=never", replay_model(pool), pace=pace)
    assert outcome.ended_by == "stopped_early"
    noted = {event["event"]: event for event in outcome.trace}
    assert noted["pace"]["samples"] == 2
    assert noted["pace"]["gain"] == pytest.approx(-0.1)
    assert noted["stop"]["why"] == "no further sample is worth its cost"


async def test_confidence_is_that_of_what_was_drawn():
    pace, n = await drawn("aaab", None, n=4)
    evidence = Evidence(RecordedAnswer())
    problem, _ = of("aaab")
    evidence.extend([candidate_of(s) for s in problem.samples()])
    expected = SURE.at(4, np.array([evidence.features("a")]))[0]
    assert n == 4
    assert pace.confidence(pace.session, SURE) == pytest.approx(expected)
    assert pace.confidence(pace.session, None) == 0.75  # where none was learned: the share


async def test_a_prior_is_seen():
    goes_on = while_below("prior", 0.0, points=(1, 4))
    problem, pool = of("abcd")
    for p, n in ((0.3, 4), (0.7, 1)):
        pace = StopPace(goes_on, RecordedAnswer(), prior=p)
        outcome = await solve(problem.query(), "majority:n=4,stop=never", replay_model(pool), pace=pace)
        assert outcome.calls["generate"] == n


# -- as a file holds it ------------------------------------------------------------------------------------------------


def test_what_was_learned_is_read_back():
    stop = while_below("share", 0.9, points=(2, 4))
    found = LearnedStops.read({"s": stop.model_dump(mode="json")}, {"s": SURE.model_dump(mode="json")}, where="p")
    assert found.stops["s"] == stop
    assert found.confidences["s"] == SURE


STOP = while_below("share", 0.9, points=(2, 4)).model_dump(mode="json")


@pytest.mark.parametrize(
    "broken",
    [
        {"points": [4, 2]},
        {"points": [0, 4]},
        {"points": [2, 4, 8]},
        {"names": ["share"]},
        {"rate": -1},
        {"gains": [{"intercept": 0, "mean": [0], "sd": [1], "weight": [1]}]},
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(broken: dict[str, object]):
    with pytest.raises(ConfigurationError, match=r"policy.toml, learned stop 's'.*tune the policy anew"):
        LearnedStops.read({"s": {**STOP, **broken}}, {}, where="policy.toml")


def test_a_confidence_of_other_features_is_refused():
    other = {"linear": {"intercept": 0, "mean": [0], "sd": [1], "weight": [1]}}
    with pytest.raises(ConfigurationError, match=r"policy.toml, confidence 's'.*tune the policy anew"):
        LearnedStops.read({}, {"s": other}, where="policy.toml")
