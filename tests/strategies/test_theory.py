"""The closed forms against the published numbers, and against brute force where there is any."""

from __future__ import annotations

from itertools import product
from math import comb, factorial, inf, log, prod

import numpy as np
import pytest

from ttc.errors import ConfigurationError
from ttc.strategies import theory

#: published to four digits, or to as many as are written
FOUR = 5e-5


def four(value: float) -> object:
    return pytest.approx(value, abs=FOUR)


# -- votes and coverage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "accuracy"), [(5, 0.6826), (17, 0.8011), (65, 0.9490)])
def test_majority_of_binary_votes(n: int, accuracy: float) -> None:
    assert theory.majority_accuracy(n, 0.6) == four(accuracy)
    assert theory.vote_accuracy(n, [0.6, 0.4]) == pytest.approx(theory.majority_accuracy(n, 0.6), abs=1e-12)


@pytest.mark.parametrize(("n", "accuracy"), [(11, 0.484), (101, 0.458), (1001, 0.370)])
def test_voting_converges_to_the_mode_and_so_can_fall(n: int, accuracy: float) -> None:
    assert theory.vote_accuracy(n, [0.45, 0.46, 0.09]) == pytest.approx(accuracy, abs=5e-4)


@pytest.mark.parametrize("shares", [[0.3, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.25, 0.25], [1.0]])
@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_votes_on_classes_equal_the_sum_over_all_counts(n: int, shares: list[float]) -> None:
    exact = 0.0
    for counts in product(range(n + 1), repeat=len(shares)):
        if sum(counts) == n and counts[0] == max(counts):
            ways = factorial(n) / prod(map(factorial, counts))
            exact += ways * prod(s**c for s, c in zip(shares, counts, strict=True)) / counts.count(max(counts))
    assert theory.vote_accuracy(n, shares) == pytest.approx(exact, abs=1e-12)


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="add up to 1"):
        theory.vote_accuracy(3, [0.5, 0.4])


def test_weights_of_known_voters() -> None:
    voters = [0.9, 0.6, 0.6]
    assert theory.weighted_vote_accuracy(voters, [1, 1, 1]) == four(0.792)
    assert theory.weighted_vote_accuracy(voters) == four(0.900)
    assert theory.weighted_vote_accuracy([0.7, 0.7]) == four(0.7)  # a tie counts half


def test_pass_at_k_is_unbiased_where_the_plug_in_is_not() -> None:
    chances = theory.binomial(20, 0.1)
    unbiased = sum(chance * theory.pass_at_k(20, c, 10) for c, chance in enumerate(chances))
    plug_in = sum(chance * (1 - (1 - c / 20) ** 10) for c, chance in enumerate(chances))
    assert unbiased == pytest.approx(1 - 0.9**10, abs=1e-12) == pytest.approx(0.651322, abs=5e-7)
    assert plug_in == four(0.5681)
    assert theory.pass_at_k(20, 7, 5) == pytest.approx(1 - comb(13, 5) / comb(20, 5))
    assert (theory.pass_at_k(5, 0, 5), theory.pass_at_k(5, 1, 5)) == (0, 1)
    with pytest.raises(ConfigurationError, match="pass@6"):
        theory.pass_at_k(5, 1, 6)


@pytest.mark.parametrize(("k", "coverage"), [(1, 0.1304), (10, 0.4415), (100, 0.7084), (1000, 0.8532), (10**4, 0.9264)])
def test_pass_at_k_over_beta_problems(k: int, coverage: float) -> None:
    assert theory.pass_at_k_beta(k, 0.3, 2) == four(coverage)


# -- choosing by a verifier --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "gaussian", "t3"),
    [(4, 0.5187, 0.4736), (16, 0.7002, 0.5301), (64, 0.8163, 0.4819), (256, 0.8842, 0.4215)],
)
def test_best_of_n_under_noise_rises_or_is_over_optimised(n: int, gaussian: float, t3: float) -> None:
    assert theory.best_of_n_accuracy(n, 0.3) == four(gaussian)
    assert theory.best_of_n_accuracy(n, 0.3, noise="t3") == four(t3)


