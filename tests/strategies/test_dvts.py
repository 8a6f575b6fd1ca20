"""Diverse verifier tree search: trees that never meet, what they keep, how often a perfect scorer finds the answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.strategies.hand_made_trees import choice, grow, numbers, step, tree
from ttc.models.population import Population
from ttc.models.simulated import Simulated
from ttc.solve import solve
from ttc.strategies.dvts import DVTSSearch
from ttc.types import Outcome
from ttc.verifiers.simulated import SimulatedStepScorer


def dvts(*, n: int, m: int, max_steps: int = 40, seed: int = 1) -> DVTSSearch:
    return DVTSSearch(tree(seed, max_steps=max_steps), choice(), n=n, m=m)


def test_each_tree_keeps_the_best_of_its_own_first_steps() -> None:
    search = dvts(n=6, m=3)
    assert search.ask() == [search.tree.root] * 6
    first = step(search, [0.7, 0.9, 0.8, 0.1, 0.3, 0.2])
    assert numbers(search.ask()) == [2, 2, 2, 5, 5, 5]  # .7 and .8 are better than .3, in another tree
    assert [node.pruned for node in first] == [True, False, True, True, False, True]


def test_trees_never_meet() -> None:
    search = dvts(n=4, m=2)
    step(search, [0.9, 0.8, 0.2, 0.1])
    step(search, [0.9, 0.9, 0.1, 0.3])
    one, other = search.ask()[0], search.ask()[-1]
    assert one.parent is not None
    assert other.parent is not None
    assert (one.parent.number, other.parent.number, other.number) == (1, 3, 8)


def test_a_tree_whose_best_is_whole_is_over_and_the_others_go_on() -> None:
    search = dvts(n=4, m=2)
    first = grow(search, search.ask()[:1], [0.9], answer="7") + grow(search, search.ask()[1:], [0.8, 0.2, 0.1])
    search.tell(first)
    assert numbers(search.ask()) == [3, 3]
    step(search, [0.4, 0.3], answer="8")
    assert search.ask() == []
    best = search.best()
    assert best is not None
    assert best.answer == "7"  # .9 against .7


def test_what_is_whole_and_not_kept_stays_in_the_choice() -> None:
    search = dvts(n=2, m=2)
    (whole,) = grow(search, search.ask()[:1], [0.2], answer="7")
    search.tell([whole, *grow(search, search.ask()[1:], [0.9])])
    assert numbers(search.ask()) == [2, 2]
    best = search.best()
    assert best is not None
    assert best.answer == "7"


@pytest.mark.parametrize(
    ("arrived", "asked"),
    [(0, []), (1, [1] * 6), (2, [1] * 4 + [2] * 2), (3, [1, 1, 2, 2, 3, 3]), (4, [1, 1, 2, 2, 4, 4])],
)
def test_too_few_first_steps_are_held_in_common(arrived: int, asked: Sequence[int]) -> None:
    """Three trees ask for six first steps; where there is one for each, or more, none is shared."""
    search = dvts(n=6, m=2)
    step(search, [0.9, 0.8, 0.7, 0.71][:arrived])
    assert numbers(search.ask()) == asked


def test_trees_that_hold_a_step_in_common_part_at_the_next() -> None:
    search = dvts(n=4, m=2)
    step(search, [0.9])
    assert numbers(search.ask()) == [1, 1, 1, 1]
    step(search, [0.9, 0.8, 0.2, 0.1])
    assert numbers(search.ask()) == [2, 2, 4, 4]


def test_a_tree_that_got_nothing_ends() -> None:
    search = dvts(n=4, m=2)
    step(search, [0.9, 0.8, 0.7, 0.6])
    step(search, [0.5, 0.4])  # both calls of the other one failed
    assert numbers(search.ask()) == [5, 5]
    step(search, [])
    assert search.ask() == []
    assert search.best() is None


def test_equal_values_go_by_lot_and_not_by_arrival() -> None:
    kept: set[int] = set()
    for seed in range(40):
        search = dvts(n=4, m=4, seed=seed)
        step(search, [0.5] * 4)
        kept.add(search.ask()[0].number)
    assert kept == {1, 2, 3, 4}


def test_where_m_is_n_there_is_one_tree_and_where_it_is_1_nothing_is_chosen() -> None:
    search = dvts(n=3, m=3)
    step(search, [0.1, 0.9, 0.2])
    assert numbers(search.ask()) == [2, 2, 2]
    search = dvts(n=3, m=1)
    step(search, [0.1, 0.9, 0.2])
    assert numbers(search.ask()) == [1, 2, 3]


def test_a_wave_is_of_n_where_m_does_not_divide_it() -> None:
    search = dvts(n=7, m=3)
    step(search, [0.9] + [0.5] * 5 + [0.8])
    assert numbers(search.ask()) == [1] * 4 + [7] * 3


def test_at_the_deepest_step_it_is_over() -> None:
    search = dvts(n=2, m=1, max_steps=2)
    step(search, [0.5, 0.6])
    step(search, [0.5, 0.6])
    assert search.ask() == []


async def solved(population: Population, spec: str, problem: int, steps: int) -> Outcome:
    scorer = SimulatedStepScorer(population=population, n_steps=steps)
    return await solve(population.query(problem), spec, Simulated(population, steps=steps), verifier=scorer)


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "m"), [(8, 4), (8, 2), (6, 6), (4, 1)])
async def test_a_perfect_scorer_finds_what_the_closed_form_says(n: int, m: int) -> None:
    """A tree comes through where at each of d steps one of m is right, and one of n/m trees has to."""
    s, d, problems = 0.6, 4, 400
    population = Population(p=s**d)
    exact = 1 - (1 - (1 - (1 - s) ** m) ** d) ** (n / m)
    right = 0
    for i in range(problems):
        outcome = await solved(population, f"dvts:n={n},m={m}", i, d)
        right += population.is_right(population.query(i), outcome.answer)
        assert outcome.calls == {"generate": n * d}
    assert abs(right / problems - exact) <= 4 * (exact * (1 - exact) / problems) ** 0.5


@pytest.mark.anyio
async def test_it_is_the_same_every_time() -> None:
    population = Population(p=0.3)
    one, other = [await solved(population, "dvts:n=8,m=2", 3, 5) for _ in range(2)]
    assert (one.answer, one.trace) == (other.answer, other.trace)


@pytest.mark.anyio
async def test_calls_that_all_fail_end_it() -> None:
    population = Population(p=0.3)
    scorer = SimulatedStepScorer(population=population, n_steps=3)
    model = Simulated(population, steps=3, failures=1.0)
    outcome = await solve(population.query(0), "dvts:n=6,m=2", model, verifier=scorer)
    assert (outcome.answer, outcome.ended_by) == (None, "all_calls_failed")
    assert model.sent == 6
