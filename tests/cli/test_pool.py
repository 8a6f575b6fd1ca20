"""``ttc pool``: columns become a pool, and a pool says what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.data import recorded
from ttc.cli import app
from ttc.errors import ConfigurationError, TTCError
from ttc.pool_files import read_pool, write_pool
from ttc.pool_statistics import pool_statistics
from ttc.pools import CutColumns, Pool, RecordedProblem

RUN = CliRunner()


def run(*arguments: str) -> str:
    done = RUN.invoke(app, ["pool", *arguments], env={"COLUMNS": "100"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    data: list[dict[str, Any]] = [
        {
            "run": run, "problem": f"p{i}", "model": model, "level": i, "answers": ["7", "7.0", "8"],
            "correct": [1, 1, 0], "tokens_out": [10, 20, None if i else 30], "reward": [3.0, 2.0, -1.0],
        }
        for run, model in (("r1", "small"), ("r2", "large"))
        for i in range(2)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return path


def test_columns_become_a_pool(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "pool.jsonl.gz"
    said = run(
        "import", str(rows), "--where", "model=small", "--answer", "number", "--tags", "level",
        "--score", "judge=reward", "--out", str(out),
    )  # fmt: skip
    pool = read_pool(out)
    assert said.splitlines() == [
        "2 problems, 5 samples of small; costs in tokens",
        "left out: 1 samples without tokens",
        "scores of judge lie outside [0, 1] and were squashed: 1/(1+exp(-reward))",
        f"written to {out}",
    ]
    assert [p.id for p in pool.problems] == ["r1:p0", "r1:p1"]
    assert pool.problems[0].answers == ("7", "7", "8")
    assert pool.problems[1].tags == {"level": "1"}
    assert pool.verifiers == ("judge",)


def test_a_pool_is_written_here_by_default(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = json.loads(run("import", str(rows), "--where", "run=r2", "--json"))
    assert facts["out"] == "rows.pool.jsonl.gz"
    assert (facts["model"], facts["problems"], facts["samples"]) == ("large", 2, 5)
    assert facts["info"]["left_out"] == {"samples without tokens": 1}
    assert len(read_pool("rows.pool.jsonl.gz")) == 2


def test_columns_of_other_names(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "pool.jsonl"
    run(
        "import", str(rows), "--columns", "answers=answers, right=correct,generated=tokens_out,id=run+level",
        "--where", "model=small", "--where", "model=large", "--model", "both", "--unit", "samples", "--out", str(out),
    )  # fmt: skip
    assert [p.id for p in read_pool(out).problems] == ["r1:0", "r1:1", "r2:0", "r2:1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--where", "model"], "--where model: say COLUMN=VALUE"),
        (["--columns", "answers"], "--columns answers: say NAME=COLUMN"),
        (["--score", "=reward"], "--score =reward: say NAME=COLUMN"),
        (["--score", "v=nocol", "--model", "both"], "scores: no row has a column 'nocol'; columns are "),
        (["--tags", "level,nosuch", "--model", "both"], "tags: no row has a column 'nosuch'; columns are "),
        (["--thinking", "hard"], "thinking: 'hard' is none: give off, low, medium, high"),
        (["--where", "model=huge"], "no row with model=huge; there are large, small"),
        ([], "the rows are of 2 models"),
        (["--unit", "characters"], "--unit tokens takes 4 rows"),
        (["--out", "/nowhere/pool.jsonl"], "there is no folder /nowhere"),
    ],
)
def test_mistakes_are_one_line(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=says) as caught:
        run("import", str(rows), *arguments)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    cut = CutColumns(answers=("7", "8", None, "7"), right=(1.0, 0.0, 0.0, 1.0), generated=(5.0, 6.0, 7.0, 8.0))
    problems = [
        RecordedProblem(
            id=f"p{i}",
            tags={"level": "easy" if i % 2 else "hard"},
            answers=("7", "8", "7", None),
            right=(1.0, 0.0, 1.0, 0.0) if i % 2 else (0.0, 0.0, 0.0, 0.0),
            generated=(10.0, 20.0, 30.0, 4000.0),
            seconds=(0.5, 1.0, 1.5, 2.0),
            scores={"judge": (0.9, 0.2, 0.8, None)},
            cuts={512: cut},
        )
        for i in range(6)
    ]
    path = tmp_path / "made.jsonl"
    write_pool(Pool(name="made", model="m", problems=tuple(problems), thinking="low"), path)
    return path


def test_stats_say_what_is_in_a_pool(pool: Path) -> None:
    out = run("stats", str(pool))
    s = pool_statistics(read_pool(pool))
    for said in (
        "made: m, thinking low",
        "6 problems, 24 samples, 4 of each at the least; costs in tokens",
        "0.250 [",
        "in fifths from hard to easy: 3, 0, 3, 0, 0",
        "without an answer: 25.0%",
        "level=easy",
        "judge",
    ):
        assert said in out
    table = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    low, high = s.majority_at[4].low, s.majority_at[4].high
    assert f"{s.majority_at[4].value:.3f} [{low:.3f}, {high:.3f}]" in table["4"]
    assert "1,015" in table["tokens"]
    assert "1.25" in table["seconds"]
    assert table["judge"].split()[1:] == ["18", "0.750", "1.000"]
    assert table["512"].split()[-2:] == ["6", "25.0%"]


def test_stats_as_data(pool: Path) -> None:
    (data,) = json.loads(run("stats", str(pool), "--json"))
    s = pool_statistics(read_pool(pool))
    assert data["file"] == str(pool)
    assert (data["problems"], data["unit"], data["width"]) == (6, "tokens", 4)
    assert data["pass_at"]["4"]["value"] == s.pass_at[4].value
    assert data["classes"]["level=hard"]["pass_at_1"]["value"] == 0
    assert data["cuts"]["512"]["cost"] == 6.5
    assert data["lengths"]["p95"] == s.lengths.p95
    assert s.beta is not None
    assert data["beta"] == {"a": s.beta.a, "b": s.beta.b}


def test_stats_of_several_pools(pool: Path) -> None:
    assert run("stats", str(pool), str(pool)).count("made: m") == 2
    assert len(json.loads(run("stats", str(pool), str(pool), "--json"))) == 2


def test_a_pool_without_verdicts_says_so(tmp_path: Path) -> None:
    problem = RecordedProblem(id="p", answers=("7",), right=(None,))
    write_pool(Pool(name="bare", model="m", problems=(problem,), unit="samples"), tmp_path / "bare.jsonl")
    assert "no verdicts: accuracies are not known" in run("stats", str(tmp_path / "bare.jsonl"))


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    problem = RecordedProblem(id="p", answers=("7",), right=(1.0,), tags={"level": "\x1b[2J"})
    write_pool(Pool(name="\x1b[31m", model="[bold]m", problems=(problem,)), tmp_path / "odd.jsonl")
    out = run("stats", str(tmp_path / "odd.jsonl"))
    assert "\x1b" not in out
    assert "[bold]m" in out


def test_what_is_no_pool_says_how_to_make_one(rows: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"this is no pool: .* ttc pool import"):
        run("stats", str(rows))


def test_a_model_of_the_data(tmp_path: Path) -> None:
    out = tmp_path / "gpt5.jsonl.gz"
    source = recorded("otis_aime.jsonl.gz")
    said = run("import", str(source), "--where", "model=openai/gpt-5-2025-08-07", "--out", str(out))
    assert said.startswith("45 problems, 360 samples of openai/gpt-5-2025-08-07; costs in tokens\n")
    assert "left out" not in said
