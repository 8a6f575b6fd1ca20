"""The numbers that learned stops look at, each on samples made by hand."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.adaptive.evidence import EVIDENCE, Evidence, log_odds
from ttc.pools import RecordedAnswer
from ttc.types import Candidate, Sample, Usage
from ttc.verifiers.maths import NumberAnswer


def drawn(
    answer: str | None, *, tokens: int = 10, score: float | None = None, logprobs: tuple[float, ...] = ()
) -> Candidate:
    return Candidate(answer, Sample(text=f"{answer}", usage=Usage(answer_tokens=tokens), logprobs=logprobs), score)


def seen(candidates: list[Candidate], answer: str | None, *, prior: float | None = None) -> dict[str, float]:
    evidence = Evidence(RecordedAnswer(), prior=prior)
    for candidate in candidates:
        evidence.add(candidate)
    return dict(zip(EVIDENCE, evidence.features(answer), strict=True))


@pytest.mark.parametrize(
    ("answers", "standing", "expected"),
    [
        ("aaaa", "a", {"share": 1, "second": 0, "margin": 4 / sqrt(5), "classes": 0.25, "unanimous": 1}),
        ("aab", "a", {"share": 2 / 3, "second": 1 / 3, "margin": 1 / 2, "unanimous": 0, "scattered": 0}),
        ("aab", "b", {"share": 1 / 3, "second": 2 / 3, "margin": -1 / 2}),  # seen from the answer that stands
        ("abc", "a", {"share": 1 / 3, "second": 1 / 3, "margin": 0, "classes": 1, "scattered": 1}),
        ("aabbc", "a", {"share": 0.4, "second": 0.4, "classes": 0.6}),  # the third one is no rival of note
        ("a--", "a", {"share": 1 / 3, "second": 0, "abstained": 2 / 3, "unanimous": 0, "scattered": 1}),
        ("---", None, {"share": 0, "second": 0, "abstained": 1, "classes": 0, "unanimous": 0, "scattered": 1}),
        ("a", "a", {"share": 1, "unanimous": 1, "scattered": 1}),
    ],
)
def test_how_far_samples_agree(answers: str, standing: str | None, expected: dict[str, float]):
    found = seen([drawn(None if a == "-" else a) for a in answers], standing)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_answers_count_by_equivalence_and_not_by_their_text():
    evidence = Evidence(NumberAnswer())
    evidence.extend([drawn("0.5"), drawn("1/2"), drawn("3")])
    found = dict(zip(EVIDENCE, evidence.features("0.5"), strict=True))
    assert (found["share"], found["classes"]) == pytest.approx((2 / 3, 2 / 3))


def test_lengths_are_means_of_logs_and_those_of_the_answer_beside_all():
    found = seen([drawn("a", tokens=10), drawn("a", tokens=1000), drawn("b", tokens=1000)], "a")
    mean = (log(10) + 2 * log(1000)) / 3
    assert found["length"] == pytest.approx(mean)
    assert found["relative_length"] == pytest.approx((log(10) + log(1000)) / 2 - mean)


def test_a_sample_without_tokens_has_a_length_of_one():
    assert seen([drawn("a", tokens=0)], "a")["length"] == 0.0


def test_scores_are_those_of_the_answer_and_of_the_best_other_one():
    scored = [drawn("a", score=0.9), drawn("a", score=0.5), drawn("b", score=0.6), drawn("c", score=0.8), drawn(None)]
    found = seen(scored, "a")
    assert (found["score"], found["rival_score"]) == pytest.approx((0.7, 0.8))


def test_logprobs_are_means_of_what_has_any():
    samples = [drawn("a", logprobs=(-1.0, -3.0)), drawn("b", logprobs=(-4.0,)), drawn("a")]
    found = seen(samples, "a")
    assert found["logprob"] == pytest.approx(-2.0)
    assert found["relative_logprob"] == pytest.approx(-2.0 - (-3.0))


def test_where_the_answer_has_no_logprobs_it_is_held_for_one_of_them_all():
    found = seen([drawn("a"), drawn("b", logprobs=(-4.0,))], "a")
    assert (found["logprob"], found["relative_logprob"]) == pytest.approx((-4.0, 0.0))


def test_what_is_not_known_is_zero():
    found = seen([drawn("a"), drawn("b")], "a")
    assert [found[n] for n in ("score", "rival_score", "logprob", "relative_logprob", "prior")] == [0.0] * 5


def test_nothing_stands_where_everybody_abstained():
    found = seen([drawn(None, score=0.7), drawn(None)], None)
    assert [found[n] for n in ("share", "margin", "score", "relative_length")] == [0.0] * 4


@pytest.mark.parametrize(("p", "expected"), [(0.5, 0.0), (0.8, log(4)), (0.0, log(0.01 / 0.99)), (1.0, log(99))])
def test_the_prior_is_log_odds_that_no_certainty_blows_up(p: float, expected: float):
    assert seen([drawn("a")], "a", prior=p)["prior"] == pytest.approx(expected)
    assert log_odds(np.array([p]))[0] == pytest.approx(expected)


one = st.builds(
    drawn,
    st.sampled_from(["a", "b", "c", None]),
    tokens=st.integers(0, 500),
    score=st.none() | st.floats(0, 1),
    logprobs=st.sampled_from([(), (-1.0, -2.0), (-0.5,)]),
)


@given(st.lists(one, min_size=1, max_size=10), st.integers(0, 10), st.sampled_from(["a", "b", None]))
def test_it_is_the_same_one_by_one_and_all_at_once(candidates: list[Candidate], first: int, answer: str | None):
    slowly, at_once, in_two = (Evidence(RecordedAnswer()) for _ in range(3))
    for candidate in candidates:
        slowly.add(candidate)
        slowly.features(answer)  # looking changes nothing
    at_once.extend(candidates)
    in_two.extend(candidates[:first])
    in_two.extend(candidates)  # those that were added are not added again
    assert slowly.features(answer) == pytest.approx(at_once.features(answer))
    assert in_two.features(answer) == pytest.approx(at_once.features(answer))
    assert slowly.drawn == at_once.drawn == in_two.drawn == len(candidates)
