"""What a run shows of cost: targets, areas, the frontier; each with its interval, and the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import orjson
import pytest

from ttc.evals.economics.by_problem import by_problem
from ttc.evals.economics.findings import economics_from_json
from ttc.evals.economics.frontier import on_frontier
from ttc.evals.economics.of_runs import run_economics
from ttc.evals.equal_cost import Measured

SETTINGS = (1, 2, 4, 8)


def points(
    strategy: str, accuracies: Sequence[float], *, price: float = 100, problems: int = 400, prefix: bool = True
) -> list[Measured]:
    """A curve on problems of which exactly so many are right at each setting, at a price a sample."""
    return [
        Measured(
            strategy=strategy,
            spec=f"{strategy}:n={8 if prefix else n}",
            n=n,
            prefix=prefix,
            problems={f"p{i:03}": (float(i < round(a * problems)), price * n) for i in range(problems)},
        )
        for n, a in zip(SETTINGS, accuracies, strict=True)
    ]


MAJORITY = points("majority", (0.4, 0.5, 0.6, 0.7))
WORSE = points("best_of_n:verifier=yes", (0.4, 0.45, 0.55, 0.65), price=120, prefix=False)
ALONE = Measured(strategy="single", spec="single", n=None, prefix=False, problems=MAJORITY[0].problems)


def test_what_targets_cost_and_by_how_much_more_than_the_baseline() -> None:
    found = run_economics([ALONE, *MAJORITY, *WORSE], targets=(0.55,))
    assert found is not None
    assert (found.baseline, found.problems, found.chosen) == ("majority", 400, "given")
    by_curve = {t.strategy: t for t in found.to_target}
    mine, its = by_curve["best_of_n:verifier=yes"], by_curve["majority"]
    assert (its.cost, its.how, its.ratio) == (pytest.approx(300), "prefix", None)
    assert (mine.cost, mine.how) == (pytest.approx(480), "explicit")
    assert mine.ratio == pytest.approx(1.6)
    assert mine.low is not None
    assert mine.low < 480
    # P(right) at n=8 has a lower end of .602: there the band reaches .55, between 480 and 960 tokens
    assert mine.high is not None
    assert 480 < mine.high < 960


def test_targets_are_chosen_between_where_curves_begin_and_what_two_of_them_reach() -> None:
    found = run_economics([*MAJORITY, *WORSE])
    assert found is not None
    assert found.targets == pytest.approx((0.525, 0.625))
    assert "from 0.400, where the curves begin, to 0.650, the best that two of them reach" in found.chosen


def test_an_upper_end_that_is_not_reached_is_infinite_and_so_is_a_lower_one() -> None:
    found = run_economics(MAJORITY, targets=(0.69, 0.72, 0.9))
    assert found is not None
    near, above, far = found.to_target
    assert (near.high, near.cost) == (None, pytest.approx(760))
    assert near.low is not None
    assert (above.cost, above.high) == (None, None)  # perhaps it reaches it: its lower end is a number
    assert above.low is not None
    assert (far.cost, far.low, far.high) == (None, None, None)  # credibly never


def test_areas_are_over_the_costs_that_all_curves_span_and_paired() -> None:
    found = run_economics([*MAJORITY, *WORSE])
    assert found is not None
    assert found.cost_range == (120, 800)
    its, mine = sorted(found.areas, key=lambda a: a.strategy != "majority")
    assert (its.cost, its.difference) == (None, None)
    assert mine.difference == pytest.approx(mine.accuracy - its.accuracy)
    assert mine.difference_low is not None
    assert mine.difference_high is not None
    assert mine.difference_low < mine.difference_high < 0
    assert mine.low < mine.accuracy < mine.high
    # pairing: the two share nearly all of their luck
    assert mine.difference_high - mine.difference_low < 0.5 * (mine.high - mine.low)


def test_at_equal_cost_curves_are_read_at_the_same_tokens() -> None:
    found = run_economics([*MAJORITY, *WORSE])
    assert found is not None
    end = {r.strategy: r for r in found.at_equal_cost if r.cost == 800}
    assert end["majority"].accuracy == pytest.approx(0.7)
    # between n=4 at 480 tokens (.55) and n=8 at 960 (.65)
    assert end["best_of_n:verifier=yes"].accuracy == pytest.approx(0.55 + 0.1 * 320 / 480)
    assert len(found.at_equal_cost) == 4


def test_costs_that_vary_widen_what_is_read_between_two_settings() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random((200, 1)) < [[0.3, 0.9]]).astype(float)
    cost = np.tile([100.0, 200.0], (200, 1))
    varying = cost * rng.lognormal(0, 1, (200, 1))
    varying *= cost.mean(axis=0) / varying.mean(axis=0)
    fixed = by_problem(lambda c: c.accuracy_at(150), right, cost)
    wide = by_problem(lambda c: c.accuracy_at(150), right, varying)
    assert fixed.mean() == pytest.approx(wide.mean())
    assert wide.std() > 1.1 * fixed.std()


def test_a_number_by_problem_is_exact_where_it_is_linear() -> None:
    right = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    cost = np.tile([10.0, 30.0], (4, 1))
    assert by_problem(lambda c: c.accuracy_at(20), right, cost) == pytest.approx([0.5, 1, 0, 0.5], abs=1e-6)
    area = by_problem(lambda c: c.area_under(10, 30), right, cost)
    weight = (20 / log(3) - 10) / 20  # of the second setting in the mean over log cost
    assert area == pytest.approx([weight, 1, 0, weight], abs=1e-6)


def test_the_frontier_says_who_is_on_it_and_how_surely() -> None:
    found = run_economics([ALONE, *MAJORITY, *WORSE])
    assert found is not None
    on = {(p.strategy, p.setting): p for p in found.frontier}
    assert [p.cost for p in found.frontier] == sorted(p.cost for p in found.frontier)
    assert on["majority", "n=8"].on
    assert on["majority", "n=8"].share == 1
    assert on["single", ""].on  # as good as majority of one, for as much
    assert not on["best_of_n:verifier=yes", "n=4"].on
    assert on["best_of_n:verifier=yes", "n=4"].share < 0.01


def test_a_close_call_is_on_the_frontier_in_some_resamples() -> None:
    rng = np.random.default_rng(1)
    problems = {f"p{i}": (float(rng.random() < 0.5), 100.0) for i in range(60)}
    dearer = {f"p{i}": (float(rng.random() < 0.5), 101.0) for i in range(60)}
    made = [Measured(strategy=s, spec=s, n=None, prefix=False, problems=p) for s, p in (("a", problems), ("b", dearer))]
    found = run_economics(made)
    assert found is not None
    assert found.to_target == found.areas == ()
    assert (found.baseline, found.cost_range, found.chosen) == ("", None, "there is no curve of two settings")
    assert 0.05 < {p.strategy: p.share for p in found.frontier}["b"] < 0.95


@pytest.mark.parametrize(
    ("cost", "accuracy", "on"),
    [
        ([1, 2, 3], [0.1, 0.2, 0.3], [True, True, True]),
        ([1, 2, 3], [0.2, 0.2, 0.3], [True, False, True]),  # as good for more
        ([2, 2, 1], [0.3, 0.2, 0.1], [True, False, True]),
        ([1, 1], [0.5, 0.5], [True, True]),
    ],
)
def test_who_is_on_a_frontier(cost: list[float], accuracy: list[float], on: list[bool]) -> None:
    assert on_frontier(np.array(cost, dtype=float), np.array(accuracy)).tolist() == on


def test_only_problems_that_all_points_have_count() -> None:
    few = points("majority", (0.4, 0.5, 0.6, 0.7), problems=40)
    found = run_economics([*few, *WORSE])
    assert found is not None
    assert found.problems == 40
    other = [Measured(strategy="x", spec="x", n=None, prefix=False, problems={"elsewhere": (1.0, 1.0)})]
    assert run_economics([*few, *other]) is None
    assert run_economics([]) is None


def test_of_prefixes_the_longest_run_counts() -> None:
    short = [
        Measured(strategy="majority", spec="majority:n=2", n=n, prefix=True, problems=MAJORITY[3].problems)
        for n in (1, 2)
    ]
    found = run_economics([*short, *MAJORITY], targets=(0.55,))
    assert found is not None
    assert [t.cost for t in found.to_target] == [pytest.approx(300)]


def test_one_problem_says_nothing() -> None:
    found = run_economics(points("majority", (0, 0, 1, 1), problems=1), targets=(0.5,))
    assert found is not None
    (target,) = found.to_target
    assert (target.low, target.high) == (0, None)
    assert all((r.low, r.high) == (0, 1) for r in (*found.areas, *found.at_equal_cost))


def test_where_first_settings_cost_nothing_ratios_still_have_ends() -> None:
    # of a model that does not think the one sample of n=1 is the answer, and is no thinking
    rng = np.random.default_rng(1)
    ability = rng.random(300) < 0.3
    made = [
        Measured(
            strategy=strategy,
            spec=f"{strategy}:n=8",
            n=n,
            prefix=True,
            problems={
                f"p{i:03}": (float(ability[i] if n == 1 else rng.random() < 0.3 + 0.15 * k), float(price * (n > 1) * n))
                for i in range(300)
            },
        )
        for strategy, price in (("majority", 10), ("best_of_n", 12))
        for k, n in enumerate(SETTINGS)
    ]
    found = run_economics(made, targets=(0.35, 0.45))
    assert found is not None
    near, far = [t for t in found.to_target if t.strategy == "best_of_n"]
    assert near.ratio is not None
    assert (near.ratio_low, near.ratio_high) == (0, None)  # perhaps one of them, or both, cost nothing
    assert far.ratio is not None
    assert far.ratio_low is not None
    assert far.ratio_high is not None
    assert 0 < far.ratio_low < far.ratio < far.ratio_high


def test_the_same_points_say_the_same_and_come_back_from_json() -> None:
    found = run_economics([ALONE, *MAJORITY, *WORSE])
    assert found is not None
    raw = orjson.dumps(found)
    assert orjson.dumps(run_economics([ALONE, *MAJORITY, *WORSE])) == raw
    assert economics_from_json(orjson.loads(raw)) == found
