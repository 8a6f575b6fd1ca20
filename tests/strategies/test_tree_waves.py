"""How tree searches call: each wave at once, each step scored once, and no more work a step in a large tree.

A scripted model whose calls take a second shows what is under way together; a scorer that keeps what it is asked shows
that nothing is asked twice. What a step costs the search itself is counted in function calls, never in seconds.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

import anyio
import pytest

from tests.strategies.conftest import QUERY, SPECS
from ttc import Candidate, Outcome, Query, Sample, Session, solve
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Simulated
from ttc.models.virtual_clock import run
from ttc.steps import Solution
from ttc.strategies.lookahead import Lookahead
from ttc.strategies.tree import Node, Tree
from ttc.strategies.tree_search import TreeSearch
from ttc.strategy import Strategy, make_strategy
from ttc.types import Request
from ttc.verifiers.simulated import SimulatedStepScorer

DEPTH = 3


def in_steps(strategy: Strategy) -> bool:
    """Whether it is a tree search whose nodes are steps."""
    return isinstance(strategy, TreeSearch) and getattr(strategy, "nodes", "steps") == "steps"


TREES = [spec for spec in SPECS if in_steps(make_strategy(spec))]


class Slow(Scripted):
    """Every call takes a second. Solutions of three steps, each of them one of so many."""

    def __init__(self, different: int = 2**48) -> None:
        super().__init__(self._say, latency=self._sent, in_flight=10_000)
        self.different = different
        self.peak = 0
        self.sent_at: list[float] = []

    def _sent(self, request: Request) -> float:
        self.peak = max(self.peak, self.running)
        self.sent_at.append(anyio.current_time())
        return 1.0

    def _say(self, request: Request) -> Sample:
        shown = str(request.messages[-1]["content"]).count("s") if request.continue_final else 0
        step = f"s{request.seed % self.different}"
        if shown >= DEPTH - 1:
            return Sample(text=f"{step} {request.seed % 3}")
        return Sample(text=step, finish="step" if request.until else "length")


class Keeping:
    """Scores every step by its text, and keeps what it was asked."""

    name = "keeping"
    logprobs = 0

    def __init__(self) -> None:
        self.waves: list[list[Solution]] = []

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> list[float]:
        raise AssertionError("a tree search scores steps")

    async def score_steps(self, query: Query, solutions: Sequence[Solution], session: Session) -> list[list[float]]:
        self.waves.append(list(solutions))
        return [[random.Random(solution.steps[i]).random() for i in solution.unscored] for solution in solutions]

    @property
    def scored(self) -> Counter[tuple[str, ...]]:
        """What was scored, and how often: steps with all that stands before them."""
        return Counter(s.steps[: i + 1] for wave in self.waves for s in wave for i in s.unscored)


def searched(spec: str, model: Slow, scorer: Keeping) -> Outcome:
    async def once() -> Outcome:
        return await solve(QUERY, spec, model, verifier=scorer)

    return run(once)


def grown(outcome: Outcome) -> list[list[dict[str, Any]]]:
    """The nodes of each wave."""
    return [event["nodes"] for event in outcome.trace if event["event"] == "grow"]


# -- waves ------------------------------------------------------------------------------------------------------------


def test_a_beam_of_width_64_sends_64_requests_a_step_at_once() -> None:
    model, scorer = Slow(), Keeping()
    outcome = searched("beam:n=64,m=4", model, scorer)
    assert Counter(model.sent_at) == {0.0: 64, 1.0: 64, 2.0: 64}
    assert model.peak == 64
    assert outcome.seconds == DEPTH
    assert [len(wave) for wave in scorer.waves] == [64] * DEPTH


@pytest.mark.parametrize("spec", TREES)
def test_a_wave_is_under_way_together_and_scored_together(spec: str) -> None:
    """A rollout takes as many waves more as it goes steps ahead."""
    model, scorer = Slow(), Keeping()
    outcome = searched(spec, model, scorer)
    strategy, waves = make_strategy(spec), grown(outcome)
    ahead = strategy.k if isinstance(strategy, Lookahead) else 0
    assert len(waves) > 1
    assert len(set(model.sent_at)) <= len(waves) * (1 + ahead)
    assert model.peak == max(Counter(model.sent_at).values()) == max(len(wave) for wave in waves)
    assert [len(wave) for wave in scorer.waves] == [len(wave) for wave in waves]


@pytest.mark.parametrize("different", [2**48, 3])
@pytest.mark.parametrize("spec", TREES)
def test_no_step_is_scored_twice(spec: str, different: int) -> None:
    """As many are scored as there are new nodes: equal continuations of one node are one. Rollouts have steps too."""
    model, scorer = Slow(different), Keeping()
    outcome = searched(spec, model, scorer)
    nodes = sum(map(len, grown(outcome)))
    assert scorer.scored.total() == nodes + outcome.calls.get("probe", 0)
    if "probe" not in outcome.calls:
        assert set(scorer.scored.values()) == {1}
        copies = sum(node.get("copies", 1) for wave in grown(outcome) for node in wave)
        if different == 3:
            assert nodes < outcome.calls["generate"]
        else:
            assert nodes == copies == outcome.calls["generate"]


# -- what a step costs ------------------------------------------------------------------------------------------------


@contextmanager
def counted_calls() -> Generator[Counter[str]]:
    """Count calls of functions, those of built-in ones and turns of generators among them."""
    calls = Counter[str]()

    def count(frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_call"):
            calls[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def calls_a_step(spec: str, depth: int) -> float:
    """Function calls for each step that is grown, on the instant model."""
    population = Population(p=0.5**depth, wrong=(1.0,) * 10)
    model = Simulated(population, steps=depth)
    scorer = SimulatedStepScorer(population=population, n_steps=depth, noise="gaussian")

    async def once() -> None:
        await solve(population.query(0), spec, model, verifier=scorer)

    anyio.run(once)  # what is looked up for the first time
    sent = model.sent
    with counted_calls() as calls:
        anyio.run(once)
    return calls.total() / (model.sent - sent)


WIDER = [
    "beam:n={},m=4",
    "dvts:n={},m=4",
    "lookahead:n={},m=4,k=2",
    "particle_filter:n={}",
    "best_first:n={},solutions=1000",
    "mcts:n={}",
]


@pytest.mark.parametrize("spec", WIDER)
def test_a_step_costs_no_more_in_a_larger_tree(spec: str) -> None:
    assert in_steps(make_strategy(spec.format(16)))
    assert calls_a_step(spec.format(512), 6) < 1.2 * calls_a_step(spec.format(64), 6)


@pytest.mark.parametrize("spec", ["beam:n=16,m=4", "dvts:n=16,m=4", "particle_filter:n=16"])
def test_a_step_costs_no_more_in_a_deeper_tree(spec: str) -> None:
    assert calls_a_step(spec, 40) < 1.2 * calls_a_step(spec, 10)


class Nodes(list[Node]):
    """Counts how often all of them are gone through."""

    times = 0

    def __iter__(self) -> Iterator[Node]:
        self.times += 1
        return super().__iter__()


@pytest.mark.parametrize("spec", TREES)
def test_no_wave_goes_through_all_nodes(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trees: list[Tree] = []
    made = Tree.__init__

    def watched(self: Tree, *args: Any, **how: Any) -> None:
        made(self, *args, **how)
        self.nodes = Nodes()
        trees.append(self)

    monkeypatch.setattr(Tree, "__init__", watched)
    searched(spec, Slow(), Keeping())
    assert any(tree.nodes for tree in trees)
    assert [cast(Nodes, tree.nodes).times for tree in trees] == [0] * len(trees)


# -- what an answer would be forced out of -----------------------------------------------------------------------------


def test_the_best_open_node_is_the_one_that_going_through_all_of_them_finds() -> None:
    """The tree keeps the ends as they come, and goes through no list of all its nodes."""

    def by_going_through_all(tree: Tree) -> Node | None:
        ends = [n for n in tree.nodes if not n.children and n.answer is None and cast(Candidate, n.candidate).sample.ok]
        return max(ends, key=lambda n: (not n.pruned, n.standing), default=None)

    for seed in range(200):
        draw = random.Random(seed)
        tree = Tree(draw, max_steps=4)
        assert tree.best_open() is None
        for number in range(30):
            parent = draw.choice([node for node in (tree.root, *tree.nodes) if node.open])
            answer = "7" if draw.random() < 0.2 else None
            sample = Sample(text=f"{number % 20} ", finish=draw.choice(("step", "length", "cut")))
            node = tree.add(parent, Candidate(answer, sample), sample)
            if node is not None:
                node.value = draw.choice((0.1, 0.5, 0.9))
            if draw.random() < 0.3 and tree.nodes:
                tree.prune(draw.sample(tree.nodes, k=min(len(tree.nodes), 3)))
            if not any(n.open for n in (tree.root, *tree.nodes)):
                break
            assert tree.best_open() is by_going_through_all(tree)
