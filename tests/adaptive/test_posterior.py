"""What the samples of a query say about further ones."""

from __future__ import annotations

import random
from collections import Counter
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.adaptive.posterior import JEFFREYS, Beta, fit_beta, p_ahead, vote_gain, vote_value
from ttc.strategies.vote import leads_beyond_doubt

# -- passes and failures ----------------------------------------------------------------------------------------------


def test_a_belief_has_the_mean_and_the_weight_that_it_was_given():
    belief = Beta.around(0.3, 10)
    assert belief.mean == pytest.approx(0.3)
    assert belief.a + belief.b == pytest.approx(10)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nobody_is_sure_before_the_first_sample(p: float):
    assert 0 < Beta.around(p, 5).mean < 1


def test_the_next_sample_is_worth_less_after_each_failure():
    means = [JEFFREYS.after(0, failures).mean for failures in range(5)]
    assert means == pytest.approx([0.5 / (1 + f) for f in range(5)])


@given(a=st.floats(0.1, 5), b=st.floats(0.1, 5), n=st.integers(1, 20))
def test_one_of_n_passes_as_often_as_when_they_are_drawn_one_by_one(a: float, b: float, n: int):
    missed = 1.0
    for failures in range(n):
        missed *= 1 - Beta(a, b).after(0, failures).mean
    assert Beta(a, b).within(n) == pytest.approx(1 - missed)


def test_one_of_n_passes_as_often_as_in_draws_from_the_belief():
    rng = random.Random(0)
    drawn = [1 - (1 - rng.betavariate(0.5, 1.5)) ** 6 for _ in range(20_000)]
    assert Beta(0.5, 1.5).within(6) == pytest.approx(sum(drawn) / len(drawn), abs=0.01)


@pytest.mark.parametrize("population", [Beta(0.5, 0.5), Beta(2.0, 2.0), Beta(0.4, 1.6)])
def test_a_population_is_found_although_queries_stop_when_they_pass(population: Beta):
    rng = random.Random(1)
    counts = Counter[tuple[int, int]]()
    for _ in range(2000):
        p, failures = rng.betavariate(population.a, population.b), 0
        while failures < 12 and rng.random() >= p:
            failures += 1
        counts[int(failures < 12), failures] += 1
    found = fit_beta(counts)
    assert found.mean == pytest.approx(population.mean, abs=0.051)  # a step of the grid
    assert found.a + found.b == pytest.approx(population.a + population.b, rel=0.51)  # one of that


def test_single_samples_say_nothing_of_how_much_queries_differ():
    found = fit_beta({(1, 0): 30, (0, 1): 70})
    assert (found.mean, found.a + found.b) == (pytest.approx(0.3), 1.0)


# -- votes ------------------------------------------------------------------------------------------------------------


def test_a_tie_is_a_coin_and_a_lead_is_not():
    assert p_ahead(3, 3) == 0.5
    assert p_ahead(1, 0) == 0.75


@given(first=st.integers(0, 20), second=st.integers(0, 20))
def test_one_of_two_is_the_likelier(first: int, second: int):
    assert p_ahead(first, second) + p_ahead(second, first) == pytest.approx(1)


@pytest.mark.parametrize(("first", "second"), [(4, 0), (6, 1), (8, 2), (9, 3)])
def test_it_is_the_probability_that_the_beta_stop_waits_for(first: int, second: int):
    assert leads_beyond_doubt(first, second, 0.95)
    assert p_ahead(first, second) >= 0.95 > p_ahead(first - 1, second)


def expected_after(first: int, second: int, more: int) -> float:
    """Integrate by hand: the expected P(the leader is the likelier one) after so many more votes."""
    grid = [(i + 0.5) / 2000 for i in range(2000)]
    weights = [x**first * (1 - x) ** second for x in grid]
    total = 0.0
    for k in range(more + 1):
        chance = sum(w * comb(more, k) * x**k * (1 - x) ** (more - k) for x, w in zip(grid, weights, strict=True))
        ahead = p_ahead(first + k, second + more - k)
        total += chance / sum(weights) * max(ahead, 1 - ahead)
    return total


@pytest.mark.parametrize(("first", "second", "more"), [(1, 0, 3), (2, 1, 4), (3, 3, 2), (5, 2, 8), (0, 0, 3)])
def test_the_value_of_votes_is_what_they_make_the_leader_surer(first: int, second: int, more: int):
    now = p_ahead(max(first, second), min(first, second))
    assert vote_value(first, second, more) == pytest.approx(expected_after(first, second, more) - now, abs=1e-5)


@given(first=st.integers(0, 12), second=st.integers(0, 12), more=st.integers(0, 20))
def test_votes_never_lose_and_more_of_them_gain_no_less(first: int, second: int, more: int):
    value = vote_value(first, second, more)
    assert 0 <= value <= vote_value(first, second, more + 1) + 1e-12
    assert value <= 1 - p_ahead(max(first, second), min(first, second)) + 1e-12


@given(second=st.integers(0, 10), lead=st.integers(1, 10))
def test_what_cannot_overturn_the_lead_is_worth_nothing(second: int, lead: int):
    assert vote_value(second + lead, second, lead) == 0
    assert vote_value(second + lead, second, lead + 2) > 0


@pytest.mark.parametrize(
    ("decided", "drawn", "open_", "among"),
    [
        ([4], 4, [2, 2], 4),
        ([8], 8, [4, 4], 8),
        ([5, 1], 6, [3, 2, 1], 6),
        ([7, 1], 8, [1] * 8, 8),  # hopeless, and yet a decided one gains less
    ],
)
def test_a_decided_vote_gains_less_than_an_open_one(decided: list[int], drawn: int, open_: list[int], among: int):
    assert vote_gain(decided, drawn, 2) < vote_gain(open_, among, 2)


def test_a_vote_that_nothing_can_overturn_gains_nothing():
    assert vote_gain([40], 40, 2) == 0
    assert vote_gain([40, 3], 43, 4) == 0


def test_samples_that_all_differ_gain_little_and_ever_less():
    gains = [vote_gain([1] * n, n, 2) for n in (2, 4, 8, 16)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] < 0.1 * gains[0]
    assert gains[-1] < 0.1 * vote_gain([8, 8], 16, 2)


def test_a_lead_of_two_gains_although_one_vote_cannot_overturn_it():
    assert vote_value(3, 1, 1) == 0
    assert vote_gain([3, 1], 4, 1) > 0


def test_without_any_answer_a_query_gains_what_a_first_right_one_would():
    assert vote_gain([], 4, 2) == pytest.approx(JEFFREYS.after(0, 4).within(2))


def test_a_prior_that_thinks_the_query_hard_makes_its_votes_worth_less():
    hard, easy = (vote_gain([2, 2], 4, 2, prior=Beta.around(p, 20)) for p in (0.1, 0.9))
    assert hard < easy / 3


def test_samples_that_abstain_cost_and_decide_nothing():
    assert vote_gain([2, 2], 12, 2) < vote_gain([2, 2], 4, 2)


@given(counts=st.lists(st.integers(1, 6), max_size=6), abstained=st.integers(0, 6), wave=st.integers(1, 4))
def test_a_gain_is_a_probability(counts: list[int], abstained: int, wave: int):
    drawn = sum(counts) + abstained
    if drawn:
        assert 0 <= vote_gain(sorted(counts, reverse=True), drawn, wave) <= 1
