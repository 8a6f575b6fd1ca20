"""Best-of-N: scores as samples arrive, the first pass, the fallback, and the exact values of theory."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import anyio
import pytest

from ttc.budget import Budget
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Simulated
from ttc.models.virtual_clock import run
from ttc.session import Session
from ttc.solve import solve
from ttc.types import Candidate, Query, Request, Sample
from ttc.verifiers.simulated import SimulatedVerifier


class Told:
    """Scores the i-th sample with the i-th of its scores; counts how many it works on at a time."""

    name = "told"
    logprobs = 0

    def __init__(self, scores: Sequence[float], *, pass_fail: bool = False, seconds: float = 0.0) -> None:
        self.pass_fail = pass_fail
        self.at_work = self.most = 0
        self.before_the_last_sample = 0
        self.model: Scripted | None = None
        self._scores = scores
        self._seconds = seconds

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> list[float]:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        if self.model and self.model.running:
            self.before_the_last_sample += 1
        await anyio.sleep(self._seconds)
        self.at_work -= 1
        return [self._scores[c.sample.index] for c in candidates]


def says(answers: Sequence[str], latency: Callable[[Request], float] | None = None) -> Scripted:
    return Scripted(lambda request: answers[request.index], latency=latency)


@pytest.mark.anyio
async def test_it_takes_the_best_and_never_a_sample_without_an_answer() -> None:
    outcome = await solve("?", "best_of_n:n=4", says(["", "meek", "bold", "meek"]), verifier=Told([1, 0.1, 0.5, 0.1]))
    assert outcome.answer == "bold"
    assert [c.answer for c in outcome.checkpoints] == [None, "meek", "bold", "bold"]
    assert all(a.samples < b.samples for a, b in pairwise(outcome.checkpoints))


@pytest.mark.anyio
async def test_weighted_it_adds_up_the_scores_of_a_class() -> None:
    answers, scores = ["meek", "bold", "meek"], [0.4, 0.6, 0.5]
    plain = await solve("?", "best_of_n:n=3,weighted=false", says(answers), verifier=Told(scores))
    weighted = await solve("?", "best_of_n:n=3", says(answers), verifier=Told(scores))
    assert (plain.answer, weighted.answer) == ("bold", "meek")
    assert weighted.candidate is not None
    assert weighted.candidate.sample.index == 2  # the best one speaks for its class


@pytest.mark.anyio
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("score", [0.0, 0.5])
async def test_equal_scores_are_drawn_by_lot_and_not_by_arrival(weighted: bool, score: float) -> None:
    spec = f"best_of_n:n=3,weighted={weighted}"
    wins = [0, 0, 0]
    for i in range(300):
        outcome = await solve(Query.of(f"q{i}"), spec, says(["a", "b", "c"]), verifier=Told([score] * 3))
        wins["abc".index(str(outcome.answer))] += 1
    assert all(67 < w < 133 for w in wins)  # 4 standard errors


@pytest.mark.anyio
async def test_samples_are_scored_at_once_and_while_others_are_drawn() -> None:
    verifier = Told([0.1] * 8, seconds=0.05)
    model = verifier.model = says(["a"] * 8, latency=lambda r: 0.2 if r.index == 7 else 0.0)
    await solve("?", "best_of_n:n=8", model, verifier=verifier)
    assert verifier.most == 7
    assert verifier.before_the_last_sample == 7


@pytest.mark.anyio
async def test_judges_work_at_the_same_time() -> None:
    judging: list[int] = []

    def reply(request: Request) -> Sample:
        if request.choices:
            judging.append(sum(r.kind == "judge" for r in model.requests))
            return Sample(text="Yes", first_choices=(("Yes", -0.2), ("No", -1.8)))
        return Sample(text="7")

    model = Scripted(reply, latency=lambda r: 0.02)
    outcome = await solve("?", "best_of_n:n=6", model, verifier="judge")
    assert outcome.calls == {"generate": 6, "judge": 6}
    assert judging[0] == 6  # all were sent before the first one answered


@pytest.mark.anyio
async def test_the_first_pass_ends_the_query_and_saves_calls() -> None:
    scores = [0, 0, 0, 0, 1, 0, 0, 0]
    answers = list("abcdefgh")
    model = says(answers)
    outcome = await solve("?", "best_of_n:n=8,wave=2", model, verifier=Told(scores, pass_fail=True))
    assert (outcome.answer, outcome.ended_by) == ("e", "stopped_early")
    assert len(model.requests) == 6
    graded = says(answers)
    scored = await solve("?", "best_of_n:n=8,wave=2", graded, verifier=Told(scores))
    assert (scored.answer, scored.ended_by) == ("e", "finished")  # a score of one promises nothing there
    assert len(graded.requests) == 8


@pytest.mark.anyio
async def test_a_pass_leaves_nobody_at_work() -> None:
    verifier = Told([0, 1, 0, 0, 0, 0, 0, 0], pass_fail=True)
    model = says(["a"] * 8, latency=lambda r: 0.0 if r.index < 2 else 10)
    outcome = await solve("?", "best_of_n:n=8", model, verifier=verifier)
    assert outcome.checkpoints[-1].samples == 2
    assert model.running == 0
    assert model.limiter.borrowed_tokens == 0
    assert outcome.total_usage.upper_bound  # six calls were cancelled


@pytest.mark.anyio
async def test_the_checkpoints_are_those_of_shorter_runs() -> None:
    draw = random.Random(1)
    for i in range(20):
        answers = draw.choices("abc", k=8)
        scores = [draw.random() for _ in answers]
        for weighted in (True, False):
            long = await solve(f"q{i}", f"best_of_n:n=8,weighted={weighted}", says(answers), verifier=Told(scores))
            for n in (1, 3, 6):
                spec = f"best_of_n:n={n},weighted={weighted}"
                assert (await solve(f"q{i}", spec, says(answers), verifier=Told(scores))).answer == (
                    long.checkpoints[n - 1].answer
                )


# -- exact values -----------------------------------------------------------------------------------------------------


def share_right(spec: str, *, problems: int, p: float = 0.3, **errors: object) -> float:
    population = Population(p=p, wrong=(1.0,) * 20)
    verifier = SimulatedVerifier(population=population, **errors)  # pyright: ignore[reportArgumentType]
    model = Simulated(population)

    async def all_problems() -> float:
        right = 0
        for query in population.queries(problems):
            right += population.is_right(query, (await solve(query, spec, model, verifier=verifier)).answer)
        return right / problems

    return run(all_problems)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("n", "exact"), [(1, 0.300), (2, 0.468), (5, 0.700), (10, 0.782)])
def test_an_imperfect_pass_and_a_random_fallback(n: int, exact: float, weighted: bool) -> None:
    passing = 0.3 * 0.9 + 0.7 * 0.1
    none = (1 - passing) ** n
    closed_form = (1 - none) * 0.27 / passing + none * 0.03 / (1 - passing)
    assert closed_form == pytest.approx(exact, abs=6e-4)
    found = share_right(f"best_of_n:n={n},weighted={weighted}", problems=1500, tpr=0.9, fpr=0.1)
    assert abs(found - closed_form) < 4 * (exact * (1 - exact) / 1500) ** 0.5


@pytest.mark.parametrize(
    ("noise", "n", "exact"),
    [
        ("gaussian", 4, 0.5187),
        ("gaussian", 16, 0.7002),
        ("gaussian", 64, 0.8163),
        ("t3", 4, 0.4736),
        ("t3", 16, 0.5301),
        ("t3", 64, 0.4819),
    ],
)
def test_over_optimisation_of_a_noisy_score(noise: str, n: int, exact: float) -> None:
    """Gaussian errors are out-voted by the best score; heavy tails are what it finds in the end."""
    problems = 400
    found = share_right(f"best_of_n:n={n},weighted=false", problems=problems, noise=noise)
    assert abs(found - exact) < 4 * (exact * (1 - exact) / problems) ** 0.5


def test_calls_up_to_the_first_pass() -> None:
    population = Population(p=0.3)
    verifier = SimulatedVerifier(population=population, tpr=0.9, fpr=0.1)
    model = Simulated(population)

    async def all_problems() -> None:
        for query in population.queries(1000):
            await solve(query, "best_of_n:n=10,wave=1", model, verifier=verifier)

    run(all_problems)
    passing = 0.34
    expected = (1 - (1 - passing) ** 10) / passing
    assert abs(model.sent / 1000 - expected) < 4 * (1 - passing) ** 0.5 / passing / 1000**0.5


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [0.0, 0.01])
async def test_a_pass_ends_it_whatever_the_budget_refuses_behind_it(seconds: float) -> None:
    verifier = Told([0, 1, 0, 0], pass_fail=True, seconds=seconds)
    model = says(["meek", "bold", "meek", "meek"])
    outcome = await solve("?", "best_of_n:n=8", model, verifier=verifier, budget=Budget(calls=4))
    assert (outcome.answer, outcome.ended_by) == ("bold", "stopped_early")
