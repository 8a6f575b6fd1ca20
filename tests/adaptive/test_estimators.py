"""What each estimator looks at, what it makes of what is missing, and that live and recorded samples look the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.adaptive.classes import TagClasses
from ttc.adaptive.difficulty import Estimator, OracleEstimator, fit_estimator
from ttc.adaptive.estimator import splits
from ttc.adaptive.probe_features import (
    PROBE_FEATURES,
    Look,
    looks_at_drawn,
    looks_at_recorded,
    probe_features,
    score_features,
)
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.terms import Terms, words_of
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem, candidate_of
from ttc.types import Candidate, Query, Sample, Usage
from ttc.verifiers.maths import NumberAnswer

POOL = simulated_pool(Population(p=(0.5, 0.5), wrong=(1,) * 10), problems=120, width=10)


def looks(*answers: int | None) -> list[Look]:
    return [Look(answer) for answer in answers]


def candidate(answer: str | None, *, tokens: int = 10, score: float | None = None, **fields: object) -> Candidate:
    return Candidate(answer, Sample(text=f"{answer}", usage=Usage(answer_tokens=tokens), **fields), score)  # type: ignore[arg-type]


def scored(problem: RecordedProblem, n: int) -> list[Candidate]:
    scores = problem.scores["simulated"]
    return [candidate_of(s).scored(scores[i] or 0.0) for i, s in enumerate(problem.samples()[:n])]


# -- what samples say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((0, 0, 0, 0), {"agreement": 1.0, "margin": 1.0, "entropy": 0.0, "distinct": 0.25, "abstained": 0.0}),
        ((0, 1, 2, 3), {"agreement": 0.25, "margin": 0.0, "entropy": 1.0, "distinct": 1.0, "abstained": 0.0}),
        ((0, 0, 1, None), {"agreement": 0.5, "margin": 0.25, "distinct": 0.5, "abstained": 0.25}),
        ((None, None), {"agreement": 0.0, "margin": 0.0, "entropy": 0.0, "distinct": 0.0, "abstained": 1.0}),
        ((0,), {"agreement": 1.0, "entropy": 0.0, "length_spread": None, "score": None, "logprob": None}),
    ],
)
def test_agreement_and_its_kin(answers: tuple[int | None, ...], expected: dict[str, float | None]):
    found = probe_features(looks(*answers))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_lengths_are_seen_in_logs():
    found = probe_features([Look(0, length=100.0), Look(0, length=10_000.0)])
    assert found["log_length"] == pytest.approx(6.9078, abs=1e-3)
    assert found["length_spread"] == pytest.approx(2.3026, abs=1e-3)


def test_what_is_not_known_is_left_open_and_what_is_known_of_some_is_averaged():
    found = probe_features([Look(0, score=0.8, logprob=-1.0), Look(1), Look(0, score=0.4)])
    assert found["score"] == pytest.approx(0.6)
    assert found["leader_score"] == pytest.approx(0.0)
    assert found["logprob"] == -1.0
    assert found["log_length"] is found["unfinished"] is None


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=8), st.randoms())
def test_features_do_not_depend_on_the_order_of_samples(answers: list[int | None], rng: random.Random):
    seen = [Look(a, length=float(i + 1), score=i / 10) for i, a in enumerate(answers)]
    shuffled = rng.sample(seen, len(seen))
    assert probe_features(shuffled) == pytest.approx(probe_features(seen))
    assert set(probe_features(seen)) == set(PROBE_FEATURES)


def test_a_verifier_estimate_sees_the_mean_score_alone():
    assert score_features([Look(0, score=0.2), Look(1, score=0.6)]) == {"score": pytest.approx(0.4)}


# -- recorded and live ---------------------------------------------------------------------------------------------


def test_recorded_samples_look_the_same_when_they_are_replayed():
    for problem in POOL.problems[:20]:
        live = looks_at_drawn(problem.query(), scored(problem, 10), "tokens")
        recorded = looks_at_recorded(problem, "tokens", "simulated")
        assert [replace(x, cut=None) for x in live] == recorded


def test_equal_answers_are_those_that_the_answer_type_calls_equal():
    query = Query.of("?", answer_type=NumberAnswer())
    seen = looks_at_drawn(query, [candidate("2"), candidate("2.0"), candidate("3"), candidate(None)], "tokens")
    assert [look.answer for look in seen] == [0, 0, 1, None]


def test_characters_are_counted_live_where_the_pool_counted_them():
    drawn = [candidate("four", tokens=99, reasoning="I think")]
    assert looks_at_drawn(Query.of("?"), drawn, "characters")[0].length == len("four") + len("I think")
    assert looks_at_drawn(Query.of("?"), drawn, "samples")[0].length is None


@pytest.mark.parametrize("finish", ["length", "cut"])
def test_a_sample_that_was_cut_off_is_seen_as_such(finish: str):
    assert looks_at_drawn(Query.of("?"), [candidate("1", finish=finish)], "tokens")[0].cut is True


# -- probe ---------------------------------------------------------------------------------------------------------


def agreeing(n: int, answer: str = "1") -> list[Candidate]:
    return [candidate(answer, tokens=400) for _ in range(n)]


def scattered(n: int) -> list[Candidate]:
    return [candidate(str(i), tokens=1000) for i in range(n)]


PROBE = fit_estimator("probe", POOL, probe=4, verifier="")


def test_samples_that_agree_promise_more():
    query = Query.of("?")
    one = [candidate(a, tokens=800) for a in ("1", "1", "2", "3")]
    found = [PROBE.estimate(query, drawn).p for drawn in (agreeing(4), one, scattered(4))]
    assert found[0] > 0.8
    assert found == sorted(found, reverse=True)


def test_it_says_how_many_samples_it_wants_and_looked_at_and_what_they_cost():
    assert (PROBE.probe, PROBE.verifier, PROBE.live) == (4, "", True)
    found = PROBE.estimate(Query.of("?"), agreeing(6))
    assert (found.by, found.samples, found.generated) == ("probe", 4, 1600)
    assert found == PROBE.estimate(Query.of("?"), agreeing(4) + scattered(2))  # no more than the first four


def test_it_says_something_after_every_sample_and_is_surer_after_more():
    widths = [(d := PROBE.estimate(Query.of("?"), agreeing(m))).high - d.low for m in range(5)]
    assert widths == sorted(widths, reverse=True)
    assert PROBE.estimate(Query.of("?")).samples == 0


def test_a_failed_call_is_no_sample():
    failed = candidate(None, finish="failed")
    drawn = [agreeing(1)[0], failed, *agreeing(2)]
    assert PROBE.estimate(Query.of("?"), drawn) == PROBE.estimate(Query.of("?"), agreeing(3))


def test_a_pool_without_tokens_logprobs_and_scores_will_do():
    bare = [replace(p, generated=(), scores={}) for p in POOL.problems]
    estimator = fit_estimator("probe", replace(POOL, problems=tuple(bare), unit="samples"))
    assert estimator.estimate(Query.of("?"), agreeing(4)).p > estimator.estimate(Query.of("?"), scattered(4)).p


def test_scores_of_the_only_verifier_are_looked_at_by_default():
    estimator = fit_estimator("probe", POOL)
    assert estimator.verifier == "simulated"
    good, bad = ([c.scored(s) for c in agreeing(4)] for s in (0.9, 0.1))
    assert estimator.estimate(Query.of("?"), good).p > estimator.estimate(Query.of("?"), bad).p


def test_scores_that_are_missing_live_leave_the_rest():
    found = fit_estimator("probe", POOL).estimate(Query.of("?"), agreeing(4))
    assert 0 < found.low < found.p < found.high < 1


def test_samples_without_a_verdict_may_be_looked_at_and_teach_nothing():
    known = [replace(p, right=(None, None, *p.right[2:])) for p in POOL.problems]
    pool = replace(POOL, problems=tuple(known))
    assert {s.total for s in splits(pool, 2, most=50, seed=0)} == {6, 7, 8}
    assert fit_estimator("probe", pool).trained_on.samples == 8 * len(pool)


def test_a_split_is_held_against_samples_outside_of_it():
    for split in splits(POOL, 4, most=8, seed=0):
        others = [r for i, r in enumerate(split.problem.right) if i not in split.seen]
        assert (split.right, split.total) == (sum(r or 0.0 for r in others), 6)


def test_subsets_of_a_problem_count_once_together():
    found = splits(POOL, 4, most=8, seed=0)
    assert sum(s.weight for s in found) == pytest.approx(len(POOL))


def test_a_class_has_a_level_of_its_own():
    tagged = [
        replace(p, tags={"family": "easy" if (p.accuracy or 0) > 0.5 else "hard", "one": p.id}) for p in POOL.problems
    ]
    estimator = fit_estimator(
        "probe", replace(POOL, problems=tuple(tagged)), classes=TagClasses(tags=("family",)), probe=1
    )
    easy, hard, new = (estimator.estimate(Query.of("?", tags={"family": f})).p for f in ("easy", "hard", "new"))
    assert easy > new > hard


# -- verifier ------------------------------------------------------------------------------------------------------


def test_the_verifier_estimate_follows_the_mean_score():
    estimator = fit_estimator("verifier", POOL, probe=2)
    assert (estimator.verifier, estimator.probe) == ("simulated", 2)
    found = [
        estimator.estimate(Query.of("?"), [candidate("1", score=s), candidate("2", score=s)]).p
        for s in (0.1, 0.4, 0.7, 0.95)
    ]
    assert found == sorted(found)


def test_of_two_verifiers_one_has_to_be_named():
    both = [replace(p, scores={**p.scores, "other": p.scores["simulated"]}) for p in POOL.problems]
    pool = replace(POOL, problems=tuple(both))
    with pytest.raises(ConfigurationError, match=r"say which verifier: .* other, simulated"):
        fit_estimator("verifier", pool)
    assert fit_estimator("verifier", pool, verifier="other").verifier == "other"
    assert fit_estimator("probe", pool).verifier == ""


def test_scores_that_were_not_recorded_cannot_be_learned_from():
    with pytest.raises(ConfigurationError, match="no scores of verifier 'judge'; it holds: simulated"):
        fit_estimator("probe", POOL, verifier="judge")


# -- prompt --------------------------------------------------------------------------------------------------------


def prompts(accuracy: Sequence[tuple[str, float]], width: int = 8) -> Pool:
    problems = [
        RecordedProblem(
            id=f"q{i}",
            prompt=text,
            answers=("1",) * width,
            right=tuple(float(k < p * width) for k in range(width)),
            tags={"parity": "even" if i % 2 == 0 else "odd"},
        )
        for i, (text, p) in enumerate(accuracy)
    ]
    return Pool(name="prompts", model="m", problems=tuple(problems))


TOLD = prompts(
    [(f"prove the lemma about {w} rings", 0.125) for w in "abcdefghijklmnopqrst"]
    + [(f"add the apples of {w} now", 0.875) for w in "abcdefghijklmnopqrst"]
)


def test_words_and_neighbours_tell():
    estimator = fit_estimator("prompt", TOLD)
    assert estimator.probe == 0
    hard, easy = (
        estimator.estimate(Query.of(t)) for t in ("prove the lemma of some rings", "add the apples of bob now")
    )
    assert hard.p < 0.3 < 0.7 < easy.p
    assert (hard.samples, hard.generated) == (0, 0)


def test_a_prompt_of_strange_words_is_none_of_both():
    assert 0.2 < fit_estimator("prompt", TOLD).estimate(Query.of("xyzzy")).p < 0.8


def test_tags_tell():
    told = [(f"say {w}", 0.9 if i % 2 == 0 else 0.1) for i, w in enumerate("abcdefghijklmnopqrstuvwxyz")]
    estimator = fit_estimator("prompt", prompts(told))
    even, odd = (estimator.estimate(Query.of("say it", tags={"parity": p})).p for p in ("even", "odd"))
    assert even > 0.6 > 0.4 > odd


def test_records_without_a_text_have_no_words():
    estimator = fit_estimator("prompt", prompts([("", i % 3 / 2) for i in range(30)]))
    assert estimator.estimate(Query.of("anything")).p == pytest.approx(0.5, abs=0.1)


def test_numbers_are_words_by_their_length_and_signs_count():
    assert words_of("Find $x^2$ for 17 and 123") == ["find", "$", "x", "^", "#1", "$", "for", "#2", "and", "#3"]


def test_texts_without_a_known_term_are_zero_vectors():
    terms = Terms.learn(["one two", "one three", "two three", "one", "four", "one two three"])
    vectors = terms.vectors(["one two", "five"])
    assert (vectors**2).sum(axis=1) == pytest.approx([1.0, 0.0])


# -- oracle --------------------------------------------------------------------------------------------------------


def oracle() -> OracleEstimator:
    found = fit_estimator("oracle", POOL)
    assert isinstance(found, OracleEstimator)
    return found


def test_the_oracle_knows_other_samples_and_the_rest_is_replayed():
    found = oracle()
    rest = found.rest(POOL)
    for problem, left in zip(POOL.problems, rest.problems, strict=True):
        seen = found.problems[problem.id].seen
        assert len(left) == len(problem) - len(seen) == 5
        kept = [i for i in range(10) if i not in seen]
        assert left.generated == tuple(problem.generated[i] for i in kept)
        assert left.scores["simulated"] == tuple(problem.scores["simulated"][i] for i in kept)


def test_the_oracle_refuses_a_replay_of_what_it_has_seen():
    problem = POOL.problems[0]
    with pytest.raises(ConfigurationError, match=r"replay oracle\.rest\(pool\)"):
        oracle().estimate(problem.query(), [candidate_of(s) for s in problem.samples()])


def test_the_oracle_knows_recorded_problems_alone():
    with pytest.raises(ConfigurationError, match="knows recorded problems alone"):
        oracle().estimate(Query.of("new"))


def test_the_oracle_is_for_its_own_pool():
    with pytest.raises(ConfigurationError, match="holds other samples"):
        oracle().rest(POOL.of(p.id for p in POOL.problems[:9]))


def test_the_oracle_is_not_live():
    found: Estimator = oracle()
    assert not found.live
    assert found.probe == 0
