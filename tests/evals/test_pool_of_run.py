"""Any run is a pool: whole samples of the queries' own prompts, without gaps, with the scores that its traces hold."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.recordings.pool_of_run import pool_of_run
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.models.scripted import Scripted
from ttc.pools import Pool
from ttc.session import Session
from ttc.strategy import Strategy
from ttc.types import Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

NUMBER = registry.create("answer type", "number")


def suite(n: int = 4, gold: int = 0) -> Suite:
    queries = [Query.of(f"problem {i}", answer_type=NUMBER, tags={"family": "toy"}) for i in range(n)]
    return Suite("toy", [Problem(q, str(i + gold)) for i, q in enumerate(queries)])


def reply(request: Request) -> Sample | str:
    """A sample that says its seed, so that each is told from the others; a judge says yes or no."""
    if request.choices:
        return Sample(text=request.choices[0], first_choices=(("Yes", -0.2), ("No", -1.7)))
    if request.continue_final:
        return "and so on"
    rng = random.Random(request.seed)
    number = str(request.messages[0]["content"]).split()[1]
    words = ["so"] * rng.randrange(2, 12)
    text = " ".join([f"s{request.seed}", *words, "the answer is", number if rng.random() < 0.6 else "77"])
    return Sample(text=text, logprobs=(-0.5,) * len(text.split()))


class Greedy(Strategy):
    """Draws three samples at a temperature of its own."""

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=3, temperature=0.1) as samples:
            async for candidate in samples:
                session.propose(candidate)


async def run(tmp_path: Path, *strategies: str | Strategy, model: Scripted | None = None, **fields: Any) -> Path:
    fields.setdefault("sampling", Sampling(max_tokens=60))
    config = EvalConfig(suites=(suite(),), strategies=strategies, runs=tmp_path, run_id="r", **fields)
    return (await run_eval(config, model or Scripted(reply))).directory


async def pool_of(directory: Path, **options: Any) -> Pool:
    return await pool_of_run(directory, suites=[suite()], **options)


async def test_the_samples_of_a_vote_are_a_pool(tmp_path: Path) -> None:
    model = Scripted(reply)
    pool = await pool_of(await run(tmp_path, "majority:n=5,stop=never", model=model))
    assert [len(p) for p in pool.problems] == [5] * 4
    said = {text for p in pool.problems for text in p.texts}
    assert {text.split()[0] for text in said} == {f"s{request.seed}" for request in model.requests}
    for i, problem in enumerate(pool.problems):
        assert problem.right == tuple(float(answer == str(i)) for answer in problem.answers)
        assert problem.generated == tuple(float(len(text.split())) for text in problem.texts)
        assert problem.tags == {"family": "toy"}
        assert problem.answer_tokens == ()  # nobody counted those of samples that did not win
    assert (pool.name, pool.model) == ("r", "scripted")
    assert pool.cost["generate"] == sum(sum(p.generated) for p in pool.problems)


async def test_strategies_that_share_samples_give_each_once(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single", "majority:n=4,stop=never", "knockout:n=3", comparator="judge")
    pool = await pool_of(directory)
    assert [len(p) for p in pool.problems] == [4] * 4


async def test_epochs_are_more_samples(tmp_path: Path) -> None:
    pool = await pool_of(await run(tmp_path, "majority:n=3,stop=never", epochs=2))
    for problem in pool.problems:
        assert len(set(problem.texts)) == 6


@pytest.mark.parametrize("n", [1, 2, 9])
async def test_the_first_n_are_taken(tmp_path: Path, n: int) -> None:
    directory = await run(tmp_path, "majority:n=5,stop=never")
    whole, pool = await pool_of(directory), await pool_of(directory, n=n)
    assert [p.texts for p in pool.problems] == [p.texts[:n] for p in whole.problems]


async def test_scores_are_those_of_the_traces(tmp_path: Path) -> None:
    pool = await pool_of(await run(tmp_path, "best_of_n:n=4", verifier="judge"))
    assert pool.verifiers == ("judge",)
    assert all(0 < s < 1 for p in pool.problems for s in p.scores["judge"] if s is not None)
    assert sum(s is not None for p in pool.problems for s in p.scores["judge"]) == 16


async def test_each_score_is_with_its_sample(tmp_path: Path) -> None:
    directory = await run(tmp_path, "best_of_n:n=4", verifier="mean_logprob")
    pool = await pool_of(directory)
    for unit in read_units(directory):
        (problem,) = [p for p in pool.problems if p.id == unit.problem]
        found = {e["index"]: e["score"] for e in unit.outcome.trace if e["event"] == "score"}
        assert problem.scores["mean_logprob"] == tuple(found[i] for i in range(4))
        assert problem.logprobs == (-0.5,) * 4


async def test_samples_that_a_verifier_never_saw_have_no_score(tmp_path: Path) -> None:
    directory = await run(tmp_path, "majority:n=5,stop=never", "best_of_n:n=2", verifier="mean_logprob")
    pool = await pool_of(directory)
    for problem in pool.problems:
        assert [s is None for s in problem.scores["mean_logprob"]] == [False, False, True, True, True]


async def test_revisions_and_parts_are_left_out(tmp_path: Path) -> None:
    directory = await run(
        tmp_path, "single", "revision:chains=2,length=3", "beam:n=4,m=2,step_tokens=4", verifier="judge"
    )
    pool = await pool_of(directory)
    assert {len(p) for p in pool.problems} == {2}  # what the chains begin with
    single = {u.problem: u.outcome.text for u in read_units(directory) if u.spec == "single"}
    assert {p.id: p.texts[0] for p in pool.problems} == single


async def test_what_a_race_let_through_is_left_out(tmp_path: Path) -> None:
    directory = await run(tmp_path, "short_m_at_k:m=1,k=4", "single")
    assert {len(p) for p in (await pool_of(directory)).problems} == {1}


async def test_only_samples_without_a_gap_before_them_are_taken(tmp_path: Path) -> None:
    """Of those behind a sample that was cut or failed, the short ones would be there."""

    def breaking(request: Request) -> Sample | str:
        if request.index == 2:
            return Sample(text="so", finish="failed", error="broken")
        return reply(request)

    directory = await run(tmp_path, "majority:n=6,stop=never", model=Scripted(breaking))
    assert {len(p) for p in (await pool_of(directory)).problems} == {2}


async def test_the_most_frequent_sampling_is_taken_and_the_rest_is_said(tmp_path: Path) -> None:
    # A trace under a watch is no sample like others, however many there are.
    directory = await run(tmp_path, "budget_forcing:thinking=40,answer_tokens=9", "single", Greedy())
    pool = await pool_of(directory)
    assert pool.width == 3
    assert "4 samples were drawn in other ways, and are left out" in pool.info["warnings"]


async def test_problems_with_fewer_samples_are_kept_and_that_is_said(tmp_path: Path) -> None:
    directory = await run(tmp_path, "majority:n=8,wave=1")
    pool = await pool_of(directory)
    assert len({len(p) for p in pool.problems}) > 1
    assert pool.width == min(len(p) for p in pool.problems)
    said = " ".join(pool.info["warnings"])
    assert "have fewer than" in said
    assert "ended early" in said  # so that their number tells something of the samples


async def test_a_suite_by_its_name_needs_nothing_else(tmp_path: Path) -> None:
    config = EvalConfig(suites=("arithmetic:per_family=1",), strategies=("single",), runs=tmp_path, run_id="r")
    directory = (await run_eval(config, Scripted(lambda _: "the answer is 5"))).directory
    pool = await pool_of_run(directory)
    assert [p.id for p in pool.problems] == [p.query.id for p in load_suite("arithmetic:per_family=1").problems]


async def test_where_there_is_no_run_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        await pool_of_run(tmp_path / "none")


async def test_data_that_has_changed_is_not_graded(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single")
    with pytest.raises(RunError, match=r"'toy' of run 'r' holds other data now"):
        await pool_of_run(directory, suites=[suite(gold=1)])


async def test_a_suite_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single")
    with pytest.raises(RunError, match=r"suite of run 'r' cannot be loaded"):
        await pool_of_run(directory)


async def test_a_run_without_whole_samples_is_no_pool(tmp_path: Path) -> None:
    directory = await run(tmp_path, "beam:n=4,m=2,step_tokens=4", verifier="judge")
    with pytest.raises(RunError, match=r"no whole sample.*ttc record"):
        await pool_of(directory)


@pytest.mark.parametrize("n", [0, -1])
async def test_one_sample_is_the_least(tmp_path: Path, n: int) -> None:
    with pytest.raises(ConfigurationError, match=f"n={n}"):
        await pool_of_run(tmp_path, n=n)


async def test_problems_of_one_name_in_two_suites_are_no_pool(tmp_path: Path) -> None:
    queries = [Query.of(f"other {i}", id=p.query.id, answer_type=NUMBER) for i, p in enumerate(suite().problems)]
    other = Suite("other", [Problem(q, str(i)) for i, q in enumerate(queries)])
    config = EvalConfig(suites=(suite(), other), strategies=("single",), runs=tmp_path, run_id="r")
    directory = (await run_eval(config, Scripted(reply))).directory
    with pytest.raises(RunError, match=r"in suite 'toy' and one in 'other', .*run these suites apart"):
        await pool_of_run(directory, suites=[suite(), other])