@pytest.mark.parametrize("noise", ["gaussian", "t3"])
def test_best_of_one_is_one_sample(noise: str) -> None:
    assert theory.best_of_n_accuracy(1, 0.3, noise=noise) == pytest.approx(0.3, abs=1e-9)  # type: ignore[arg-type]


def test_bounds_of_best_of_n() -> None:
    assert theory.best_of_n_kl_bound(1) == 0
    assert theory.best_of_n_kl_bound(16) == pytest.approx(log(16) - 15 / 16)
    assert theory.best_of_n_win_rate_bound(4) == 0.8


@pytest.mark.parametrize(
    ("k", "wrong_if_none", "random_if_none"),
    [(1, 0.27, 0.300), (2, 0.4482, 0.468), (5, 0.6947, 0.700), (10, 0.7817, 0.782)],
)
def test_the_first_that_passes_an_imperfect_verifier(k: int, wrong_if_none: float, random_if_none: float) -> None:
    assert theory.first_pass_accuracy(k, p=0.3, tpr=0.9, fpr=0.1) == four(wrong_if_none)
    with_fallback = theory.first_pass_accuracy(k, p=0.3, tpr=0.9, fpr=0.1, fallback=True)
    assert with_fallback == pytest.approx(random_if_none, abs=5e-4)
    assert with_fallback < theory.first_pass_ceiling(p=0.3, tpr=0.9, fpr=0.1) == four(0.7941)


def test_verifiers_at_their_extremes() -> None:
    assert theory.first_pass_accuracy(3, p=0.3, tpr=1, fpr=0) == pytest.approx(1 - 0.7**3)
    assert theory.first_pass_accuracy(3, p=0.3, tpr=1, fpr=1, fallback=True) == pytest.approx(0.3)
    assert theory.first_pass_accuracy(3, p=0.3, tpr=0, fpr=0) == 0
    assert theory.first_pass_accuracy(3, p=0.3, tpr=0, fpr=0, fallback=True) == pytest.approx(0.3)


# -- stop rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "samples", "accuracy", "fixed"),
    [
        (1, 4, 1, 1),
        (0.9, 5.622, 0.9999, 1),
        (0.8, 8.718, 0.9981, 1),
        (0.7, 15.114, 0.9851, 0.9957),
        (0.6, 24.161, 0.8756, 0.8979),
    ],
)
def test_cost_and_accuracy_of_the_beta_stop(p: float, samples: float, accuracy: float, fixed: float) -> None:
    stopped = theory.beta_stop(p, 40)
    assert stopped.samples == pytest.approx(samples, abs=5e-4)
    assert stopped.accuracy == four(accuracy)
    assert theory.majority_accuracy(40, p) == four(fixed)


@pytest.mark.parametrize(("p", "samples"), [(0.8, 8.696), (0.7, 14.724), (0.6, 23.084)])
def test_the_certain_stop_saves_samples_and_loses_nothing(p: float, samples: float) -> None:
    with_certain = theory.beta_stop(p, 40, certain=True)
    assert with_certain.samples == pytest.approx(samples, abs=5e-4)
    assert with_certain.accuracy == pytest.approx(theory.beta_stop(p, 40).accuracy, abs=1e-12)


@pytest.mark.parametrize(("p", "samples"), [(0.9, 8.461), (0.8, 14.610), (0.7, 22.752), (0.6, 29.626)])
def test_cost_of_the_window_stop(p: float, samples: float) -> None:
    agree = p**5 + (1 - p) ** 5
    assert theory.window_stop(p, 40).samples == pytest.approx(samples, abs=5e-4)
    assert theory.window_stop(p, 40).samples == pytest.approx(5 * sum((1 - agree) ** i for i in range(8)))


