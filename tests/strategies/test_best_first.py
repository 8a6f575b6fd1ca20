"""Best-first search: where it goes on, what it goes back to, and when it has enough."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.strategies.hand_made_trees import choice, grow, numbers, step, tree
from ttc.models.population import Population
from ttc.models.simulated import Simulated
from ttc.solve import solve
from ttc.strategies.best_first import BestFirstSearch
from ttc.types import Outcome
from ttc.verifiers.simulated import SimulatedStepScorer


def best_first(
    *, n: int = 99, m: int = 2, wave: int = 1, solutions: int = 9, max_steps: int = 40, seed: int = 1
) -> BestFirstSearch:
    return BestFirstSearch(tree(seed, max_steps=max_steps), choice(), n=n, m=m, wave=wave, solutions=solutions)


def test_it_grows_the_best_open_node_m_times() -> None:
    search = best_first(m=3)
    assert search.ask() == [search.tree.root] * 3
    step(search, [0.1, 0.9, 0.2])
    assert numbers(search.ask()) == [2, 2, 2]


def test_it_goes_back_to_the_best_that_it_left_behind() -> None:
    search = best_first(m=2)
    step(search, [0.9, 0.6])
    step(search, [0.5, 0.1])
    assert numbers(search.ask()) == [2, 2]  # .6, a step above .5
    step(search, [0.2, 0.3])
    assert numbers(search.ask()) == [3, 3]
    assert not any(node.pruned for node in search.tree.nodes)


def test_a_wave_grows_several_at_a_time_and_of_the_root_as_much_as_of_all_of_them() -> None:
    search = best_first(m=2, wave=3)
    assert search.ask() == [search.tree.root] * 6
    step(search, [0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    assert numbers(search.ask()) == [2, 2, 4, 4, 6, 6]


def test_asking_twice_is_asking_once() -> None:
    search = best_first(m=2, wave=2)
    step(search, [0.1, 0.9, 0.2, 0.8])
    assert search.ask() == search.ask()


@pytest.mark.parametrize(("n", "waves"), [(1, [1]), (4, [4]), (7, [4, 3]), (11, [4, 4, 3])])
def test_no_more_than_n_continuations_are_asked_for(n: int, waves: Sequence[int]) -> None:
    search = best_first(n=n, m=2, wave=2)
    asked: list[int] = []
    while wave := search.ask():
        asked.append(len(wave))
        step(search, [0.5] * len(wave))
    assert asked == waves


def test_calls_that_failed_count_and_what_was_grown_is_not_grown_again() -> None:
    search = best_first(n=8, m=2)
    step(search, [0.9, 0.8])
    step(search, [])  # nothing came of the best one
    assert numbers(search.ask()) == [2, 2]
    step(search, [0.1])
    assert numbers(search.ask()) == [3, 3]
    step(search, [0.1])
    assert search.ask() == []  # eight were asked for, and four came


@pytest.mark.parametrize("wave", [1, 2, 5])
def test_where_nothing_comes_of_anything_it_is_over(wave: int) -> None:
    search = best_first(wave=wave)
    step(search, [])
    assert search.ask() == []
    assert search.best() is None


def test_enough_whole_solutions_end_it() -> None:
    search = best_first(m=2, solutions=2)
    step(search, [0.9, 0.8])
    search.tell([*grow(search, search.ask()[:1], [0.2], answer="7"), *grow(search, search.ask()[1:], [0.9])])
    assert numbers(search.ask()) == [4, 4]
    step(search, [0.7], answer="8")
    assert search.ask() == []
    best = search.best()
    assert best is not None
    assert best.answer == "8"


def test_what_is_over_without_an_answer_is_no_solution_and_not_grown() -> None:
    search = best_first(m=2, solutions=1, max_steps=2)
    step(search, [0.9, 0.8])
    step(search, [0.7, 0.6])
    assert numbers(search.ask()) == [2, 2]
    step(search, [0.5, 0.4])
    assert search.ask() == []


def test_equal_values_go_by_lot_and_not_by_arrival() -> None:
    grown: set[int] = set()
    for seed in range(40):
        search = best_first(m=4, seed=seed)
        step(search, [0.5] * 4)
        grown.add(search.ask()[0].number)
    assert grown == {1, 2, 3, 4}


async def solved(population: Population, spec: str, problem: int, *, steps: int, failures: float = 0.0) -> Outcome:
    scorer = SimulatedStepScorer(population=population, n_steps=steps)
    model = Simulated(population, steps=steps, failures=failures)
    return await solve(population.query(problem), spec, model, verifier=scorer)


@pytest.mark.anyio
@pytest.mark.parametrize("m", [1, 2, 4])
async def test_a_perfect_scorer_finds_what_the_closed_form_says(m: int) -> None:
    """With a wave of 1 and enough calls, all right nodes are grown: a branching process that has to reach depth d."""
    s, d, problems = 0.5, 4, 400
    exact = 1.0
    for _ in range(d):
        exact = 1 - (1 - s * exact) ** m
    population = Population(p=s**d)
    right = 0
    for i in range(problems):
        outcome = await solved(population, f"best_first:n=400,m={m},wave=1,solutions=1000", i, steps=d)
        right += population.is_right(population.query(i), outcome.answer)
    assert abs(right / problems - exact) <= 4 * (exact * (1 - exact) / problems) ** 0.5


@pytest.mark.anyio
async def test_an_easy_problem_costs_little() -> None:
    population = Population(p=1.0)
    outcome = await solved(population, "best_first:n=400,m=2,wave=1", 0, steps=5)
    assert outcome.calls == {"generate": 10}


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "wave"), [(10, 1), (33, 4), (64, 3)])
async def test_it_costs_n_calls_where_nothing_is_found(n: int, wave: int) -> None:
    population = Population(p=0.5)
    outcome = await solved(population, f"best_first:n={n},m=4,wave={wave},max_steps=30", 0, steps=99)
    assert outcome.calls == {"generate": n}


@pytest.mark.anyio
async def test_it_is_the_same_every_time() -> None:
    population = Population(p=0.3)
    one, other = [await solved(population, "best_first:n=40,m=2,wave=3", 3, steps=5) for _ in range(2)]
    assert (one.answer, one.trace) == (other.answer, other.trace)


@pytest.mark.anyio
@pytest.mark.parametrize("failures", [0.4, 0.8, 1.0])
async def test_it_ends_whatever_fails(failures: float) -> None:
    population = Population(p=0.3)
    for i in range(20):
        outcome = await solved(population, "best_first:n=40,m=2,wave=3", i, steps=5, failures=failures)
        assert outcome.ended_by in ("finished", "stopped_early", "all_calls_failed")
        assert sum(outcome.calls.values()) <= 40


@pytest.mark.anyio
async def test_by_default_it_ends_well_before_its_calls_are_spent() -> None:
    """Ten steps in waves of sixteen, and what it goes back for."""
    population = Population(p=0.7**10)
    scorer = SimulatedStepScorer(population=population, n_steps=10, noise="gaussian", scale=0.5)
    calls = [
        sum((await solve(query, "best_first", Simulated(population, steps=10), verifier=scorer)).calls.values())
        for query in population.queries(10)
    ]
    assert 150 < sum(calls) / 10 < 230
