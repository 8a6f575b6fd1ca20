"""Self-certainty: the more peaked the distributions, the higher the score."""

from __future__ import annotations

import math

import pytest

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
