"""The exact values of ALGORITHMS.md, sections 1 to 4, as registered strategies bring them about on the simulated model.

Each value is what a closed form says (those are held to four digits in ``test_theory.py``). Here strategies are run by
their specs over so many simulated problems, seeded, and must come out within four standard errors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any, TypeVar

import anyio
import pytest

from ttc import Candidate, Outcome, Query, Sample, Session, solve
from ttc.models.population import Population
from ttc.models.simulated import Latency, Revising, Simulated
from ttc.models.virtual_clock import run
from ttc.strategies.bracket import Bracket
from ttc.strategies.theory import comparison_accuracy, pass_at_k
from ttc.types import TextAnswer
from ttc.verifiers.simulated import SimulatedComparator, SimulatedVerifier

T = TypeVar("T")


def each(read: Callable[[Query, Outcome], T], spec: str, model: Simulated, problems: int, **settings: Any) -> list[T]:
    """Solve so many problems one after the other, and return what is read of each outcome."""

    async def all_problems() -> list[T]:
        queries = model.population.queries(problems)
        return [read(query, await solve(query, spec, model, **settings)) for query in queries]

    return anyio.run(all_problems)


def is_right(model: Simulated, query: Query, outcome: Outcome) -> bool:
    return model.population.is_right(query, outcome.answer)


def share_right(spec: str, model: Simulated, problems: int, **settings: Any) -> float:
    return fmean(each(partial(is_right, model), spec, model, problems, **settings))


def calls(query: Query, outcome: Outcome) -> int:
    return sum(outcome.calls.values())


def allowed(exact: float, n: int) -> float:
    """Four standard errors of a share of n, and half a unit of the last of the four digits."""
    return 4 * (exact * (1 - exact) / n) ** 0.5 + 5e-5


def assert_mean(values: Sequence[float], exact: float) -> None:
    """A mean has to be within four standard errors of its exact value, which is given to half a thousandth."""
    assert abs(fmean(values) - exact) <= 4 * stdev(values) / len(values) ** 0.5 + 5e-4


# -- 1. voting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "exact", "problems"), [(5, 0.6826, 3000), (17, 0.8011, 2000), (65, 0.9490, 1000)])
def test_majority_of_two_answers(n: int, exact: float, problems: int) -> None:
    found = share_right(f"majority:n={n}", Simulated(Population(p=0.6)), problems)
    assert abs(found - exact) <= allowed(exact, problems)


@pytest.mark.parametrize(("n", "exact", "problems"), [(11, 0.484, 2000), (101, 0.458, 1000), (1001, 0.370, 150)])
def test_voting_converges_to_the_likeliest_answer_which_may_be_wrong(n: int, exact: float, problems: int) -> None:
    found = share_right(f"majority:n={n}", Simulated(Population(p=0.45, wrong=(0.46, 0.09))), problems)
    assert abs(found - exact) <= allowed(exact, problems)


VOTERS = (0.9, 0.6, 0.6)


class Known:
    """Scores a sample with the accuracy of the voter who drew it."""

    name = "known"
    logprobs = 0

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> list[float]:
        return [VOTERS[c.sample.index] for c in candidates]


@pytest.mark.parametrize(("weights", "exact"), [("equal", 0.792), ("log_odds", 0.900)])
def test_voters_of_known_accuracy(weights: str, exact: float) -> None:
    model = Simulated(Population(), voters=VOTERS)
    found = share_right(f"majority:n=3,weights={weights}", model, 2500, verifier=Known())
    assert abs(found - exact) <= allowed(exact, 2500)


# -- 1. coverage ------------------------------------------------------------------------------------------------------


def which_are_right(model: Simulated, query: Query, outcome: Outcome) -> list[bool]:
    answers = [event["answer"] for event in outcome.trace if event["event"] == "sample"]
    return [model.population.is_right(query, answer) for answer in answers]


def test_the_unbiased_estimate_of_coverage_and_the_one_that_is_not() -> None:
    model = Simulated(Population(p=0.1))
    drawn = each(partial(which_are_right, model), "majority:n=20,stop=never", model, 2000)
    assert_mean([pass_at_k(20, sum(right), 10) for right in drawn], 0.651322)
    assert_mean([1 - (1 - sum(right) / 20) ** 10 for right in drawn], 0.5681)


def test_coverage_of_a_beta_population() -> None:
    """Of one run, since the samples of a shorter one are its first."""
    model = Simulated(Population(p=(0.3, 2.0)))
    problems = 300
    drawn = each(partial(which_are_right, model), "majority:n=1000,stop=never", model, problems)
    for k, exact in {1: 0.1304, 10: 0.4415, 100: 0.7084, 1000: 0.8532}.items():
        assert abs(fmean(any(right[:k]) for right in drawn) - exact) <= allowed(exact, problems), k


def test_coverage_is_best_of_n_under_a_perfect_verifier() -> None:
    model = Simulated(Population(p=(0.3, 2.0)))
    found = share_right("best_of_n:n=10", model, 1000, verifier=SimulatedVerifier(population=model.population))
    assert abs(found - 0.4415) <= allowed(0.4415, 1000)


# -- 1. best-of-N -----------------------------------------------------------------------------------------------------

NOISY = {
    "gaussian": {4: 0.5187, 16: 0.7002, 64: 0.8163, 256: 0.8842},
    "t3": {4: 0.4736, 16: 0.5301, 64: 0.4819, 256: 0.4215},
}


@pytest.mark.parametrize("noise", NOISY)
@pytest.mark.parametrize(("n", "problems"), [(4, 1000), (16, 300)])
def test_the_best_of_few_by_a_noisy_score(noise: Any, n: int, problems: int) -> None:
    model = Simulated(Population(p=0.3))
    verifier = SimulatedVerifier(population=model.population, noise=noise)
    found = share_right(f"best_of_n:n={n},weighted=false", model, problems, verifier=verifier)
    assert abs(found - NOISY[noise][n]) <= allowed(NOISY[noise][n], problems)


def test_the_best_of_many_is_what_the_noise_makes_of_it() -> None:
    """Checkpoints are those of shorter runs, so one run has the whole curve: it rises, or falls under heavy tails."""
    problems, curves = 100, dict[str, dict[int, float]]()
    for noise in NOISY:
        model = Simulated(Population(p=0.3))
        verifier = SimulatedVerifier(population=model.population, noise=noise)  # pyright: ignore[reportArgumentType]

        def on_the_way(query: Query, outcome: Outcome, model: Simulated = model) -> dict[int, bool]:
            by_samples = {c.samples: c.answer for c in outcome.checkpoints}
            return {n: model.population.is_right(query, by_samples[n]) for n in NOISY["t3"]}

        right = each(on_the_way, "best_of_n:n=256,weighted=false", model, problems, verifier=verifier)
        curves[noise] = {n: fmean(r[n] for r in right) for n in NOISY[noise]}
        for n, exact in NOISY[noise].items():
            assert abs(curves[noise][n] - exact) <= allowed(exact, problems), (noise, n)
    assert curves["gaussian"][256] > curves["gaussian"][4] + 4 * (0.5 / problems) ** 0.5
    assert curves["t3"][256] < curves["gaussian"][256] - 4 * (0.5 / problems) ** 0.5


@pytest.mark.parametrize(
    ("k", "passing", "fallback"),
    [(1, 0.27, 0.300), (2, 0.4482, 0.468), (5, 0.6947, 0.700), (10, 0.7817, 0.782)],
)
def test_the_first_pass_of_an_imperfect_verifier(k: int, passing: float, fallback: float) -> None:
    model, problems = Simulated(Population(p=0.3)), 1500
    verifier = SimulatedVerifier(population=model.population, tpr=0.9, fpr=0.1)

    def read(query: Query, outcome: Outcome) -> tuple[bool, bool]:
        return outcome.ended_by == "stopped_early", is_right(model, query, outcome)

    found = each(read, f"best_of_n:n={k}", model, problems, verifier=verifier)
    assert abs(fmean(passed and right for passed, right in found) - passing) <= allowed(passing, problems)
    # half a unit of the third digit, which is all that is given of the values with a fallback
    assert abs(fmean(right for _, right in found) - fallback) <= allowed(fallback, problems) + 5e-4
    passed = [right for passed, right in found if passed]
    assert abs(fmean(passed) - 0.7941) <= allowed(0.7941, len(passed))  # the ceiling, whatever k


# -- 2. early stopping ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "samples", "accuracy", "fixed"),
    [
        (1.0, 4, 1, 1),
        (0.9, 5.622, 0.9999, 1),
        (0.8, 8.718, 0.9981, 1),
        (0.7, 15.114, 0.9851, 0.9957),
        (0.6, 24.161, 0.8756, 0.8979),
    ],
)
def test_the_beta_rule_alone(p: float, samples: float, accuracy: float, fixed: float) -> None:
    model, problems = Simulated(Population(p=p)), 800

    def read(query: Query, outcome: Outcome) -> tuple[int, bool]:
        return calls(query, outcome), is_right(model, query, outcome)

    found = each(read, "majority:n=40,stop=beta,certain=false,wave=1", model, problems)
    assert_mean([n for n, _ in found], samples)
    assert abs(fmean(right for _, right in found) - accuracy) <= allowed(accuracy, problems)
    of_all = share_right("majority:n=40", model, problems)
    assert abs(of_all - fixed) <= allowed(fixed, problems)


def test_the_beta_rule_stops_at_its_boundaries_and_nowhere_else() -> None:
    def counts(query: Query, outcome: Outcome) -> tuple[int, ...]:
        classes = next(event["classes"] for event in outcome.trace if event["event"] == "vote")
        return tuple(sorted((n for _, n, _ in classes), reverse=True))

    ends = each(counts, "majority:n=12,stop=beta,certain=false,wave=1", Simulated(Population(p=0.7)), 500)
    assert {end for end in ends if sum(end) < 12} == {(4,), (6, 1), (8, 2)}
    assert (9, 3) in ends
    assert (8, 3) not in ends  # at 11 samples it goes on


@pytest.mark.parametrize(("p", "samples"), [(0.8, 8.696), (0.7, 14.724), (0.6, 23.084)])
def test_the_beta_rule_beside_the_certain_stop(p: float, samples: float) -> None:
    model = Simulated(Population(p=p))
    alone, beside = (
        each(calls, f"majority:n=40,stop=beta,certain={certain},wave=1", model, 800) for certain in ("false", "true")
    )
    assert_mean(beside, samples)
    assert all(a >= b for a, b in zip(alone, beside, strict=True))  # of the same samples: it only ever saves


@pytest.mark.parametrize(("p", "samples"), [(0.9, 8.461), (0.8, 14.610), (0.7, 22.752), (0.6, 29.626)])
def test_the_window_rule(p: float, samples: float) -> None:
    assert_mean(each(calls, "majority:n=40,stop=window,certain=false", Simulated(Population(p=p)), 800), samples)


# -- 3. revision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "exact"), [(1, 0.7255), (2, 0.9568), (4, 0.9766), (8, 0.9693), (16, 0.9194), (64, 0.5100)]
)
def test_chains_of_64_attempts_under_a_perfect_verifier(length: int, exact: float) -> None:
    model = Simulated(Population(p=0.02), revising=Revising(fix=0.15, breaks=0.0, stuck=0.5))
    verifier = SimulatedVerifier(population=model.population)
    spec = f"revision:chains={64 // length},length={length}"
    found = share_right(spec, model, 150, verifier=verifier)
    assert abs(found - exact) <= allowed(exact, 150)


def test_a_chain_that_revises_right_answers_away_forgets_how_good_it_was() -> None:
    """However often the first attempt is right, the last one of a naive chain is right with .25 / (.25 + .38)."""
    model = Simulated(Population(p=0.9), revising=Revising(fix=0.25, breaks=0.38))
    nothing_passes = SimulatedVerifier(population=model.population, tpr=0.0)  # so that no chain ends early

    def attempts(query: Query, outcome: Outcome) -> list[list[bool]]:
        chains: dict[int, list[bool]] = {}
        for event in outcome.trace:
            if event["event"] == "sample":
                chains.setdefault(event["index"], []).append(model.population.is_right(query, event["answer"]))
            elif event["event"] == "attempt":
                chains.setdefault(event["chain"], []).append(model.population.is_right(query, event["answer"]))
        return list(chains.values())

    found = each(attempts, "revision:chains=8,length=16", model, 100, verifier=nothing_passes)
    chains = [chain for problem in found for chain in problem]
    assert [len(chain) for chain in chains] == [16] * 800
    assert abs(fmean(chain[0] for chain in chains) - 0.9) <= allowed(0.9, 800)
    assert abs(fmean(chain[-1] for chain in chains) - 0.3968) <= allowed(0.3968, 800)
    revised = [after for chain in chains for before, after in pairwise(chain) if before]
    assert abs(fmean(revised) - 0.62) <= allowed(0.62, len(revised))


# -- 4. knockout ------------------------------------------------------------------------------------------------------


def share_lost(spec: str, problems: int, *, q: float = 0.7) -> float:
    model = Simulated(Population(p=0.2))
    comparator = SimulatedComparator(population=model.population, accuracy=q)
    return 1 - share_right(spec, model, problems, comparator=comparator)


@pytest.mark.parametrize(("n", "problems"), [(8, 500), (16, 300), (64, 100)])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_how_often_a_knockout_fails(n: int, k: int, problems: int) -> None:
    exact = {1: {8: 0.5683, 16: 0.4702, 64: 0.2772}}.get(k, {8: 0.4548, 16: 0.3139, 64: 0.1036})[n]
    assert abs(share_lost(f"knockout:n={n},k={k}", problems) - exact) <= allowed(exact, problems)


def test_a_knockout_of_many_comparisons_fails_hardly_ever() -> None:
    """Exactly .00012, against a bound of .812 from which 24 failures of these 30 would follow."""
    assert share_lost("knockout:n=64,k=25", 30) == 0


def test_what_a_knockout_and_a_league_cost_in_calls_and_rounds() -> None:
    """n + k(n-1) calls in 1 + ceil(log2 n) rounds, and n + nk calls in two; where all answers differ."""
    population = Population(p=0.0, wrong=(1.0,) * 10_000)
    comparator = SimulatedComparator(population=population)

    async def outcome(spec: str) -> Outcome:
        model = Simulated(population, latency=Latency(first=1.0, per_token=0.0), in_flight=1000)
        return await solve(population.query(0), spec, model, comparator=comparator)

    knockout, league = (run(outcome, spec) for spec in ("knockout:n=16,k=1", "league:n=16,k=4"))
    assert (knockout.calls, knockout.seconds) == ({"generate": 16, "judge": 15}, 1 + 4)
    assert (league.calls, league.seconds) == ({"generate": 16, "judge": 16 * 4}, 2)


def test_one_representative_of_each_class_fails_as_often_as_one_comparison_whatever_n() -> None:
    """Which is why candidates of one class are not merged: then more of them would not help at all."""

    def failure(n: int, *, merged: bool) -> float:
        failed = 0
        for seed in range(250):
            draw = random.Random(f"{n} {seed}")
            answers = ["right" if draw.random() < 0.2 else "wrong" for _ in range(n)]
            if merged:
                answers = sorted(set(answers))
            bracket = Bracket(len(answers), 1, answer_type=TextAnswer(), rng=draw)
            for seat, answer in enumerate(answers):
                bracket.enter(seat, Candidate(answer, Sample(index=seat)))
            while matches := bracket.ready():
                for match in matches:
                    match.tell(float((draw.random() < 0.7) == (match.a.answer == "right")))
                    bracket.tell(match)
            champion = bracket.champion()
            failed += champion is None or champion.answer != "right"
        return failed / 250

    for n in (64, 256):
        assert abs(failure(n, merged=True) - 0.30) <= allowed(0.30, 250)
    assert abs(failure(64, merged=False) - 0.2772) <= allowed(0.2772, 250)
    assert failure(256, merged=False) < 0.30 - 4 * (0.2 / 250) ** 0.5


# -- 4. position bias -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FixedOrder:
    """Undoes the session's choice of slots: a pair is always shown in one order, drawn once."""

    inner: SimulatedComparator
    name: str = "fixed order"

    async def compare(self, query: Query, first: Candidate, second: Candidate, session: Session) -> float:
        lot = (first.sample.seed ^ second.sample.seed) & 2
        if (first.sample.seed < second.sample.seed) == bool(lot):
            return await self.inner.compare(query, first, second, session)
        return 1 - await self.inner.compare(query, second, first, session)


