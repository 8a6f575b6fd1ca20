"""``ttc pool curves``: recorded samples become curves, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ttc.adaptive.simulated_pools import simulated_pool
from ttc.cli import app
from ttc.errors import ConfigurationError, TTCError
from ttc.models.population import Population
from ttc.pool_files import write_pool

RUN = CliRunner()


@pytest.fixture
def pool(tmp_path: Path) -> str:
    path = tmp_path / "made.pool.jsonl.gz"
    write_pool(simulated_pool(Population(p=(2.0, 1.3), wrong=(3, 2, 1), seed=4), problems=12, width=8), path)
    return str(path)


def said(*arguments: str) -> str:
    done = RUN.invoke(app, ["pool", "curves", *arguments], env={"COLUMNS": "100"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_table_with_every_budget_and_what_it_rests_on(pool: str) -> None:
    shown = said(pool, "-s", "single", "-s", "majority", "--budgets", "1,2,8", "--orders", "3")
    assert all(f"n={n}" in shown for n in (1, 2, 4, 8))
    assert "recorded samples in 3 orders, no model was asked" in shown
    assert "difference to single" in shown


def test_json_is_the_summary(pool: str) -> None:
    data = json.loads(said(pool, "-s", "best_of_n", "--verifier", "simulated", "--orders", "2", "--json"))
    assert data["run"]["verifier"] == "simulated"
    assert [p["setting"] for p in data["curves"][0]["points"]] == ["n=1", "n=2", "n=4", "n=8"]


def test_curves_are_drawn(pool: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plots)")
    said(pool, "-s", "majority", "--orders", "2", "--png", str(tmp_path / "c.png"))
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "c.svg").read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budgets", "1,x"), "whole numbers"),
        (("--budgets", "0"), "whole numbers"),
        (("--budgets", "64"), "draws 64 samples, and 8 of every problem were recorded"),
        (("--png", "nowhere/c.png"), "there is no folder"),
    ],
)
def test_mistakes_are_said(pool: str, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        said(pool, "-s", "majority", *arguments)
