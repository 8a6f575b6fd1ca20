"""The oracle-bin policy: what knowing the difficulty is worth, and that choosing it in sample is not paid for."""

from __future__ import annotations

import numpy as np
import pytest

from ttc.errors import ConfigurationError
from ttc.evals.economics import Paths, fixed_curve, oracle_bin_policy


def population(p: np.ndarray, *, n: int = 16, orders: int = 4, seed: int = 0) -> Paths:
    """Passing samples are recognised: right after k samples with 1 - (1-p)^k, at one unit a sample."""
    rng = np.random.default_rng(seed)
    problem = np.repeat(np.arange(len(p)), orders)
    right = np.maximum.accumulate(rng.random((len(problem), n)) < p[problem][:, None], axis=1).astype(float)
    cost = np.tile(np.arange(1.0, n + 1), (len(problem), 1))
    return Paths(right=right, cost=cost, problem=problem, groups=tuple(map(str, range(len(p)))), unit="samples")


EASY_OR_HOPELESS = np.repeat([1.0, 0.35, 0.0], 100)


def test_it_buys_one_sample_for_the_easy_and_the_hopeless_and_more_between() -> None:
    found = oracle_bin_policy(population(EASY_OR_HOPELESS), EASY_OR_HOPELESS, source="the truth")
    # at accuracy .66: N=14 for a third of the problems, one sample for the others
    top = float(found.measured.curve().accuracy.max())
    assert found.cost_at(top - 0.01) < 0.5 * fixed_curve(population(EASY_OR_HOPELESS)).curve().cost_to_reach(top - 0.01)
    assert found.cost_at(1.0) == float("inf")
    middle = found.chosen[:, 1]
    assert middle.max() > 8
    assert sorted(middle[middle > 0])[0] == 1


def test_its_frontier_is_the_one_that_closed_forms_give() -> None:
    rng = np.random.default_rng(2)
    p = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 400)[rng.permutation(2000)]
    found = oracle_bin_policy(population(p, n=16, orders=2), p, source="the truth").measured.curve()
    n = np.arange(1, 17)
    for price in (0.02, 0.05):
        best = [int(np.argmax(1 - (1 - q) ** n - price * n)) for q in (0.1, 0.3, 0.5, 0.7, 0.9)]
        accuracy = np.mean([1 - (1 - q) ** n[b] for q, b in zip((0.1, 0.3, 0.5, 0.7, 0.9), best, strict=True)])
        cost = float(np.mean(n[best]))
        assert found.accuracy_at(cost) == pytest.approx(accuracy, abs=0.015)


def test_where_difficulty_says_nothing_it_gains_nothing() -> None:
    # what is "known" is noise: out of fold it does no better than fixed N at the same cost
    p = np.full(300, 0.3)
    paths = population(p, orders=1)
    fixed = fixed_curve(paths).curve()
    noise = np.random.default_rng(9).random(300)
    found = oracle_bin_policy(paths, noise, source="noise").measured.curve()
    inside = (found.cost > 1) & (found.cost < 15)
    gain = [
        float(a) - fixed.accuracy_at(float(c)) for a, c in zip(found.accuracy[inside], found.cost[inside], strict=True)
    ]
    assert max(gain) < 0.03


def test_each_problem_is_scored_with_what_others_chose() -> None:
    # group "0" alone profits from a second sample; no other group does, so it never gets one at a price above zero
    right = np.zeros((40, 2))
    right[0, 1] = 1.0
    cost = np.tile([1.0, 2.0], (40, 1))
    paths = Paths(right=right, cost=cost, problem=np.arange(40), groups=tuple(map(str, range(40))), unit="samples")
    found = oracle_bin_policy(paths, np.zeros(40), source="the truth")
    assert found.measured.right[0, :-1].max() == 0.0


def test_at_a_price_of_nothing_a_bin_buys_the_least_that_is_best() -> None:
    found = oracle_bin_policy(population(np.ones(40)), np.ones(40), source="the truth")
    assert found.measured.curve().cost.tolist() == [1.0] * (len(found.measured.settings) - 1) + [16.0]


def test_it_reaches_what_full_n_reaches() -> None:
    paths = population(np.linspace(0, 1, 60))
    full = float(fixed_curve(paths).curve().accuracy[-1])
    found = oracle_bin_policy(paths, np.linspace(0, 1, 60), source="the truth")
    assert found.measured.curve().at("full") == (pytest.approx(full), 16)
    assert found.cost_at(full) <= 16


def test_what_each_path_knows_may_differ() -> None:
    paths = population(EASY_OR_HOPELESS)
    by_problem = oracle_bin_policy(paths, EASY_OR_HOPELESS, source="the truth")
    by_path = oracle_bin_policy(paths, EASY_OR_HOPELESS[paths.problem], source="the truth")
    assert np.array_equal(by_problem.measured.right, by_path.measured.right)


def test_it_is_seeded() -> None:
    paths = population(np.linspace(0, 1, 30))
    one, same, other = (
        oracle_bin_policy(paths, np.linspace(0, 1, 30), source="the truth", seed=s).measured.right for s in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("known", [[0.5] * 7, [0.5, float("nan")] * 15])
def test_what_is_not_known_is_refused(known: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="pass@1"):
        oracle_bin_policy(population(np.full(30, 0.5)), known, source="nothing")


def test_one_group_is_not_enough() -> None:
    with pytest.raises(ConfigurationError, match="two groups"):
        oracle_bin_policy(population(np.full(1, 0.5)), [0.5], source="the truth")