@pytest.mark.parametrize("certain", [False, True])
def test_stop_rules_equal_brute_force(certain: bool) -> None:
    """Every sequence of seven votes, gone through one by one."""
    p, n, window = 0.6, 7, 3
    samples = accuracy = 0.0
    for votes in product((1, 0), repeat=n):
        drawn = n
        for end in range(1, n + 1):
            good = sum(votes[:end])
            unanimous = end % window == 0 and len(set(votes[end - window : end])) == 1
            if unanimous or (certain and abs(2 * good - end) > n - end):
                drawn = end
                break
        chance = p ** sum(votes) * (1 - p) ** (n - sum(votes))
        samples += chance * drawn
        accuracy += chance * (0.5 if 2 * sum(votes[:drawn]) == drawn else 2 * sum(votes[:drawn]) > drawn)
    stopped = theory.window_stop(p, n, window=window, certain=certain)
    assert stopped.samples == pytest.approx(samples, abs=1e-12)
    assert stopped.accuracy == pytest.approx(accuracy, abs=1e-12)


# -- revisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "success"), [(1, 0.7255), (2, 0.9568), (4, 0.9766), (8, 0.9693), (16, 0.9194), (64, 0.5100)]
)
def test_neither_one_long_chain_nor_only_short_ones(length: int, success: float) -> None:
    assert theory.chain_coverage(64, length, p=0.02, fix=0.15, stuck=0.5) == four(success)


def test_a_chain_that_flips_forgets_where_it_started() -> None:
    assert theory.flip_chain_accuracy(inf, p=0.9, fix=0.25, breaks=0.38) == four(0.3968)
    assert theory.flip_chain_accuracy(0, p=0.9, fix=0.25, breaks=0.38) == pytest.approx(0.9)
    assert theory.flip_chain_accuracy(1, p=0.9, fix=0.25, breaks=0.38) == pytest.approx(0.9 * 0.62 + 0.1 * 0.25)


# -- tournaments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "failures"),
    [(1, (0.5683, 0.4702, 0.2772)), (3, (0.4548, 0.3139, 0.1036)), (4, (0.4548, 0.3139, 0.1036))],
)
def test_failure_of_a_knockout(k: int, failures: tuple[float, ...]) -> None:
    for n, failure in zip((8, 16, 64), failures, strict=True):
        assert theory.knockout_failure(n, k, p=0.2, q=0.7) == four(failure)


def test_the_bound_of_a_knockout_is_loose() -> None:
    assert theory.knockout_failure(64, 25, p=0.2, q=0.7) == pytest.approx(0.00012, abs=5e-6)
    assert theory.knockout_bound(64, 25, p=0.2, q=0.7) == pytest.approx(0.812, abs=5e-4)


def test_a_knockout_falls_as_a_power_of_n() -> None:
    """fail ~ n^(-log2(1/(2(1-w)))): in the limit a doubling of n multiplies it by 2(1-w)."""
    lose = 1 - theory.majority_accuracy(3, 0.7)
    halved = theory.knockout_failure(2**21, 3, p=0.2, q=0.7) / theory.knockout_failure(2**20, 3, p=0.2, q=0.7)
    assert halved == pytest.approx(2 * lose, rel=1e-3)


@pytest.mark.parametrize("n", range(1, 34))
def test_a_knockout_of_any_size_equals_its_tree_gone_through_pair_by_pair(n: int) -> None:
    lose = 1 - theory.majority_accuracy(3, 0.7)
    line = [0.8] * n
    while len(line) > 1:
        bye = line[-1:] if len(line) % 2 else []
        pairs = zip(line[::2], line[1::2], strict=False)
        line = bye + [a * b + (a * (1 - b) + b * (1 - a)) * lose for a, b in pairs]
    assert theory.knockout_failure(n, 3, p=0.2, q=0.7) == pytest.approx(line[0], abs=1e-12)
    assert theory.knockout_failure(n, 3, p=0.2, q=0.7) <= theory.knockout_bound(n, 3, p=0.2, q=0.7)


def test_what_the_bound_says_is_sufficient_is() -> None:
    for failure, p, q in ((0.05, 0.2, 0.7), (0.3, 0.9, 0.95), (0.01, 0.05, 0.6)):
        n, k = theory.knockout_sufficient(failure, p=p, q=q)
        assert theory.knockout_failure(n, k, p=p, q=q) <= theory.knockout_bound(n, k, p=p, q=q) <= failure
    assert theory.knockout_sufficient(0.05, p=0.2, q=0.7) == (19, 67)  # ln 40 / .2 = 18.4 and ln 200 / .08 = 66.2


