"""Monte Carlo tree search: bounds, backups, virtual losses, and an end to everything."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Any

import pytest

from tests.strategies.hand_made_trees import choice, grow, numbers, step, tree
from ttc.models.population import Population
from ttc.models.simulated import Simulated
from ttc.solve import solve
from ttc.strategies.mcts import Backup, MCTSSearch
from ttc.types import Outcome
from ttc.verifiers.simulated import SimulatedStepScorer


def mcts(
    *,
    n: int = 99,
    m: int = 2,
    wave: int = 1,
    explore: float = 0.0,
    by: Backup = "mean",
    seed: int = 1,
    max_steps: int = 40,
) -> MCTSSearch:
    return MCTSSearch(tree(seed, max_steps=max_steps), choice(), n=n, m=m, wave=wave, explore=explore, by=by)


def test_it_grows_m_children_of_the_leaf_that_a_walk_ends_at() -> None:
    search = mcts(m=3)
    assert search.ask() == [search.tree.root] * 3
    step(search, [0.1, 0.9, 0.2])
    assert numbers(search.ask()) == [2, 2, 2]
    step(search, [0.8, 0.95, 0.7])
    assert numbers(search.ask()) == [5, 5, 5]


def test_a_node_is_worth_the_mean_of_what_is_below_it() -> None:
    search = mcts(m=2)
    step(search, [0.9, 0.6])
    step(search, [0.85, 0.3])  # (.9 + .85 + .3) / 3 is above .6
    assert numbers(search.ask()) == [3, 3]
    step(search, [0.1, 0.1])  # (.9 + .85 + .3 + .1 + .1) / 5 is below it
    assert numbers(search.ask()) == [2, 2]


def test_or_the_best_that_is_still_open_there() -> None:
    search = mcts(m=2, by="max")
    step(search, [0.9, 0.6])
    step(search, [0.7, 0.1])
    assert numbers(search.ask()) == [3, 3]  # .7 and not .9, which is no leaf any more
    step(search, [0.99], answer="7")
    assert numbers(search.ask()) == [2, 2]  # nothing is open behind the .99; next to it is .1
    step(search, [])
    assert numbers(search.ask()) == [4, 4]


@pytest.mark.parametrize(("factor", "asked"), [(0.99, [3, 3]), (1.01, [2, 2])])
def test_it_explores_by_the_upper_confidence_bound(factor: float, asked: Sequence[int]) -> None:
    """Of four visits three were to node 1 and one to node 2: about the constant where their bounds are equal."""
    equal = ((0.9 + 0.8 + 0.7) / 3 - 0.6) / (sqrt(log(4) / 1) - sqrt(log(4) / 3))
    search = mcts(m=2, explore=factor * equal)
    step(search, [0.9, 0.6])
    step(search, [0.8, 0.7])
    assert numbers(search.ask()) == asked


def test_a_wave_of_walks_ends_at_leaves_of_their_own() -> None:
    search = mcts(m=2, wave=3)
    assert search.ask() == [search.tree.root] * 6
    step(search, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert numbers(search.ask()) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("by", ["mean", "max"])
@pytest.mark.parametrize(("below_2", "parents"), [(0.1, [1, 1]), (0.8, [1, 2])])
def test_a_walk_under_way_is_a_loss_that_may_send_the_next_one_elsewhere(
    below_2: float, parents: list[int], by: Backup
) -> None:
    """Node 1 is at .9 of three visits, and at .675 with a walk under way; node 2 is at .33 (or .1) or at .8."""
    search = mcts(m=2, wave=2, by=by)
    step(search, [0.9, 0.8, 0.1, 0.1])
    assert numbers(search.ask()) == [1, 1, 2, 2]
    step(search, [0.9, 0.9, below_2, below_2])
    leaves = search.ask()[::2]
    assert [leaf.parent.number for leaf in leaves if leaf.parent] == parents
    assert leaves[0] is not leaves[1]


def test_losses_are_taken_back_when_the_children_are_told() -> None:
    search = mcts(m=2, wave=2)
    step(search, [0.9, 0.8, 0.1, 0.1])
    step(search, [0.9, 0.9, 0.8, 0.8])
    assert search._visits[0] == 8
    assert search._visits[1] == search._visits[2] == 3
    assert search._sums[1] == pytest.approx(2.7)
    assert search._leaves[0] == 6


def test_what_has_nothing_open_below_it_is_passed_by() -> None:
    search = mcts(m=2)
    step(search, [0.9, 0.2])
    step(search, [0.9, 0.9], answer="7")
    assert numbers(search.ask()) == [2, 2]
    step(search, [])
    assert search.ask() == []
    best = search.best()
    assert best is not None
    assert best.answer == "7"


def test_a_leaf_of_which_nothing_came_is_not_grown_again() -> None:
    search = mcts(m=2)
    step(search, [0.9, 0.2])
    step(search, [])
    assert numbers(search.ask()) == [2, 2]


@pytest.mark.parametrize("wave", [1, 2, 5])
def test_where_nothing_comes_of_anything_it_is_over(wave: int) -> None:
    search = mcts(wave=wave)
    step(search, [])
    assert search.ask() == []
    assert search.best() is None


@pytest.mark.parametrize(("n", "waves"), [(1, [1]), (4, [4]), (7, [4, 3]), (9, [4, 4, 1])])
def test_no_more_than_n_continuations_are_asked_for(n: int, waves: Sequence[int]) -> None:
    search = mcts(n=n, m=2, wave=2)
    asked: list[int] = []
    while wave := search.ask():
        asked.append(len(wave))
        step(search, [0.5] * len(wave))
    assert asked == waves


def test_at_the_deepest_step_it_is_over() -> None:
    search = mcts(m=2, wave=2, max_steps=2)
    step(search, [0.5] * 4)
    step(search, [0.5] * 4)
    step(search, [0.5] * 4)
    assert search.ask() == []
    assert len(search.tree.nodes) == 12


def test_equal_bounds_go_by_lot_and_not_by_arrival() -> None:
    grown: set[int] = set()
    for seed in range(40):
        search = mcts(m=4, seed=seed)
        step(search, [0.5] * 4)
        grown.add(search.ask()[0].number)
    assert grown == {1, 2, 3, 4}


def test_asking_twice_is_asking_once() -> None:
    search = mcts(m=2, wave=2)
    step(search, [0.1, 0.9, 0.2, 0.8])
    assert search.ask() == search.ask()
    search.tell(grow(search, search.ask(), [0.1] * 4))
    assert len(search.ask()) == 4


async def solved(population: Population, spec: str, problem: int, *, steps: int, failures: float = 0.0) -> Outcome:
    scorer = SimulatedStepScorer(population=population, n_steps=steps)
    model = Simulated(population, steps=steps, failures=failures)
    return await solve(population.query(problem), spec, model, verifier=scorer)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["", ",explore=0.5", ",explore=5,backup=mean"])
async def test_with_enough_calls_it_finds_whatever_the_tree_holds(how: str) -> None:
    """The whole tree of m children a node is grown, which holds a right solution as a branching process reaches d."""
    s, d, m, problems = 0.5, 3, 2, 300
    exact = 1.0
    for _ in range(d):
        exact = 1 - (1 - s * exact) ** m
    population = Population(p=s**d)
    right = 0
    for i in range(problems):
        outcome = await solved(population, f"mcts:n=99,m={m},wave=1{how}", i, steps=d)
        right += population.is_right(population.query(i), outcome.answer)
        assert outcome.ended_by == "stopped_early" or outcome.calls == {"generate": 2 + 4 + 8}
    assert abs(right / problems - exact) <= 4 * (exact * (1 - exact) / problems) ** 0.5


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "wave"), [(10, 1), (33, 4), (64, 3)])
async def test_it_costs_n_calls_where_nothing_is_found(n: int, wave: int) -> None:
    population = Population(p=0.5)
    outcome = await solved(population, f"mcts:n={n},m=4,wave={wave},max_steps=30", 0, steps=99)
    assert outcome.calls == {"generate": n}


@pytest.mark.anyio
@pytest.mark.parametrize("scorer", [{"noise": "gaussian", "scale": 0.7}, {"tpr": 0.9, "fpr": 0.1}])
async def test_its_defaults_reach_the_end_of_a_long_solution(scorer: dict[str, Any]) -> None:
    """Where UCT with means and exploration does not: it still draws first steps when all is spent."""
    s, d, problems = 0.7, 8, 25
    population = Population(p=s**d, wrong=(1, 1, 1, 1))
    by = SimulatedStepScorer(population=population, n_steps=d, **scorer)
    right = {"mcts": 0, "mcts:explore=0.5,backup=mean": 0}
    for query in population.queries(problems):
        for spec in right:
            outcome = await solve(query, spec, Simulated(population, steps=d), verifier=by)
            right[spec] += population.is_right(query, outcome.answer)
    flat, deep = sorted(right.values())
    assert flat <= 3
    assert deep == right["mcts"] >= 21


@pytest.mark.anyio
async def test_it_is_the_same_every_time() -> None:
    population = Population(p=0.3)
    one, other = [await solved(population, "mcts:n=40,m=2,wave=3", 3, steps=5) for _ in range(2)]
    assert (one.answer, one.trace) == (other.answer, other.trace)


@pytest.mark.anyio
@pytest.mark.parametrize("failures", [0.4, 0.8, 1.0])
async def test_it_ends_whatever_fails(failures: float) -> None:
    population = Population(p=0.3)
    for i in range(20):
        outcome = await solved(population, "mcts:n=40,m=2,wave=3", i, steps=5, failures=failures)
        assert outcome.ended_by in ("finished", "stopped_early", "all_calls_failed")
        assert sum(outcome.calls.values()) <= 40
