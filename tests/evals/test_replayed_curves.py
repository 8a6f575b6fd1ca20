"""A pool gives the curves of the run that it was taken from, within their intervals; and says what it cannot."""

from __future__ import annotations

import random
import re
from math import log
from pathlib import Path

import pytest

from ttc import registry
from ttc.adaptive.simulated_pools import simulated_pool
from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig
from ttc.evals.recordings.pool_of_run import pool_of_run
from ttc.evals.recordings.replayed_curves import replayed_curves
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.evals.summary import Point, Summary, summary_from_json, summary_to_json
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.pools import Pool, RecordedProblem
from ttc.types import Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

N = 16
PROBLEMS = 60


def made_suite() -> Suite:
    number = registry.create("answer type", "number")
    queries = [Query.of(f"problem {i} .", answer_type=number, tags={"family": "ab"[i % 2]}) for i in range(PROBLEMS)]
    return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])


def reply(request: Request) -> Sample | str:
    """Right as often as the problem is easy; a judge who is right more often than not."""
    said = " ".join(str(m["content"]) for m in request.messages)
    number = int(re.findall(r"problem (\d+) \.", said)[0])
    rng = random.Random(f"{request.seed} {number} {said if request.choices else ''}")
    if request.choices:
        p = min(0.99, max(0.01, rng.gauss(0.7 if f"the answer is {number}." in said else 0.4, 0.2)))
        return Sample(text="Yes" if p > 0.5 else "No", first_choices=(("Yes", log(p)), ("No", log(1 - p))))
    right = rng.random() < 0.2 + 0.7 * (number % 10) / 9
    words = " ".join(["so"] * rng.randrange(2, 30))
    return f"{words} the answer is {number if right else 1000 + rng.randrange(3)}."


def curve(summary: Summary, strategy: str) -> dict[str, Point]:
    return {p.setting: p for c in summary.curves for p in c.points if (c.group, c.strategy) == ("all", strategy)}


async def test_a_pool_gives_the_curves_of_its_run_within_their_intervals(tmp_path: Path) -> None:
    config = EvalConfig(
        suites=(made_suite(),),
        strategies=(f"majority:n={N},stop=never", f"best_of_n:n={N}"),
        verifier="judge",
        sampling=Sampling(max_tokens=60),
        runs=tmp_path,
        run_id="r",
    )
    run = await run_eval(config, Scripted(reply))
    pool = await pool_of_run(run.directory, suites=[made_suite()])
    (verifier,) = pool.verifiers
    replayed = await replayed_curves(pool, config.strategies, orders=10, verifier=verifier)
    for strategy in ("majority:stop=never", "best_of_n"):
        there, here = curve(run.summary, strategy), curve(replayed, strategy)
        assert list(here) == list(there) == ["n=1", "n=2", "n=4", "n=8", "n=16"]
        for setting, point in here.items():
            assert point.n == PROBLEMS
            assert there[setting].low <= point.accuracy <= there[setting].high
            if strategy != "best_of_n":  # a judge's calls are not in a pool
                of_run = there[setting].cost["generated"]
                assert point.cost["generated"] == pytest.approx(of_run, rel=0.2)
    whole = curve(replayed, "majority:stop=never")[f"n={N}"]
    assert whole.cost["generated"] == curve(run.summary, "majority:stop=never")[f"n={N}"].cost["generated"]
    # it is no flat line that anything would lie within
    assert whole.accuracy > curve(run.summary, "majority:stop=never")["n=1"].high


POOL = simulated_pool(Population(p=(2.0, 1.3), wrong=(3, 2, 1), seed=4), problems=20, width=8)


async def test_a_summary_of_a_replay_is_one_like_any_other() -> None:
    told: list[int] = []
    summary = await replayed_curves(
        POOL,
        ["single", "majority", "short_m_at_k:k=8,m=2"],
        budgets=(2, 8),
        orders=3,
        on_progress=told.append,
    )
    assert told == list(range(1, 21))
    assert summary_from_json(summary_to_json(summary)) == summary
    assert [p.setting for p in curve(summary, "majority").values()] == ["n=1", "n=2", "n=4", "n=8"]
    assert {c.strategy for c in summary.comparisons} == {"majority", "short_m_at_k:m=2"}
    assert summary.run["orders"] == 3
    assert [e.baseline for e in summary.economics] == ["majority"]
    again = await replayed_curves(POOL, ["single", "majority", "short_m_at_k:k=8,m=2"], budgets=(2, 8), orders=3)
    assert summary_to_json(again) == summary_to_json(summary)


async def test_orders_are_no_new_problems() -> None:
    few = curve(await replayed_curves(POOL, ["majority"], orders=2), "majority")["n=8"]
    many = curve(await replayed_curves(POOL, ["majority"], orders=12), "majority")["n=8"]
    assert few.n == many.n == 20
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.2)


async def test_problems_without_verdicts_are_left_out() -> None:
    known = RecordedProblem(id="known", answers=("1", "2"), right=(1, 0), generated=(3.0, 4.0))
    unknown = RecordedProblem(id="unknown", answers=("1", "2"), right=(None, None), generated=(3.0, 4.0))
    summary = await replayed_curves(Pool(name="p", model="m", problems=(known, unknown)), ["single"], budgets=())
    assert summary.problems == {"all": 1}


async def test_costs_that_are_no_tokens_are_said_to_be_none() -> None:
    problem = RecordedProblem(id="p", answers=("1", "2"), right=(1, 0))
    summary = await replayed_curves(Pool(name="p", model="m", problems=(problem,), unit="samples"), ["single"])
    assert summary.run["caveats"]["costs"] == "counted in samples: tokens were not recorded"


@pytest.mark.parametrize(
    ("strategy", "options", "said"),
    [
        ("majority", {"budgets": (16,)}, "draws 16 samples, and 8 of every problem were recorded"),
        ("best_of_n", {}, "needs a verifier .* holds scores of: simulated"),
        ("best_of_n", {"verifier": "judge"}, "holds no scores of verifier 'judge'"),
        ("majority", {"orders": 0}, "one order at the least"),
        ("knockout", {}, "comparator"),
        ("nothing", {}, "nothing"),
        ("budget_forcing", {}, "only samples of its prompt were recorded|was recorded"),
    ],
)
async def test_what_was_not_recorded_is_refused(strategy: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await replayed_curves(POOL, [strategy], **options)  # pyright: ignore[reportArgumentType]


async def test_a_pool_without_verdicts_has_no_curve() -> None:
    problem = RecordedProblem(id="p", answers=("1", "2"), right=(None, None))
    with pytest.raises(ConfigurationError, match="no verdicts"):
        await replayed_curves(Pool(name="p", model="m", problems=(problem,)), ["single"])
