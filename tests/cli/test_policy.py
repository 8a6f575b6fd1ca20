"""``ttc policy`` shows a policy to a person, checks one, and ``--policy`` gives it to ``adaptive``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from tests.adaptive.test_policy import policy
from tests.strategies.hand_made_stops import stopped
from ttc import registry
from ttc.adaptive.policy import Escalation, Estimation, Policy, Provenance, Row
from ttc.cli import app
from ttc.cli.policy_option import with_policy
from ttc.errors import ConfigurationError, TTCError
from ttc.seeds import problem_hash
from ttc.testing import FakeServer, Reply

RUN = CliRunner()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    policy().write(path)
    return path


def run(*arguments: str | Path) -> str:
    done = RUN.invoke(app, ["policy", *map(str, arguments)], env={"COLUMNS": "100"})
    if isinstance(done.exception, TTCError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


# -- show -------------------------------------------------------------------------------------------------------------


def test_the_head_says_for_what_and_how_good(written: Path) -> None:
    out = run("show", written)
    assert "policy for smollm2, made 2026-11-28, tuned on 84 problems" in out
    assert "difficulty is estimated by the probe; a probe of 4 samples of at most 200 tokens" in out
    assert "a point of accuracy is worth 83.3 thinking tokens" in out
    assert "cross-validated: accuracy 61% [52, 70], thinking tokens a query 812 [700, 930], 84 problems" in out


def test_each_row_is_shown_with_all_that_it_sets(written: Path) -> None:
    out = run("show", written)
    lines = [line.strip() for line in out.splitlines()]
    first = lines.index(next(line for line in lines if line.startswith("addition")))
    assert lines[first].split() == [
        *("addition", "0", "to", ".35", "majority:n=16"),
        *("61%", "[52,", "70]", "812", "[700,", "930]", "84"),
    ]
    assert lines[first + 1 : first + 7] == [
        "thinking 512",
        "stop gain",
        "at most 4,000 tokens",
        "confidence below .6:",
        "best_of_n:n=8",
        "model smollm2",
    ]
    assert "verifier self_certainty" in lines


def test_rows_stand_in_the_order_of_difficulty_and_the_default_ones_last(written: Path) -> None:
    out = run("show", written)
    assert out.index(".35 to 1") < out.index("0 to .2") < out.index(".2 to 1")
    assert out.index("give up") < out.index("knockout:n=4")


def test_what_was_not_measured_is_not_shown_as_if(written: Path) -> None:
    assert "not measured" in run("show", written)
    assert "%" not in _shown_prior(written.parent)


def _shown_prior(folder: Path) -> str:
    Policy.prior().write(folder / "prior.toml")
    return run("show", folder / "prior.toml")


def test_a_prior_is_shown_as_uncalibrated(tmp_path: Path) -> None:
    out = _shown_prior(tmp_path)
    assert "for any model" in out
    assert "uncalibrated: a prior that was tuned on nothing" in out
    assert "whose agreement stands for P(right)" in out
    assert "at most 32,000 tokens" in out
    assert "accuracy" not in out


def test_where_it_comes_from_is_said(tmp_path: Path) -> None:
    came = Provenance(
        problems=84,
        folds=5,
        seeds=(0, 1),
        aim="budget=2000",
        recording={"generate": 51_000.0},
        earned_back=310.4,
        warnings=("class 'spell' has 6 problems",),
    )
    policy(provenance=came).write(tmp_path / "p.toml")
    out = run("show", tmp_path / "p.toml")
    for said in (
        "tuned for budget=2000, 5 folds, seeds 0, 1",
        "recording cost generate 51,000",
        "earned back after 310 queries",
        "note: class 'spell' has 6 problems",
    ):
        assert said in out


def test_figures_of_a_table_that_was_edited_are_marked(written: Path) -> None:
    assert "edited" not in run("show", written)
    written.write_text(written.read_text().replace("majority:n=16", "majority:n=12"))
    out = run("show", written)
    assert "edited by hand since" in out
    assert "measured of the one that was tuned, not of this" in out


def test_another_version_is_shown_and_said(written: Path) -> None:
    written.write_text(written.read_text().replace("version = 1", "version = 2", 1))
    assert "version 2: this ttc knows version 1" in run("show", written)


def test_a_table_fits_into_a_hundred_columns(written: Path) -> None:
    assert max(map(len, run("show", written).splitlines())) <= 100


def test_no_control_sequence_of_a_file_reaches_the_terminal(tmp_path: Path) -> None:
    rows = (Row(query_class="a\x1b[31mb", strategy="majority"), Row(query_class="default", strategy="majority"))
    policy(rows=rows, model="m\x1b]0;title\x07").write(tmp_path / "p.toml")
    out = run("show", tmp_path / "p.toml")
    assert "\x1b" not in out
    assert "\x07" not in out


def test_json_holds_the_table_and_no_hashes(written: Path) -> None:
    found = json.loads(run("show", written, "--json"))
    assert found["row"][0]["class"] == "addition"
    assert found["row"][0]["expected"]["accuracy_interval"] == [0.52, 0.7]
    assert found["label"] == "tuned on 84 problems"
    assert found["stops"] == ["gain"]
    assert found["problem_hashes"] == 84
    assert "hashes" not in found


# -- check ------------------------------------------------------------------------------------------------------------


def test_a_good_policy_is_said_to_be_one(written: Path) -> None:
    assert run("check", written) == f"{written}: 4 rows for 2 classes; tuned on 84 problems\n"
    assert json.loads(run("check", written, "--json"))["classes"] == ["addition", "default"]
    run("check", written, "--model", "smollm2")


def test_a_bad_one_is_refused_with_its_line(written: Path) -> None:
    written.write_text(written.read_text().replace("majority:n=16", "majority:n=0"))
    with pytest.raises(ConfigurationError, match=r"policy\.toml, line \d+, row 1, strategy: .*n=0: must be 1 to"):
        run("check", written)


def test_one_for_another_model_is_refused(written: Path) -> None:
    with pytest.raises(ConfigurationError, match="tuned for model 'smollm2', and 'qwen' is served"):
        run("check", written, "--model", "qwen")


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="'ttc tune' makes one"):
        run("show", "nowhere.toml")


# -- --policy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "specs"),
    [
        ([], ["adaptive:policy=p.toml"]),
        (["adaptive"], ["adaptive:policy=p.toml"]),
        (["adaptive:"], ["adaptive:,policy=p.toml"]),
        (["single", "majority:n=4"], ["single", "majority:n=4", "adaptive:policy=p.toml"]),
        (["single", "adaptive"], ["single", "adaptive:policy=p.toml"]),
        (["adaptive:force=true"], ["adaptive:force=true,policy=p.toml"]),
        (["adaptive:policy=q.toml"], ["adaptive:policy=q.toml", "adaptive:policy=p.toml"]),
        (["adaptive:policy=q.toml", "adaptive"], ["adaptive:policy=q.toml", "adaptive:policy=p.toml"]),
    ],
)
def test_the_policy_goes_to_what_takes_it(given: list[str], specs: list[str]) -> None:
    assert with_policy(given, Path("p.toml")) == specs


def test_force_goes_with_it() -> None:
    assert with_policy(["adaptive"], Path("p.toml"), force=True) == ["adaptive:policy=p.toml,force=true"]
    with pytest.raises(ConfigurationError, match="name one with --policy FILE"):
        with_policy(["adaptive"], None, force=True)


def test_without_a_policy_nothing_changes() -> None:
    assert with_policy(["adaptive", "single"], None) == ["adaptive", "single"]


@pytest.mark.parametrize("path", ["a,b.toml", "my policies/p.toml", "a=(b),c.toml", "[x].toml", " p.toml", "p=q.toml"])
def test_any_path_reaches_the_strategy_as_it_is(path: str) -> None:
    (spec,) = with_policy(["adaptive"], Path(path), force=True)
    assert registry.parse_spec("strategy", spec) == ("adaptive", {"policy": path, "force": "true"})


@pytest.mark.parametrize("path", ["a(b.toml", "a)b.toml"])
def test_a_path_that_no_spec_can_hold_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="give the file a plainer name"):
        with_policy(["adaptive"], Path(path))


# -- in a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A policy for the fake server's model, tuned on the first two of the questions below."""
    path = tmp_path / "mine.toml"
    policy(
        model="fake",
        classes=None,
        difficulty=Estimation(probe=2),
        rows=(
            Row(query_class="default", difficulty=(0, 0.9), strategy="majority:n=4"),
            Row(query_class="default", difficulty=(0.9, 1), strategy=""),
        ),
        estimator=None,
        stops={},
        confidence=None,
        hashes=frozenset(problem_hash(f"q{i}") for i in range(2)),
    ).write(path)
    return path


