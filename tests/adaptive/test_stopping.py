"""Learned stops on populations whose right answer is known in closed form, and the confidence beside them."""

from __future__ import annotations

from itertools import pairwise

import anyio
import numpy as np
import pytest

from ttc.adaptive.evidence import EVIDENCE
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.stopping import Confidence, LearnedStop, Linear, points_from
from ttc.adaptive.trajectories import Trajectories, replay
from ttc.models.population import Population


def made(right: np.ndarray, *, seen: dict[str, np.ndarray] | None = None, cost: float = 1.0) -> Trajectories:
    """Paths of one problem each, whose samples cost the same."""
    paths, width = right.shape
    features = np.zeros((paths, width, len(EVIDENCE)))
    for name, values in (seen or {}).items():
        features[:, :, EVIDENCE.index(name)] = values
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
        drawn=np.tile(np.arange(width), (paths, 1)),
        features=features,
        right=right.astype(float),
        cost=np.tile(cost * np.arange(1, width + 1), (paths, 1)),
    )


def verified(*, paths: int = 12_000, width: int = 16, cost: float = 100.0, seed: int = 0) -> Trajectories:
    """Problems of p ~ Beta(1/2, 1/2) and a verifier that knows: right from the first right sample on."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.5, paths)
    right = np.maximum.accumulate(rng.random((paths, width)) < p[:, None], axis=1)
    return made(right, seen={"score": right.astype(float)}, cost=cost)


SINGLY = points_from(1, 16, growth=0.0)


# -- points ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "growth", "expected"),
    [
        (1, 6, 0.25, (1, 2, 3, 4, 5, 6)),
        (4, 16, 0.25, (4, 5, 6, 7, 8, 10, 12, 15, 16)),
        (4, 16, 1.0, (4, 8, 16)),
        (4, 16, 1e9, (4, 16)),
        (4, 4, 0.25, (4,)),
        (8, 4, 0.25, (4,)),
        (1, 1, 0.25, (1,)),
    ],
)
def test_waves_grow_with_what_was_drawn(first: int, last: int, growth: float, expected: tuple[int, ...]):
    assert points_from(first, last, growth=growth) == expected


# -- against the closed form -------------------------------------------------------------------------------------------


def test_what_a_verifier_passed_is_drawn_no_further():
    paths = verified()
    stops = LearnedStop.fit(paths, rate=0.02 / 100, points=SINGLY).stops(paths)
    solved = paths.right[:, -1] == 1
    first = paths.right.argmax(axis=1) + 1
    assert (stops[solved] <= first[solved]).all()


@pytest.mark.parametrize("bar", [0.11, 0.07, 0.045])
def test_it_gives_up_where_the_posterior_mean_is_worth_no_further_sample(bar: float):
    """After k failures of a Beta(1/2, 1/2) the next sample brings (1/2) / (1 + k), and that falls with k."""
    paths = verified()
    stops = LearnedStop.fit(paths, rate=bar / 100, points=SINGLY).stops(paths)
    never = stops[paths.right[:, -1] == 0]
    expected = next(k for k in range(1, 17) if 0.5 / (1 + k) <= bar)
    assert len(set(never.tolist())) == 1  # all that it sees are failures
    assert abs(int(never[0]) - expected) <= 1


def test_it_is_worth_what_stopping_at_the_first_success_is_worth():
    """With a cap of 16 that is 1 - E[(1-p)^16], and E[min(first, 16)] samples."""
    paths = verified()
    stops = LearnedStop.fit(paths, rate=0.02 / 100, points=SINGLY).stops(paths)
    failed = np.cumprod([(i - 0.5) / i for i in range(1, 17)])  # E[(1-p)^k] of a Beta(1/2, 1/2)
    row = np.arange(len(stops))
    assert paths.right[row, stops - 1].mean() == pytest.approx(1 - failed[-1], abs=0.015)
    assert stops.mean() == pytest.approx(1 + failed[:-1].sum(), abs=0.15)


def test_for_nothing_it_goes_on_as_long_as_anything_can_change():
    paths = verified(paths=4000)
    stops = LearnedStop.fit(paths, rate=0.0, points=SINGLY).stops(paths)
    assert (stops[paths.right[:, -1] == 0] == 16).all()


def test_where_tokens_are_dear_it_stops_at_once():
    paths = verified(paths=2000)
    assert (LearnedStop.fit(paths, rate=10.0, points=(2, 4, 8)).stops(paths) == 2).all()


def test_rates_are_per_unit_of_cost():
    cheap, dear = verified(paths=2000, cost=1.0), verified(paths=2000, cost=1000.0)
    at = LearnedStop.fit(cheap, rate=0.05, points=SINGLY).stops(cheap)
    assert (at == LearnedStop.fit(dear, rate=0.05 / 1000, points=SINGLY).stops(dear)).all()


def test_other_costs_and_worths_take_the_place_of_its_own():
    paths = verified(paths=2000)
    free = LearnedStop.fit(paths, rate=1.0, points=SINGLY, costs=np.zeros_like(paths.cost)).stops(paths)
    assert (free[paths.right[:, -1] == 0] == 16).all()
    settled = LearnedStop.fit(paths, rate=1e-4, points=SINGLY, worth=np.ones_like(paths.right)).stops(paths)
    assert (settled == 1).all()  # all is right already


def test_orders_of_one_problem_count_as_one_problem():
    paths = verified(paths=300, width=4)
    twice = paths.of(np.repeat(np.arange(300), 2))
    a = LearnedStop.fit(paths, rate=1e-3, points=(1, 2, 4))
    b = LearnedStop.fit(twice, rate=1e-3, points=(1, 2, 4))
    assert [g.intercept for g in a.gains] == pytest.approx([g.intercept for g in b.gains])
    assert a.gains[0].weight == pytest.approx(b.gains[0].weight)


# -- on votes ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def votes() -> Trajectories:
    pool = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4), problems=150, width=12)
    return anyio.run(lambda: replay(pool, "majority", orders=2))


def test_the_dearer_the_tokens_the_less_is_paid(votes: Trajectories):
    sample = votes.cost[:, 0].mean()
    paid: list[float] = []
    for rate in (0.0, 1e-3, 4e-3, 1.6e-2, 6.4e-2):
        n = LearnedStop.fit(votes, rate=rate / sample, points=points_from(1, 12)).stops(votes)
        paid.append(float(votes.cost[np.arange(len(n)), n - 1].mean()))
    assert all(dearer <= 1.02 * cheaper for cheaper, dearer in pairwise(paid))
    assert paid[-1] < 0.4 * paid[0]


def test_what_agrees_is_stopped_before_what_does_not(votes: Trajectories):
    stop = LearnedStop.fit(votes, rate=0.01 / votes.cost[:, 0].mean(), points=points_from(4, 12))
    agree, split = np.zeros((2, len(EVIDENCE)))
    agree[[EVIDENCE.index(n) for n in ("share", "margin", "classes", "unanimous")]] = 1, 4 / 5**0.5, 0.25, 1
    split[[EVIDENCE.index(n) for n in ("share", "second", "classes")]] = 0.5, 0.5, 0.5
    for features in (agree, split):
        features[EVIDENCE.index("length")] = votes.features[:, 3, EVIDENCE.index("length")].mean()
    assert stop.gain(4, agree.tolist()) < stop.gain(4, split.tolist())


def test_live_and_replayed_stops_are_the_same(votes: Trajectories):
    stop = LearnedStop.fit(votes, rate=0.01 / votes.cost[:, 0].mean(), points=points_from(2, 12))
    for path, n in list(enumerate(stop.stops(votes)))[:40]:
        k = stop.next_point(0)
        while stop.gain(k, votes.features[path, k - 1].tolist()) > 0:
            k = stop.next_point(k)
        assert k == n


# -- as an object ------------------------------------------------------------------------------------------------------


def test_it_goes_into_json_and_back():
    paths = verified(paths=400)
    stop = LearnedStop.fit(paths, rate=1e-3, points=(2, 4, 8))
    again = LearnedStop.model_validate_json(stop.model_dump_json())
    assert (again.stops(paths) == stop.stops(paths)).all()
    assert again == stop  # after use as well


def test_between_its_points_it_goes_on_and_behind_the_last_it_ends():
    paths = verified(paths=400)
    stop = LearnedStop.fit(paths, rate=1e-3, points=(2, 4, 8))
    nothing = [0.0] * len(EVIDENCE)
    assert [stop.gain(n, nothing) for n in (1, 3, 7)] == [np.inf] * 3
    assert [stop.gain(n, nothing) for n in (8, 9)] == [-np.inf] * 2
    assert np.isfinite([stop.gain(n, nothing) for n in (2, 4)]).all()
    assert [stop.next_point(n) for n in (0, 2, 3, 8, 9)] == [2, 4, 4, 8, 9]


def test_a_single_point_is_an_end():
    paths = verified(paths=50)
    stop = LearnedStop.fit(paths, rate=1e-3, points=(4,))
    assert stop.gains == ()
    assert (stop.stops(paths) == 4).all()


def test_a_feature_without_spread_says_nothing():
    x = np.column_stack([np.ones(50), np.arange(50.0)])
    line = Linear.fit(x, 2 * np.arange(50.0) + 1, weights=np.ones(50), ridge=1e-9)
    assert line.weight[0] == 0.0
    assert line.at(x) == pytest.approx(2 * np.arange(50.0) + 1)


def test_few_problems_draw_a_line_toward_the_mean():
    x, y = np.arange(8.0)[:, None], np.arange(8.0)
    free, held = (Linear.fit(x, y, weights=np.ones(8), ridge=r) for r in (0.0, 8.0))
    assert held.weight[0] == pytest.approx(free.weight[0] / 2)  # a ridge of as many problems
    assert held.intercept == pytest.approx(y.mean())


# -- confidence --------------------------------------------------------------------------------------------------------


def test_confidence_is_calibrated_on_problems_that_it_has_not_seen(votes: Trajectories):
    pool = simulated_pool(Population(p=(0.8, 0.8), wrong=(1,) * 4, seed=7), problems=150, width=12, seed=7)
    others = anyio.run(lambda: replay(pool, "majority", orders=2))
    confidence = Confidence.fit(votes, points=points_from(2, 12))
    said = np.concatenate([confidence.at(n, others.features[:, n - 1]) for n in (2, 4, 8, 12)])
    is_so = np.concatenate([others.right[:, n - 1] for n in (2, 4, 8, 12)])
    bins = np.minimum((said * 5).astype(int), 4)
    error = sum(abs(said[bins == b].mean() - is_so[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert error < 0.06
    brier = ((said - is_so) ** 2).mean()
    assert brier < 0.75 * is_so.mean() * (1 - is_so.mean())  # and it tells them apart


def test_confidence_at_numbers_of_samples_of_their_own(votes: Trajectories):
    confidence = Confidence.fit(votes, points=(2, 8))
    both = confidence.at(np.array([2, 8]), votes.features[:2, 3])
    assert both[0] == confidence.at(2, votes.features[:1, 3])[0]
    assert both[1] == confidence.at(8, votes.features[1:2, 3])[0]


def test_confidence_goes_into_json_and_back(votes: Trajectories):
    confidence = Confidence.fit(votes, points=(2, 8))
    assert Confidence.model_validate_json(confidence.model_dump_json()) == confidence
