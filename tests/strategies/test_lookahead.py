"""Lookahead search: what a step is worth, what rollouts cost, and what becomes of the whole solutions among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from tests.strategies.conftest import LastWord
from tests.strategies.hand_made_trees import choice, grow, numbers, tree
from ttc.budget import Budget
from ttc.errors import BadResponse, BudgetExhausted, ConfigurationError
from ttc.models.base import Meter
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Latency, Simulated
from ttc.models.virtual_clock import run
from ttc.session import Session
from ttc.solve import solve
from ttc.steps import Solution
from ttc.strategies.lookahead import LookaheadSearch
from ttc.strategy import make_strategy
from ttc.types import Candidate, Outcome, Query, Request, Sample
from ttc.verifiers.simulated import SimulatedStepScorer

QUERY = Query.of("2+5?", answer_type=LastWord())


@dataclass
class Signs:
    """Scores a step by the sign in it; keeps what it was asked."""

    worth: dict[str, float]
    name: str = "signs"
    logprobs: int = 0
    budget: int = 99
    asked: list[list[Solution]] = field(default_factory=list[list[Solution]])

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [0.5 for _ in candidates]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        if len(self.asked) == self.budget:
            raise BudgetExhausted("the scorer's own calls")
        self.asked.append(list(solutions))
        return [[self.worth[s.steps[i].split()[0]] for i in s.unscored] for s in solutions]


class Signposts(Scripted):
    """Two first steps, ``fine`` and ``poor``; what comes of the fine one is wrong and of the poor one right."""

    def __init__(self, *, steps: int = 3, broken: int = 99, first: Sequence[str] = ("fine", "poor")) -> None:
        super().__init__(self.reply_to)
        self.steps = steps
        self.broken = broken
        self.first = first

    def seconds(self, request: Request) -> float:
        return 9.0 if request.kind == "probe" and "wrong" in self.shown(request) else 1.0

    @staticmethod
    def shown(request: Request) -> str:
        return str(request.messages[-1]["content"]) if request.continue_final else ""

    def reply_to(self, request: Request) -> Sample:
        shown = self.shown(request)
        word = self.first[request.index % 2] if not shown else "wrong" if "fine" in shown else "right"
        if len(shown.split()) + 1 < self.steps:
            return Sample(text=word, finish="step")
        return Sample(text=f"{word} {7 if word == 'right' else 8}")

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if request.kind == "probe" and len(self.shown(request).split()) >= self.broken:
            self.requests.append(request)
            meter.start()
            await anyio.lowlevel.checkpoint()
            meter.broke(generated=False)
            raise BadResponse("a rollout that failed")
        seconds = self._latency(request) if self._latency else 0.0
        return [replace(sample, latency=seconds) for sample in await super().call(request, meter)]


def signs(*, budget: int = 99) -> Signs:
    return Signs({"fine": 0.8, "poor": 0.3, "wrong": 0.1, "right": 0.9}, budget=budget)


def nodes(outcome: Outcome, wave: int) -> list[dict[str, object]]:
    return [event for event in outcome.trace if event["event"] == "grow"][wave]["nodes"]


@pytest.mark.anyio
async def test_a_step_is_worth_what_it_leads_to() -> None:
    beam = await solve(QUERY, "beam:n=2,m=2,max_steps=3", Signposts(), verifier=signs())
    ahead = await solve(QUERY, "lookahead:n=2,m=2,k=1,max_steps=3", Signposts(), verifier=signs())
    assert (beam.answer, ahead.answer) == ("8", "7")
    assert [node["score"] for node in nodes(beam, 0)] == [0.8, 0.3]
    assert [node["score"] for node in nodes(ahead, 0)] == [0.1, 0.9]


@pytest.mark.anyio
async def test_rollouts_are_probes_at_temperature_0_and_end_a_step_as_steps_do() -> None:
    model = Signposts(steps=4)
    await solve(QUERY, "lookahead:n=2,m=2,k=2,max_steps=4", model, verifier=signs())
    assert {(r.kind, r.temperature) for r in model.requests} == {("generate", 0.7), ("probe", 0.0)}
    assert {(r.until, r.max_tokens) for r in model.requests} == {(("\n\n",), 256)}
    first = [model.shown(r) for r in model.requests[2:6]]
    assert first == ["fine\n\n", "poor\n\n", "fine\n\nwrong\n\n", "poor\n\nright\n\n"]


@pytest.mark.anyio
async def test_a_wave_is_scored_once_by_the_ends_of_its_rollouts_and_no_step_of_the_tree_twice() -> None:
    scorer = signs()
    await solve(QUERY, "lookahead:n=2,m=2,k=2,max_steps=5", Signposts(steps=5), verifier=scorer)
    assert [[list(s.unscored) for s in wave] for wave in scorer.asked] == [
        [[0, 1, 2], [0, 1, 2]],  # its own step, and two of the rollout
        [[1, 2, 3]],  # equal continuations are one node
        [[2, 3, 4]],
        [[3, 4]],
        [[4]],
    ]
    assert scorer.asked[1][0].scores == (0.3,)  # the rollout that spoke for it is gone


@pytest.mark.anyio
@pytest.mark.parametrize(("n", "k", "steps"), [(4, 3, 6), (4, 1, 3), (2, 9, 4), (4, 3, 1)])
async def test_it_costs_n_times_k_and_1_calls_a_step_until_solutions_are_over(n: int, k: int, steps: int) -> None:
    population = Population(p=0.5)
    scorer = SimulatedStepScorer(population=population, n_steps=steps, noise="gaussian")
    model = Simulated(population, steps=steps)
    outcome = await solve(population.query(0), f"lookahead:n={n},m=2,k={k}", model, verifier=scorer)
    rollouts = sum(n * min(k, steps - step) for step in range(1, steps + 1))
    assert outcome.calls == {"generate": n * steps, **({"probe": rollouts} if rollouts else {})}
    assert outcome.total_usage.generated == model.generated


def test_all_rollouts_of_a_wave_are_under_way_at_once() -> None:
    """On a clock that jumps, where each call takes a second: a step takes one for itself and one a step of rollout."""
    population = Population(p=0.5)
    scorer = SimulatedStepScorer(population=population, n_steps=5, noise="gaussian")

    async def solved() -> Outcome:
        model = Simulated(population, steps=5, latency=Latency(first=1.0, per_token=0.0))
        return await solve(population.query(0), "lookahead:n=8,m=2,k=2", model, verifier=scorer)

    assert run(solved).seconds == pytest.approx(3 + 3 + 3 + 2 + 1)


@pytest.mark.anyio
async def test_a_rollout_that_passes_ends_the_search() -> None:
    population = Population(p=1.0)
    scorer = SimulatedStepScorer(population=population, n_steps=4)
    outcome = await solve(population.query(0), "lookahead:n=4,m=2", Simulated(population, steps=4), verifier=scorer)
    assert population.is_right(population.query(0), outcome.answer)
    assert outcome.calls == {"generate": 4, "probe": 12}


@pytest.mark.anyio
@pytest.mark.parametrize(("calls", "answer", "score"), [(6, "8", 0.1), (7, "7", 0.9), (8, "7", 0.9), (9, "7", 0.9)])
async def test_a_whole_rollout_is_the_answer_where_the_budget_ends_before_the_tree_has_one(
    calls: int, answer: str, score: float
) -> None:
    """Until there is one a call is kept back, to force an answer with."""
    outcome = await solve(
        QUERY, "lookahead:n=2,m=1,k=2,max_steps=3", Signposts(), verifier=signs(), budget=Budget(calls=calls)
    )
    assert (outcome.answer, outcome.ended_by) == (answer, "budget")
    assert outcome.candidate is not None
    assert (outcome.candidate.score, outcome.candidate.sample.forced) == (score, False)
    assert [node.get("ahead") for node in nodes(outcome, 0)] == ["8", "7" if calls > 6 else None]


def test_a_deadline_leaves_the_rollouts_that_have_come() -> None:
    async def solved() -> Outcome:
        model = Signposts(first=("poor", "fine"))
        model._latency = model.seconds  # the last rollout behind the fine step takes nine
        return await solve(QUERY, "lookahead:n=2,m=1,k=1", model, verifier=signs(), budget=Budget(seconds=8))

    outcome = run(solved)
    assert (outcome.answer, outcome.ended_by, outcome.seconds) == ("7", "deadline", 7)  # one is kept back to force it
    assert outcome.candidate is not None
    assert outcome.candidate.score is None


@pytest.mark.anyio
async def test_a_scorer_that_runs_out_leaves_whole_rollouts_without_a_score() -> None:
    outcome = await solve(QUERY, "lookahead:n=2,m=2,k=2,max_steps=3", Signposts(), verifier=signs(budget=0))
    assert outcome.answer in ("7", "8")
    assert outcome.ended_by == "budget"


@pytest.mark.anyio
@pytest.mark.parametrize(("broken", "scores"), [(1, [0.8, 0.3]), (2, [0.1, 0.9])])
async def test_a_rollout_that_fails_ends_where_it_is(broken: int, scores: Sequence[float]) -> None:
    model = Signposts(steps=4, broken=broken)
    outcome = await solve(QUERY, "lookahead:n=2,m=2,k=3,max_steps=4", model, verifier=signs())
    assert [node["score"] for node in nodes(outcome, 0)] == scores
    assert len([r for r in model.requests[: 2 + 2 * broken] if r.kind == "probe"]) == 2 * broken
    assert outcome.answer == ("8" if broken == 1 else "7")


@pytest.mark.anyio
async def test_rollouts_go_no_deeper_than_solutions_may() -> None:
    model = Signposts(steps=9)
    outcome = await solve(QUERY, "lookahead:n=2,m=2,k=5,max_steps=2", model, verifier=signs())
    assert outcome.calls["probe"] == 2
    assert [node["score"] for node in nodes(outcome, 0)] == [0.1, 0.9]


def test_what_rollouts_came_to_is_in_the_choice_like_any_other() -> None:
    search = LookaheadSearch(tree(), choice(), n=2, m=2)
    one, other = grow(search, search.ask(), [0.9, 0.6])
    one.ahead = Candidate("7", Sample(text="7"), 0.9)
    other.ahead = Candidate("8", Sample(text="8"), 0.6)
    search.tell([one, other])
    assert numbers(search.ask()) == [1, 1]  # a rollout takes no place in the beam
    assert (best := search.best()) is not None
    assert best.answer == "7"
    search.tell(grow(search, search.ask()[:1], [0.7], answer="8"))
    assert (best := search.best()) is not None
    assert best.answer == "8"  # 1.3 against .9


@pytest.mark.anyio
async def test_a_perfect_scorer_finds_what_the_closed_form_says() -> None:
    """Two steps, of which a rollout shows the second: right where one of n rollouts is, or else by lot and n more."""
    s, n, problems = 0.5, 2, 600
    population = Population(p=s * s)
    scorer = SimulatedStepScorer(population=population, n_steps=2)
    model = Simulated(population, steps=2)
    right = 0
    for query in population.queries(problems):
        outcome = await solve(query, f"lookahead:n={n},m={n},k=1", model, verifier=scorer)
        right += population.is_right(query, outcome.answer)
    kept = s * (1 - s) / (1 - s * s)  # P(a first step is right whose rollout was wrong)
    exact = 1 - (1 - s * s) ** n * (1 - kept * (1 - (1 - s) ** n))
    assert abs(right / problems - exact) <= 4 * (exact * (1 - exact) / problems) ** 0.5


@pytest.mark.anyio
async def test_it_is_the_same_every_time() -> None:
    population = Population(p=0.3)
    scorer = SimulatedStepScorer(population=population, n_steps=5, noise="gaussian")
    one, other = [
        await solve(population.query(3), "lookahead:n=4,m=2,k=2", Simulated(population, steps=5), verifier=scorer)
        for _ in range(2)
    ]
    assert (one.answer, one.trace) == (other.answer, other.trace)


@pytest.mark.anyio
async def test_calls_that_all_fail_end_it() -> None:
    population = Population(p=0.3)
    scorer = SimulatedStepScorer(population=population, n_steps=3)
    model = Simulated(population, steps=3, failures=1.0)
    outcome = await solve(population.query(0), "lookahead:n=4,m=2", model, verifier=scorer)
    assert (outcome.answer, outcome.ended_by) == (None, "all_calls_failed")
    assert model.sent == 4


def test_without_a_step_ahead_it_is_a_beam() -> None:
    with pytest.raises(ConfigurationError, match="k"):
        make_strategy("lookahead:k=0")
    assert make_strategy("lookahead:n=16,m=4,k=3").spec == "lookahead"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "beam", "ahead"),
    [
        ("last", [0.9, 0.3, 0.6], [0.3, 0.6, 0.6]),
        ("min", [0.9, 0.3, 0.3], [0.3, 0.3, 0.3]),
        ("product", [0.9, 0.27, 0.162], [0.27, 0.162, 0.162]),
        ("mean", [0.9, 0.6, 0.6], [0.6, 0.6, 0.6]),
    ],
)
async def test_a_node_is_worth_what_is_made_of_the_scores_up_to_it_and_of_those_of_its_rollout(
    how: str, beam: Sequence[float], ahead: Sequence[float]
) -> None:
    def reply(request: Request) -> Sample:
        word = ("good", "bad", "fair 7")[len(Signposts.shown(request).split())]
        return Sample(text=word, finish="stop" if "7" in word else "step")

    async def worth(spec: str) -> list[object]:
        scorer = Signs({"good": 0.9, "bad": 0.3, "fair": 0.6})
        outcome = await solve(QUERY, f"{spec},aggregate={how}", Scripted(reply), verifier=scorer)
        assert outcome.answer == "7"
        assert outcome.candidate is not None
        assert outcome.candidate.score == pytest.approx(beam[-1])
        return [nodes(outcome, wave)[0]["score"] for wave in range(3)]

    assert await worth("beam:n=1,m=1") == pytest.approx(beam)
    assert await worth("lookahead:n=1,m=1,k=1") == pytest.approx(ahead)