def questions(folder: Path, first: int, last: int) -> str:
    file = folder / f"{first}-{last}.jsonl"
    rows = [{"id": f"q{i}", "prompt": f"{i} + 0?", "answer": i} for i in range(first, last)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file:{file},type=number,id=id"


async def ttc(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    done = await anyio.run_process([sys.executable, "-m", "ttc", *map(str, arguments)], check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, err
    assert "Traceback" not in err
    return out, err


def said_seven(_body: dict[str, Any], _index: int) -> Reply:
    return Reply(text="the answer is 7")


@pytest.mark.anyio
async def test_solve_runs_by_a_policy(mine: Path) -> None:
    async with FakeServer(model="fake", reply=said_seven) as server:
        out, _ = await ttc("solve", "7?", "--policy", mine, "--base-url", server.url, "--json")
    found = json.loads(out)
    assert found["answer"] == "7"
    assert found["calls"] == {"probe": 2}  # both agree, and the row says that their answer will do


@pytest.mark.anyio
async def test_a_trace_shows_how_a_policy_came_to_what_it_did(tmp_path: Path) -> None:
    then = Escalation(below=0.9, strategy="single", thinking="high")
    stopped(rows=(Row(query_class="default", strategy="majority:n=12", stop="between", escalate=then),)).write(
        tmp_path / "p.toml"
    )
    async with FakeServer(model="fake", reply=lambda body, k: Reply(text=f"the answer is {k}")) as server:
        out, _ = await ttc("solve", "7?", "--policy", tmp_path / "p.toml", "--base-url", server.url, "--trace")
    assert "difficulty, class default: row 1, majority:n=12 (policy uncalibrated" in out
    assert "stop after 4 samples of the draw: to go on would bring -0.0" in out
    assert "confidence 0.25 by agreement, escalation below 0.90: escalate" in out


@pytest.mark.anyio
async def test_a_policy_for_another_model_is_refused_or_forced(mine: Path) -> None:
    async with FakeServer(model="other", reply=said_seven) as server:
        _, err = await ttc("solve", "7?", "--policy", mine, "--base-url", server.url, code=2)
        assert "tuned for model 'fake', and 'other' is served" in err
        assert "--force-policy" in err
        assert server.generated_tokens == 0
        out, _ = await ttc("solve", "7?", "--policy", mine, "--force-policy", "--base-url", server.url)
    assert "tuned for model 'fake', and 'other' is served" in out


@pytest.mark.anyio
async def test_solve_takes_one_strategy(mine: Path) -> None:
    _, err = await ttc("solve", "7?", "-s", "majority", "--policy", mine, code=2)
    assert "--policy is for 'adaptive', and --strategy majority takes none" in err


@pytest.mark.anyio
async def test_eval_runs_a_policy_on_other_problems_and_refuses_its_own(mine: Path, tmp_path: Path) -> None:
    async with FakeServer(model="fake", reply=said_seven) as server:
        how = ("-s", "single", "--policy", mine, "--base-url", server.url, "--runs", tmp_path / "runs", "--no-report")
        _, err = await ttc("eval", questions(tmp_path, 0, 9), *how, code=2)
        assert "was tuned on 2 of these 9 problems" in err
        assert "7 of its 9 problems were not tuned on" in err
        assert server.generated_tokens == 0
        out, _ = await ttc("eval", questions(tmp_path, 2, 9), *how, "--json")
    specs = {curve["strategy"] for curve in json.loads(out)["curves"]}
    assert specs == {"single", f"adaptive:policy={mine}"}


@pytest.mark.anyio
async def test_a_run_that_goes_on_keeps_its_own_policy(mine: Path) -> None:
    _, err = await ttc("eval", "--resume", "r", "--policy", mine, code=2)
    assert "leave out: --policy" in err
