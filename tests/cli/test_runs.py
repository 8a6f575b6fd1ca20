"""``ttc runs``: every run of a folder is listed, a damaged one beside the others; ``ttc export`` writes one out."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import orjson
import pytest
from typer.testing import CliRunner

from ttc import registry
from ttc.budget import Price
from ttc.cli import app
from ttc.cli.completion import run_names
from ttc.evals.config import EvalConfig
from ttc.evals.run_list import facts_of, is_being_written, list_runs
from ttc.evals.runner import run_eval
from ttc.evals.store import FILE, Store
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.types import Query

HOSTILE = "\x1b[31m[red]evil[/]\n"


class Priced(Scripted):
    """A model whose tokens cost something."""

    @property
    def price(self) -> Price:
        return Price(prompt=1.0, generated=10.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete run named ``toy-1``."""
    runs = tmp_path_factory.mktemp("runs")
    number = registry.create("answer type", "number")
    suite = Suite("toy", [Problem(Query.of(f"problem {i}", id=f"p{i}", answer_type=number), "7") for i in range(3)])
    config = EvalConfig(suites=(suite,), strategies=("single", "majority:n=2"), runs=runs, run_id="toy-1")
    anyio.run(run_eval, config, Priced(lambda request: "the answer is 7"))
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


@pytest.fixture
def ttc() -> Callable[..., Any]:
    """Runs the command line: ``ttc("runs", "--json")``."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def card_of(runs: Path, run: str = "toy-1") -> dict[str, Any]:
    return orjson.loads((runs / run / "run.json").read_bytes())


def copy(runs: Path, name: str, **changes: Any) -> Path:
    """Another run like the first, with other things on its card."""
    made = Path(shutil.copytree(runs / "toy-1", runs / name))
    (made / "run.json").write_bytes(orjson.dumps({**card_of(runs), "run_id": name, **changes}))
    return made


def test_a_run_is_listed_with_what_it_is_of_and_what_was_paid(runs: Path, ttc: Callable[..., Any]) -> None:
    (said,) = orjson.loads(ttc("runs", "--runs", runs, "--json").output)
    assert (said["run"], said["state"], said["done"], said["total"]) == ("toy-1", "complete", 6, 6)
    assert (said["suites"], said["models"], said["strategies"]) == (["toy"], ["scripted"], ["single", "majority:n=2"])
    # Two samples of each of three problems: `single` shares the first with the majority.
    (paid,) = said["paid"].values()
    assert (said["calls"], paid["calls"], paid["generated_tokens"]) == (6, 6, 24)
    assert said["tokens"] == paid["prompt_tokens"] + 24
    assert said["dollars"] == pytest.approx((paid["prompt_tokens"] + 240) / 1e6)


def test_the_newest_comes_first(runs: Path) -> None:
    copy(runs, "older", started="2020-01-01T00:00:00+0000")
    copy(runs, "newer", started="2099-01-01T00:00:00+0000")
    assert [facts.name for facts in list_runs(runs)] == ["newer", "toy-1", "older"]


def test_an_interrupted_run_is_unfinished_and_says_how_to_go_on(runs: Path, ttc: Callable[..., Any]) -> None:
    with sqlite3.connect(runs / "toy-1" / FILE) as store:
        store.execute("DELETE FROM units WHERE problem = 'p1'")
    store.close()
    said = ttc("runs", "toy-1", "--runs", runs).output
    assert "toy-1: unfinished, 4 of 6 queries done" in said
    assert "go on with: ttc eval --resume toy-1" in said


def test_units_are_counted_by_the_card_where_the_store_does_not_say(runs: Path) -> None:
    with sqlite3.connect(runs / "toy-1" / FILE) as store:
        store.execute("DELETE FROM meta")
    store.close()
    assert facts_of(runs / "toy-1").total == 6
    copy(runs, "gone", config={**card_of(runs)["config"], "strategies": ["no_longer_there"]})
    assert (facts_of(runs / "gone").total, facts_of(runs / "gone").state) == (None, "unfinished")


def truncated(run: Path) -> None:
    (run / "run.json").write_text('{"run_id": ')


def without_card(run: Path) -> None:
    (run / "run.json").unlink()


def without_store(run: Path) -> None:
    (run / FILE).unlink()


def with_rubbish(run: Path) -> None:
    (run / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)


def with_another_card(run: Path) -> None:
    (run / "run.json").write_bytes(b'["not", "a", "card"]')


def of_another_version(run: Path) -> None:
    other = sqlite3.connect(run / FILE)
    other.execute("PRAGMA user_version=99")
    other.close()


def half_a_store(run: Path) -> None:
    whole = (run / FILE).read_bytes()
    (run / FILE).write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    "harm", [truncated, without_card, without_store, with_rubbish, with_another_card, of_another_version, half_a_store]
)
def test_a_damaged_run_hides_no_other_and_says_what_is_wrong(
    runs: Path, ttc: Callable[..., Any], harm: Callable[[Path], None]
) -> None:
    harm(copy(runs, "bad"))
    found = {said["run"]: said for said in orjson.loads(ttc("runs", "--runs", runs, "--json").output)}
    assert found["toy-1"]["state"] == "complete"
    assert found["bad"]["state"] == "damaged"
    assert found["bad"]["damage"]
    listed = ttc("runs", "--runs", runs)
    assert (listed.exit_code, "bad: " in listed.output) == (0, True)
    shown = ttc("runs", "bad", "--runs", runs)
    assert (shown.exit_code, "bad: damaged" in shown.output) == (0, True)


def test_a_run_that_is_being_written_is_said_to_be_and_goes_on(runs: Path) -> None:
    with Store(runs / "toy-1"):
        assert is_being_written(runs / "toy-1")
        assert facts_of(runs / "toy-1").state == "being written"
    assert not is_being_written(runs / "toy-1")
    Store(runs / "toy-1").close()  # to look took no lock


def test_hostile_names_reach_no_terminal(runs: Path, ttc: Callable[..., Any]) -> None:
    copy(runs, "hostile", started=HOSTILE, suites=[{"spec": HOSTILE}], models={HOSTILE: {"price": None}})
    damaged = runs / "\x1b[31mevil"
    damaged.mkdir()
    (damaged / "run.json").write_text("{}")
    for arguments in (("runs",), ("runs", "hostile")):
        output = ttc(*arguments, "--runs", runs).output
        assert "\x1b[31m" not in output
        assert "[red]evil[/]" in output.replace("\n", "")


def test_several_models_have_no_sum_of_tokens(runs: Path) -> None:
    with sqlite3.connect(runs / "toy-1" / FILE) as store:
        store.execute("UPDATE calls SET model = 'large' WHERE position = 0")
    store.close()
    facts = facts_of(runs / "toy-1")
    assert (facts.calls, facts.tokens, facts.dollars is None) == (6, None, False)
    assert {name: paid.calls for name, paid in facts.paid.items()} == {"large": 3, "scripted": 3}


def test_an_empty_folder_says_what_makes_a_run(tmp_path: Path, ttc: Callable[..., Any]) -> None:
    assert "'ttc eval' makes one" in ttc("runs", "--runs", tmp_path / "none").output
    assert orjson.loads(ttc("runs", "--runs", tmp_path, "--json").output) == []


def test_names_of_runs_are_completed_where_the_command_line_says(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(runs, "other")
    monkeypatch.chdir(runs.parent)
    assert run_names(SimpleNamespace(params={}), "t") == ["toy-1"]
    assert run_names(SimpleNamespace(params={"runs": runs}), "") == ["other", "toy-1"]
    assert run_names(SimpleNamespace(params={"runs": runs / "none"}), "") == []


@pytest.mark.parametrize(("form", "files"), [("jsonl", 3), ("inspect", 2)])
def test_a_run_is_exported(runs: Path, tmp_path: Path, ttc: Callable[..., Any], form: str, files: int) -> None:
    said = ttc("export", "toy-1", "--to", form, "--runs", runs)
    listed = [Path(line) for line in said.output.splitlines()]
    assert (said.exit_code, len(listed)) == (0, files)
    assert all(path.is_file() and path.parent == runs / "toy-1" / "exports" / form for path in listed)
    said = ttc("export", "toy-1", "--to", form, "--runs", runs, "--out", tmp_path / "out", "--json")
    assert len(orjson.loads(said.output)["files"]) == files
    assert len(list((tmp_path / "out").iterdir())) == files


def test_an_export_of_no_run_names_the_nearest(runs: Path, ttc: Callable[..., Any]) -> None:
    said = ttc("export", "toy-2", "--runs", runs)
    assert "Did you mean 'toy-1'?" in str(said.exception)


def test_a_store_without_a_card_is_told_from_a_run_that_never_began(runs: Path, ttc: Callable[..., Any]) -> None:
    (copy(runs, "toy-2") / "run.json").unlink()
    listed = ttc("runs", "--runs", runs, "--json")
    (lost,) = [run for run in orjson.loads(listed.stdout) if run["run"] == "toy-2"]
    assert lost["state"] == "damaged"
    assert "before it had begun" not in listed.stdout
