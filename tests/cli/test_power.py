"""``ttc power``: a plan from numbers, and one from a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ttc import registry
from ttc.cli import app
from ttc.errors import ConfigurationError, RunError, TTCError
from ttc.evals.config import EvalConfig
from ttc.evals.power_of_run import spreads_of_run
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.types import Query, Request, Sampling

RUN = CliRunner()


def said(*arguments: str) -> str:
    done = RUN.invoke(app, ["power", *arguments], env={"COLUMNS": "120"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def planned(*arguments: str) -> list[dict[str, Any]]:
    return json.loads(said(*arguments, "--json"))["planned"]


def test_how_many_problems_show_a_difference() -> None:
    (plan,) = planned("--accuracy", ".7", "--difference", ".05", "--correlation", ".6")
    assert plan["problems"] == pytest.approx(((1.96 + 0.8416) * 0.41793 / 0.05) ** 2, rel=0.01)
    (more,) = planned("--accuracy", ".7", "--difference", ".05")
    assert more["problems"] > 2 * plan["problems"]


def test_what_so_many_problems_show() -> None:
    (plan,) = planned("--problems", "500", "--accuracy", ".7", "--correlation", ".6")
    assert plan["difference"] == pytest.approx(2.8016 * 0.0187, rel=0.02)
    (both,) = planned("--problems", "500", "--accuracy", ".7", "--correlation", ".6", "--difference", ".05")
    assert both["se"] == pytest.approx(0.0187, abs=5e-5)
    assert 0.7 < both["power"] < 0.8


def test_without_either_it_shows_some_differences() -> None:
    assert [p["difference"] for p in planned()] == [0.01, 0.02, 0.05, 0.1]
    assert [p["difference"] for p in planned("--accuracy", ".03")] == [0.01, 0.02]
    assert "SE of one accuracy" in said()


def test_epochs_help_where_difficulty_is_not_all() -> None:
    once, often = (planned("--difference", ".05", "--epochs", n)[0]["problems"] for n in ("1", "8"))
    assert often < 0.5 * once
    (all_difficulty,) = planned("--difference", ".05", "--epochs", "8", "--between", "1")
    assert all_difficulty["problems"] == once


@pytest.mark.parametrize("arguments", [("--difference", "2"), ("--power", "1"), ("--problems", "3")])
def test_what_means_nothing_is_an_error(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        said(*arguments)


@pytest.fixture
async def runs(tmp_path: Path) -> Path:
    number = registry.create("answer type", "number")
    suite = Suite("toy", [Problem(Query.of(f"problem {i}", answer_type=number), str(i)) for i in range(12)])

    def reply(request: Request) -> str:
        i = int(str(request.messages[0]["content"]).split()[1])
        return f"the answer is {i if (request.seed or 0) % 12 < i else 99}"

    config = EvalConfig(
        suites=(suite,),
        strategies=("single", "majority:n=5,stop=never"),
        sampling=Sampling(max_tokens=20),
        runs=tmp_path,
        run_id="r",
    )
    await run_eval(config, Scripted(reply))
    return tmp_path


@pytest.mark.anyio
async def test_a_run_gives_spread_and_correlation(runs: Path) -> None:
    (spread,) = spreads_of_run(read_units(runs / "r"))
    assert (spread.spec, spread.against, spread.problems) == ("majority:n=5,stop=never", "single", 12)
    assert spread.correlation is not None
    assert 0 < spread.correlation <= 1
    shown = said("--run", "r", "--runs", str(runs), "--difference", ".05")
    assert "majority:n=5,stop=never" in shown
    (row,) = json.loads(said("--run", "r", "--runs", str(runs), "--difference", ".05", "--json"))["planned"]
    assert row["problems_needed"] >= ((1.96 + 0.84) * spread.spread / 0.05) ** 2 - 1
    assert row["detectable"] == pytest.approx(2.8016 * spread.spread / 12**0.5, rel=0.01)


@pytest.mark.anyio
async def test_one_strategy_has_nothing_to_differ_from(runs: Path) -> None:
    units = [u for u in read_units(runs / "r") if u.strategy == "single"]
    with pytest.raises(RunError, match="no two strategies"):
        spreads_of_run(units)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TTCError, match="nix"):
        said("--run", "nix", "--runs", str(tmp_path))


def test_a_table_that_is_piped_is_as_wide_as_it_needs_to_be() -> None:
    plan = ["power", "--accuracy", ".7", "--difference", ".05", "--problems", "500", "--correlation", ".6"]
    narrow = RUN.invoke(app, plan, env={"COLUMNS": "40"})
    wide = RUN.invoke(app, plan, env={"COLUMNS": "200"})
    assert narrow.stdout.split() == wide.stdout.split()
    assert narrow.stdout.count("\n") == wide.stdout.count("\n")
