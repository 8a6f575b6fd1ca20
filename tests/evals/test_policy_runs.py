"""Runs of ``adaptive``: what a policy's file says is part of what a unit of work is, so that no two are ever mixed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ttc import registry
from ttc.adaptive.policy import Estimation, Policy, Row
from ttc.errors import ConfigurationError, RunError, ServerUnreachable
from ttc.evals.config import EvalConfig
from ttc.evals.nested_strategies import content_of
from ttc.evals.report.run_card import warnings
from ttc.evals.run_card import config_of, read_card
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite
from ttc.evals.tables import footnotes
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.strategy import make_strategy
from ttc.types import Query, Request, Sample

pytestmark = pytest.mark.anyio

KEY = "047608e5b57c25a33200c0f71ada6bff"
"""The first unit of a vote of two on the suite below, as runs before there were policies have it."""


@pytest.fixture
def suite() -> Suite:
    number = registry.create("answer type", "number")
    queries = [Query.of(f"problem {i}", answer_type=number) for i in range(6)]
    return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a policy that runs one strategy, always to the same place."""

    def write(strategy: str) -> Path:
        row = Row(query_class="default", strategy=strategy)
        none = Estimation(estimator="none", probe=0)
        Policy(made=date(2026, 11, 28), calibrated=False, difficulty=none, rows=(row,)).write(tmp_path / "policy.toml")
        return tmp_path / "policy.toml"

    return write


class Unplugged(Scripted):
    """A server that goes away after so many calls."""

    left = 10**9

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        self.left -= 1
        if self.left < 0:
            raise ServerUnreachable("it is gone")
        return await super().call(request, meter)


def model(left: int = 10**9) -> Unplugged:
    made = Unplugged(lambda r: f"the answer is {str(r.messages[-1]['content']).split()[1]}")
    made.left = left
    return made


def settings(suite: Suite, runs: Path, *strategies: str, **changes: Any) -> EvalConfig:
    return EvalConfig(suites=(suite,), strategies=strategies, run_id="r", runs=runs, concurrency=1, **changes)


async def keys(suite: Suite, runs: Path, spec: str) -> set[str]:
    run = await run_eval(settings(suite, runs, spec), model())
    return {unit.key for unit in read_units(run.directory)}


async def test_units_of_an_edited_policy_are_others(
    suite: Suite, tmp_path: Path, written: Callable[[str], Path]
) -> None:
    spec = f"adaptive:policy={written('majority:n=2,stop=never')}"
    before = await keys(suite, tmp_path / "a", spec)
    assert await keys(suite, tmp_path / "b", spec) == before
    written("majority:n=3,stop=never")
    assert not before & await keys(suite, tmp_path / "c", spec)


async def test_units_of_strategies_without_files_are_as_they_were(suite: Suite, tmp_path: Path) -> None:
    """These keys were made before files were a part of them: runs that are there can be resumed."""
    found = await keys(suite, tmp_path, "majority:n=2,stop=never")
    assert sorted(found)[0] == KEY


async def test_a_run_is_not_resumed_with_an_edited_policy(
    suite: Suite, tmp_path: Path, written: Callable[[str], Path]
) -> None:
    spec = f"adaptive:policy={written('majority:n=2,stop=never')}"
    with pytest.raises(ServerUnreachable):
        await run_eval(settings(suite, tmp_path, spec), model(left=6))
    written("majority:n=3,stop=never")
    untouched = model()
    with pytest.raises(RunError, match="was made with another policy file"):
        await run_eval(settings(suite, tmp_path, spec), untouched)
    assert not untouched.requests


async def test_a_run_of_a_policy_is_resumed_and_pays_nothing_twice(
    suite: Suite, tmp_path: Path, written: Callable[[str], Path]
) -> None:
    spec = f"adaptive:policy={written('majority:n=2,stop=never')}"
    with pytest.raises(ServerUnreachable):
        await run_eval(settings(suite, tmp_path, spec), model(left=6))
    again = model()
    config = config_of(tmp_path, "r")
    assert config.strategies == (spec,)
    run = await run_eval(config.model_copy(update={"suites": (suite,)}), again)
    assert len(read_units(run.directory)) == 6
    assert len(again.requests) == 6  # three problems of two samples each were paid for


async def test_a_policy_inside_another_strategy_counts_as_well(written: Callable[[str], Path]) -> None:
    path = written("majority:n=2")
    outer = make_strategy(f"revision:each=(adaptive:policy={path})")
    before = content_of(outer)
    written("majority:n=3")
    changed = content_of(make_strategy(f"revision:each=(adaptive:policy={path})"))
    assert before
    assert changed not in ("", before)
    assert content_of(make_strategy("knockout:n=4")) == ""


async def test_a_table_says_which_policies_are_not_calibrated(
    suite: Suite, tmp_path: Path, written: Callable[[str], Path]
) -> None:
    spec = f"adaptive:policy={written('majority:n=2,stop=never')}"
    run = await run_eval(settings(suite, tmp_path / "runs", "single", "adaptive", spec), model())
    said = "its policy is uncalibrated: a prior that was tuned on nothing"
    assert read_card(run.directory)["caveats"] == {"adaptive": said, spec: said}
    assert [note for note in footnotes(run.summary) if "uncalibrated" in note] == [
        f"adaptive: {said}",
        f"{spec}: {said}",
    ]
    assert f"{spec}: {said}." in warnings(run.summary, read_units(run.directory))
    plain = await run_eval(settings(suite, tmp_path / "others", "single"), model())
    assert not any("uncalibrated" in note for note in footnotes(plain.summary))
    assert "caveats" not in plain.summary.run


async def test_a_policy_for_another_model_ends_a_run_before_any_call(suite: Suite, tmp_path: Path) -> None:
    row = Row(query_class="default", strategy="single")
    none = Estimation(estimator="none", probe=0)
    path = tmp_path / "policy.toml"
    Policy(made=date(2026, 11, 28), calibrated=False, model="other", difficulty=none, rows=(row,)).write(path)
    untouched = model()
    with pytest.raises(ConfigurationError, match="tuned for model 'other', and 'scripted' is served"):
        await run_eval(settings(suite, tmp_path / "runs", f"adaptive:policy={path}"), untouched)
    assert not untouched.requests
