"""A run in the forms that other programs read: whole, documented, and with hostile text as text."""

from __future__ import annotations

import importlib
import importlib.util
import random
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc import registry
from ttc.errors import MissingExtra, RequestRejected, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.exports import FORMS, export_run
from ttc.evals.exports.columns import TABLES
from ttc.evals.runner import run_eval
from ttc.evals.store import FILE, read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.models.scripted import Scripted
from ttc.types import Query, Request

DOCS = Path(__file__).resolve().parents[2] / "docs" / "runs.md"
PROBLEMS, EPOCHS = 5, 2
STRATEGIES = ("single", "majority:n=4", "knockout:n=2")
HOSTILE = "</script><img src=x onerror=alert(1)> \x1b[31m <|im_end|> \u202e ,\n\"'=cmd|calc"


def reply(request: Request) -> str:
    words = str(request.messages[-1]["content"]).split()
    rng = random.Random(f"{request.seed} {request.kind}")
    if words[1] == "4" and request.kind == "generate":
        raise RequestRejected("refused <b>by the server</b>")
    right = words[1] if words[0] == "problem" else "7"
    return f"{HOSTILE} The answer is {right if rng.random() < 0.6 else rng.randrange(99)}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three strategies, in which every call of one problem failed."""
    number = registry.create("answer type", "number")
    queries = [Query.of(f"problem {i} {HOSTILE}", id=f"p/{i}", answer_type=number) for i in range(PROBLEMS)]
    suite = Suite("toy:a=1", [Problem(query, str(i)) for i, query in enumerate(queries)])
    config = EvalConfig(
        suites=(suite,),
        strategies=STRATEGIES,
        comparator="judge",
        epochs=EPOCHS,
        runs=tmp_path_factory.mktemp("runs"),
        run_id="r",
    )
    return anyio.run(run_eval, config, Scripted(reply)).directory


def rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def tables(run: Path, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: rows(path) for path in export_run(run, "jsonl", tmp_path)}


def test_every_table_has_its_columns_and_every_column_a_meaning(tables: dict[str, list[dict[str, Any]]]) -> None:
    assert set(tables) == {"calls", "units", "checkpoints"}
    kinds = {"text": str, "integer": int, "number": float | int, "truth": bool}
    for name, columns in TABLES.items():
        assert all(column.meaning for column in columns)
        assert len({column.name for column in columns}) == len(columns)
        for row in tables[name]:
            assert list(row) == [column.name for column in columns]
            for column in columns:
                assert row[column.name] is None or isinstance(row[column.name], kinds[column.kind]), column


def test_the_documentation_has_every_column() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    for columns in TABLES.values():
        assert {f"| `{c.name}` | {c.kind} | {c.meaning} |" for c in columns} <= set(lines)