def biased(spec: str, model: Simulated, problems: int, *, alternating: bool) -> float:
    judge = SimulatedComparator(population=model.population, accuracy=0.8, slot_bias=0.6)
    comparator = judge if alternating else FixedOrder(judge)
    return share_right(spec, model, problems, comparator=comparator)


@pytest.mark.parametrize(("alternating", "exact"), [(True, 0.5263), (False, 0.3694)])
def test_a_knockout_under_a_judge_that_prefers_a_slot(alternating: bool, exact: float) -> None:
    found = biased("knockout:n=16,k=4", Simulated(Population(p=0.2)), 400, alternating=alternating)
    assert abs(found - exact) <= allowed(exact, 400)


@pytest.mark.parametrize("alternating", [True, False])
def test_repetition_does_not_remove_position_bias_and_alternation_does(alternating: bool) -> None:
    model = Simulated(Population(), voters=(1.0, 0.0))  # a right candidate and a wrong one
    found: Mapping[int, float] = {
        k: biased(f"knockout:n=2,k={k}", model, 200, alternating=alternating) for k in (2, 64)
    }
    for k, share in found.items():
        exact = comparison_accuracy(k, 0.8, first_slot=0.6, alternate=alternating)
        assert abs(share - exact) <= allowed(exact, 200), k
    if alternating:
        assert found[64] > 0.95
    else:
        assert abs(found[64] - 0.5) <= allowed(0.5, 200)


# -- 4. league --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "exact", "problems"), [(16, 0.2215, 150), (64, 0.097, 40)])
def test_how_often_a_league_fails(n: int, exact: float, problems: int) -> None:
    assert abs(share_lost(f"league:n={n},k=16", problems) - exact) <= allowed(exact, problems)


def test_a_league_of_many_meetings_fails_hardly_ever() -> None:
    assert share_lost("league:n=64,k=64", 4) == 0  # exactly .00047
