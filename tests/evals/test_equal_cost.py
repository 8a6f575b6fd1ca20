"""A strategy that chooses its own spending is held against fixed ones at its own cost, problem by problem."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evals.test_scaling import unit
from ttc.evals.equal_cost import Measured, compare_at_equal_cost, measured
from ttc.evals.scaling import summarise
from ttc.evals.summary import EqualCost, summary_from_json, summary_to_json
from ttc.evals.tables import footnotes


def point(strategy: str, right: Sequence[float], cost: float | Sequence[float], n: int | None = None) -> Measured:
    """A point on problems 0, 1, ... with a share of right answers and a cost each."""
    costs = [float(cost)] * len(right) if isinstance(cost, int | float) else cost
    spec = strategy if n is None else f"{strategy}:n=16"
    problems = {str(i): (r, c) for i, (r, c) in enumerate(zip(right, costs, strict=True))}
    return Measured(strategy=strategy, spec=spec, n=n, prefix=n is not None, problems=problems)


def only(*points: Measured) -> EqualCost:
    (found,) = compare_at_equal_cost(points)
    return found


VOTE = (point("majority", [1, 0, 0, 0], 10, 1), point("majority", [1, 1, 1, 0], 30, 4))


def test_a_fixed_strategy_is_read_between_the_points_on_either_side() -> None:
    found = only(point("adaptive", [1, 1, 0, 0], 15), *VOTE)
    assert (found.settings, found.where, found.place) == (("n=1", "n=4"), "equal", "n=1 to n=4")
    assert (found.cost, found.its_cost) == (15, 15)
    assert found.its_accuracy == pytest.approx(0.75 * 0.25 + 0.25 * 0.75)
    assert found.difference == pytest.approx(0.5 - found.its_accuracy)


def test_at_the_cost_of_a_point_it_is_that_point() -> None:
    found = only(point("adaptive", [1, 1, 1, 1], 30), *VOTE)
    assert (found.settings, found.where, found.its_accuracy) == (("n=4",), "equal", 0.75)


@pytest.mark.parametrize(
    ("cost", "where", "place"),
    [
        (60, "cheaper", "n=4, its most, 0.50 of the tokens"),
        (5, "dearer", "n=1, its least, 2.00 of the tokens"),
        (0, "dearer", "n=1, its least"),
    ],
)
def test_beyond_a_curve_its_end_stands_for_it_and_its_cost_is_said(cost: int, where: str, place: str) -> None:
    found = only(point("adaptive", [1, 1, 0, 0], cost), *VOTE)
    assert (found.where, found.place) == (where, place)
    assert found.its_cost == (30 if where == "cheaper" else 10)


def test_the_strategy_itself_on_its_own_curve_is_no_better_and_no_worse() -> None:
    right = [1, 0, 1, 1, 0, 1]
    found = only(point("adaptive", right, 20), point("majority", right, 10, 1), point("majority", right, 30, 2))
    assert (found.difference, found.credible, found.verdict) == (0, False, "not resolved")
    assert found.low < 0 < found.high  # six problems show little, alike as they are


def test_only_problems_that_all_points_have_are_compared() -> None:
    found = only(point("adaptive", [1, 1, 0, 0, 1, 1], 15), *VOTE)
    assert found.n == 4
    assert found.accuracy == 0.5


def test_strategies_without_a_problem_in_common_are_not_compared() -> None:
    other = Measured(strategy="adaptive", spec="adaptive", n=None, prefix=False, problems={"x": (1.0, 10.0)})
    assert compare_at_equal_cost([other, *VOTE]) == []


def test_each_that_has_no_n_meets_each_that_has_one_and_single_meets_nobody() -> None:
    right = [1, 0, 1, 0]
    lone = [point(name, right, 20) for name in ("single", "adaptive", "converge")]
    fixed = [point("knockout", right, 10 * n, n) for n in (2, 4)]
    found = compare_at_equal_cost([*lone, *fixed, *VOTE])
    assert [(c.strategy, c.against) for c in found] == [
        (name, against) for name in ("adaptive", "converge") for against in ("knockout", "majority")
    ]


def test_of_several_runs_read_at_prefixes_the_longest_is_the_curve() -> None:
    short = Measured(strategy="majority", spec="majority:n=2", n=2, prefix=True, problems={"0": (0.0, 15.0)})
    found = only(point("adaptive", [1, 1, 0, 0], 15), short, *VOTE)
    assert found.settings == ("n=1", "n=4")


def test_points_that_cost_the_same_are_one_place() -> None:
    same = (point("majority", [0, 0, 1, 0], 10, 1), point("majority", [1, 1, 1, 0], 10, 2))
    found = only(point("adaptive", [1, 1, 0, 0], 10), *same)
    assert (found.where, found.its_cost) == ("equal", 10)


def test_the_interval_is_that_of_resampled_problems_costs_included() -> None:
    rng = np.random.default_rng(3)
    n = 300
    p = rng.beta(1, 1, n)
    cost = rng.exponential(20, n)
    # The curve is steep, so that what a problem costs moves the place on it.
    mine, one = ((rng.random(n) < p / 2).astype(float) for _ in range(2))
    two = (rng.random(n) < (1 + p) / 2).astype(float)
    spent = cost * 1.5 * rng.uniform(0.2, 1.8, n)
    found = only(
        point("adaptive", mine.tolist(), spent.tolist()),
        point("majority", one.tolist(), cost.tolist(), 1),
        point("majority", two.tolist(), (cost * 2).tolist(), 2),
    )
    resampled: list[float] = []
    for _ in range(2000):
        i = rng.integers(0, n, n)
        weight = min(max(float(spent[i].mean() / cost[i].mean()) - 1, 0), 1)
        there = (1 - weight) * one[i].mean() + weight * two[i].mean()
        resampled.append(float(mine[i].mean() - there))
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)
    plain = 2 * 1.96 * np.std(mine - (one + two) / 2, ddof=1) / np.sqrt(n)
    assert found.high - found.low > 1.1 * plain  # costs count


def test_what_is_better_on_most_problems_is_credibly_so_also_among_several() -> None:
    wins = [1.0] * 60 + [0.0] * 20
    poor = [0.0] * 70 + [1.0] * 10
    found = compare_at_equal_cost(
        [point("adaptive", wins, 10), point("majority", poor, 10, 2), point("vote", poor, 10, 2)]
    )
    assert all(c.credible and c.p < 0.05 and c.p <= c.p_holm < 0.05 for c in found)
    assert found[0].verdict == "above majority"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 100)), min_size=2, max_size=8), st.data())
def test_what_a_fixed_strategy_brings_lies_between_its_points(
    mine: list[tuple[float, float]], data: st.DataObject
) -> None:
    rights = data.draw(
        st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(mine), max_size=len(mine)), min_size=1, max_size=4)
    )
    curve = [point("majority", right, 10 * 2**i, 2**i) for i, right in enumerate(rights)]
    found = only(point("adaptive", [m[0] for m in mine], [m[1] for m in mine]), *curve)
    means = [float(np.mean(right)) for right in rights]
    low, high = min(means), max(means)
    assert low - 1e-9 <= found.its_accuracy <= high + 1e-9
    assert any(
        sorted((a, b))[0] - 1e-9 <= found.its_accuracy <= sorted((a, b))[1] + 1e-9
        for a, b in pairwise([*means, means[-1]])
    )
    assert found.low <= found.difference + 1e-9
    assert found.difference - 1e-9 <= found.high


def test_epochs_of_a_problem_are_averaged() -> None:
    made = measured("adaptive", "adaptive", [("a", True, 10), ("a", False, 20), ("b", True, 5)])
    assert made.problems == {"a": (0.5, 15), "b": (1, 5)}


def test_a_run_with_such_a_strategy_says_it_in_its_summary_and_under_its_table() -> None:
    votes = [unit("majority", i, n=4, prefix=True, answers=["1", "1", "42", "42"]) for i in range(8)]
    mine = [unit("adaptive", i, answers=["42", "42"], correct=i < 6) for i in range(8)]
    summary = summarise([*votes, *mine])
    (found,) = summary.at_equal_cost
    # Two samples of ten tokens, two of which are the answer.
    assert (found.strategy, found.against, found.settings, found.cost) == ("adaptive", "majority", ("n=2",), 18)
    assert (found.accuracy, found.its_accuracy) == (0.75, 0)
    assert summary_from_json(summary_to_json(summary)) == summary
    (line,) = [note for note in footnotes(summary) if "equal cost" in note]
    assert line.startswith("adaptive against majority at equal cost (18 tokens; n=2): +75.0 [")
    assert line.endswith("above majority")


def test_a_run_without_one_has_nothing_of_it_in_its_summary() -> None:
    summary = summarise([unit("majority", i, n=2, prefix=True, answers=["42", "42"]) for i in range(3)])
    assert summary.at_equal_cost == ()
    assert "at_equal_cost" not in orjson.loads(summary_to_json(summary))
