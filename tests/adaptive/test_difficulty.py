"""Fitting, cross-fitting, bins and files of estimators of difficulty, held against populations whose truth is known."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ttc.adaptive.beliefs import Belief, Bins
from ttc.adaptive.beta_regression import fit_beta_regression
from ttc.adaptive.classes import FunctionClasses, TagClasses
from ttc.adaptive.difficulty import CrossFit, cross_fit, fit_estimator, read_estimator
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.errors import ConfigurationError, MissingExtra, UnknownName
from ttc.models.population import Population, SimulatedAnswer
from ttc.pools import Pool, RecordedProblem, candidate_of
from ttc.seeds import hashed
from ttc.types import Query

HARD, EASY = ("integral", "topology", "olympiad"), ("sum", "total", "count")
WRONG = (3.0, 2.0, 1.0, 1.0)


def told_by_a_word(prompt: str) -> float:
    """P depends on a word of the prompt, and on luck."""
    a, b = (1, 4) if any(word in prompt for word in HARD) else (4, 1)
    return random.Random(hashed("p", prompt)).betavariate(a, b)


def asked(i: int) -> Query:
    word = (HARD + EASY)[hashed("word", i) % 6]
    prompt = f"Problem {i}: find the {word} of these {hashed('number', i) % 7} things."
    kind = "hard" if word in HARD else "easy"
    return Query.of(prompt, answer_type=SimulatedAnswer(), id=f"asked-{i}", tags={"kind": kind, "id": f"{i}"})


POPULATIONS: Mapping[str, Population] = {
    "told by a word": Population(p=told_by_a_word, wrong=WRONG),
    "beta(.5, .5)": Population(p=(0.5, 0.5), wrong=WRONG),
    "mostly hopeless": Population(p=(0.3, 1.2), wrong=(1.0,) * 10),
}


@cache
def pool_of(population: str, problems: int = 300, width: int = 12, seed: int = 0) -> Pool:
    query = asked if population == "told by a word" else None
    return simulated_pool(POPULATIONS[population], problems=problems, width=width, query=query, seed=seed)


@cache
def crossed(kind: str, population: str) -> CrossFit:
    # Where nothing is looked at but the prompt, each problem says less: it takes more of them to resolve .05.
    return cross_fit(kind, pool_of(population, 700 if kind == "prompt" else 300))


def truth(population: str, pool: Pool) -> dict[str, float]:
    return {p.id: POPULATIONS[population].problem(p.prompt).p for p in pool.problems}


CALIBRATED = [("prompt", "told by a word")] + [(k, p) for k in ("probe", "verifier") for p in POPULATIONS]


# -- what it must show ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "population"), CALIBRATED)
def test_calibration_error_out_of_fold_is_under_a_twentieth(kind: str, population: str):
    found = crossed(kind, population).calibration
    assert found.out_of_fold
    assert found.ece < 0.05
    assert found.ece_noise < 0.03  # or the line above would say little


@pytest.mark.parametrize(("kind", "population"), CALIBRATED)
def test_nine_in_ten_intervals_hold_the_true_probability(kind: str, population: str):
    fit = crossed(kind, population)
    p = {problem: POPULATIONS[population].problem(q).p for problem, q in _prompts(kind, population).items()}
    inside = [x.low <= p[x.problem] <= x.high for x in fit.predictions if not x.repeat]
    assert 0.85 < np.mean(inside) < 0.95


def _prompts(kind: str, population: str) -> dict[str, str]:
    return {p.id: p.prompt for p in pool_of(population, 700 if kind == "prompt" else 300).problems}


@pytest.mark.parametrize(("kind", "population"), CALIBRATED)
def test_estimates_are_better_than_the_mean_and_rank_problems(kind: str, population: str):
    found = crossed(kind, population).calibration
    assert found.skill > 0.02
    assert found.rank_correlation > 0.2


def test_samples_say_more_than_the_prompt_and_verdicts_on_others_say_most():
    errors = [crossed(kind, "told by a word").calibration.brier for kind in ("prompt", "probe", "oracle")]
    assert errors == sorted(errors, reverse=True)


def test_words_that_say_nothing_do_no_harm():
    found = cross_fit("prompt", pool_of("beta(.5, .5)", 700)).calibration
    assert found.skill > -0.01
    assert found.ece < 0.05


def test_more_samples_say_more():
    pool = pool_of("beta(.5, .5)")
    p = truth("beta(.5, .5)", pool)
    estimator = fit_estimator("probe", pool, probe=4)
    error = [
        np.mean(
            [
                (estimator.estimate(x.query(), [candidate_of(s) for s in x.samples()[:m]]).p - p[x.id]) ** 2
                for x in pool_of("beta(.5, .5)", 300, 12, 1).problems
            ]
        )
        for m in (0, 1, 2, 4)
    ]
    assert error == sorted(error, reverse=True)


# -- held out is held out ------------------------------------------------------------------------------------------


def test_problems_of_a_group_are_held_out_together():
    pool = pool_of("beta(.5, .5)", 40)
    paired = replace(pool, problems=tuple(replace(p, group=f"g{i // 2}") for i, p in enumerate(pool.problems)))
    fit = cross_fit("probe", paired, probe=2)
    folds = [fit.fold[p.id] for p in paired.problems]
    assert folds[::2] == folds[1::2]
    for problem in paired.problems:
        assert not fit.estimator_of(problem.id).was_trained_on(problem.query())


def test_each_problem_is_estimated_from_samples_and_held_against_others():
    fit = crossed("probe", "beta(.5, .5)")
    assert {x.total for x in fit.predictions} == {8}  # twelve less the four of the probe
    assert set(Counter(x.problem for x in fit.predictions).values()) <= {3, 4}  # a subset that comes again counts once


def test_the_order_of_problems_changes_nothing():
    pool = pool_of("beta(.5, .5)", 40)
    backwards = replace(pool, problems=pool.problems[::-1])
    a, b = cross_fit("probe", pool, probe=2), cross_fit("probe", backwards, probe=2)
    assert a.fold == b.fold
    assert a.calibration.brier == pytest.approx(b.calibration.brier, abs=1e-3)


def test_the_same_seed_gives_the_same_estimator():
    pool = pool_of("beta(.5, .5)", 30)
    assert fit_estimator("probe", pool, seed=1) == fit_estimator("probe", pool, seed=1)
    assert fit_estimator("probe", pool, seed=1) != fit_estimator("probe", pool, seed=2)


# -- bins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "number"), [(1.0, 1), (0.8, 1), (0.79, 2), (0.5, 3), (0.2, 4), (0.19, 5), (0.0, 5)])
def test_absolute_bins_count_from_the_easiest(p: float, number: int):
    assert Bins().of(p) == number


def test_quantile_bins_hold_a_fifth_each():
    values = np.linspace(0, 1, 1000) ** 3
    bins = Bins.quantiles(values)
    assert bins.by == "quantile"
    assert set(Counter(bins.of(p) for p in values).values()) == {200}


def test_an_estimate_says_which_bins_it_means():
    pool, others = pool_of("beta(.5, .5)"), pool_of("beta(.5, .5)", seed=1)
    by_quantile, absolute = (fit_estimator("probe", pool, bins=b) for b in ("quantile", "absolute"))
    drawn = [(p.query(), [candidate_of(s) for s in p.samples()[:4]]) for p in others.problems]
    counts = Counter(by_quantile.estimate(*d).bin for d in drawn)
    assert all(30 < counts[b] < 90 for b in range(1, 6))
    first = absolute.estimate(*drawn[0])
    assert (first.bins, first.bin) == ("absolute", Bins().of(first.p))
    assert by_quantile.estimate(*drawn[0]).bins == "quantile"


# -- beliefs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("concentration", [0.05, 0.5, 2.0, 30.0, 3000.0])
@pytest.mark.parametrize("mean", [0.002, 0.1, 0.5, 0.97])
def test_quantiles_are_those_of_the_beta(mean: float, concentration: float, q: float):
    beta = pytest.importorskip("scipy.stats", reason="extra 'tune'").beta(
        mean * concentration, (1 - mean) * concentration
    )
    value = Belief(mean, concentration).quantile(q)
    assert min(abs(value - beta.ppf(q)), abs(beta.cdf(value) - q)) < 2e-3


def test_a_regression_finds_the_weights_that_counts_were_drawn_with():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(2000)
    mean, spread = 1 / (1 + np.exp(-(0.3 + 1.2 * x))), np.exp(1 + 0.5 * x)
    p = rng.beta(mean * spread, (1 - mean) * spread)
    n = rng.integers(4, 20, 2000)
    found = fit_beta_regression([{"x": v} for v in x], rng.binomial(n, p).astype(float), n.astype(float))
    assert found.intercept == pytest.approx(0.3, abs=0.12)
    assert found.coefficients[0].weight == pytest.approx(1.2, abs=0.12)
    assert found.spread == pytest.approx(1.0, abs=0.15)
    assert found.coefficients[0].spread == pytest.approx(0.5, abs=0.15)


def test_a_prediction_counts_for_what_it_says_or_not_at_all():
    rows, right, total = [{"x": float(i % 2)} for i in range(100)], np.tile([6.0, 2.0], 50), np.full(100, 8.0)
    free, upward = (fit_beta_regression(rows, right, total, upward=names) for names in ((), ("x",)))
    assert free.coefficients[0].weight < -0.5
    assert upward.coefficients[0].weight == 0.0


def test_few_problems_leave_more_doubt_than_many():
    rows, right, total = [{"x": float(i % 2)} for i in range(200)], np.tile([2.0, 6.0], 100), np.full(200, 8.0)
    few, many = (fit_beta_regression(rows[:n], right[:n], total[:n]) for n in (8, 200))
    assert few.predict({"x": 0.0}).concentration < many.predict({"x": 0.0}).concentration


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["prompt", "probe", "verifier"])
def test_an_estimator_goes_into_json_and_back_and_says_the_same(kind: str):
    pool = pool_of("told by a word", 60)
    estimator = fit_estimator(kind, pool, classes=TagClasses(tags=("kind",)))
    again = read_estimator(estimator.to_json())
    assert again == estimator
    problem = pool.problems[0]
    drawn = [candidate_of(s).scored(v) for s, v in zip(problem.samples(), problem.scores["simulated"], strict=True)]
    assert again.estimate(problem.query(), drawn) == estimator.estimate(problem.query(), drawn)


def test_a_file_of_something_else_is_refused():
    with pytest.raises(ConfigurationError, match=r"estimator\.json: .*kind.*; fit one with 'ttc tune'"):
        read_estimator('{"kind": "guess"}', where="estimator.json")
    with pytest.raises(ConfigurationError, match=r"estimator\.json: .*JSON"):
        read_estimator("", where="estimator.json")


def test_the_oracle_is_not_saved_for_live_use():
    oracle = fit_estimator("oracle", pool_of("beta(.5, .5)", 20))
    with pytest.raises(ConfigurationError, match="cannot stand in a policy that is used live"):
        oracle.to_json()
    kept = oracle.to_json(analysis=True)
    with pytest.raises(ConfigurationError, match="for analysis, never live"):
        read_estimator(kept)
    assert read_estimator(kept, analysis=True) == oracle


def test_classes_by_a_function_are_no_data():
    classes = FunctionClasses.using(lambda q: q.tags["kind"])
    estimator = fit_estimator("prompt", pool_of("told by a word", 60), classes=classes)
    again = read_estimator(estimator.to_json())
    with pytest.raises(ConfigurationError, match="pass it again"):
        again.estimate(asked(0))


def test_estimating_takes_no_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from ttc.adaptive.difficulty import read_estimator; from ttc.types import Query\n"
        "print(read_estimator(sys.stdin.read()).estimate(Query.of('find the sum')).by)"
    )
    kept = fit_estimator("prompt", pool_of("told by a word", 60)).to_json()
    done = subprocess.run([sys.executable, "-c", code], input=kept, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "prompt"


def test_fitting_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtra, match=r"scipy.*ttc-compute\[tune\]"):
        fit_estimator("probe", pool_of("beta(.5, .5)", 20))


# -- bad input -----------------------------------------------------------------------------------------------------


def few(n: int, **columns: tuple[float | None, ...]) -> Pool:
    width = len(columns["right"])
    problems = [RecordedProblem(id=f"q{i}", answers=("1",) * width, **columns) for i in range(n)]
    return Pool(name="tiny", model="m", problems=tuple(problems))


@pytest.mark.parametrize(
    ("kind", "pool", "message"),
    [
        ("probe", few(1, right=(1.0, 0.0)), r"'tiny' has 1 problem: an estimator is fitted on 5 at the least"),
        ("prompt", few(4, right=(1.0, 0.0)), r"'tiny' has 4 problems: .* 5 at the least"),
        ("prompt", few(9, right=(None, None)), r"no sample has a verdict"),
        ("probe", few(9, right=(1.0,)), r"one sample with a verdict a problem: a probe takes two"),
        ("probe", few(9, right=(1.0, 0.0, 1.0)), r"a probe of 4 leaves no verdict .* a probe of 2 would do"),
        ("verifier", few(9, right=(1.0,) * 6), r"holds no scores; record it with a verifier, or use 'probe'"),
        ("oracle", few(9, right=(1.0,)), r"problem 'q0' has one sample: it takes two"),
    ],
)
def test_a_pool_that_will_not_do_says_what_would(kind: str, pool: Pool, message: str):
    with pytest.raises(ConfigurationError, match=message):
        fit_estimator(kind, pool)


def test_too_few_problems_to_hold_any_out():
    with pytest.raises(ConfigurationError, match=r"9 problems: .* in 5 folds it takes 10"):
        cross_fit("probe", few(9, right=(1.0,) * 6))


def test_an_unknown_estimator_names_the_known_ones():
    with pytest.raises(UnknownName, match=r"unknown estimator 'prob'\. Did you mean 'probe'\?"):
        fit_estimator("prob", few(9, right=(1.0, 0.0)))


def test_a_probe_of_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="probe=0"):
        fit_estimator("probe", few(9, right=(1.0, 0.0)), probe=0)


@pytest.mark.parametrize("right", [1.0, 0.0])
def test_a_pool_without_any_variety_is_learned_for_what_it_is(right: float):
    estimator = fit_estimator("probe", few(40, right=(right,) * 6), probe=2)
    assert abs(estimator.estimate(Query.of("new")).p - right) < 0.05


def test_estimates_of_verdicts_count_as_such():
    soft = fit_estimator("probe", few(40, right=(0.7,) * 6), probe=2)
    assert soft.estimate(Query.of("new")).p == pytest.approx(0.7, abs=0.05)
