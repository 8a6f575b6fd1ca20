"""A run whose total is handed out over its problems: to each strategy all of it, and the same when it is resumed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ttc import registry
from ttc.errors import ConfigurationError, RunError, ServerUnreachable
from ttc.evals.config import EvalConfig, check
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import config_of
from ttc.evals.runner import RunProgress, run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite
from ttc.evals.tables import footnotes
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.types import Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

TOTAL = 1500


@pytest.fixture
def suite() -> Suite:
    """Twelve problems whose answer is their number: six that the model knows, six on which it wavers."""
    number = registry.create("answer type", "number")
    queries = [Query.of(f"problem {i} {('sure', 'unsure')[i % 2]}", answer_type=number) for i in range(12)]
    return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])


def reply(request: Request) -> str:
    _, number, how = str(request.messages[-1]["content"]).split()
    rng = random.Random(request.seed)
    right = how == "sure" or rng.random() < 0.5
    return "well " * rng.randrange(2, 9) + f"the answer is {number if right else 1000 + rng.randrange(3)}"


class Unplugged(Scripted):
    """A server that goes away after so many calls."""

    left = 10**9

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        self.left -= 1
        if self.left < 0:
            raise ServerUnreachable("it is gone")
        return await super().call(request, meter)


def settings(suite: Suite, runs: Path, **changes: Any) -> EvalConfig:
    values = {"suites": (suite,), "strategies": ("majority:n=32",), "run_id": "r", "runs": runs}
    more = {"total_tokens": TOTAL, "allocate": "greedy", "sampling": Sampling(max_tokens=20)}
    return EvalConfig(**{**values, **more, **changes})


def spent(units: Sequence[UnitRecord]) -> int:
    return sum(u.outcome.total_usage.total for u in units)


async def test_the_total_is_spent_where_it_helps_and_kept(suite: Suite, tmp_path: Path):
    run = await run_eval(settings(suite, tmp_path), Scripted(reply))
    units = read_units(run.directory)
    assert len(units) == 12
    assert 0.8 * TOTAL < spent(units) <= TOTAL
    by_problem = {u.problem: u.outcome.calls["generate"] for u in units}
    sure = [by_problem[p.query.id] for p in suite.problems[::2]]
    unsure = [by_problem[p.query.id] for p in suite.problems[1::2]]
    assert max(sure) < sum(unsure) / 6


async def test_each_strategy_has_the_whole_total(suite: Suite, tmp_path: Path):
    config = settings(suite, tmp_path, strategies=("majority:n=32", "majority:n=32,stop=never"))
    run = await run_eval(config, Scripted(reply))
    units = read_units(run.directory)
    for spec in {u.spec for u in units}:
        assert 0.8 * TOTAL < spent([u for u in units if u.spec == spec]) <= TOTAL


async def test_its_point_is_no_prefix_and_costs_what_was_spent(suite: Suite, tmp_path: Path):
    run = await run_eval(settings(suite, tmp_path), Scripted(reply))
    (curve,) = [c for c in run.summary.curves if c.group == "all"]
    assert (curve.how, len(curve.points)) == ("explicit", 1)
    assert curve.points[0].cost["total"] == pytest.approx(spent(read_units(run.directory)) / 12)
    assert f"each strategy had {TOTAL:,} tokens for all problems (greedy allocation)" in "\n".join(
        footnotes(run.summary)
    )


async def test_equal_shares_come_to_everybody(suite: Suite, tmp_path: Path):
    config = settings(suite, tmp_path, strategies=("majority:n=32,stop=never",), allocate="uniform")
    units = read_units((await run_eval(config, Scripted(reply))).directory)
    drawn = [u.outcome.calls["generate"] for u in units]
    assert max(drawn) - min(drawn) <= 0.5 * max(drawn)
    assert spent(units) <= TOTAL


async def test_a_resumed_run_counts_what_was_spent_and_pays_for_no_call_twice(suite: Suite, tmp_path: Path):
    model = Unplugged(reply)
    model.left = 56
    config = settings(suite, tmp_path, allocate="greedy:least=0.004", concurrency=4)
    with pytest.raises(ServerUnreachable, match="ttc eval --resume r"):
        await run_eval(config, model)
    before = {u.key: u for u in read_units(tmp_path / "r")}
    assert 0 < len(before) < 12
    asked = {(r.content(), r.seed) for r in model.requests}
    model = Unplugged(reply)
    run = await run_eval(config_of(tmp_path, "r").model_copy(update={"suites": (suite,)}), model)
    units = read_units(run.directory)
    assert len(units) == 12
    assert all(before[u.key].outcome.answer == u.outcome.answer for u in units if u.key in before)
    assert spent(units) <= TOTAL
    again = asked & {(r.content(), r.seed) for r in model.requests}
    assert len(again) <= 8  # what was under way when the server went


async def test_a_run_goes_on_with_its_own_total_alone(suite: Suite, tmp_path: Path):
    await run_eval(settings(suite, tmp_path), Scripted(reply))
    for change in ({"total_tokens": 2 * TOTAL}, {"allocate": None}, {"allocate": "uniform"}):
        with pytest.raises(RunError, match=r"was made with (an)?other"):
            await run_eval(settings(suite, tmp_path, **change), Scripted(reply))


async def test_a_total_that_carries_little_is_a_result_and_no_error(suite: Suite, tmp_path: Path):
    seen: list[RunProgress] = []
    run = await run_eval(settings(suite, tmp_path, total_tokens=60), Scripted(reply), on_progress=seen.append)
    units = read_units(run.directory)
    assert len(units) == 12
    assert spent(units) <= 60
    assert any(u.outcome.answer is None for u in units)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"total_tokens": None}, "there are no tokens to allocate.*--total-tokens"),
        ({"strategies": ("budget_forcing",)}, "'budget_forcing' cannot be allocated to"),
        ({"allocate": "fair"}, "unknown allocation 'fair'"),
    ],
)
def test_what_cannot_be_allocated_is_said_before_anything_runs(
    suite: Suite, tmp_path: Path, change: dict[str, Any], says: str
):
    with pytest.raises(ConfigurationError, match=says):
        check(settings(suite, tmp_path, **change))
