"""Particle filtering: how often what is drawn, what the particles weigh, how it ends, and the exact value of theory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.test_tree_search import QUERY, SAMPLING, Longer, counting
from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Simulated
from ttc.solve import solve
from ttc.strategies.choice import By, Choice
from ttc.strategies.particle_filter import ParticleFilter
from ttc.strategies.particles import ParticleSearch, Resampling, resampled
from ttc.strategies.tree import Node, Tree
from ttc.types import Candidate, Sample
from ttc.verifiers.simulated import SimulatedStepScorer

HOW: list[Resampling] = ["systematic", "multinomial"]


def particles(n: int, *, seed: int = 1, by: By = "best", how: Resampling = "systematic", **more: Any) -> ParticleSearch:
    tree = Tree(random.Random(seed), max_steps=40)
    return ParticleSearch(tree, Choice(QUERY, 0.5, by=by), n=n, how=how, **more)


def grow(search: ParticleSearch, parents: Sequence[Node], values: Sequence[float], *, answers: str = "") -> list[Node]:
    """Grow a wave, each child with a value; those with an answer (no blank) are whole."""
    children: list[Node] = []
    for i, (parent, value) in enumerate(zip(parents, values, strict=True)):
        answer = answers[i].strip() if i < len(answers) else ""
        text = f"{parent.candidate.sample.text if parent.candidate else ''}{len(search.tree.nodes)} "
        added = Sample(text=text, finish="stop" if answer else "step")
        node = search.tree.add(parent, Candidate(answer or None, added, value), added)
        assert node is not None
        node.value = value
        children.append(node)
    return children


def told(search: ParticleSearch, values: Sequence[float], *, answers: str = "") -> list[Node]:
    """Grow the whole wave that the search asks for, and tell it."""
    children = grow(search, search.ask(), values, answers=answers)
    search.tell(children)
    return children


def counts(search: ParticleSearch, nodes: Sequence[Node]) -> list[int]:
    return [search.particles.get(node, 0) for node in nodes]


# -- resampling ----------------------------------------------------------------------------------------------------

weights = st.lists(st.just(0.0) | st.floats(1e-9, 1.0), min_size=1, max_size=12).filter(any)


@pytest.mark.parametrize("how", HOW)
@given(weights=weights, n=st.integers(1, 40), seed=st.integers(0, 10**9))
def test_n_are_drawn_and_never_what_weighs_nothing(how: Resampling, weights: list[float], n: int, seed: int) -> None:
    drawn = resampled(weights, n, rng=random.Random(seed), how=how)
    assert sum(drawn) == n
    assert len(drawn) == len(weights)
    assert all(count == 0 for count, weight in zip(drawn, weights, strict=True) if not weight)


@given(weights=weights, n=st.integers(1, 40), seed=st.integers(0, 10**9))
def test_even_steps_are_never_further_than_one_from_the_share(weights: list[float], n: int, seed: int) -> None:
    drawn = resampled(weights, n, rng=random.Random(seed), how="systematic")
    shares = [n * weight / sum(weights) for weight in weights]
    assert all(abs(count - share) < 1 + 1e-6 for count, share in zip(drawn, shares, strict=True))


@pytest.mark.parametrize(("how", "strays"), [("systematic", False), ("multinomial", True)])
def test_independent_draws_stray_further_from_the_share_than_even_steps_do(how: Resampling, strays: bool) -> None:
    found = [resampled([1, 1, 1, 1], 12, rng=random.Random(seed), how=how) for seed in range(50)]
    assert any(abs(count - 3) > 1 for drawn in found for count in drawn) == strays


@pytest.mark.parametrize("resampling", HOW)
def test_a_search_draws_in_the_way_that_it_was_told(resampling: Resampling) -> None:
    tree = Tree(random.Random(1), max_steps=40)
    search = ParticleFilter(n=8, resampling=resampling).search(tree, Choice(QUERY, 0.5, by="best"))
    assert isinstance(search, ParticleSearch)
    strays: list[int] = []
    for _ in range(20):
        strays.extend(abs(count - 1) for count in counts(search, told(search, [0.5] * len(search.ask()))))
    assert (max(strays) > 1) == (resampling == "multinomial")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("weights", [[1, 2, 3, 4], [0, 5, 0.1, 0], [0.3, 0.3, 0.3], [1, 0, 0, 1e-3]])
def test_on_average_everything_is_drawn_by_its_share(how: Resampling, weights: list[float]) -> None:
    n, rounds = 7, 4000
    drawn = [resampled(weights, n, rng=random.Random(seed), how=how) for seed in range(rounds)]
    for i, weight in enumerate(weights):
        share = weight / sum(weights)
        error = (n * share * (1 - share) / rounds) ** 0.5  # of independent draws; even steps vary less
        assert abs(fmean(each[i] for each in drawn) - n * share) <= 4 * error


class Edge(random.Random):
    """Always draws the greatest number below 1."""

    def random(self) -> float:
        return 1 - 2**-53


@pytest.mark.parametrize("how", HOW)
def test_rounding_at_the_end_of_the_weights_draws_nothing_that_weighs_nothing(how: Resampling) -> None:
    assert resampled([0.1, 0.2, 0.7, 0.0], 3, rng=Edge(), how=how)[3] == 0


# -- the particles -------------------------------------------------------------------------------------------------


def test_all_begin_at_the_root_and_what_is_drawn_c_times_is_grown_c_times() -> None:
    search = particles(4)
    assert search.ask() == [search.tree.root] * 4
    first = told(search, [0.5, 0.0, 0.75, 0.0])  # odds of 1 and 3
    assert search.ask() == [first[0], *[first[2]] * 3]
    assert [node.pruned for node in first] == [False, True, False, True]


@pytest.mark.parametrize("how", HOW)
def test_on_average_particles_multiply_by_the_odds_of_their_scores(how: Resampling) -> None:
    values, rounds = [0.2, 0.5, 0.8, 0.0], 2000
    seen: list[list[int]] = []
    for seed in range(rounds):
        search = particles(4, seed=seed, how=how)
        seen.append(counts(search, told(search, values)))
    odds = [0.25, 1, 4, 0]
    for i, weight in enumerate(odds):
        share = weight / sum(odds)
        assert abs(fmean(each[i] for each in seen) - 4 * share) <= 4 * (4 * share * (1 - share) / rounds) ** 0.5


def test_a_lower_temperature_is_greedier_and_a_high_one_is_none_of_it() -> None:
    def best_of(temperature: float) -> float:
        seen: list[int] = []
        for seed in range(300):
            search = particles(10, seed=seed, temperature=temperature)
            seen.append(counts(search, told(search, [0.8] + [0.5] * 9))[0])
        return fmean(seen)

    assert best_of(0.5) == pytest.approx(10 * 16 / 25, abs=0.15)
    assert best_of(1.0) == pytest.approx(10 * 4 / 13, abs=0.15)
    assert best_of(2.0) == pytest.approx(10 * 2 / 11, abs=0.15)
    assert best_of(1e6) == pytest.approx(1, abs=0.15)


def test_a_score_of_one_leaves_nothing_to_others_and_is_shared_by_those_that_have_it() -> None:
    search = particles(6)
    first = told(search, [1.0, 0.9, 1.0, 0.5, 0.0, 0.9])
    assert counts(search, first) == [3, 0, 3, 0, 0, 0]


def test_where_everything_weighs_nothing_all_are_equal() -> None:
    search = particles(4)
    assert counts(search, told(search, [0.0] * 4)) == [1] * 4


def test_whole_particles_hold_their_places_and_are_drawn_with_the_others() -> None:
    search = particles(4)
    first = told(search, [0.5] * 4, answers="7")
    assert counts(search, first) == [1] * 4
    assert search.ask() == first[1:]
    then = told(search, [0.0, 0.5, 0.0])
    assert counts(search, [first[0], *then]) == [2, 0, 2, 0]
    assert search.ask() == [then[1]] * 2
    told(search, [0.5, 0.5], answers="89")
    assert search.ask() == []


def test_a_whole_particle_that_weighs_little_makes_room() -> None:
    search = particles(2)
    whole, part = told(search, [0.5, 0.5], answers="7")
    told(search, [1.0])
    assert counts(search, [whole, part]) == [0, 0]
    assert len(search.ask()) == 2
    best = search.best()
    assert best is not None
    assert best.answer == "7"  # none of the particles is whole, and it was


def test_what_could_not_be_grown_is_replaced() -> None:
    search = particles(4)
    children = grow(search, search.ask()[:1], [0.5])
    search.tell(children)
    assert search.ask() == children * 4
    search.tell([])
    assert search.ask() == []


def test_equal_steps_are_one_node_with_as_many_particles() -> None:
    search = particles(3)
    root, step = search.ask()[0], Sample(text="a", finish="step")
    node = search.tree.add(root, Candidate(None, step), step)
    assert node is not None
    for _ in range(2):
        assert search.tree.add(root, Candidate(None, step), step) is None
    node.value = 0.5
    search.tell([node])
    assert search.ask() == [node] * 3


def test_until_weights_are_uneven_they_multiply_and_nothing_is_resampled() -> None:
    search = particles(4, ess=0.5)
    first = told(search, [0.5, 0.5, 0.5, 0.75])
    assert counts(search, first) == [1] * 4  # (1 + 1 + 1 + 3)^2 / 12 = 3 effective particles
    then = told(search, [0.5, 0.5, 0.5, 0.9])
    assert counts(search, then) != [1] * 4  # (3 + 27)^2 / 732 = 1.2
    assert counts(search, then)[3] >= 3
    last = told(search, [0.5] * 4)
    assert counts(search, last) == [1] * 4  # weights began anew


def test_at_its_end_they_are_resampled_however_even_they_are() -> None:
    search = particles(4, ess=0.0, by="majority")
    told(search, [0.1, 0.1, 0.1, 0.99])
    told(search, [0.5] * 4, answers="7778")
    best = search.best()
    assert best is not None
    assert best.answer == "8"


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 8),
    how=st.sampled_from(HOW),
    ess=st.sampled_from((0.0, 0.5, 1.0)),
    temperature=st.sampled_from((0.3, 1.0, 5.0)),
)
def test_there_are_always_n_particles_and_none_weighs_nothing_beside_one_that_does_not(
    seed: int, n: int, how: Resampling, ess: float, temperature: float
) -> None:
    draw = random.Random(seed)
    search = particles(n, seed=seed, how=how, ess=ess, temperature=temperature)
    for _ in range(12):
        wave = search.ask()
        if not wave:
            break
        assert sum(search.particles.values()) == n
        arrived = wave[: draw.randint(1, len(wave))] if draw.random() < 0.2 else wave
        values = [draw.choice((0.0, 0.3, 0.9, 1.0)) for _ in arrived]
        stood = [node for node in search.particles if node.over]
        children = grow(search, arrived, values, answers="".join(draw.choice("  7") for _ in arrived))
        search.tell(children)
        assert sum(search.particles.values()) == n
        if ess == 1.0 and any(node.value for node in (*stood, *children)):
            assert all(node.value > 0 for node in search.particles)
    assert set(search.particles) <= {search.tree.root, *search.tree.nodes}


# -- the answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "answer"), [("best", "8"), ("majority", "7"), ("weighted", "7")])
def test_the_answer_is_the_best_particle_or_chosen_as_often_as_each_is_there(by: By, answer: str) -> None:
    search = particles(8, by=by)
    (five, three) = grow(search, search.ask()[:2], [0.71, 0.6], answers="  ")
    five.copies = 3  # 3 * 2.45 against 1.5
    search.tell([five, three])
    assert counts(search, [five, three]) in ([6, 2], [7, 1])
    wave = search.ask()
    told(search, [0.5 if node is five else 0.6 for node in wave], answers="".join("87"[node is five] for node in wave))
    best = search.best()
    assert best is not None
    assert best.answer == answer


def test_until_something_is_whole_there_is_no_answer() -> None:
    search = particles(2)
    assert search.best() is None
    told(search, [0.5, 0.5])
    assert search.best() is None


# -- with a model --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("how", HOW)
async def test_every_step_takes_n_calls_in_one_wave_and_is_scored_once(how: Resampling) -> None:
    model, scorer = Scripted(counting(3)), Longer()
    outcome = await solve(QUERY, f"particle_filter:n=4,resampling={how}", model, verifier=scorer)
    assert outcome.ended_by == "finished"
    assert outcome.answer is not None
    assert outcome.calls == {"generate": 12}
    assert len(scorer.asked) == 3
    waves = [event for event in outcome.trace if event["event"] == "grow"]
    assert len(waves) == 3
    assert all(sum(node.get("copies", 1) for node in wave["nodes"]) == 4 for wave in waves)
    pruned = {number for wave in waves for number in wave["pruned"]}
    assert not pruned & {node["parent"] for wave in waves for node in wave["nodes"]}


@pytest.mark.anyio
async def test_one_seed_draws_the_same_particles_and_another_one_others() -> None:
    seen: list[object] = []
    for seed in (3, 3, 4):
        outcome = await solve(QUERY, "particle_filter:n=6", Scripted(counting(4)), verifier=Longer(), seed=seed)
        seen.append([event["pruned"] for event in outcome.trace if event["event"] == "grow"])
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def share_right(spec: str, population: Population, problems: int, **scorer: Any) -> float:
    model = Simulated(population, steps=10)
    verifier = SimulatedStepScorer(population=population, n_steps=10, **scorer)

    async def all_problems() -> list[bool]:
        queries = population.queries(problems)
        return [
            population.is_right(query, (await solve(query, spec, model, verifier=verifier)).answer) for query in queries
        ]

    return fmean(anyio.run(all_problems))


@pytest.mark.parametrize("how", HOW)
def test_with_a_perfect_scorer_it_fails_where_no_particle_is_right_at_some_step(how: Resampling) -> None:
    problems, exact = 400, (1 - 0.3**4) ** 10
    assert round(exact, 4) == 0.9219
    found = share_right(f"particle_filter:n=4,resampling={how}", Population(p=0.7**10), problems)
    assert abs(found - exact) <= 4 * (exact * (1 - exact) / problems) ** 0.5


def test_with_a_scorer_that_errs_it_is_above_a_beam() -> None:
    population, noise = Population(p=0.7**10), {"noise": "gaussian", "scale": 2.0}
    beam = share_right("beam:n=16,m=4", population, 300, **noise)
    filtered = share_right("particle_filter:n=16", population, 300, **noise)
    assert filtered - beam > 0.05  # .43 against .31


@pytest.mark.anyio
async def test_when_all_calls_fail_it_says_why() -> None:
    population = Population()
    model = Simulated(population, steps=3, failures=1.0)
    scorer = SimulatedStepScorer(population=population, n_steps=3)
    outcome = await solve(population.query(0), "particle_filter:n=4", model, verifier=scorer)
    assert (outcome.answer, outcome.ended_by, outcome.error) == (None, "all_calls_failed", "a simulated failure")
    assert outcome.calls == {"generate": 4}


@pytest.mark.anyio
async def test_a_budget_that_ends_it_in_the_middle_leaves_an_answer_that_is_forced() -> None:
    model = Scripted(counting(9))
    outcome = await solve(
        QUERY, "particle_filter:n=4", model, verifier=Longer(), budget=Budget(calls=10), sampling=SAMPLING
    )
    assert (outcome.answer, outcome.ended_by) == ("7", "budget")
    assert outcome.candidate is not None
    assert outcome.candidate.sample.forced
    assert sum(outcome.calls.values()) == 10


@pytest.mark.anyio
async def test_it_needs_scores_of_steps_each_by_itself() -> None:
    class Joint(Longer):
        joint = True

    with pytest.raises(ConfigurationError, match="scores candidates together"):
        await solve(QUERY, "particle_filter", Scripted(counting(2)), verifier=Joint())
    with pytest.raises(ConfigurationError, match="temperature"):
        await solve(QUERY, "particle_filter:temperature=0", Scripted(counting(2)), verifier=Longer())
