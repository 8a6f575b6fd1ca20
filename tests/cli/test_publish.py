"""``ttc publish`` and ``ttc report --from``: what is printed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import anyio
import orjson
import pytest

from ttc.cli.publish import publish_command
from ttc.cli.report import report
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.models.scripted import Scripted
from ttc.types import Sampling


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    config = EvalConfig(
        suites=("arithmetic:per_family=1",), strategies=("single",), runs=folder, run_id="toy-1", sampling=Sampling()
    )
    anyio.run(run_eval, config, Scripted(lambda _: "the answer is 7"))
    return folder


def test_what_is_in_it_is_listed_and_redrawn(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_command("toy-1", out=tmp_path / "toy.zip", runs=runs)
    out = capsys.readouterr().out
    assert "README.md" in out
    assert f"written to {tmp_path / 'toy.zip'}" in out
    monkeypatch.chdir(tmp_path)
    report(published=Path("toy.zip"), out=Path("again"))
    drawn = capsys.readouterr().out.splitlines()
    assert "again/curves.png" in drawn
    assert all(Path(line).is_file() for line in drawn)


def test_as_json_it_is_files_with_their_sizes(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_command("toy-1", out=tmp_path / "toy", author=["A", "B"], without_texts=True, runs=runs, json=True)
    said = orjson.loads(capsys.readouterr().out)
    assert said["warnings"] == []
    assert {name: (tmp_path / "toy" / name).stat().st_size for name in said["files"]} == said["files"]
    citation = (tmp_path / "toy" / "CITATION.cff").read_text()
    assert '  - name: "A"\n  - name: "B"\n' in citation


def test_an_unknown_run_names_the_nearest(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"Did you mean 'toy-1'\?"):
        publish_command("toy-2", out=tmp_path / "x.zip", runs=runs)


def test_a_report_is_of_a_run_or_of_a_publication(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name a run, or with --from"):
        report()
    with pytest.raises(ConfigurationError, match="name a run, or with --from"):
        report("toy-1", published=tmp_path, runs=runs)
    with pytest.raises(ConfigurationError, match="name a run, or with --from"):
        report("toy-1", out=tmp_path, runs=runs)
    with pytest.raises(ConfigurationError, match=r"there is no summary\.json"):
        report(published=tmp_path)
