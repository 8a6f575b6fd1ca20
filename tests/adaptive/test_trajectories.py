"""A replay at k samples is what a live run with n=k would have been: its answer, its verdict and its tokens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ttc.strategies.vote
from ttc import solve
from ttc.adaptive.evidence import EVIDENCE, Evidence
from ttc.adaptive.recorded_scores import RecordedScores
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.trajectories import Trajectories, replay
from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem, candidate_of, replay_model

pytestmark = pytest.mark.anyio

POOL = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=12, width=6)
PASSING = dataclasses.replace(
    POOL,
    problems=tuple(dataclasses.replace(p, scores={"tests": p.right}) for p in POOL.problems),
    pass_fail=frozenset({"tests"}),
)


class Lots:
    """Of answers that are tied the one that was first wins, whatever the strategy is called."""

    def __init__(self) -> None:
        self.drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return 1 / self.drawn


@pytest.fixture
def ties_go_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots are seeded with the spec of the strategy, and differ by its n; here they do not."""
    opened = ttc.strategies.vote.Vote.__init__
    monkeypatch.setattr(ttc.strategies.vote.Vote, "__init__", lambda self, kind, rng: opened(self, kind, Lots()))


def a_problem(answers: str, right: str = "a", **columns: object) -> RecordedProblem:
    given = tuple(None if a == "-" else a for a in answers)
    return RecordedProblem(id="p", answers=given, right=tuple(float(a == right) for a in answers), **columns)  # type: ignore[arg-type]


def a_pool(*problems: RecordedProblem, **fields: object) -> Pool:
    return Pool(name="made", model="m", problems=problems, **fields)  # type: ignore[arg-type]


@pytest.mark.usefixtures("ties_go_to_the_first")
@pytest.mark.parametrize(
    ("spec", "verifier"),
    [
        ("majority", None),
        ("best_of_n", "simulated"),
        ("best_of_n:weighted=false", "simulated"),
        ("majority:weights=log_odds", "simulated"),
        ("best_of_n:wave=1", "tests"),  # what passes ends it, and no sibling is in flight
    ],
)
async def test_it_equals_live_runs_at_every_number_of_samples(spec: str, verifier: str | None):
    pool = PASSING if verifier == "tests" else POOL
    paths = await replay(pool, spec, orders=2, seed=5, verifier=verifier)
    scores = RecordedScores.of(pool, verifier) if verifier else None
    for path, (at, order) in enumerate(zip(paths.problem, paths.order, strict=True)):
        problem = pool.problems[at]
        for k in range(1, pool.width + 1):
            whole = spec + (",stop=never" if ":" in spec else ":stop=never") if spec.startswith("majority") else spec
            live = await solve(
                problem.query(),
                f"{whole}{',' if ':' in whole else ':'}n={k}",
                replay_model(pool, seed=5 + int(order)),
                verifier=scores,
            )
            assert paths.cost[path, k - 1] == live.thinking_tokens
            assert live.answer is not None
            assert paths.right[path, k - 1] == problem.verdicts()[live.answer]


async def test_features_are_those_of_the_samples_that_were_drawn():
    paths = await replay(POOL, "best_of_n", orders=1, verifier="simulated")
    problem, k = POOL.problems[3], 4
    path = int(np.flatnonzero(paths.problem == 3)[0])
    evidence = Evidence(problem.query().answer_type)
    drawn = [candidate_of(problem.sample(int(i))) for i in paths.drawn[path, :k]]
    drawn = [c.scored(problem.scores["simulated"][c.sample.index] or 0.0) for c in drawn]
    evidence.extend(drawn)
    live = await solve(
        problem.query(), f"best_of_n:n={k}", replay_model(POOL), verifier=RecordedScores.of(POOL, "simulated")
    )
    assert tuple(paths.features[path, k - 1]) == pytest.approx(evidence.features(live.answer))


async def test_every_sample_is_drawn_once_and_orders_differ():
    paths = await replay(POOL, "majority", orders=3)
    assert (np.sort(paths.drawn, axis=1) == np.arange(POOL.width)).all()
    assert len({tuple(row) for row in paths.drawn[paths.problem == 0]}) == 3


async def test_what_passes_ends_a_path_and_the_answer_stays():
    problem = a_problem("bbab", generated=(10.0, 10.0, 10.0, 10.0), scores={"tests": (0.0, 0.0, 1.0, 0.0)})
    pool = a_pool(problem, pass_fail=frozenset({"tests"}))
    paths = await replay(pool, "best_of_n", orders=6, verifier="tests")
    for path in range(6):
        passed = int(np.flatnonzero(paths.drawn[path] == 2)[0])
        assert (paths.right[path, passed:] == 1).all()
        assert (paths.right[path, :passed] == 0).all()
        assert (paths.drawn[path, passed + 1 :] == -1).all()
        assert (paths.cost[path, passed:] == paths.cost[path, passed]).all()
        assert (paths.features[path, passed:] == paths.features[path, passed]).all()


