"""Adaptive branching: what is drawn after what was told, what a revision is shown, and where deeper pays."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.conftest import LastWord
from tests.strategies.test_revision import PublicTests, Scores, asked, shown
from tests.strategies.test_tree_search import SAMPLING, Longer, counting
from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Revising, Simulated
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.strategies.branching import BranchingSearch
from ttc.strategies.choice import By, Choice
from ttc.strategies.tree import Node, Tree
from ttc.types import Candidate, Query, Request, Sample
from ttc.verifiers.simulated import SimulatedStepScorer, SimulatedVerifier

QUERY = Query.of("how many?")


def branching(
    *, n: int = 1000, wave: int = 1, whole: bool = True, seed: int = 1, by: By = "best", prior: float = 0.5
) -> BranchingSearch:
    tree = Tree(random.Random(seed), max_steps=40)
    return BranchingSearch(tree, Choice(QUERY, 0.5, by=by), n=n, wave=wave, whole=whole, prior=prior)


def grow(search: BranchingSearch, parent: Node, value: float, *, text: str = "", answer: str = "x") -> Node:
    """Grow one node with a value, without telling of it; a text that there is already is a copy."""
    added = Sample(text=text or f"{len(search.tree.nodes)}", finish="stop" if answer else "step")
    before = list(parent.children)
    node = search.tree.add(parent, Candidate(answer or None, added, value), added)
    if node is None:
        node = next(child for child in before if child.candidate and child.candidate.sample.text == text)
    node.value = value
    return node


def play(search: BranchingSearch, value: Callable[[Node], float], *, answer: str = "x") -> Counter[int]:
    """Grow all that is asked for, and return how often each depth was grown from."""
    depths = Counter[int]()
    while wave := search.ask():
        children = [grow(search, node, value(node), answer=answer) for node in wave]
        search.tell(children)
        depths.update(node.depth for node in wave)
    return depths


# -- what is drawn -------------------------------------------------------------------------------------------------


def test_it_begins_with_a_wave_of_first_attempts() -> None:
    search = branching(wave=5)
    assert search.ask() == [search.tree.root] * 5


@pytest.mark.parametrize(("n", "wave"), [(10, 4), (3, 8), (1, 1), (6, 3)])
def test_it_ends_after_n_calls_whatever_came_of_them(n: int, wave: int) -> None:
    for brings in (True, False):
        search, sizes = branching(n=n, wave=wave), list[int]()
        while asked_for := search.ask():
            sizes.append(len(asked_for))
            search.tell([grow(search, node, 0.5) for node in asked_for] if brings else [])
        assert sum(sizes) == n
        assert all(size == wave for size in sizes[:-1])


def test_where_going_on_scores_higher_it_goes_deeper() -> None:
    depths = play(branching(n=200), lambda node: 0.9 if node.depth else 0.1)
    assert depths[0] < 20


def test_where_new_ones_score_higher_it_goes_wider() -> None:
    depths = play(branching(n=200), lambda node: 0.1 if node.depth else 0.9)
    assert depths[0] > 180


def test_of_the_children_the_one_that_did_better_is_gone_on_from() -> None:
    search = branching()
    good, bad = grow(search, search.ask()[0], 0.95), grow(search, search.tree.root, 0.05)
    search.tell([good, bad])
    went = Counter[int]()
    for _ in range(300):
        (node,) = search.ask()
        if node.depth:
            search.tell([grow(search, node, 0.9 if node is good or node.parent is good else 0.05)])
        first = node if node.depth == 1 else node.parent if node.depth == 2 else None
        went[first.number if first else 0] += 1
    assert went[good.number] > 5 * went[bad.number]


def posteriors(search: BranchingSearch, node: Node) -> list[tuple[float, float]]:
    """Those of a node, without the prior: wider, deeper, and what it is worth as a child."""
    found = [search._wider[node], search._deeper[node], search._worth[node]]
    return [(round(p._a - 0.5, 9), round(p._b - 0.5, 9)) for p in found]


def test_scores_are_counted_on_the_way_up_as_shares_of_a_success() -> None:
    search = branching()
    root = search.ask()[0]
    child = grow(search, root, 0.7)
    search.tell([child])
    assert posteriors(search, root) == [(0.7, 0.3), (0, 0), (0, 0)]
    assert posteriors(search, child) == [(0, 0), (0, 0), (0.7, 0.3)]
    search._wave = [child]
    grandchild = grow(search, child, 0.2)
    search.tell([grandchild])
    search._wave = [grandchild]
    search.tell([grow(search, grandchild, 1.0)])
    assert posteriors(search, root) == [(0.7, 0.3), (1.2, 0.8), (0, 0)]
    assert posteriors(search, child) == [(0.2, 0.8), (1.0, 0), (1.9, 1.1)]
    assert posteriors(search, grandchild) == [(1.0, 0), (0, 0), (1.2, 0.8)]


def test_a_copy_counts_as_often_as_it_was_drawn_in_whatever_wave() -> None:
    search = branching(by="weighted")
    root = search.ask()[0]
    search.tell([grow(search, root, 0.5, text="a", answer="7"), grow(search, root, 0.6, text="b", answer="8")])
    best = search.best()
    assert best is not None
    assert best.answer == "8"
    search._wave = [root]
    grow(search, root, 0.5, text="a", answer="7")
    search.tell([])  # a copy is no new child
    best = search.best()
    assert best is not None
    assert best.answer == "7"
    assert posteriors(search, root)[0] == (1.6, 1.4)


def test_steps_that_are_over_are_not_grown_and_whole_answers_are() -> None:
    for whole in (False, True):
        search = branching(whole=whole, n=40)
        depths = play(search, lambda node: 0.9 if node.depth else 0.1)
        assert (max(depths) > 0) == whole


def test_between_steps_of_equal_scores_it_goes_further_down_than_between_answers() -> None:
    def below(depth: int, *, whole: bool) -> int:
        searches = [branching(whole=whole, n=60, seed=seed) for seed in range(20)]
        return sum(play(s, lambda _: 0.5, answer="")[d] for s in searches for d in range(depth, 40))

    # What is wide is whole already among answers; a step leads nowhere without the next one.
    assert below(2, whole=False) > 1.5 * below(2, whole=True)


@given(seed=st.integers(0, 10**6), wave=st.integers(1, 6), whole=st.booleans())
def test_no_wave_asks_for_what_may_not_be_grown_and_equal_nodes_are_neighbours(
    seed: int, wave: int, whole: bool
) -> None:
    draw = random.Random(seed)
    search = branching(n=40, wave=wave, whole=whole, seed=seed)
    while asked_for := search.ask():
        numbers = [node.number for node in asked_for]
        assert numbers == sorted(numbers)
        assert whole or all(node.open for node in asked_for)
        arrived = [node for node in asked_for if draw.random() < 0.8]
        search.tell([grow(search, node, draw.random(), answer=draw.choice(("", "7"))) for node in arrived])
    told = sum(
        sum(posterior) for posterior in (posteriors(search, node)[0] for node in (search.tree.root, *search.tree.nodes))
    )
    assert round(told) == len(search.tree.nodes)


def test_one_seed_draws_the_same_nodes_and_another_one_others() -> None:
    seen: list[list[int]] = []
    for seed in (1, 1, 2):
        search, numbers = branching(n=60, wave=3, seed=seed), list[int]()
        while asked_for := search.ask():
            numbers += [node.number for node in asked_for]
            search.tell([grow(search, node, 0.5) for node in asked_for])
        seen.append(numbers)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


# -- answers -------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


class Graded(Scores):
    """Scores an answer that is a number by what stands behind its point."""

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [float(c.answer or 0) % 1 for c in candidates]


def better(request: Request) -> str:
    """An attempt is better than the one that it revises."""
    before = shown(request)
    return f"0.{min(9, int(before[-1][2:]) + 1) if before else 1}"


async def test_a_revision_is_shown_the_attempt_alone_and_what_is_wrong_with_it() -> None:
    model = Scripted(better)

    class Says(Graded):
        async def critique(self, query: Query, candidate: Candidate, session: Session) -> str:
            return f"{candidate.answer} is too little" if candidate.answer == "0.1" else ""

    outcome = await solve(QUERY, "ab_mcts:n=24,wave=2", model, verifier=Says())
    revisions = [r for r in model.requests if shown(r)]
    assert {len(shown(r)) for r in revisions} == {1}
    for request in revisions:
        assert request.messages[0] == QUERY.messages[0]
        assert ("0.1 is too little" in asked(request)) == (shown(request) == ["0.1"])
        assert ("Check your answer" in asked(request)) == (shown(request) != ["0.1"])
    assert outcome.calls == {"generate": 24 - len(revisions), "revise": len(revisions)}
    assert outcome.answer == max(c.answer or "" for c in outcome.checkpoints)
    assert outcome.ended_by == "finished"


@pytest.mark.parametrize(("n", "wave"), [(8, 8), (8, 3), (5, 1)])
async def test_n_calls_are_made_a_wave_at_a_time(n: int, wave: int) -> None:
    model = Scripted(better, latency=lambda _: 0.001)
    outcome = await solve(QUERY, f"ab_mcts:n={n},wave={wave}", model, verifier=Graded())
    assert sum(outcome.calls.values()) == n
    waves = [event for event in outcome.trace if event["event"] == "grow"]
    assert len(waves) == -(-n // wave)
    assert [c.samples for c in outcome.checkpoints] == [min(n, (i + 1) * wave) for i in range(len(waves))]
    assert all(node["over"] and node["score"] == float(node["answer"]) for w in waves for node in w["nodes"])


async def test_a_wave_is_under_way_at_once() -> None:
    most = 0

    def reply(request: Request) -> str:
        nonlocal most
        most = max(most, model.running)
        return better(request)

    model = Scripted(reply, latency=lambda _: 0.001, in_flight=64)
    outcome = await solve(QUERY, "ab_mcts:n=48,wave=6", model, verifier=Graded())
    assert most == 6
    assert outcome.calls["revise"] > 0


@pytest.mark.parametrize(("by", "answer"), [("best", "b"), ("weighted", "a"), ("majority", "a")])
async def test_the_answer_is_the_best_attempt_or_chosen_among_all(by: By, answer: str) -> None:
    model = Scripted(lambda r: f"{'b' if r.index == 3 else 'a'}")
    outcome = await solve(QUERY, f"ab_mcts:n=6,wave=6,choice={by}", model, verifier=Scores(a=0.5, b=0.6))
    assert outcome.answer == answer


async def test_the_first_attempt_that_passes_ends_it() -> None:
    model = Scripted(lambda r: "right" if shown(r) == ["one"] else "one")
    outcome = await solve(
        QUERY, "ab_mcts:n=200,wave=2", model, verifier=PublicTests(pass_fail=True, one=0.5, right=1.0)
    )
    assert (outcome.answer, outcome.ended_by) == ("right", "stopped_early")
    assert sum(outcome.calls.values()) < 200
    last = [event for event in outcome.trace if event["event"] == "grow"][-1]
    assert "right" in {node["answer"] for node in last["nodes"]}


async def test_attempts_without_an_answer_are_worth_nothing_and_may_be_revised() -> None:
    query = Query.of("how many?", answer_type=LastWord())
    model = Scripted(lambda r: "it is 7" if shown(r) else "no idea")
    outcome = await solve(query, "ab_mcts:n=30,wave=2", model, verifier=Graded())
    assert outcome.answer == "7"
    (first, *_) = (event for event in outcome.trace if event["event"] == "grow")
    assert first["nodes"][0]["score"] == 0


async def test_samples_that_were_handed_on_are_the_first_attempts_and_each_is_one_once() -> None:
    query = Query.of("how many?", answer_type=LastWord())
    # While there is no answer the waves draw from child sessions, which keep a call back.
    model = Scripted(
        lambda r: "mended" if shown(r) else f"say {r.index}" if r.index > 2 else f"no idea{' x' * r.index}"
    )
    outcome = await solve(query, "adaptive:probe=6,hard=(ab_mcts:n=9,wave=2)", model, verifier=Scores())
    grown = [node for event in outcome.trace if event["event"] == "grow" for node in event["nodes"]]
    fresh = [node for node in grown if node["parent"] == 0]
    assert [node["step"] for node in fresh[:3]] == ["no idea", "no idea x", "no idea x x"]
    assert all("copies" not in node for node in fresh)
    assert outcome.calls["probe"] == 6


async def test_when_all_calls_fail_it_says_why() -> None:
    model = Simulated(Population(), failures=1.0)
    outcome = await solve(Population().query(0), "ab_mcts:n=9,wave=4", model, verifier=Scores())
    assert (outcome.answer, outcome.ended_by, outcome.error) == (None, "all_calls_failed", "a simulated failure")
    assert outcome.calls == {"generate": 9}


@pytest.mark.parametrize("calls", [1, 3, 5, 8])
async def test_a_budget_ends_it_with_the_best_so_far(calls: int) -> None:
    outcome = await solve(QUERY, "ab_mcts:n=20,wave=3", Scripted(better), verifier=Graded(), budget=Budget(calls=calls))
    assert outcome.ended_by == "budget"
    assert outcome.answer is not None
    assert sum(outcome.calls.values()) == calls


async def test_attempts_that_could_be_paid_for_and_not_be_judged_still_count() -> None:
    class Dear(Graded):
        async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
            await session.choose([{"role": "user", "content": "?"}], ("Yes", "No"))
            return await super().score(query, candidates, session)

    model = Scripted(lambda r: "Yes" if r.choices else better(r))
    outcome = await solve(QUERY, "ab_mcts:n=8,wave=2", model, verifier=Dear(), budget=Budget(calls=3))
    assert (outcome.answer, outcome.ended_by) == ("0.1", "budget")
    assert outcome.calls == {"generate": 2, "judge": 1}


async def test_it_weighs_each_attempt_by_itself() -> None:
    class Joint(Longer):
        joint = True

    for nodes in ("answers", "steps"):
        with pytest.raises(ConfigurationError, match="scores candidates together"):
            await solve(QUERY, f"ab_mcts:nodes={nodes}", Scripted(better), verifier=Joint())
    with pytest.raises(ConfigurationError, match="needs a verifier that scores steps"):
        await solve(QUERY, "ab_mcts:nodes=steps", Scripted(better), verifier=Graded())


# -- where deeper pays ---------------------------------------------------------------------------------------------


async def share_of_revisions(p: float, revising: Revising, spec: str = "ab_mcts:n=48,wave=2") -> float:
    population = Population(p=p)
    model = Simulated(population, revising=revising)
    verifier = SimulatedVerifier(population=population, noise="gaussian", scale=0.5)
    outcomes = await solve_many(population.queries(20), spec, model, verifier=verifier)
    calls = sum((Counter(outcome.calls) for outcome in outcomes), Counter[str]())
    assert calls.total() == 20 * 48
    return calls["revise"] / calls.total()


async def test_it_goes_deeper_where_revisions_help_and_wider_where_they_do_harm() -> None:
    helped = await share_of_revisions(0.1, Revising(fix=0.9, breaks=0.0))
    harmed = await share_of_revisions(0.9, Revising(fix=0.0, breaks=0.9))
    assert helped > 0.7
    assert harmed < 0.3


async def found(spec: str, p: float, revising: Revising, problems: int = 200) -> int:
    population = Population(p=p)
    model = Simulated(population, revising=revising)
    queries = population.queries(problems)
    verifier = SimulatedVerifier(population=population)
    outcomes = await solve_many(queries, spec, model, verifier=verifier)
    return sum(population.is_right(q, o.answer) for q, o in zip(queries, outcomes, strict=True))


async def test_at_equal_calls_it_finds_more_than_sampling_where_revisions_help() -> None:
    revising = Revising(fix=0.15, breaks=0.0)
    assert await found("ab_mcts:n=16,wave=2", 0.02, revising) > 1.5 * await found("best_of_n:n=16", 0.02, revising)


# -- steps ---------------------------------------------------------------------------------------------------------


async def test_with_steps_it_continues_partial_solutions_and_scores_each_step_once() -> None:
    model, scorer = Scripted(counting(3)), Longer()
    query = Query.of("2+5?", answer_type=LastWord())
    outcome = await solve(query, "ab_mcts:n=60,wave=4,nodes=steps", model, verifier=scorer, sampling=SAMPLING)
    assert outcome.calls == {"generate": 60}
    assert outcome.answer is not None
    assert all(len(solution.unscored) == 1 for wave in scorer.asked for solution in wave)
    waves = [event for event in outcome.trace if event["event"] == "grow"]
    assert [len(wave["nodes"]) for wave in waves] == [4] * 15
    over = {node["node"] for wave in waves for node in wave["nodes"] if node.get("over")}
    assert over
    assert not over & {node["parent"] for wave in waves for node in wave["nodes"]}


async def test_with_steps_and_a_perfect_scorer_it_finds_what_sampling_does_not() -> None:
    population = Population(p=0.5**5)

    async def right(spec: str, **more: Any) -> int:
        model = Simulated(population, steps=5)
        queries = population.queries(100)
        scorer = SimulatedStepScorer(population=population, n_steps=5)
        outcomes = await solve_many(queries, spec, model, verifier=scorer, **more)
        return sum(population.is_right(q, o.answer) for q, o in zip(queries, outcomes, strict=True))

    # 160 steps of a tree are as many tokens as 32 solutions of 5 steps.
    tree, sampled = await right("ab_mcts:n=160,nodes=steps"), await right("best_of_n:n=32,weighted=false")
    assert tree > sampled + 10  # 88 against 68
