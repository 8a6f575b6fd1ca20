"""Self-certainty: the more peaked the distributions, the higher the score."""

from __future__ import annotations

import math

import pytest

from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.steps import Solution
from ttc.types import Query, Sample
from ttc.verifier import StepScorer
from ttc.verifiers.self_certainty import SelfCertainty


def test_peaked_distributions_score_higher() -> None:
    verifier = SelfCertainty()
    sure, unsure = verifier.certainty([(-0.01, -8.0, -9.0)] * 3), verifier.certainty([(-1.0, -1.1, -1.2)] * 3)
    assert sure is not None
    assert unsure is not None
    assert 0 < unsure < sure < 1


def test_the_mean_is_over_tokens_and_the_scale_is_half() -> None:
    assert SelfCertainty(half=2.0).certainty([(-1.0, -3.0), (-2.0, -2.0)]) == pytest.approx(0.5)


@pytest.mark.parametrize("impossible", [-math.inf, -9999.0])
def test_a_forbidden_token_does_not_outweigh_all_others(impossible: float) -> None:
    score = SelfCertainty().certainty([(-0.5, impossible)] + [(-0.5, -1.0)] * 50)
    assert score is not None
    assert score < 0.2


def test_without_logprobs_there_is_no_score() -> None:
    assert SelfCertainty().certainty([]) is None
    assert SelfCertainty().certainty([()]) is None


# -- steps (a beam under it is tested beside mean_logprob) ------------------------------------------------------------

SURE, UNSURE = ((-0.01, -8.0, -9.0),) * 3, ((-1.0, -1.1, -1.2),) * 3


def drawn(*rows: tuple[tuple[float, ...], ...], scores: tuple[float, ...] = ()) -> Solution:
    samples = tuple(Sample(text="so", top_logprobs=row) for row in rows)
    return Solution(("so",) * len(rows), samples, scores, over=False)


async def scored(*solutions: Solution, verifier: SelfCertainty | None = None) -> list[list[float]]:
    asking = Session(Query.of("?"), Scripted(lambda _: ""), Ledger(), verifier=verifier or SelfCertainty())
    return await asking.score_steps(solutions)


@pytest.mark.anyio
async def test_each_step_is_scored_by_its_own_tokens() -> None:
    assert isinstance(SelfCertainty(), StepScorer)
    sure, unsure = SelfCertainty().certainty(SURE), SelfCertainty().certainty(UNSURE)
    assert await scored(drawn(SURE, UNSURE, SURE), drawn(UNSURE), drawn()) == [[sure, unsure, sure], [unsure], []]
    weakest = SelfCertainty(window=1)
    assert await scored(drawn(SURE + UNSURE), verifier=weakest) == [[pytest.approx(unsure)]]


@pytest.mark.anyio
async def test_a_step_that_has_a_score_is_not_scored_again() -> None:
    unsure = SelfCertainty().certainty(UNSURE)
    assert await scored(drawn(SURE, UNSURE, scores=(0.9,)), drawn(SURE, scores=(0.9,))) == [[unsure], []]


@pytest.mark.anyio
async def test_steps_that_were_not_drawn_one_by_one_have_no_logprobs_of_their_own() -> None:
    with pytest.raises(ConfigurationError, match=r"steps that were drawn one by one: see session\.grow"):
        await scored(Solution.of("a\n\nb"))


@pytest.mark.anyio
async def test_steps_without_logprobs_are_said_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="verifier 'self_certainty' needs logprobs"):
        await scored(drawn((), ()))
    assert (await scored(drawn((), SURE)))[0][0] == 0.0
