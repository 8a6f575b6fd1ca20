"""``ttc report``: a run that is there is drawn, and one that is not names the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.cli.report import report
from ttc.errors import ConfigurationError, RunError
from ttc.evals.records import UnitRecord
from ttc.evals.run_directory import find_run
from ttc.evals.store import FILE, Store
from ttc.types import Outcome, Usage


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one run, in which one query was answered."""
    outcome = Outcome(
        query_id="q", answer="4", candidate=None, ended_by="finished", usage={"generate": Usage(9, 0, 0, 7)}, calls={}
    )
    unit = UnitRecord(
        key="k", suite="none", problem="q", strategy="single", spec="single", outcome=outcome, correct=True
    )

    async def keep() -> None:
        with Store(tmp_path / "arithmetic-1") as store:
            await store.add_unit(unit)

    anyio.run(keep)
    card: dict[str, Any] = {"run_id": "arithmetic-1", "config": {}, "model": "made-up", "price": None, "suites": []}
    (tmp_path / "arithmetic-1" / "run.json").write_bytes(orjson.dumps(card))
    return tmp_path


def test_an_unknown_run_names_the_nearest_and_where_it_was_looked_for(runs: Path):
    with pytest.raises(RunError, match=r"there is no run 'arithmetic-2' in .*Did you mean 'arithmetic-1'\?"):
        find_run(runs, "arithmetic-2")
    with pytest.raises(RunError, match="holds no run; 'ttc eval' makes one"):
        find_run(runs / "empty", "arithmetic-1")


def test_a_run_is_found_by_a_path_as_well(runs: Path, tmp_path: Path):
    assert find_run(tmp_path / "elsewhere", str(runs / "arithmetic-1")) == (runs / "arithmetic-1").absolute()
    with pytest.raises(ConfigurationError, match="run id"):
        find_run(runs, "..")


def test_a_card_without_a_store_is_no_unknown_run(runs: Path, tmp_path: Path):
    lost = tmp_path / "lost" / "run"
    lost.mkdir(parents=True)
    (lost / "run.json").write_bytes(b"{}")
    with pytest.raises(RunError, match=r"has its card .* and no store"):
        find_run(tmp_path / "lost", "run")


def test_the_files_and_the_headline_are_printed_as_json(runs: Path, capsys: pytest.CaptureFixture[str]):
    report("arithmetic-1", runs=runs, json=True)
    said = orjson.loads(capsys.readouterr().out)
    assert said["headline"].startswith("Only 'single' was run, on 1 problem:")
    assert {Path(path).name for path in said["files"].values()} == set(said["files"])
    assert all(Path(path).is_file() for path in said["files"].values())
    assert "report.html" in said["files"]
    assert FILE not in said["files"]


def test_the_page_is_opened_and_a_missing_browser_is_no_failure(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def refuse(url: str) -> bool:
        asked.append(url)
        return False

    monkeypatch.setattr("webbrowser.open", refuse)
    report("arithmetic-1", runs=runs, open_page=True)
    assert asked == [(runs / "arithmetic-1" / "report.html").resolve().as_uri()]
    assert "no browser could be opened" in capsys.readouterr().err


def test_the_axis_that_is_asked_for_is_shown_first(runs: Path):
    report("arithmetic-1", runs=runs, x="total")
    page = (runs / "arithmetic-1" / "report.html").read_text(encoding="utf-8")
    assert '<option value="total" selected>prompt and generated tokens</option>' in page
    assert '<option value="thinking">thinking tokens</option>' in page


def test_an_axis_that_is_none_or_of_which_nothing_is_known_is_refused_before_anything_is_written(runs: Path):
    with pytest.raises(ConfigurationError, match="there is no axis 'beauty': choose from thinking"):
        report("arithmetic-1", runs=runs, x="beauty")
    with pytest.raises(ConfigurationError, match="no point of this run knows its dollars"):
        report("arithmetic-1", runs=runs, x="dollars")
    assert not (runs / "arithmetic-1" / "report.html").exists()


def test_a_pool_that_is_not_there_is_said(runs: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"no-such-pool"):
        report("arithmetic-1", runs=runs, difficulty=tmp_path / "no-such-pool")