def test_nothing_of_the_store_is_left_out(run: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    units = read_units(run)
    assert [row["unit"] for row in tables["units"]] == [unit.key for unit in units]
    assert len(tables["units"]) == PROBLEMS * EPOCHS * len(STRATEGIES)
    assert len(tables["checkpoints"]) == sum(len(unit.outcome.checkpoints) for unit in units)
    with sqlite3.connect(run / FILE) as store:
        (calls,) = store.execute("SELECT count(*) FROM calls").fetchone()
    store.close()
    assert len(tables["calls"]) == calls


def test_calls_units_and_checkpoints_find_each_other(tables: dict[str, list[dict[str, Any]]]) -> None:
    known = {row["unit"]: row for row in tables["units"]}
    assert {row["unit"] for row in tables["calls"]} <= set(known)
    for row in tables["checkpoints"]:
        unit = known[row["unit"]]
        assert (row["problem"], row["spec"], row["epoch"]) == (unit["problem"], unit["spec"], unit["epoch"])
        assert row["number"] < unit["checkpoints"]
    for row in tables["calls"]:
        assert row["problem"] == known[row["unit"]]["problem"]


def test_costs_and_verdicts_are_those_of_the_store(run: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    for unit, row in zip(read_units(run), tables["units"], strict=True):
        total = unit.outcome.total_usage
        assert (row["prompt_tokens"], row["reasoning_tokens"] + row["text_tokens"]) == (
            total.prompt_tokens,
            total.generated,
        )
        assert (row["thinking_tokens"], row["correct"]) == (unit.outcome.thinking_tokens, unit.correct)
        assert {k: v["calls"] for k, v in orjson.loads(row["usage"]).items()} == dict(unit.outcome.calls)


def test_failed_calls_are_there_with_their_error_and_are_not_replayable(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    failed = [row for row in tables["calls"] if row["finish"] == "failed"]
    assert failed
    assert {row["error"] for row in failed} == {"refused <b>by the server</b>"}
    assert not any(row["replayable"] for row in failed)
    assert {row["ended_by"] for row in tables["units"] if row["problem"] == "p/4"} == {"all_calls_failed"}


def test_hostile_text_is_text(tables: dict[str, list[dict[str, Any]]]) -> None:
    said = [row for row in tables["calls"] if row["kind"] == "generate" and row["finish"] == "stop"]
    assert all(row["text"].startswith(HOSTILE) for row in said)
    assert all(HOSTILE in orjson.loads(row["messages"])[-1]["content"] for row in said)


def test_parquet_holds_what_jsonl_holds(run: Path, tmp_path: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    for path in export_run(run, "parquet", tmp_path / "new"):
        table = parquet.read_table(path)
        assert table.to_pylist() == tables[path.stem]
        meanings = {c.name: c.meaning.encode() for c in TABLES[path.stem]}
        assert {name: table.schema.field(name).metadata[b"meaning"] for name in table.column_names} == meanings


def test_parquet_without_pyarrow_says_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("ttc.evals.exports.parquet.import_module", missing)
    with pytest.raises(MissingExtra, match=r"Parquet needs .* 'ttc-compute\[parquet\]'"):
        export_run(run, "parquet", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_whole_or_not_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    before = {path.name: path.read_bytes() for path in export_run(run, form, tmp_path)}
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"nothing was exported, .* cannot be written: No space left on device"):
        export_run(run, form, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be made"):
        export_run(run, "jsonl", tmp_path / "file")


def test_what_is_no_run_leaves_nothing_behind(tmp_path: Path) -> None:
    for form in ("jsonl", "inspect"):
        with pytest.raises(RunError, match="there is no run"):
            export_run(tmp_path / "none", form, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# -- inspect_ai -------------------------------------------------------------------------------------------------------


def read_log(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Header, samples and summaries of a log, by the format alone."""
    with zipfile.ZipFile(path) as log:
        assert log.testzip() is None
        assert orjson.loads(log.read("_journal/start.json"))["version"] == 2
        samples = [orjson.loads(log.read(name)) for name in log.namelist() if name.startswith("samples/")]
        return orjson.loads(log.read("header.json")), samples, orjson.loads(log.read("summaries.json"))


@pytest.fixture
def logs(run: Path, tmp_path: Path) -> dict[str, Path]:
    """The logs by the strategy that they are of."""
    return {read_log(path)[0]["eval"]["task_args"]["strategy"]: path for path in export_run(run, "inspect", tmp_path)}


def test_each_strategy_has_a_log_that_says_what_was_run(run: Path, logs: dict[str, Path]) -> None:
    assert set(logs) == set(STRATEGIES)
    for spec, path in logs.items():
        header, samples, summaries = read_log(path)
        assert (header["version"], header["status"], header["eval"]["model"]) == (2, "success", "scripted")
        assert header["eval"]["dataset"] == {"name": "toy:a=1", "samples": PROBLEMS}
        assert header["eval"]["config"]["epochs"] == EPOCHS
        assert header["plan"]["steps"] == [{"solver": spec, "params": {}}]
        assert len(samples) == len(summaries) == header["results"]["completed_samples"] == PROBLEMS * EPOCHS
        assert {(s["id"], s["epoch"]) for s in samples} == {
            (f"p/{i}", epoch) for i in range(PROBLEMS) for epoch in (1, 2)
        }


def test_scores_and_usage_of_a_log_are_those_of_the_run(run: Path, logs: dict[str, Path]) -> None:
    units = {(u.spec, u.problem, u.epoch + 1): u for u in read_units(run)}
    for spec, path in logs.items():
        header, samples, summaries = read_log(path)
        mine = [u for u in units.values() if u.spec == spec]
        (score,) = header["results"]["scores"]
        assert score["metrics"]["accuracy"]["value"] == pytest.approx(sum(u.correct for u in mine) / len(mine))
        for sample, summary in zip(samples, summaries, strict=True):
            unit = units[spec, sample["id"], sample["epoch"]]
            total = unit.outcome.total_usage
            used = sample["model_usage"]["scripted"]
            assert used["input_tokens"] + used["input_tokens_cache_read"] == total.prompt_tokens
            assert (used["output_tokens"], used["total_tokens"]) == (total.generated, total.total)
            verdict = sample["scores"][score["name"]]
            assert (verdict["value"], verdict["answer"]) == ("C" if unit.correct else "I", unit.outcome.answer)
            assert summary["scores"][score["name"]]["value"] == verdict["value"]
            assert len(sample["events"]) == len(unit.outcome.trace)
            assert len(sample["metadata"]["checkpoints"]) == len(unit.outcome.checkpoints)
        used = header["stats"]["model_usage"]["scripted"]
        assert used["total_tokens"] == sum(u.outcome.total_usage.total for u in mine)


def test_a_sample_shows_the_chat_and_a_failed_one_its_error(logs: dict[str, Path]) -> None:
    for path in logs.values():
        _, samples, _ = read_log(path)
        for sample in samples:
            assert HOSTILE in sample["messages"][0]["content"]
            if sample["id"] == "p/4":
                assert sample["error"]["message"] == "refused <b>by the server</b>"
                assert len(sample["messages"]) == 1 or sample["messages"][1]["content"] == ""
            else:
                assert sample["error"] is None
                assert sample["messages"][-1]["content"].startswith(HOSTILE)


def test_an_unfinished_run_is_no_success(run: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "run.json").write_bytes((run / "run.json").read_bytes())
    whole, store = sqlite3.connect(run / FILE), sqlite3.connect(part / FILE)
    whole.backup(store)
    store.execute("DELETE FROM units WHERE problem = 'p/1'")
    store.commit()
    for connection in (whole, store):
        connection.close()
    for path in export_run(part, "inspect", tmp_path / "out"):
        header, samples, _ = read_log(path)
        assert (header["status"], header["results"]["total_samples"], len(samples)) == (
            "cancelled",
            PROBLEMS * EPOCHS,
            (PROBLEMS - 1) * EPOCHS,
        )


def test_models_of_one_run_have_logs_of_their_own(tmp_path: Path) -> None:
    number = registry.create("answer type", "number")
    suite = Suite("toy", [Problem(Query.of(f"problem {i}", id=f"p{i}", answer_type=number), "7") for i in range(2)])
    config = EvalConfig(suites=(suite,), strategies=("single",), runs=tmp_path, run_id="r")
    models = {name: Scripted(lambda _, said=text: said) for name, text in (("small", "7"), ("large", "so it is 7"))}
    run = anyio.run(run_eval, config, models).directory
    found = {}
    for path in export_run(run, "inspect"):
        header, samples, _ = read_log(path)
        name = header["eval"]["model"]
        assert [list(s["model_usage"]) for s in samples] == [[name], [name]]
        found[name] = header["stats"]["model_usage"][name]["output_tokens"]
    assert found == {"small": 2, "large": 8}
    units = rows(export_run(run, "jsonl")[1])
    assert sorted((row["model"], row["text_tokens"]) for row in units) == [("large", 4)] * 2 + [("small", 1)] * 2


def test_right_answers_come_from_the_suite_where_that_can_be_loaded(logs: dict[str, Path], tmp_path: Path) -> None:
    for path in logs.values():  # a suite that was made in memory
        assert {sample["target"] for sample in read_log(path)[1]} == {""}
    config = EvalConfig(suites=("arithmetic:per_family=1",), strategies=("single",), limit=3, runs=tmp_path, run_id="r")
    run = anyio.run(run_eval, config, Scripted(lambda _: "7")).directory
    gold = {p.query.id: p.gold for p in load_suite("arithmetic:per_family=1").problems}
    (path,) = export_run(run, "inspect", tmp_path / "out")
    _, samples, summaries = read_log(path)
    assert len(samples) == 3
    for sample in (*samples, *summaries):
        assert sample["target"] == gold[sample["id"]] != ""


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is not installed: its reader")
def test_inspect_reads_the_logs(logs: dict[str, Path]) -> None:
    reader: Any = importlib.import_module("inspect_ai.log")
    for path in logs.values():
        log = reader.read_eval_log(str(path))
        header, samples, _ = read_log(path)
        assert log.status == "success"
        assert len(log.samples) == len(samples)
        assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(
            header["results"]["scores"][0]["metrics"]["accuracy"]["value"]
        )
        assert {s.output.completion[: len(HOSTILE)] for s in log.samples if not s.error} == {HOSTILE}
        assert len(reader.read_eval_log_sample_summaries(str(path))) == len(samples)
