"""What is in a pool: against closed forms, against counting, and against the reference figures of the data."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data import recorded
from ttc.beta_binomial import fit_beta_binomial
from ttc.errors import ConfigurationError
from ttc.majority_at import majority_at
from ttc.pool_columns import import_pool
from ttc.pool_statistics import pass_at, pool_statistics
from ttc.pools import CutColumns, Pool, RecordedProblem


def problem(name: str, *right: float | None, answers: tuple[str | None, ...] = (), **fields: object) -> RecordedProblem:
    said = answers or tuple("yes" if r else f"no {i}" for i, r in enumerate(right))
    return RecordedProblem(id=name, answers=said, right=right, **fields)  # pyright: ignore[reportArgumentType]


def pool(*problems: RecordedProblem) -> Pool:
    return Pool(name="made", model="m", problems=problems)


# -- alone and together -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(right=st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_pass_at_n_is_the_unbiased_estimate(right: list[int]):
    n, c = len(right), sum(right)
    sizes = range(1, n + 1)
    assert pass_at(right, sizes) == pytest.approx([1 - comb(n - c, k) / comb(n, k) for k in sizes])


@settings(deadline=None)
@given(right=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_pass_at_n_averages_over_all_subsets_also_of_estimates(right: list[float]):
    for k in range(1, len(right) + 1):
        counted = [1 - np.prod([1 - r for r in some]) for some in combinations(right, k)]
        assert pass_at(right, [k])[0] == pytest.approx(float(np.mean(counted)), abs=1e-9)


@settings(deadline=None)
@given(answers=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7), right=st.floats(0, 1))
def test_a_majority_of_n_is_over_all_subsets_with_ties_by_lot(answers: list[str | None], right: float):
    verdicts = {"a": right, "b": 0.0, "c": 1.0}
    sizes = Counter(a for a in answers if a is not None)
    classes = tuple((n, verdicts[a]) for a, n in sorted(sizes.items()))

    def won(some: tuple[str | None, ...]) -> float:
        votes = Counter(a for a in some if a is not None)
        leaders = [a for a in votes if votes[a] == max(votes.values())]
        return float(np.mean([verdicts[a] for a in leaders])) if leaders else 0.0

    for n in range(1, len(answers) + 1):
        counted = float(np.mean([won(some) for some in combinations(answers, n)]))
        assert majority_at(classes, answers.count(None), n) == pytest.approx(counted, abs=1e-9)


def test_a_majority_of_thousands_of_samples_is_the_most_frequent_answer():
    assert majority_at(((900, 0.0), (1100, 1.0)), 10, 2010) == 1
    assert majority_at(((5, 0.0), (1000, 0.0), (1000, 1.0)), 0, 2005) == 0.5
    assert majority_at((), 2000, 2000) == 0


def test_a_majority_of_seeded_subsets_is_near_that_of_all():
    rng = np.random.default_rng(0)
    problems = [
        problem(f"p{i}", *(float(a == 0) for a in said), answers=tuple(map(str, said)))
        for i in range(100)
        for said in [rng.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=24).tolist()]
    ]
    found = pool_statistics(pool(*problems)).majority_at[16].value
    counted = [
        majority_at(tuple((p.answers.count(a), float(a == "0")) for a in sorted(set(p.answers), key=str)), 0, 16)
        for p in problems
    ]
    assert found == pytest.approx(float(np.mean(counted)), abs=3 * 0.035 / 10)


def test_a_majority_is_that_of_the_answers():
    found = pool_statistics(pool(problem("p", 1, 1, 1, 0, 0), problem("q", 1, 0, 0, 0, answers=("a", "b", "b", "b"))))
    assert found.majority_at[4].value == pytest.approx((1 + 0) / 2)
    assert found.majority_at[1].value == pytest.approx((3 / 5 + 1 / 4) / 2)
    assert found.pass_at[1].value == pytest.approx((3 / 5 + 1 / 4) / 2)


def test_a_tie_is_half_of_each():
    assert pool_statistics(pool(problem("p", 1, 0))).majority_at[2].value == pytest.approx(0.5)


def test_a_sample_without_an_answer_has_no_vote():
    found = pool_statistics(pool(problem("p", 0, 0, 1, answers=(None, None, "yes"))))
    assert found.majority_at[3].value == 1
    assert found.without_answer == pytest.approx(2 / 3)
    assert pool_statistics(pool(problem("p", 0, 0, answers=(None, None)))).majority_at[2].value == 0


@settings(deadline=None)
@given(st.permutations("aaabbc"))
def test_majorities_of_some_are_those_over_all_subsets(said: list[str]):
    (answers, right) = tuple(said), tuple(float(a == "a") for a in said)
    found = pool_statistics(pool(problem("p", *right, answers=answers)))
    counted: list[float] = []
    for some in combinations(answers, 4):
        most = max(map(some.count, some))
        leaders = {a for a in some if some.count(a) == most}
        counted.append(("a" in leaders) / len(leaders))
    assert found.majority_at[4].value == pytest.approx(float(np.mean(counted)), abs=0.12)  # of 200 subsets


def test_problems_of_one_group_count_as_one_in_the_intervals():
    apart = pool_statistics(pool(*(problem(f"p{i}", i % 2, i % 2) for i in range(8))))
    alike = pool_statistics(pool(*(problem(f"p{i}", i % 2, i % 2, group=f"g{i % 4}") for i in range(8))))
    assert apart.pass_at_1 is not None
    assert alike.pass_at_1 is not None
    assert (apart.pass_at_1.n, alike.pass_at_1.n, alike.groups) == (8, 4, 4)
    assert apart.pass_at_1.value == alike.pass_at_1.value == 0.5
    assert alike.pass_at_1.se > apart.pass_at_1.se


def test_problems_without_a_verdict_are_in_no_accuracy():
    found = pool_statistics(pool(problem("p", 1, 1), problem("q", None, None), problem("r", 1, None, 0)))
    assert (found.problems, found.graded, found.width) == (3, 2, 2)
    assert found.pass_at_1 is not None
    assert found.pass_at_1.value == pytest.approx(0.75)


def test_a_pool_without_verdicts_has_no_accuracies():
    found = pool_statistics(pool(problem("p", None, None)))
    assert (found.pass_at_1, found.majority_at, found.pass_at, found.beta) == (None, {}, {}, None)
    assert found.bins == (0, 0, 0, 0, 0)


def test_classes_are_those_of_the_tags():
    found = pool_statistics(pool(problem("p", 1, 1, tags={"level": "1"}), problem("q", 0, 0, tags={"level": "2"})))
    assert list(found.classes) == ["level=1", "level=2"]
    n, accuracy = found.classes["level=1"]
    assert n == 1
    assert accuracy is not None
    assert accuracy.value == 1


def test_problems_fall_into_five_bins():
    found = pool_statistics(pool(*(problem(f"p{i}", *([1] * i + [0] * (10 - i))) for i in range(11))))
    assert found.bins == (2, 2, 2, 2, 3)


# -- costs, scores, cuts ----------------------------------------------------------------------------------------------


def test_lengths_of_right_and_of_wrong_samples():
    found = pool_statistics(pool(problem("p", 1, 0, None, generated=(10.0, 30.0, 80.0))))
    assert (found.lengths.mean, found.lengths.median) == (40, 30)
    assert (found.lengths.right, found.lengths.wrong) == (10, 30)
    assert found.seconds is None


def test_seconds_are_shown_where_all_have_them():
    timed = problem("p", 1, 0, seconds=(1.0, 3.0))
    assert pool_statistics(pool(timed)).seconds is not None
    assert pool_statistics(pool(timed, problem("q", 1, 0))).seconds is None


def test_a_score_is_worth_what_it_tells_apart():
    p = problem("p", 1, 0, 0, scores={"sharp": (0.9, 0.1, 0.2), "flat": (0.5, 0.5, 0.5), "late": (0.1, None, 0.2)})
    found = pool_statistics(pool(p)).verifiers
    assert (found["sharp"].auc, found["flat"].auc, found["late"].auc) == (1, 0.5, 0)
    assert (found["sharp"].scored, found["late"].scored) == (3, 2)


def test_a_score_of_problems_chooses_none_of_their_samples():
    easy = problem("easy", 1, 1, 0, scores={"v": (0.9, 0.9, 0.9)})
    hard = problem("hard", 1, 0, 0, scores={"v": (0.1, 0.1, 0.1)})
    found = pool_statistics(pool(easy, hard)).verifiers["v"]
    assert found.auc_within == 0.5
    assert found.auc == pytest.approx((2 * 2 + 2 * 0.5 + 1 * 2 * 0.5) / 9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs(scored: list[tuple[float, bool]]):
    p = problem("p", *(float(r) for _, r in scored), scores={"v": tuple(s for s, _ in scored)})
    pairs = [(x > y) + (x == y) / 2 for x, r in scored if r for y, other in scored if not other]
    found = pool_statistics(pool(p)).verifiers["v"]
    assert found.auc == found.auc_within == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def test_cuts_have_an_accuracy_and_a_cost():
    cut = CutColumns(answers=("yes", None), right=(1.0, 0.0), generated=(5.0, 7.0))
    found = pool_statistics(pool(problem("p", 1, 1, cuts={5: cut}))).cuts[5]
    assert found.accuracy is not None
    assert (found.accuracy.value, found.cost, found.without_answer) == (0.5, 6, 0.5)


# -- the spread of difficulty -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2.0, 5.0), (0.2, 0.6), (8.0, 3.0)])
def test_a_beta_is_found_again(a: float, b: float):
    rng = np.random.default_rng(0)
    right = rng.binomial(16, rng.beta(a, b, 4000))
    found = fit_beta_binomial((int(r), 16) for r in right)
    assert found is not None
    assert found.a == pytest.approx(a, rel=0.1)
    assert found.b == pytest.approx(b, rel=0.1)


def test_the_fit_is_where_the_likelihood_is_highest():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed (extra tune)")
    counts = [(0, 8), (1, 8), (3, 8), (8, 8), (8, 8), (5, 6), (2, 4), (0, 8), (7, 8)]
    found = fit_beta_binomial(counts)
    assert found is not None

    def likelihood(a: float, b: float) -> float:
        return sum(float(stats.betabinom.logpmf(r, n, a, b)) for r, n in counts)

    best = likelihood(*found)
    for factor in (0.97, 1.03):
        assert likelihood(found.a * factor, found.b) < best
        assert likelihood(found.a, found.b * factor) < best


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [(3, 8)],
        [(0, 1), (1, 1), (1, 1)],
        [(8, 8)] * 9,
        [(0, 8)] * 9,
        [(0, 8), (8, 8)] * 9,
        [(4, 8)] * 50,
    ],
)
def test_what_says_nothing_of_the_spread_has_no_fit(counts: list[tuple[int, int]]):
    assert fit_beta_binomial(counts) is None


def test_more_right_ones_than_samples_are_an_error():
    with pytest.raises(ConfigurationError, match="9 right samples of 8"):
        fit_beta_binomial([(9, 8), (1, 8)])


@settings(deadline=None)
@given(st.lists(st.integers(1, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=12))
def test_a_fit_is_finite_or_none(counts: list[tuple[int, int]]):
    found = fit_beta_binomial(counts)
    assert found is None or (0 < found.a < 1e6 and 0 < found.b < 1e6)


# -- the data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "width", "single", "majority"),
    [
        ("sagemaker/microsoft/phi-4", 16, 0.138, 0.184),
        ("openai/gpt-4.1-2025-04-14", 8, 0.383, 0.482),
        ("openai/o3-mini-2025-01-31", 16, 0.639, 0.704),
    ],
)
def test_reference_figures_of_the_data(model: str, width: int, single: float, majority: float):
    """Single sample and majority of all, as plain scripts found them.

    A majority differs by less than one problem of 45: ties are broken by lot here, and equal answers that were graded
    differently have the mean of their verdicts.
    """
    every = import_pool(recorded("otis_aime.jsonl.gz"), where={"model": [model]}, unit="samples")
    found = pool_statistics(every.of(p.id for p in every.problems if len(p) == width))
    assert (found.problems, found.pass_at_1 is not None) == (45, True)
    assert found.pass_at[1].value == pytest.approx(single, abs=0.001)
    assert found.majority_at[width].value == pytest.approx(majority, abs=1 / 45)


def test_reference_figures_of_the_rewards():
    pool = import_pool(
        recorded("qwen_math_rm8.jsonl.gz"), model="qwen", unit="characters", scores={"reward": "rm_score"}
    )
    found = pool_statistics(pool)
    assert found.pass_at[1].value == pytest.approx(0.910, abs=0.001)
    assert found.pass_at[8].value == pytest.approx(0.960, abs=0.001)
    assert found.majority_at[8].value == pytest.approx(0.928, abs=0.005)
