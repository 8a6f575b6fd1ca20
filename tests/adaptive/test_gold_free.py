"""Verdicts that were not given: what agreement is worth, learned from few labels, and what a policy makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc.adaptive.bench import Bench, gather
from ttc.adaptive.fitting import Settings, apply, fit
from ttc.adaptive.gold_free import GoldFree, gold_free
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.adaptive.tuned_policy import tune_policy
from ttc.adaptive.tuning import Aim, rates_for
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.pools import CutColumns, Pool, RecordedProblem

SETTINGS = Settings(estimator="none", folds=3)


def trapped(prompt: str) -> float:
    """On every third problem a wrong answer is the most frequent one."""
    i = int(prompt.rpartition(" ")[2])
    return 0.1 if i % 3 == 0 else float(np.random.default_rng(i).beta(8, 2))


POPULATIONS = {
    "mixed": Population(p=(0.5, 0.5), wrong=(3, 2, 1, 1)),
    "hard": Population(p=(0.4, 0.9), wrong=(3, 2, 1, 1)),
    "trap": Population(p=trapped, wrong=(18, 1, 1)),
}
DIFFERENT = 600
"""Problems of a population: the first 300 are tuned on."""


@cache
def drawn(name: str) -> Pool:
    return simulated_pool(POPULATIONS[name], problems=DIFFERENT, width=12, verifier=0)


def tuned_on(name: str) -> Pool:
    return replace(drawn(name), problems=drawn(name).problems[:300])


def some(pool: Pool, n: int, *, seed: int = 0) -> list[str]:
    return np.random.default_rng(seed).choice([p.id for p in pool.problems], n, replace=False).tolist()


@cache
def found(name: str, n: int = 40, seed: int = 0) -> GoldFree:
    return gold_free(tuned_on(name), labelled=some(tuned_on(name), n, seed=seed))


def problem(
    number: int, answers: str, right: str | None = None, *, group: str = "", scores: tuple[float | None, ...] = ()
) -> RecordedProblem:
    """Each letter is a sample's answer, ``-`` is none; those of ``right`` are right, and None: nobody looked."""
    texts = tuple(None if a == "-" else a for a in answers)
    return RecordedProblem(
        id=f"p{number}",
        group=group,
        answers=texts,
        right=tuple(None if right is None else float(a is not None and a in right) for a in texts),
        scores={"v": scores} if scores else {},
    )


def small(*others: RecordedProblem, name: str = "small") -> Pool:
    """Twenty labelled problems: where three agree they are right, where they scatter half of them are."""
    known = [problem(i, "aaab", "a") for i in range(12)]
    known += [problem(i, "ab-c", "a" if i % 2 else "z") for i in range(12, 20)]
    return Pool(name=name, model="m", problems=(*known, *others), unit="samples")


def chances(pool: Pool, name: str) -> dict[str, float]:
    return next(p for p in pool.problems if p.id == name).verdicts()


def majority_is_right(pool: Pool, ids: frozenset[str]) -> float:
    """Mean verdict on the most frequent answer."""
    rights: list[float] = []
    for p in pool.problems:
        if p.id in ids:
            votes = [a for a in p.answers if a is not None]
            rights.append(p.verdicts()[max(sorted(set(votes)), key=votes.count)])
    return float(np.mean(rights))


# -- what is estimated ---------------------------------------------------------------------------------------------


def test_an_answer_that_many_samples_agree_on_is_likelier_right():
    pool = gold_free(small(problem(90, "aaab"), problem(91, "abcd"))).pool
    sure, unsure = chances(pool, "p90"), chances(pool, "p91")
    assert sure["a"] > 0.6 > 0.4 > unsure["a"] > 0
    assert sure["a"] > sure["b"]


def test_labelled_problems_keep_their_verdicts():
    before = small(problem(90, "aaab"))
    after = gold_free(before)
    assert after.pool.problems[:20] == before.problems[:20]
    assert after.labelled == tuple(f"p{i}" for i in range(20))
    assert after.estimated == ("p90",)


def test_every_sample_gets_a_verdict_and_one_without_an_answer_is_wrong():
    pool = gold_free(small(problem(90, "aa-b"))).pool
    last = pool.problems[-1].right
    assert last[0] == last[1]
    assert last[2] == 0.0
    assert all(r is not None for r in last)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.text("abcdef-", min_size=4, max_size=4), min_size=1, max_size=60))
def test_one_answer_of_a_problem_at_the_most_is_right(answers: list[str]):
    pool = gold_free(small(*(problem(90 + i, a) for i, a in enumerate(answers)))).pool
    for i in range(len(answers)):
        assert sum(chances(pool, f"p{90 + i}").values()) <= 1 + 1e-9


