"""Plans on recorded paths: what they answer and cost, by hand and beside live runs of the same strategy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import anyio
import numpy as np
import pytest

from ttc import solve
from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.plans import Escalate, Plan, Results, Way, beta_stops, run_plan
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.stopping import Confidence, LearnedStop, Linear
from ttc.adaptive.trajectories import Trajectories, replay
from ttc.models.population import Population
from ttc.pools import replay_model

SHARE = EVIDENCE.index("share")


def paths_of(
    right: Sequence[Sequence[float]],
    *,
    share: Sequence[Sequence[float]] | None = None,
    cost: float = 10.0,
    seconds: Sequence[Sequence[float]] | None = None,
    drawn: Sequence[Sequence[int]] | None = None,
) -> Trajectories:
    rights = np.array(right, dtype=float)
    paths, width = rights.shape
    features = np.zeros((paths, width, len(EVIDENCE)))
    features[:, :, SHARE] = 1.0 if share is None else share
    ids = tuple(f"p{i}" for i in range(paths))
    return Trajectories(
        spec="made",
        model="m",
        thinking="",
        unit="tokens",
        problems=ids,
        groups=ids,
        problem=np.arange(paths),
        order=np.zeros(paths, dtype=np.int64),
        drawn=np.tile(np.arange(width), (paths, 1)) if drawn is None else np.array(drawn),
        features=features,
        right=rights,
        cost=np.tile(cost * np.arange(1, width + 1), (paths, 1)),
        seconds=None if seconds is None else np.array(seconds, dtype=float),
    )


def way_of(paths: Trajectories, **fields: Any) -> Way:
    given: dict[str, Any] = {"name": "made", "strategy": "made", "verifier": "", "model": "", "thinking": ""}
    return Way(**{**given, **fields}, paths=paths, cost=paths.cost)


def threshold(feature: int, bar: float, *, points: tuple[int, ...]) -> LearnedStop:
    """Goes on while a feature is below the bar."""
    mark = np.zeros(len(EVIDENCE) + 13)
    mark[feature] = -1.0
    line = Linear(intercept=bar, mean=(0.0,) * len(mark), sd=(1.0,) * len(mark), weight=tuple(mark.tolist()))
    return LearnedStop(points=points, rate=0.0, gains=(line,) * (len(points) - 1))


def sure_by_share() -> Confidence:
    """P(right) is above one half where more than half of the samples agree."""
    weight = np.zeros(len(EVIDENCE) + 2)
    weight[SHARE] = 10.0
    return Confidence(
        linear=Linear(intercept=-5.0, mean=(0.0,) * len(weight), sd=(1.0,) * len(weight), weight=tuple(weight.tolist()))
    )


TWO = paths_of([[0, 1, 1, 0], [1, 0, 0, 1]], share=[[0.2, 0.9, 0.9, 0.9], [0.2, 0.2, 0.2, 0.2]])


# -- one way ---------------------------------------------------------------------------------------------------------


def test_a_fixed_number_of_samples():
    found = run_plan(Plan(way=0, n=2), [way_of(TWO)])
    assert found.right.tolist() == [1, 0]
    assert found.cost.tolist() == [20, 20]
    assert found.samples.tolist() == [2, 2]
    assert found.seconds.tolist() == [0, 0]  # they were not recorded


def test_a_learned_stop_ends_each_path_where_it_says():
    plan = Plan(way=0, n=4, stop=threshold(SHARE, 0.5, points=(1, 2, 4)))
    found = run_plan(plan, [way_of(TWO)])
    assert found.samples.tolist() == [2, 4]
    assert found.right.tolist() == [1, 1]
    assert found.cost.tolist() == [20, 40]


def test_a_vote_that_is_decided_goes_on_never():
    goes_on = threshold(SHARE, 2.0, points=(1, 2, 4))
    assert run_plan(Plan(way=0, n=4, stop=goes_on), [way_of(TWO)]).samples.tolist() == [4, 4]
    way = way_of(TWO, decided=np.array([2, 3]))
    assert run_plan(Plan(way=0, n=4, stop=goes_on), [way]).samples.tolist() == [2, 4]  # at the next point


def test_value_is_accuracy_less_cost_at_the_going_rate():
    found = run_plan(Plan(way=0, n=2), [way_of(TWO)])
    assert found.value(0.01).tolist() == pytest.approx([0.8, -0.2])


def test_plans_differ_by_what_they_do_and_not_by_what_they_learned():
    a, b = (Plan(way=0, n=4, stop=threshold(SHARE, bar, points=(1, 4))) for bar in (0.1, 0.2))
    assert a.kind == b.kind
    others = (
        Plan(way=0, n=4),
        Plan(way=0, n=4, beta=0.8),
        Plan(way=1, n=4),
        Plan(way=0, n=4, stop=threshold(SHARE, 0.1, points=(2, 4))),
    )
    assert len({a.kind, *(plan.kind for plan in others)}) == 5


# -- the probe ---------------------------------------------------------------------------------------------------------


def test_a_probe_is_paid_where_the_plan_draws_less():
    found = run_plan(Plan(way=0, n=1), [way_of(TWO)], probe=3, base=0)
    assert found.cost.tolist() == [30, 30]
    assert found.samples.tolist() == [3, 3]
    assert found.right.tolist() == [0, 1]  # the answer of the strategy is that of its one sample


def test_a_probe_that_is_handed_on_is_paid_once():
    assert run_plan(Plan(way=0, n=4), [way_of(TWO)], probe=3, base=0).cost.tolist() == [40, 40]


@pytest.mark.parametrize("differs", [{"model": "small"}, {"thinking": "512"}])
def test_a_probe_that_is_drawn_otherwise_is_paid_beside_it(differs: dict[str, str]):
    base = way_of(paths_of([[1, 1, 1, 1]] * 2, cost=3.0), **differs)
    found = run_plan(Plan(way=0, n=2), [way_of(TWO), base], probe=3, base=1)
    assert found.cost.tolist() == [20 + 9, 20 + 9]
    assert found.samples.tolist() == [5, 5]
    assert found.right.tolist() == [1, 0]


def test_the_answer_of_the_probe_stands_where_the_plan_has_none():
    base = way_of(paths_of([[1, 1, 1, 1]] * 2), model="small")
    silent = way_of(paths_of([[0, 0], [0, 1]], share=[[0, 0], [0, 0.5]]))
    assert run_plan(Plan(way=0, n=2), [silent, base], probe=3, base=1).right.tolist() == [1, 1]
    assert run_plan(Plan(way=0, n=1), [silent, base], probe=3, base=1).right.tolist() == [1, 1]


def test_ways_on_the_same_samples_hand_a_probe_on_to_each_other():
    other = way_of(paths_of([[0, 0, 0, 0]] * 2), strategy="best_of_n", verifier="v")
    assert run_plan(Plan(way=1, n=4), [way_of(TWO), other], probe=3, base=0).cost.tolist() == [40, 40]


def test_a_probe_is_drawn_whole_whatever_passes():
    voted = paths_of([[1, 1, 1, 1]] * 2)
    passed = dataclasses.replace(
        voted, cost=np.array([[10.0] * 4, [10.0, 20, 30, 40]]), drawn=np.array([[0, -1, -1, -1], [0, 1, 2, 3]])
    )
    way = way_of(passed, probed=way_of(voted))
    assert run_plan(Plan(way=0, n=4), [way]).cost.tolist() == [10, 40]
    assert run_plan(Plan(way=0, n=4), [way]).samples.tolist() == [1, 4]
    assert run_plan(Plan(way=0, n=4), [way], probe=3, base=0).cost.tolist() == [30, 40]
    assert run_plan(Plan(way=0, n=4), [way], probe=3, base=0).samples.tolist() == [3, 4]


# -- escalation --------------------------------------------------------------------------------------------------------


def cascade(other: Trajectories, *, below: float = 0.5, n: int = 2) -> Results:
    ways = [way_of(TWO), way_of(other, model="large")]
    escalate = Escalate(way=1, below=below, confidence=sure_by_share(), stop=threshold(SHARE, 0.5, points=(1, 2)))
    return run_plan(Plan(way=0, n=n, escalate=escalate), ways)


def test_what_is_doubtful_is_handed_on_and_both_are_paid():
    found = cascade(paths_of([[1, 1], [1, 1]], share=[[1, 1], [1, 1]], cost=100.0))
    assert found.right.tolist() == [1, 1]  # the first one was right, and sure of it; the second was handed on
    assert found.cost.tolist() == [20, 120]
    assert found.samples.tolist() == [2, 3]


def test_the_other_way_ends_by_its_own_stop():
    found = cascade(paths_of([[1, 1], [0, 1]], share=[[1, 1], [0.2, 1]], cost=100.0))
    assert found.right.tolist() == [1, 1]
    assert found.cost.tolist() == [20, 220]


def test_nothing_is_handed_on_below_no_confidence_and_everything_below_all():
    other = paths_of([[0, 0], [1, 1]], cost=100.0)
    assert cascade(other, below=0.0).cost.tolist() == [20, 20]
    everything = cascade(other, below=1.1)
    assert everything.cost.tolist() == [120, 120]
    assert everything.right.tolist() == [0, 1]  # a right answer may be lost by it


def test_an_earlier_answer_stands_where_the_other_way_has_none():
    found = cascade(paths_of([[0, 0], [0, 0]], share=[[0, 0], [0, 0]], cost=100.0), n=4)
    assert found.right.tolist() == [0, 1]
    assert found.cost.tolist() == [40, 240]


# -- seconds -----------------------------------------------------------------------------------------------------------

TIMED = paths_of([[1] * 4], seconds=[[1, 5, 2, 3]])


@pytest.mark.parametrize(
    ("plan", "probe", "expected"),
    [
        (Plan(way=0, n=4), 0, 5),  # all at once
        (Plan(way=0, n=4), 2, 5 + 3),
        (Plan(way=0, n=1), 2, 5),
        (Plan(way=0, n=4, stop=threshold(SHARE, 2.0, points=(2, 4))), 0, 5 + 3),
        (Plan(way=0, n=4, stop=threshold(SHARE, 0.5, points=(2, 4))), 0, 5),
        (Plan(way=0, n=4, beta=0.8), 0, 1 + 5 + 2),
        (Plan(way=0, n=4, beta=0.8), 2, 5 + 2),
    ],
)
def test_a_wave_takes_as_long_as_its_slowest_sample(plan: Plan, probe: int, expected: float):
    way = way_of(TIMED, beta_stops={0.8: np.array([3])})
    assert run_plan(plan, [way], probe=probe, base=0).seconds.tolist() == [expected]


def test_what_passes_is_drawn_one_after_the_other():
    way = way_of(TIMED, probed=way_of(TIMED))
    assert run_plan(Plan(way=0, n=4), [way]).seconds.tolist() == [11]


# -- Beta stops --------------------------------------------------------------------------------------------------------

POOL = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 3), problems=25, width=9)


@pytest.mark.anyio
@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95])
async def test_a_beta_stop_is_what_a_live_vote_does(confidence: float):
    paths = await replay(POOL, "majority", orders=2)
    way = dataclasses.replace(way_of(paths), beta_stops={confidence: beta_stops(paths, confidence)})
    found = run_plan(Plan(way=0, n=9, beta=confidence), [way])
    for path in range(50):
        problem = POOL.problems[paths.problem[path]]
        live = await solve(
            problem.query(),
            f"majority:n=9,stop=beta,confidence={confidence},wave=1",
            replay_model(POOL, seed=int(paths.order[path])),
        )
        assert live.calls["generate"] == found.samples[path]
        assert live.thinking_tokens == found.cost[path]
        assert live.answer is not None
        votes = Counter(problem.answers[i] for i in paths.drawn[path, : found.samples[path]]).most_common(2)
        if len(votes) == 1 or votes[0][1] > votes[1][1]:  # what is tied goes by lot
            assert problem.verdicts()[live.answer] == found.right[path]


def test_the_surer_a_beta_stop_has_to_be_the_later_it_ends():
    paths = anyio.run(lambda: replay(POOL, "majority", orders=2))
    stops = [beta_stops(paths, confidence) for confidence in (0.6, 0.8, 0.95, 1.0)]
    assert all((a <= b).all() for a, b in pairwise(stops))
    row = np.arange(len(paths.problem))
    assert (paths.right[row, stops[-1] - 1] == paths.right[:, -1]).all()  # what is decided is so
    assert stops[-1].mean() < 9


# -- some of the paths -------------------------------------------------------------------------------------------------


def test_some_of_the_paths_take_all_that_belongs_to_them_along():
    way = way_of(TIMED, beta_stops={0.8: np.array([3])}, decided=np.array([2]), probed=way_of(TIMED))
    kept = np.array([False])
    none = way.of(kept)
    assert none.probed is not None
    assert none.decided is not None
    assert len(none.paths.problem) == len(none.cost) == len(none.beta_stops[0.8]) == len(none.decided) == 0
    assert len(none.probed.cost) == 0


def test_parts_are_put_in_their_places():
    whole = Results.empty(3)
    whole.put(np.array([True, False, True]), run_plan(Plan(way=0, n=2), [way_of(TWO)]))
    assert whole.right.tolist() == [1, 0, 0]
    assert whole.cost.tolist() == [20, 0, 20]
    assert whole.of(np.array([False, True, True])).cost.tolist() == [0, 20]
