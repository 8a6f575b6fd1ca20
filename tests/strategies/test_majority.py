"""Majority: what votes weigh, when the vote ends, and how often it is right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from math import prod

import pytest

from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.session import Session
from ttc.solve import solve
from ttc.strategies.theory import majority_accuracy
from ttc.strategy import make_strategy
from ttc.types import Candidate, Outcome, Query, Sampling


class Told:
    """Scores the i-th sample with the i-th of its scores."""

    name = "told"
    logprobs = 0

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = scores

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> list[float]:
        return [self.scores[c.sample.index] for c in candidates]


async def vote(answers: Sequence[str], spec: str, *, scores: Sequence[float] = (), query: str = "?") -> Outcome:
    model = Scripted(lambda request: answers[request.index])
    return await solve(Query.of(query), spec, model, verifier=Told(scores), sampling=Sampling(force_answer=0))


def drawn(outcome: Outcome) -> int:
    return outcome.checkpoints[-1].samples


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(("weights", "accuracy"), [("equal", 0.792), ("log_odds", 0.900)])
async def test_voters_of_known_accuracy_are_right_as_often_as_theory_says(weights: str, accuracy: float) -> None:
    voters = (0.9, 0.6, 0.6)
    found = 0.0
    for right in product((True, False), repeat=3):
        answers = ["right" if r else "wrong" for r in right]
        outcome = await vote(answers, f"majority:n=3,weights={weights}", scores=voters)
        if outcome.answer == "right":
            found += prod(p if r else 1 - p for p, r in zip(voters, right, strict=True))
    assert found == pytest.approx(accuracy, abs=1e-12)


@pytest.mark.anyio
async def test_scores_add_up_within_a_class() -> None:
    answers, scores = ["a", "b", "b", "a", "b"], [0.9, 0.2, 0.3, 0.1, 0.4]
    outcome = await vote(answers, "majority:n=5,weights=score", scores=scores)
    assert outcome.answer == "a"
    assert next(e for e in outcome.trace if e["event"] == "vote")["classes"] == [["a", 2, 1.0], ["b", 3, 0.9]]


@pytest.mark.anyio
async def test_weighted_ties_are_drawn_by_lot_and_not_by_arrival() -> None:
    wins = 0
    for i in range(200):
        outcome = await vote(["a", "b"], "majority:n=2,weights=log_odds", scores=[0.7, 0.7], query=f"q{i}")
        wins += outcome.answer == "a"
    assert 72 < wins < 128  # 4 standard errors


@pytest.mark.anyio
async def test_a_vote_below_one_half_counts_against_its_answer() -> None:
    outcome = await vote(["a", "a", "a", "b"], "majority:n=4,weights=log_odds", scores=[0.6, 0.4, 0.3, 0.51])
    assert outcome.answer == "b"
    doubted = await vote(["a", "a", "b"], "majority:n=3,weights=log_odds", scores=[0.4, 0.4, 0.45])
    assert doubted.answer == "b"  # all are doubted, and this one least


@pytest.mark.anyio
@pytest.mark.parametrize("score", [0.0, 1.0])
async def test_a_score_of_zero_or_one_is_clamped(score: float) -> None:
    outcome = await vote(["a", "b"], "majority:n=2,weights=log_odds", scores=[score, 0.6])
    assert outcome.answer == ("a" if score else "b")
    assert all(abs(weight) < 5 for *_, weight in outcome.trace[-1]["classes"])


@pytest.mark.anyio
async def test_weights_that_are_scores_need_a_verifier() -> None:
    model = Scripted(lambda r: "a")
    with pytest.raises(ConfigurationError, match="majority' needs a verifier"):
        await solve("?", "majority:weights=score", model)
    with pytest.raises(ConfigurationError, match="beta counts votes"):
        await solve("?", "majority:weights=score,stop=beta", model, verifier=Told([]))
    assert model.requests == []


# -- stops ------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("weights", ["equal", "score", "log_odds"])
async def test_the_certain_stop_loses_nothing(weights: str) -> None:
    draw = random.Random(3)
    saved = 0
    for i in range(60):
        answers = draw.choices("ab", (0.8, 0.2), k=15)
        scores = [draw.random() for _ in answers]
        full = await vote(answers, f"majority:n=15,weights={weights},stop=never", scores=scores, query=f"q{i}")
        short = await vote(answers, f"majority:n=15,wave=1,weights={weights}", scores=scores, query=f"q{i}")
        assert short.answer == full.answer
        saved += drawn(full) - drawn(short)
    # a single vote weighs up to 4.6 there, so that less is ever certain
    assert saved > (0 if weights == "log_odds" else 60)


@pytest.mark.anyio
async def test_a_window_stops_when_all_of_it_agrees() -> None:
    rule = "stop=window,window=3,certain=false"
    assert drawn(await vote("aaabbbbbb", f"majority:n=9,{rule}")) == 3
    assert drawn(await vote("abbbaabbb", f"majority:n=9,{rule}")) == 9  # windows are counted off, they do not slide
    late = await vote("abaaabccccbb", f"majority:n=12,{rule}")
    assert (drawn(late), late.answer) == (9, "a")  # the window ends the vote, and all votes decide it


@pytest.mark.anyio
async def test_a_window_of_abstentions_is_not_unanimous() -> None:
    answers = ["", "", "", "a", "", "a", "b", "b", "b"]
    outcome = await vote(answers, "majority:n=12,stop=window,window=3,certain=false")
    assert (drawn(outcome), outcome.answer) == (9, "b")


@pytest.mark.anyio
async def test_waves_are_windows_so_that_nothing_is_sent_beyond_one() -> None:
    model = Scripted(lambda r: "a")
    outcome = await solve("?", "majority:n=40,stop=window", model)
    assert (len(model.requests), outcome.ended_by) == (5, "stopped_early")


@pytest.mark.parametrize(("p", "expected"), [(0.9, 8.461), (0.8, 14.610), (0.7, 22.752), (0.6, 29.626)])
def test_cost_of_the_window_rule(p: float, expected: float) -> None:
    unanimous = p**5 + (1 - p) ** 5
    lengths = {5 * i: unanimous * (1 - unanimous) ** (i - 1) for i in range(1, 8)} | {40: (1 - unanimous) ** 7}
    mean = sum(length * share for length, share in lengths.items())
    assert mean == pytest.approx(expected, abs=5e-4)
    spread = sum((length - mean) ** 2 * share for length, share in lengths.items()) ** 0.5
    alone, beside = (sent("stop=window" + certain, p) for certain in (",certain=false", ""))
    assert abs(alone - expected) < 4 * spread / PROBLEMS**0.5
    assert beside <= alone  # the certain stop only ever saves


@pytest.mark.parametrize(
    ("rule", "p", "expected"),
    [("stop=beta,certain=false", 0.8, 8.718), ("stop=beta", 0.7, 14.724), ("stop=beta", 0.6, 23.084)],
)
def test_cost_of_the_beta_rule(rule: str, p: float, expected: float) -> None:
    assert abs(sent(f"{rule},wave=1", p) - expected) < 4 * 13 / PROBLEMS**0.5  # no spread within 0..40 is above 13


PROBLEMS = 800


def sent(rule: str, p: float) -> float:
    """Samples a problem."""

    async def all_problems() -> None:
        for query in population.queries(PROBLEMS):
            await solve(query, f"majority:n=40,{rule}", model)

    population = Population(p=p)
    model = Simulated(population)
    run(all_problems)
    return model.sent / PROBLEMS


@pytest.mark.anyio
async def test_the_confidence_stop_wants_its_share_of_a_window_at_least() -> None:
    rule = "stop=confidence,certain=false,window=4"
    assert drawn(await vote("a" * 20, f"majority:n=20,{rule}")) == 4
    mixed = "ab" + "a" * 38
    assert drawn(await vote(mixed, f"majority:n=40,{rule}")) == 20  # 19 of 20
    assert drawn(await vote(mixed, f"majority:n=40,{rule},confidence=0.75")) == 4
    assert drawn(await vote(["", "", "", "a", "a", "a", "a", "a"], f"majority:n=8,{rule}")) == 7  # four votes
    scores = [0.98, 0.02, 0.5, 0.5]
    assert drawn(await vote("abab", f"majority:n=4,weights=score,{rule},window=2", scores=scores)) == 2


@pytest.mark.anyio
async def test_a_long_vote_is_counted_exactly() -> None:
    """Its chances have denominators beyond what a float can hold."""
    draw = random.Random(0)
    answers = draw.choices("ab", k=1500)
    outcome = await vote(answers, "majority:n=1500,stop=beta,certain=false,wave=1500,confidence=0.9999999")
    counts = {a: answers.count(a) for a in "ab"}
    assert (drawn(outcome), outcome.answer) == (1500, max(counts, key=lambda a: counts[a]))


# -- the trap of completion order -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "wrong"), [(0.25, 1.0), (1.0, 1.0), (1.0, 0.25)])
@pytest.mark.parametrize("rule", ["n=9", "n=9,stop=never", "n=9,wave=3"])
def test_votes_are_not_swayed_by_who_finishes_first(rule: str, right: float, wrong: float) -> None:
    problems, exact = 500, majority_accuracy(9, 0.4)
    population = Population(p=0.4)
    model = Simulated(population, lengths=Lengths(mean=200, right=right, wrong=wrong), latency=Latency(sigma=0.5))

    async def accuracy() -> float:
        found = 0
        for query in population.queries(problems):
            found += population.is_right(query, (await solve(query, f"majority:{rule}", model)).answer)
        return found / problems

    assert abs(run(accuracy) - exact) < 4 * (exact * (1 - exact) / problems) ** 0.5


def test_the_spec_says_what_differs_from_the_defaults() -> None:
    spec = "majority:n=40,stop=window,certain=False"
    assert make_strategy("majority:n=40,confidence=0.95,stop=window,certain=false").spec == spec