def test_a_verdict_on_one_answer_of_a_problem_is_kept_and_leaves_the_others_the_rest():
    is_right = replace(problem(90, "aabb"), right=(1.0, 1.0, None, None))
    is_wrong = replace(problem(91, "aabb"), right=(0.0, 0.0, None, None))
    pool = gold_free(small(is_right, is_wrong)).pool
    assert chances(pool, "p90") == {"a": 1.0, "b": 0.0}
    assert chances(pool, "p91")["a"] == 0.0
    assert 0 < chances(pool, "p91")["b"] < 1


def test_scores_are_looked_at_where_all_problems_have_them():
    def scored(number: int, right: str | None) -> RecordedProblem:
        return problem(number, "aabb", right, scores=(0.9, 0.8, 0.1, None) if number % 2 else (0.2, 0.1, 0.8, 0.9))

    known = [scored(i, "a" if i % 2 else "b") for i in range(24)]
    after = gold_free(Pool(name="scored", model="m", problems=(*known, scored(91, None)), unit="samples"))
    assert after.weights["score v"] > 1
    assert chances(after.pool, "p91")["a"] > 0.7 > 0.3 > chances(after.pool, "p91")["b"]


def test_logprobs_that_some_samples_lack_are_looked_at_where_they_are():
    def logged(number: int, right: str | None) -> RecordedProblem:
        return replace(problem(number, "aabb", right), logprobs=(-0.1, None, -2.0, -2.1))

    known = [logged(i, "a") for i in range(24)]
    after = gold_free(Pool(name="logged", model="m", problems=(*known, logged(91, None)), unit="samples"))
    assert after.weights["logprob"] > 0
    assert chances(after.pool, "p91")["a"] > 0.7


def test_what_was_answered_at_a_cut_is_estimated_as_well():
    cuts = {64: CutColumns(answers=("a", "c", None, "b"), right=(None,) * 4, generated=(70.0,) * 4)}
    pool = gold_free(small(replace(problem(90, "aaab"), cuts=cuts))).pool
    whole, cut = pool.problems[-1], pool.problems[-1].cuts[64]
    assert (cut.right[0], cut.right[3]) == (whole.right[0], whole.right[3])
    assert cut.right[2] == 0.0
    assert 0 < (cut.right[1] or 0.0) < (whole.right[0] or 0.0)


def test_problems_that_nobody_answered_are_no_labelled_ones_and_are_never_right():
    after = gold_free(small(problem(90, "----", ""), problem(91, "----")))
    assert after.estimated == ("p90", "p91")
    assert after.pool.problems[-1].right == (0.0,) * 4


def test_verdicts_of_problems_that_are_not_labelled_ones_are_not_looked_at():
    pool = tuned_on("mixed")
    ids = some(pool, 30)
    blind = [p if p.id in ids else replace(p, right=(None,) * len(p)) for p in pool.problems]
    hidden = gold_free(replace(pool, problems=tuple(blind)))
    assert gold_free(pool, labelled=ids).pool.problems == hidden.pool.problems
    assert (len(hidden.labelled), len(hidden.estimated)) == (30, 270)


# -- how far it is to be trusted -----------------------------------------------------------------------------------


def test_it_is_held_against_labelled_problems_that_had_no_part_in_the_fit():
    held = found("mixed").calibration
    assert (held.n, held.out_of_fold) == (40, True)
    assert held.brier < 0.6 * held.brier_of_mean
    assert held.ece < 3 * held.ece_noise


def test_verdicts_that_follow_from_nothing_are_not_predicted_out_of_fold():
    rng = np.random.default_rng(3)
    known = [problem(i, "aabb", "a" if rng.random() < 0.5 else "b") for i in range(40)]
    pool = Pool(name="coins", model="m", problems=(*known, problem(90, "aabb")), unit="samples")
    assert gold_free(pool).calibration.skill < 0.02


@pytest.mark.parametrize("name", list(POPULATIONS))
def test_the_share_of_right_majorities_is_met_within_noise_and_not_from_above(name: str):
    off: list[float] = []
    covered = 0
    for seed in range(10):
        estimates = found(name, 40, seed)
        ids = frozenset(estimates.estimated)
        truth = majority_is_right(tuned_on(name), ids)
        off.append(majority_is_right(estimates.pool, ids) - truth)
        _, low, high = estimates.favourite
        covered += low <= truth <= high
    assert -0.1 < np.mean(off) < 0.04, off  # one draw of 40 labels is off by .06
    assert covered >= 8


def test_labels_notice_where_a_model_is_sure_of_wrong_answers():
    estimates = [found("trap", 40, seed) for seed in range(10)]
    of_pool = tuned_on("trap").problems
    agreement = float(np.mean([max(map(p.answers.count, set(p.answers) - {None})) / len(p) for p in of_pool]))
    everything = frozenset(p.id for p in of_pool)
    truth = majority_is_right(tuned_on("trap"), everything)
    assert agreement > 0.75  # all seems well
    assert truth < 0.7
    said = [e.favourite[0] for e in estimates]
    assert max(said) < agreement - 0.05
    assert np.mean(said) == pytest.approx(truth, abs=0.08)
    assert np.mean([e.agreement.brier / e.calibration.brier for e in estimates]) > 1.1


