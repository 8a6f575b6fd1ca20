"""``ttc verify``: reference solutions in the sandbox, and what is said when one fails or there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.data import dataset
from ttc.cli import app
from ttc.errors import ConfigurationError, SandboxUnavailable
from ttc.verifiers.code import shared_sandbox

RUN = CliRunner()


@pytest.fixture(scope="module", autouse=True)
def jail() -> None:
    try:
        shared_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def spec(folder: Path, *codes: str) -> str:
    """A suite of MBPP's form: each problem asks for a function that doubles, and has one of the references."""
    rows = [
        {
            "task_id": i,
            "prompt": "Double.",
            "code": code,
            "test_list": ["assert double(2) == 4", "assert double(3) == 6"],
        }
        for i, code in enumerate(codes)
    ]
    file = folder / "tasks.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return f"mbpp:path={file}"


GOOD, SQUARE = "def double(x): return 2 * x", "def double(x): return x * x"


def test_all_references_pass_and_the_speed_is_told(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["verify", "--suite", spec(tmp_path, GOOD, GOOD), "--canonical"])
    assert done.exit_code == 0
    assert "2/2 reference solutions of mbpp pass" in done.stdout
    assert "executions/s" in done.stdout
    assert f"isolation: {shared_sandbox().isolation}" in done.stdout


def test_a_reference_that_fails_is_listed_with_test_and_reason(tmp_path: Path) -> None:
    arguments = ["verify", "--suite", spec(tmp_path, GOOD, SQUARE), "--canonical"]
    done = RUN.invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "1/2 reference solutions of mbpp pass (1 failed)" in done.stdout
    assert "mbpp/1" in done.stdout
    assert "double(3) returned 9" in done.stdout
    report = json.loads(RUN.invoke(app, [*arguments, "--json"]).stdout)
    assert (report["passed"], report["problems"], report["tests"]) == (1, 2, 6)
    assert [(f["id"], f["status"], f["test"], f["others"]) for f in report["failed"]] == [
        ("mbpp/1", "failed", "assert double(3) == 6", 0)
    ]
    assert report["isolation"] == shared_sandbox().isolation
    assert report["median_ms"] > 0
    assert report["per_second"] > 0


def test_without_canonical_it_says_what_there_is(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["verify", "--suite", spec(tmp_path, GOOD)])
    assert isinstance(done.exception, ConfigurationError)
    assert "--canonical" in str(done.exception)
    assert "ttc grade FILE --suite" in str(done.exception)


def test_a_suite_without_references_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "2 + 2?", "answer": "#### 4"}')
    done = RUN.invoke(app, ["verify", "--suite", f"gsm8k:path={file}", "--canonical"])
    assert isinstance(done.exception, ConfigurationError)
    assert "has no reference solutions" in str(done.exception)


def test_mistakes_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for suite in ("humanevil", f"mbpp+:path={tmp_path / 'none.jsonl'}"):
        command = [sys.executable, "-m", "ttc", "verify", "--suite", suite, "--canonical"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("ttc: ")


def test_where_no_jail_can_be_made_nothing_runs_and_the_flag_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise SandboxUnavailable("no Landlock; --unsafe-local-exec permits it")

    monkeypatch.setattr("ttc.verifiers.code.shared_sandbox", none)
    monkeypatch.setattr("ttc.evals.grading.shared_sandbox", none)
    done = RUN.invoke(app, ["verify", "--suite", spec(tmp_path, GOOD), "--canonical"])
    assert isinstance(done.exception, SandboxUnavailable)
    assert "--unsafe-local-exec" in str(done.exception)


def test_humaneval_from_a_file() -> None:
    suite = f"humaneval:path={dataset('HumanEval.jsonl.gz')},limit=20"
    report = json.loads(RUN.invoke(app, ["verify", "--suite", suite, "--canonical", "--json"]).stdout)
    assert (report["passed"], report["problems"], report["failed"]) == (20, 20, [])