async def test_what_abstains_is_paid_and_never_right():
    paths = await replay(a_pool(a_problem("--a", generated=(5.0, 7.0, 9.0))), "majority", orders=6)
    for path in range(6):
        came = int(np.flatnonzero(paths.drawn[path] == 2)[0])
        assert paths.right[path].tolist() == [float(k >= came) for k in range(3)]
        spent = np.cumsum([(5, 7, 9)[i] for i in paths.drawn[path]])
        assert paths.cost[path].tolist() == spent.tolist()


async def test_the_answer_itself_is_no_thinking():
    problem = a_problem("aaa", generated=(10.0, 10.0, 10.0), answer_tokens=(3, 3, 3))
    paths = await replay(a_pool(problem), "majority", orders=1)
    assert paths.cost[0].tolist() == [7.0, 17.0, 27.0]


async def test_an_estimate_between_right_and_wrong_stays_one():
    problem = RecordedProblem(id="p", answers=("a", "a"), right=(0.25, 0.75))
    assert (await replay(a_pool(problem), "majority", orders=1)).right.tolist() == [[0.5, 0.5]]


async def test_dollars_are_there_where_the_pool_has_a_price_and_seconds_where_all_were_timed():
    timed = a_problem("ab", generated=(10.0, 30.0), seconds=(1.0, 2.0))
    paths = await replay(a_pool(timed, price=Price(prompt=0.0, generated=1e6)), "majority", orders=2)
    assert paths.dollars is not None
    assert paths.seconds is not None
    assert paths.dollars[:, -1] == pytest.approx([40.0, 40.0])
    assert paths.seconds.tolist() == [[(1.0, 2.0)[i] for i in row] for row in paths.drawn]
    bare = await replay(a_pool(a_problem("ab")), "majority", orders=1)
    assert bare.dollars is bare.seconds is None


async def test_a_stop_of_the_strategy_is_turned_off():
    paths = await replay(a_pool(a_problem("aaaaaa")), "majority:stop=beta,confidence=0.6", orders=1)
    assert paths.cost[0].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("revision", "its prefixes are not what smaller runs would return"),
        ("majority:n=7", "draws 7 samples: of every problem 6 were recorded"),
    ],
)
async def test_what_cannot_be_replayed_is_refused(spec: str, said: str):
    with pytest.raises(ConfigurationError, match=said):
        await replay(POOL, spec)


async def test_a_pool_without_verdicts_is_refused():
    unknown = RecordedProblem(id="p", answers=("a", "b"), right=(None, None))
    with pytest.raises(ConfigurationError, match="holds no verdicts"):
        await replay(a_pool(unknown), "majority")


async def test_a_strategy_that_needs_scores_and_gets_none_is_refused():
    with pytest.raises(ConfigurationError, match="verifier"):
        await replay(a_pool(a_problem("ab")), "best_of_n")


def two_groups() -> Pool:
    first = a_problem("ab")
    return a_pool(*(dataclasses.replace(first, id=f"p{i}", group=f"g{i // 2}") for i in range(4)))


async def replayed() -> Trajectories:
    return await replay(two_groups(), "majority", orders=2)


async def test_groups_go_with_their_problems():
    paths = await replayed()
    assert paths.problems == ("p0", "p1", "p2", "p3")
    assert paths.groups == ("g0", "g0", "g1", "g1")
    assert paths.problem.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_a_prior_is_of_its_path_and_touches_nothing_else():
    paths = await replayed()
    p = np.linspace(0.1, 0.9, 8)
    found = paths.with_prior(p)
    at = EVIDENCE.index("prior")
    assert found.features[:, :, at] == pytest.approx(np.repeat(np.log(p / (1 - p))[:, None], 2, axis=1))
    assert (np.delete(found.features, at, axis=2) == np.delete(paths.features, at, axis=2)).all()
    assert (paths.features[:, :, at] == 0).all()


async def test_some_of_the_paths():
    paths = await replayed()
    some = paths.of(paths.problem >= 2)
    assert some.problem.tolist() == [2, 2, 3, 3]  # indices stay those of all problems
    assert (some.drawn == paths.drawn[4:]).all()
    assert some.problems == paths.problems


async def test_values_are_averaged_over_the_paths_of_a_problem():
    paths = (await replayed()).of(np.array([True] * 3 + [False] * 2 + [True] * 3))
    assert paths.by_problem(np.array([1.0, 3.0, 5.0, 7.0, 1.0, 2.0])) == pytest.approx([2.0, 5.0, 7.0, 1.5])
    assert paths.by_problem(np.ones((6, 2))).shape == (4, 2)


async def test_progress_is_told_problem_by_problem():
    told: list[int] = []
    await replay(two_groups(), "majority", orders=1, on_progress=told.append)
    assert told == [1, 2, 3, 4]
