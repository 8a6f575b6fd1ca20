"""Plans: nothing cheaper fails so seldom, what cannot be had is said, and measured values bring their intervals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import pytest

from ttc.errors import ConfigurationError
from ttc.strategies import theory
from ttc.strategies.plan import Plan, Tournament, plan, plan_from_counts
from ttc.strategy import make_strategy


def failure_of(kind: Tournament, n: int, k: int, p: float, q: float) -> float:
    fails = {"knockout": theory.knockout_failure, "league": theory.league_failure}[kind]
    return fails(n, k, p=p, q=q)


def calls_of(kind: Tournament, n: int, k: int) -> int:
    return n + k * (n - 1 if kind == "knockout" else n)


@pytest.mark.parametrize("tournament", ["knockout", "league", "cheapest"])
@pytest.mark.parametrize(("sample", "comparison"), [(1, 1), (1000, 10), (1, 20)])
@pytest.mark.parametrize(("p", "q", "failure"), [(0.4, 0.8, 0.05), (0.6, 0.7, 0.1), (0.3, 0.9, 0.2)])
def test_nothing_cheaper_fails_so_seldom(
    tournament: Tournament | Literal["cheapest"], sample: float, comparison: float, p: float, q: float, failure: float
) -> None:
    found = plan(
        p_gen=p,
        q=q,
        failure=failure,
        tournament=tournament,
        tokens_per_sample=sample,
        tokens_per_comparison=comparison,
        n_max=16,
        k_max=32,
    )
    assert found.failure == failure_of(found.tournament, found.n, found.k, p, q) <= failure
    assert found.calls == calls_of(found.tournament, found.n, found.k)
    assert found.cost == found.n * sample + (found.calls - found.n) * comparison
    kinds: list[Tournament] = ["knockout", "league"] if tournament == "cheapest" else [tournament]
    cheaper: list[tuple[Tournament, int, int]] = [
        (kind, n, k)
        for kind in kinds
        for n in range(1 if kind == "knockout" else 2, 17)
        for k in range(1, 33)
        if n * sample + (calls_of(kind, n, k) - n) * comparison < found.cost
    ]
    assert min((failure_of(kind, n, k, p, q) for kind, n, k in cheaper), default=1) > failure


@pytest.mark.parametrize("kind", ["knockout", "league"])
@pytest.mark.parametrize("q", [0.51, 0.7, 1.0])
@pytest.mark.parametrize("n", [2, 5, 16])
def test_more_meetings_never_do_harm(kind: Tournament, n: int, q: float) -> None:
    """What lets the planner bisect over k."""
    failures = [failure_of(kind, n, k, 0.3, q) for k in range(1, 24)]
    assert all(after <= before + 1e-12 for before, after in pairwise(failures))


def test_a_plan_is_a_strategy_and_says_what_it_is_worth() -> None:
    found = plan(p_gen=0.2, q=0.7, failure=0.05)
    assert found.spec == "knockout:n=29,k=9"
    assert make_strategy(found.spec).spec == found.spec
    assert found.calls == 29 + 9 * 28 == 281
    assert found.failure == pytest.approx(0.0477, abs=5e-5)
    assert found.bound == theory.knockout_bound(29, 9, p=0.2, q=0.7) == 1
    assert found.voting == 1 - theory.majority_accuracy(281, 0.2) > 0.99
    assert str(found).splitlines() == [
        "knockout:n=29,k=9 fails 0.0477 (asked for 0.05) at p=0.2, q=0.7",
        "the paper's bound says 1",
        "281 calls at the most: 29 samples and 252 comparisons",
        "a majority vote of 281 samples would fail 1 if all wrong ones agreed",
    ]


def test_a_plan_on_the_exact_recursion_is_far_cheaper_than_one_on_the_bound() -> None:
    n, k = theory.knockout_sufficient(0.05, p=0.2, q=0.7)
    assert plan(p_gen=0.2, q=0.7, failure=0.05).calls < calls_of("knockout", n, k) / 4


def test_one_sample_is_enough_where_it_fails_seldom_enough() -> None:
    assert plan(p_gen=0.97, q=0.6, failure=0.05).spec == "knockout:n=1,k=1"
    assert plan(p_gen=1, q=0.6, failure=0.05).n == 1


def test_free_comparisons_are_used_to_save_samples() -> None:
    dear, free = (plan(p_gen=0.3, q=0.8, failure=0.1, tokens_per_comparison=cost) for cost in (1.0, 0.0))
    assert free.n <= dear.n
    assert free.cost == free.n


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"q": 0.5}, "does not beat voting"),
        ({"q": 0.3}, "does not beat voting"),
        ({"q": 1.2}, "q=1.2 is no probability"),
        ({"p_gen": 0}, "0 < p_gen <= 1"),
        ({"p_gen": 1.1}, "0 < p_gen <= 1"),
        ({"p_gen": float("nan")}, "0 < p_gen <= 1"),
        ({"failure": 0}, "failure=0"),
        ({"failure": 1}, "failure=1"),
        ({"tokens_per_sample": -1}, "both >= 0"),
        ({"n_max": 0}, "at least 1"),
        ({"n_max": 4}, r"the least is 0\.[0-9]+, with knockout:n=4,k=64"),
        ({"p_gen": 1e-300}, "the least is 1"),
        ({"n_max": 1, "tournament": "league"}, "at least two candidates"),
        ({"tournament": "swiss"}, "knockout, league or cheapest"),
    ],
)
def test_what_cannot_be_planned_is_said(changed: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"p_gen": 0.2, "q": 0.7, "failure": 0.05, **changed}
    with pytest.raises(ConfigurationError, match=said):
        plan(**asked)


def counts(won: float, total: int, problems: int) -> dict[str, tuple[float, int]]:
    """Counts that differ between problems, around the same share."""
    return {f"p{i}": (won + (i % 3 - 1), total) for i in range(problems)}


def test_measured_values_bring_intervals_and_a_plan_that_is_safe() -> None:
    found = plan_from_counts(counts(3, 10, 60), counts(8, 10, 60), failure=0.05)
    assert (found.p_gen.value, found.q.value) == (pytest.approx(0.3), pytest.approx(0.8))
    assert found.p_gen.low < 0.3 < found.p_gen.high
    assert found.p_gen.n == found.q.n == 60
    assert found.plan == plan(p_gen=found.p_gen.value, q=found.q.value, failure=0.05)
    assert found.safe == plan(p_gen=found.p_gen.low, q=found.q.low, failure=0.05)
    assert found.plan is not None
    assert found.safe is not None
    assert found.safe.calls > found.plan.calls
    assert (found.why_no_plan, found.why_not_safe) == ("", "")
    assert found.plan.spec in str(found)
    assert found.safe.spec in str(found)


def test_a_q_that_may_be_a_coin_gives_no_safe_plan() -> None:
    found = plan_from_counts(counts(3, 10, 6), counts(5.5, 10, 6), failure=0.05)
    assert isinstance(found.plan, Plan)
    assert found.safe is None
    assert "does not beat voting" in found.why_not_safe
    assert found.why_not_safe in str(found)


def test_half_wins_count_half_and_problems_without_comparisons_count_nothing() -> None:
    found = plan_from_counts({"a": (1, 2), "b": (1, 2)}, {"a": (2.5, 4), "b": (0, 0)}, failure=0.4)
    assert found.q.value == 2.5 / 4
    assert found.q.n == 1


@pytest.mark.parametrize(
    ("samples", "comparisons", "terms", "said"),
    [
        ({}, {"a": (1, 2)}, {}, "a plan needs samples"),
        ({"a": (1, 2)}, {"a": (0, 0)}, {}, "a plan needs comparisons"),
        ({"a": (3, 2)}, {"a": (1, 2)}, {}, "samples of 'a': 3 of 2"),
        ({"a": (1, 2)}, {"a": (1, 2)}, {"n_max": 0}, "at least 1"),
    ],
)
def test_counts_that_are_none_are_refused(samples: Any, comparisons: Any, terms: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan_from_counts(samples, comparisons, failure=0.1, **terms)
