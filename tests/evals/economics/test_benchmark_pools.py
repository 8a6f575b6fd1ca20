"""The pools of the efficiency benchmark: what was recorded, nothing made up; and populations that are what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest

from tests.data import lines, recorded
from ttc.adaptive.trajectories import replay
from ttc.evals.economics import fixed_curve
from ttc.pools import Pool, RecordedProblem, replay_model

Modules = Callable[[str], ModuleType]

O3_MINI, PHI_4, GPT_41, GPT_51 = (
    "ajytUBY9bDPNNxuBfi5UBS",
    "5mmrBSQb7hVSJ9VYtNm46i",
    "VAQtARXUPTpdxGKMekUSbX",
    "6J9aPwieMfq2eSse8ZknBW",
)


@pytest.fixture(scope="module")
def pools(benchmark_module: Modules) -> ModuleType:
    return benchmark_module("pools_of_data")


@pytest.fixture(scope="module")
def populations(benchmark_module: Modules) -> ModuleType:
    return benchmark_module("populations")


@pytest.fixture(scope="module")
def votes(benchmark_module: Modules) -> ModuleType:
    return benchmark_module("vote_replay")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return lines(recorded("otis_aime.jsonl.gz"))


# -- otis_aime -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "reference"),
    [
        # Majority of 16 may be 1.7 points off: verdicts of equal answers differ in 25 rows, and a class has their mean.
        (O3_MINI, {1: 0.639, 4: 0.673, 16: 0.704}),
        (PHI_4, {1: 0.138, 4: 0.172, 16: 0.184}),
        (GPT_41, {1: 0.383, 8: 0.482}),
        (GPT_51, {1: 0.639, 8: 0.758}),
    ],
)
def test_votes_over_a_run_are_the_reference_figures(
    pools: ModuleType, votes: ModuleType, rows: list[dict[str, Any]], run: str, reference: dict[int, float]
) -> None:
    curve = fixed_curve(votes.replay_votes(pools.otis_run(rows, run), orders=100).paths).curve()
    found = {n: float(curve.accuracy[n - 1]) for n in reference}
    assert found == {n: pytest.approx(a, abs=0.017 if n == 16 else 0.012) for n, a in reference.items()}


def test_the_beta_rule_stops_o3_mini_at_half_its_samples(
    pools: ModuleType, votes: ModuleType, rows: list[dict[str, Any]]
) -> None:
    whole = votes.replay_votes(pools.otis_run(rows, O3_MINI), recorded=True)
    result, samples = votes.beta_stop(whole)
    assert samples.mean() == pytest.approx(8.3, abs=0.1)
    assert result.right.mean() == pytest.approx(0.684, abs=0.005)
    assert whole.paths.right[:, -1].mean() == pytest.approx(0.684, abs=0.005)


@pytest.mark.parametrize(
    ("width", "unit", "problems"),
    [(16, "samples", 585), (8, "samples", 1170), (16, "characters", 540), (8, "characters", 450), (8, "tokens", 622)],
)
def test_runs_are_pooled_with_what_was_recorded_of_them(
    pools: ModuleType, rows: list[dict[str, Any]], width: int, unit: str, problems: int
) -> None:
    pool = pools.otis(rows, width=width, unit=unit)
    assert (len(pool), pool.width, pool.unit) == (problems, width, unit)
    assert len({p.group for p in pool.problems}) == 45
    assert len({p.id for p in pool.problems}) == problems
    if unit == "samples":
        assert all(p.generated == () for p in pool.problems)
        assert pool.info["counts"] == "samples"
    else:  # every run has the same mean sample, so that none outweighs another
        for run in {p.tags["run"] for p in pool.problems}:
            paid = [g for p in pool.problems if p.tags["run"] == run for g in p.generated]
            assert np.mean(paid) == pytest.approx(1000, abs=1)


def test_texts_of_models_that_think_out_of_sight_are_no_cost(pools: ModuleType, rows: list[dict[str, Any]]) -> None:
    assert pools.otis_run(rows, O3_MINI).unit == "samples"
    assert pools.otis_run(rows, PHI_4).unit == "characters"
    assert pools.otis_run(rows, GPT_51).unit == "tokens"


def test_what_is_null_stays_unknown(pools: ModuleType, rows: list[dict[str, Any]]) -> None:
    both = [pools.otis(rows, width=n) for n in (8, 16)]
    right = [r for pool in both for p in pool.problems for r in p.right]
    answers = [a for pool in both for p in pool.problems for a in p.answers]
    assert sum(r is None for r in right) == 23
    assert sum(a is None for a in answers) == 239


def test_answers_are_whole_numbers(pools: ModuleType) -> None:
    row = {"run": "r", "model": "m", "problem": "p", "answers": ["025", "25", None, "x"], "correct": [1, 1, 0, None]}
    (problem,) = pools.otis([row], width=4).problems
    assert problem.answers == ("25", "25", None, "x")
    assert problem.right == (1.0, 1.0, 0.0, None)


# -- cascades ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(benchmark_module: Modules, rows: list[dict[str, Any]]) -> list[Any]:
    return benchmark_module("cascades_of_data").cascades(rows, _runs())


def _runs() -> list[dict[str, Any]]:
    return orjson.loads(recorded("otis_aime.meta.json").read_bytes())["runs"]


def test_cascades_pay_in_dollars_or_flops_on_the_same_problems(pairs: list[Any]) -> None:
    assert [(c.unit, c.estimated) for c in pairs] == [
        ("dollars", False),
        ("dollars", True),
        ("dollars", False),
        ("petaFLOPs", True),
        ("petaFLOPs", True),
    ]
    for c in pairs:
        assert [p.id for p in c.small.problems] == [p.id for p in c.large.problems]
        assert c.small.price.generated <= c.large.price.generated
        assert all(p.generated and p.prompt_tokens for pool in (c.small, c.large) for p in pool.problems)


def test_estimated_tokens_sum_to_what_was_recorded(pairs: list[Any]) -> None:
    nano = pairs[1].small
    total = next(run["header_tokens_out"] for run in _runs() if run["run"] == nano.info["run"])
    assert sum(sum(p.generated) for p in nano.problems) == pytest.approx(total, rel=1e-3)


def test_a_token_takes_two_flops_a_parameter(pairs: list[Any]) -> None:
    small, large = pairs[3].small.price, pairs[3].large.price
    assert (small.prompt, large.prompt) == (0, 0)
    assert small.generated / 1e6 * 1e15 == pytest.approx(48e9)  # mistral-small has 24 billion
    assert large.generated / small.generated == pytest.approx(123 / 24)


# -- codet ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codet(pools: ModuleType) -> Pool:
    return pools.codet(lines(recorded("codet_humaneval_codegen16b_n100.jsonl.gz")))


def test_agreement_on_programs_is_the_reference(codet: Pool, votes: ModuleType) -> None:
    curve = fixed_curve(votes.replay_votes(codet, orders=10, weights="gen_pass_rate").paths).curve()
    found = {n: float(curve.accuracy[n - 1]) for n in (4, 16, 100)}
    assert found == {n: pytest.approx(a, abs=0.012) for n, a in {4: 0.305, 16: 0.358, 100: 0.368}.items()}


def test_programs_that_pass_the_same_tests_are_one_answer(codet: Pool) -> None:
    assert (len(codet), codet.width, codet.verifiers) == (164, 100, ("gen_pass_rate",))
    first = codet.problems[0]
    assert len(set(first.answers)) < 79  # of so many different texts
    scores = dict(zip(first.answers, first.scores["gen_pass_rate"], strict=True))
    assert all(scores[a] == s for a, s in zip(first.answers, first.scores["gen_pass_rate"], strict=True))


@pytest.mark.anyio
async def test_best_of_n_by_pass_rate_falls_behind_its_peak(codet: Pool) -> None:
    right = (await replay(codet, "best_of_n:weighted=false", orders=1, verifier="gen_pass_rate")).right.mean(axis=0)
    assert right[3] == pytest.approx(0.295, abs=0.045)  # one order of 164 problems
    assert right[99] == pytest.approx(0.218, abs=0.03)


# -- halves --------------------------------------------------------------------------------------------------------


def test_halves_share_no_sample(pools: ModuleType) -> None:
    problem = RecordedProblem(
        id="a", answers=tuple(map(str, range(8))), right=(1.0, 0.0) * 4, generated=tuple(float(2**i) for i in range(8))
    )
    half, known = pools.halves(Pool(name="p", model="m", problems=(problem,)))
    (kept,) = half.problems
    assert len(kept) == 4
    assert [kept.generated[i] for i in range(4)] == [2.0 ** int(a) for a in kept.answers if a]
    assert sum(kept.right) + 4 * known[0] == 4  # of eight samples four are right


# -- populations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mean", "shares"), [("gsm8k_like", 0.78, 1 / 2.2), ("short_answers", 0.68, 1), ("aime_like", 0.38, 1 / 5)]
)
def test_populations_are_what_they_say(populations: ModuleType, name: str, mean: float, shares: float) -> None:
    pool = getattr(populations, name)(2000, 20)
    p = populations.truth(pool)
    assert p.mean() == pytest.approx(mean, abs=0.025)
    found = np.array([q.accuracy for q in pool.problems])
    assert np.abs(found - p).mean() < 0.09  # the binomial error of 20 samples
    assert (found - p).mean() == pytest.approx(0, abs=0.01)
    agree: list[float] = []
    for q in pool.problems:
        wrong = [a for a in q.answers if a != "right"]
        if len(wrong) > 1:
            agree += [float(a == b) for a, b in zip(wrong[::2], wrong[1::2], strict=False)]
    assert np.mean(agree) == pytest.approx(shares, abs=0.05)


def test_lengths_have_a_long_tail_and_grow_with_difficulty(populations: ModuleType) -> None:
    pool = populations.aime_like(1500, 16)
    p, log = populations.truth(pool), np.log([q.generated for q in pool.problems])
    right = np.array([q.right for q in pool.problems]) == 1
    assert np.sqrt(log.var(axis=1, ddof=1).mean()) == pytest.approx(0.3, abs=0.02)
    slope, _ = np.polyfit(p, log.mean(axis=1), 1)
    assert slope == pytest.approx(-1.6, abs=0.15)  # wrong samples are longer beside it
    mixed = right.any(axis=1) & ~right.all(axis=1)
    longer = [row[~r].mean() - row[r].mean() for row, r in zip(log[mixed], right[mixed], strict=True)]
    assert np.mean(longer) == pytest.approx(0.1, abs=0.02)


def test_a_reward_tells_right_from_wrong_as_often_as_its_auc_says(populations: ModuleType) -> None:
    pool = populations.aime_like(600, 16, auc=0.8)
    scores = np.array([q.scores["reward"] for q in pool.problems]).ravel()
    right = np.array([q.right for q in pool.problems]).ravel() == 1
    rng = np.random.default_rng(0)
    good, bad = (rng.choice(scores[of], 20_000) for of in (right, ~right))
    assert (good > bad).mean() == pytest.approx(0.8, abs=0.015)
    plain = populations.aime_like(600, 16)
    assert [q.right for q in plain.problems] == [q.right for q in pool.problems]


def test_populations_are_seeded(populations: ModuleType) -> None:
    one, same, other = (populations.gsm8k_like(20, 5, seed=s).digest() for s in (1, 1, 2))
    assert one == same != other


# -- the cross-check -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", ["majority", "best_of_n"])
async def test_votes_in_numpy_are_the_strategys_own(populations: ModuleType, votes: ModuleType, strategy: str) -> None:
    pool = populations.aime_like(40, 12, auc=0.7)
    verifier = "reward" if strategy == "best_of_n" else ""
    own = await replay(pool, strategy, orders=1, seed=5, verifier=verifier or None)
    model = replay_model(pool, seed=5)
    ordered = replace(pool, problems=tuple(in_order(p, [s.index for s in model.order(p.id)]) for p in pool.problems))
    fast = votes.replay_votes(ordered, recorded=True, weights=verifier)
    assert np.array_equal(own.cost, fast.paths.cost)
    same = own.right == fast.paths.right
    tied = fast.first == fast.second
    assert same[~tied].all() if strategy == "majority" else same.all()
    assert (~tied).mean() > 0.4


def in_order(p: RecordedProblem, order: list[int]) -> RecordedProblem:
    columns: dict[str, Any] = {
        name: tuple(getattr(p, name)[i] for i in order) for name in ("answers", "right", "generated")
    }
    return replace(p, **columns, scores={name: tuple(s[i] for i in order) for name, s in p.scores.items()})


def test_a_wave_in_flight_is_paid_as_a_whole(votes: ModuleType) -> None:
    problem = RecordedProblem(id="a", answers=("1",) * 12, right=(1.0,) * 12)
    whole = votes.replay_votes(Pool(name="p", model="m", problems=(problem,)), recorded=True)
    assert [votes.beta_stop(whole, wave=w)[1][0] for w in (1, 4, 5, 8)] == [4, 4, 5, 8]  # four that agree are enough


def test_samples_without_an_answer_are_paid_and_never_win(votes: ModuleType) -> None:
    problem = RecordedProblem(
        id="a", answers=(None, None, None, "1"), right=(0.0, 0.0, 0.0, 1.0), generated=(5, 6, 7, 8)
    )
    found = votes.replay_votes(Pool(name="p", model="m", problems=(problem,)), recorded=True).paths
    assert found.right.tolist() == [[0, 0, 0, 1]]
    assert found.cost.tolist() == [[5, 11, 18, 26]]