def test_it_says_what_it_stands_on():
    after = found("mixed", 30)
    assert after.told.startswith("tuned on 270 problems without verdicts")
    assert "30 labelled problems" in after.told
    assert after.pool.info["gold_free"]["told"] == after.told
    assert after.pool.info["gold_free"]["brier"] == after.calibration.brier
    assert after.pool.info["seed"] == 0  # what the pool said of itself stays


# -- what a policy makes of it -------------------------------------------------------------------------------------


async def bench_of(pool: Pool, orders: int = 2) -> Bench:
    return await gather([pool], orders=orders)


def frontier(tuned: Bench, judged: Bench, rates: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Cost and accuracy on other problems, at each going rate."""
    train, test = (np.ones(len(b.problem), dtype=bool) for b in (tuned, judged))
    results = [apply(fit(tuned, train, rate, SETTINGS), judged, test) for rate in rates]
    return np.array([r.cost.mean() for r in results]), np.array([r.right.mean() for r in results])


@pytest.mark.anyio
@pytest.mark.parametrize("name", list(POPULATIONS))
async def test_a_policy_loses_little_against_one_that_was_tuned_on_all_verdicts(name: str):
    fresh = await bench_of(replace(drawn(name), problems=drawn(name).problems[300:]))
    full = await bench_of(tuned_on(name))
    rates = rates_for(full)[::2]
    cost, right = frontier(full, fresh, rates)
    lost: list[float] = []
    for seed in range(2):
        mine, there = frontier(await bench_of(found(name, 40, seed).pool), fresh, rates)
        order = np.argsort(cost)
        met = mine >= cost.min()  # what costs more than the dearest of the others is held against that
        assert met.sum() >= 3
        lost.append(float((np.interp(mine[met], cost[order], right[order]) - there[met]).mean()))
    assert np.mean(lost) < 0.015, lost


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["mixed", "trap"])
async def test_a_policy_says_that_it_is_not_calibrated_and_promises_no_more_than_it_holds(name: str):
    aim = Aim("loss", 0.02)
    estimates = found(name, 50, 1)
    mine = await bench_of(estimates.pool)
    policy = tune_policy(mine, SETTINGS, aim, made=date(2026, 1, 1), calibrated=False).policy
    assert policy.calibrated is False
    assert policy.provenance is not None
    assert policy.provenance.expected is not None
    assert policy.provenance.pools[0].info["gold_free"]["told"].startswith("tuned on 250 problems without verdicts")
    fresh = await bench_of(replace(drawn(name), problems=drawn(name).problems[300:]))
    train, test = (np.ones(len(b.problem), dtype=bool) for b in (mine, fresh))
    truth = float(apply(fit(mine, train, policy.rate or 0.0, SETTINGS), fresh, test).right.mean())
    _, low, high = estimates.favourite
    by_labels, by_problems = (high - low) / 3.92, (truth * (1 - truth) * 2 / 300) ** 0.5
    assert policy.provenance.expected.accuracy < truth + 2 * (by_labels**2 + by_problems**2) ** 0.5


# -- bad input -----------------------------------------------------------------------------------------------------


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        act()
    return str(caught.value)


def test_too_few_labels_are_refused_with_the_number_that_would_do():
    pool = Pool(name="mine", model="m", problems=tuple(problem(i, "ab", "a" if i < 7 else None) for i in range(50)))
    said = refused(lambda: gold_free(pool))
    assert "pool 'mine': 7 problems with verdicts, and it takes 20" in said
    assert "label 13 more" in said


def test_records_of_one_problem_are_one_label():
    known = [problem(i, "aaab", "a", group=f"g{i % 5}") for i in range(30)]
    pool = Pool(name="runs", model="m", problems=(*known, problem(90, "aaab")))
    assert "5 problems with verdicts" in refused(lambda: gold_free(pool))
    assert gold_free(pool, least=5).calibration.n == 30


def test_a_pool_without_any_verdict_is_refused():
    pool = Pool(name="bare", model="m", problems=tuple(problem(i, "ab") for i in range(30)))
    assert "0 problems with verdicts" in refused(lambda: gold_free(pool))


def test_a_pool_with_all_verdicts_is_tuned_on_as_it_is():
    assert "verdicts on all problems" in refused(lambda: gold_free(small()))


def test_labelled_problems_have_to_be_there_and_to_have_verdicts():
    pool = small(problem(90, "aaab"))
    assert "no problem p77" in refused(lambda: gold_free(pool, labelled=["p77"]))
    assert "problem p90, a labelled one, has no verdicts" in refused(lambda: gold_free(pool, labelled=["p90"]))


def test_fewer_labels_than_folds_say_nothing():
    assert "fewer than 5" in refused(lambda: gold_free(small(problem(90, "aaab")), least=2))
