"""Tree search on the simulated model: exact values, calls, and on which problems it is above best-of-N.

Values are closed forms, held within four standard errors. Where two strategies are compared they see the same problems
under the same scorer at the same calls' worth of tokens, and the interval of the paired difference decides.
"""

from __future__ import annotations

from itertools import product
from math import comb
from statistics import fmean
from typing import Any

import anyio
import pytest

from benchmarks.tree_search import BEAM, BEST, BINS, SCORERS, WEIGHTED, auc, in_steps, solved
from tests.strategies.test_exact_values import allowed, each, share_right
from ttc import Outcome, Query, solve
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.statistics import Difference, mean, paired_difference
from ttc.strategies.theory import beam_accuracy
from ttc.verifiers.simulated import SimulatedStepScorer

# -- a perfect scorer -------------------------------------------------------------------------------------------------


def brute_force(n: int, m: int, *, step: float, depth: int) -> float:
    """The chance that something right is kept at the end, summed over how many right ones each wave may have."""

    def chance(drawn: int, right: int) -> float:
        return comb(drawn, right) * step**right * (1 - step) ** (drawn - right)

    total = 0.0
    for path in product(range(1, n + 1), repeat=depth):
        likely, drawn = 1.0, n
        for right in path:
            likely *= chance(drawn, right) if right <= drawn else 0.0
            drawn = min(n // m, right) * m
        total += likely
    return total


def test_the_closed_form_of_a_beam() -> None:
    assert beam_accuracy(4, 4, step=0.7, depth=10) == pytest.approx(0.9219, abs=5e-5)
    for n in (1, 2, 5):
        assert beam_accuracy(n, n, step=0.7, depth=10) == pytest.approx((1 - 0.3**n) ** 10)
    for n, m in ((4, 2), (6, 3), (6, 2), (4, 1)):
        assert beam_accuracy(n, m, step=0.3, depth=4) == pytest.approx(brute_force(n, m, step=0.3, depth=4))
    with pytest.raises(ConfigurationError, match="m=3 does not divide n=4"):
        beam_accuracy(4, 3, step=0.7, depth=10)


@pytest.mark.parametrize(
    ("spec", "exact", "problems"),
    [("beam:n=4,m=4", 0.9219, 800), ("best_of_n:n=4", 0.1083, 1500), ("single", 0.0282, 3000)],
)
def test_ten_steps_that_are_right_with_seven_in_ten(spec: str, exact: float, problems: int) -> None:
    model, scorer = in_steps(0.7, 10)
    found = share_right(spec, model, problems, verifier=scorer)
    assert abs(found - exact) <= allowed(exact, problems)


@pytest.mark.parametrize(
    ("n", "m", "step", "depth"),
    [(2, 2, 0.7, 10), (4, 2, 0.7, 10), (8, 8, 0.3, 4), (8, 4, 0.3, 4), (9, 3, 0.3, 4), (4, 1, 0.5, 3)],
)
def test_a_beam_of_any_width(n: int, m: int, step: float, depth: int) -> None:
    problems = 8_000 // (n * depth)
    model, scorer = in_steps(step, depth)
    found = share_right(f"beam:n={n},m={m}", model, problems, verifier=scorer)
    exact = beam_accuracy(n, m, step=step, depth=depth)
    assert abs(found - exact) <= allowed(exact, problems)


# -- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "depth"), [(4, 4, 10), (16, 4, 10), (6, 3, 5), (1, 1, 3)])
def test_a_beam_costs_n_calls_and_n_scores_a_step_and_a_round_each(n: int, m: int, depth: int) -> None:
    """And best-of-N of equal n the same tokens, in n calls and one round."""
    model, scorer = in_steps(0.7, depth, noise="gaussian")
    slow = Simulated(
        model.population,
        steps=depth,
        lengths=Lengths(mean=20.0 * depth),
        latency=Latency(first=1.0, per_token=0.0),
    )
    for outcome in (one(f"beam:n={n},m={m}", of, scorer) for of in (model, slow)):
        assert outcome.calls == {"generate": n * depth}
        assert outcome.generated_tokens == n * depth * 20
        scored = [event["scores"] for event in outcome.trace if event["event"] == "score_steps"]
        assert [[len(scores) for scores in wave] for wave in scored] == [[1] * n] * depth
    assert one(f"beam:n={n},m={m}", slow, scorer).seconds == pytest.approx(depth)
    outcome = one(f"best_of_n:n={n}", slow, scorer)
    assert (outcome.calls, outcome.generated_tokens) == ({"generate": n}, n * depth * 20)
    assert outcome.seconds == pytest.approx(1)


def test_scores_that_are_calls_are_charged() -> None:
    model, scorer = in_steps(0.7, 5, noise="gaussian", calls=True)
    assert one("beam:n=4,m=2", model, scorer).calls == {"generate": 20, "reward": 20}


def one(spec: str, model: Simulated, scorer: SimulatedStepScorer) -> Outcome:
    async def solved() -> Outcome:
        return await solve(model.population.query(0), spec, model, verifier=scorer)

    return run(solved)


# -- above best-of-N, and below it; benchmarks/tree_search.py says what the bins and the scorers are -------------------

PROBLEMS = 60


def share(difficulty: str, scorer: str, spec: str) -> float:
    return mean(solved(difficulty, scorer, spec, PROBLEMS)).value


def above(difficulty: str, scorer: str, spec: str) -> Difference:
    """How far a beam is above another strategy, at 99%."""
    return paired_difference(
        solved(difficulty, scorer, BEAM, PROBLEMS), solved(difficulty, scorer, spec, PROBLEMS), level=0.99
    )


@pytest.mark.parametrize("difficulty", ["medium", "hard"])
def test_with_a_good_scorer_a_beam_is_above_best_of_n_on_medium_and_hard_problems(difficulty: str) -> None:
    """However best-of-N chooses."""
    for spec in (WEIGHTED, BEST):
        assert above(difficulty, "good", spec).low > 0.05


def test_with_a_good_scorer_there_is_nothing_to_gain_on_easy_problems() -> None:
    assert share("easy", "good", WEIGHTED) > 0.95
    assert abs(above("easy", "good", WEIGHTED).value) < 0.05


@pytest.mark.parametrize("difficulty", ["easy", "medium"])
def test_with_a_bad_scorer_a_beam_is_below_best_of_n(difficulty: str) -> None:
    """Which is a vote then, and the beam a single sample: all that it keeps comes of one first step before long."""
    assert above(difficulty, "bad", WEIGHTED).high < -0.05
    single = sum(BINS[difficulty]) / 2  # the mean of P(right)
    assert abs(share(difficulty, "bad", BEAM) - single) <= allowed(single, PROBLEMS)


def test_with_a_bad_scorer_neither_solves_hard_problems() -> None:
    """So there is no order between them."""
    for spec in (BEAM, WEIGHTED):
        assert share("hard", "bad", spec) < 0.12


def test_the_scorers_are_as_good_as_they_are_said_to_be() -> None:
    """Counted on single steps."""
    for name, quality in SCORERS.items():
        right, wrong = (step_scores(p, **quality) for p in (1.0, 0.0))
        found = fmean(a > b for a, b in zip(right, wrong, strict=True))
        assert abs(found - auc(name)) <= allowed(auc(name), len(right))


def step_scores(p: float, **quality: Any) -> list[float]:
    """Scores of first steps that are right with p."""
    population = Population(p=p, seed=int(p))
    scorer = SimulatedStepScorer(population=population, n_steps=1, noise="gaussian", seed=int(p), **quality)

    def read(query: Query, outcome: Outcome) -> float:
        (scores,) = (event["scores"][0] for event in outcome.trace if event["event"] == "score_steps")
        return scores[0]

    return each(read, "beam:n=1,m=1", Simulated(population), 600, verifier=scorer)


def test_outcomes_of_populations_repeat() -> None:
    async def twice() -> list[str | None]:
        model, scorer = in_steps(0.7, 10, noise="gaussian")
        return [(await solve(q, "beam:n=4,m=2", model, verifier=scorer)).answer for q in model.population.queries(20)]

    assert anyio.run(twice) == anyio.run(twice)