def test_a_biased_judge_is_no_better_asked_again_unless_the_slots_alternate() -> None:
    fixed, alternating = (
        1 - theory.knockout_failure(16, 4, p=0.2, q=0.8, first_slot=0.6, alternate=way) for way in (False, True)
    )
    assert (fixed, alternating) == (four(0.3694), four(0.5263))
    assert theory.comparison_accuracy(2001, 0.8, first_slot=0.6, alternate=False) == pytest.approx(0.5, abs=1e-6)
    assert theory.comparison_accuracy(2001, 0.8, first_slot=0.6) == pytest.approx(1, abs=1e-6)
    assert theory.comparison_accuracy(1, 0.8, first_slot=0.6) == pytest.approx(0.6 * 0.5 + 0.4 * 0.8)


@pytest.mark.parametrize(("n", "k", "failure"), [(16, 16, 0.2215), (64, 16, 0.097)])
def test_failure_of_a_league(n: int, k: int, failure: float) -> None:
    assert theory.league_failure(n, k, p=0.2, q=0.7) == pytest.approx(failure, abs=0.003)


def test_failure_of_a_large_league_is_the_rate_of_a_simulation() -> None:
    """The published .0003 is a simulation's; the exact value is .00047, which a larger simulation confirms."""
    draw, n, k, repeats = np.random.default_rng(11), 64, 64, 100_000
    exact = theory.league_failure(n, k, p=0.2, q=0.7)
    assert exact == pytest.approx(0.00047, abs=5e-6)
    right = draw.random((repeats, n)) < 0.2
    c = right.sum(axis=1, keepdims=True)
    alike = np.where(right, c - 1, n - c - 1) / (n - 1)
    win = alike / 2 + (1 - alike) * np.where(right, 0.7, 0.3)
    best = (draw.binomial(k, win) + draw.random((repeats, n))).argmax(axis=1)
    found = float(1 - right[np.arange(repeats), best].mean())
    assert abs(found - exact) < 4 * (exact / repeats) ** 0.5


def test_half_points_within_a_class_change_a_league() -> None:
    assert theory.league_failure(16, 16, p=0.2, q=0.7, same="half") == pytest.approx(0.044, abs=5e-4)


@pytest.mark.parametrize("same", ["coin", "half", "redraw"])
def test_a_small_league_equals_the_sum_over_all_scores(same: theory.SameClass) -> None:
    n, k, p, q = 3, 2, 0.4, 0.8
    failure = 0.0
    for right in product((True, False), repeat=n):
        chance = prod(p if good else 1 - p for good in right)
        if len(set(right)) == 1:
            failure += chance * (not right[0])
            continue
        meetings: list[dict[float, float]] = []  # of each candidate: what one meeting brings, and how likely that is
        for i, good in enumerate(right):
            others = [j for j in range(n) if j != i and not (same == "redraw" and right[j] == good)]
            brings = {0.0: 0.0, 0.5: 0.0, 1.0: 0.0}
            for j in others:
                win = 0.5 if right[j] == good else q if good else 1 - q
                if right[j] == good and same == "half":
                    brings[0.5] += 1 / len(others)
                else:
                    brings[1.0] += win / len(others)
                    brings[0.0] += (1 - win) / len(others)
            meetings.append(brings)
        for results in product(product((0.0, 0.5, 1.0), repeat=k), repeat=n):
            scores = [sum(result) for result in results]
            way = prod(meetings[i][won] for i, result in enumerate(results) for won in result)
            top = [good for good, score in zip(right, scores, strict=True) if score == max(scores)]
            failure += chance * way * top.count(False) / len(top)
    assert theory.league_failure(n, k, p=p, q=q, same=same) == pytest.approx(failure, abs=1e-12)


def test_the_bound_of_a_league_holds() -> None:
    for n, k in ((16, 16), (512, 512)):
        assert theory.league_bound(n, k, p=0.2, gap=0.45) >= theory.league_failure(n, k, p=0.2, q=0.95)
    assert theory.league_bound(512, 512, p=0.2, gap=0.45) < 0.1
