"""``ttc eval`` as people run it: a table, files, clear mistakes, and a run that goes on after Ctrl-C."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.testing import FakeServer, Reply

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """The spec of a suite in a local file: six questions whose answer is their number."""
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"What is the number of question {i}?", "answer": f"It is {i}.\n#### {i}"} for i in range(6)]
    file.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return f"gsm8k:path={file}"


def reply(body: dict[str, Any], _: int) -> Reply:
    rng = random.Random(f"{body['seed']}{body['messages'][-1]['content']}")
    return Reply(text="so " * rng.randrange(3, 9) + f"the answer is {rng.randrange(6)}")


async def ttc(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command in a folder; return what it printed on standard output and error."""
    command = [sys.executable, "-m", "ttc", *arguments]
    done = await anyio.to_thread.run_sync(partial(subprocess.run, command, cwd=folder, capture_output=True, text=True))
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


async def test_an_eval_ends_with_a_table_and_files(tmp_path: Path, questions: str) -> None:
    arguments = [
        "-s",
        "single",
        "-s",
        "majority",
        "-s",
        "knockout",
        "--budgets",
        "1,2,4",
        "--run-id",
        "mine",
        "--no-report",
    ]
    async with FakeServer(reply=reply) as server:
        out, err = await ttc(tmp_path, "eval", questions, "--base-url", server.url, *arguments)
        sent = len(server.requests)
        again, _ = await ttc(tmp_path, "eval", "--resume", "mine", "--base-url", server.url, "--json")
        by_path, _ = await ttc(tmp_path, "eval", "--resume", "runs/mine", "--base-url", server.url, "--json")
        assert len(server.requests) == sent  # it was finished
    assert by_path == again
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if "±" in line and not line.startswith("accuracy")][:2] == [
        "single",
        "knockout",
    ]
    assert "difference to single" in out
    assert "above single" in out or "not resolved" in out
    assert f"{sent} calls made" in err
    assert "queries" in err
    assert {p.name for p in (tmp_path / "runs" / "mine").iterdir()} >= {"run.json", "summary.json", "store.sqlite"}
    summary = orjson.loads(again)  # nothing else is on standard output
    assert {p["setting"] for c in summary["curves"] for p in c["points"]} == {"", "n=1", "n=2", "n=4"}
    assert summary == orjson.loads((tmp_path / "runs" / "mine" / "summary.json").read_bytes())


async def test_options_override_a_file(tmp_path: Path, questions: str) -> None:
    settings = (
        f'suites = ["{questions}"]\nstrategies = ["majority:n=2,stop=never"]\nseed = 3\n[sampling]\nmax_tokens = 20\n'
    )
    (tmp_path / "eval.toml").write_text(settings)
    async with FakeServer(reply=reply) as server:
        arguments = ["--config", "eval.toml", "--base-url", server.url, "--limit", "2", "--temperature", "0.3"]
        await ttc(tmp_path, "eval", *arguments, "--run-id", "a", "--no-report")
        assert len(server.requests) == 4
        assert {(b["max_tokens"], b["temperature"]) for b in server.requests} == {(20, 0.3)}
    card = orjson.loads((tmp_path / "runs" / "a" / "run.json").read_bytes())
    assert (card["config"]["seed"], card["config"]["limit"]) == (3, 2)


async def test_the_limit_of_a_query_joins_its_budget_and_overrides_that_of_a_file(
    tmp_path: Path, questions: str
) -> None:
    settings = f'suites = ["{questions}"]\nstrategies = ["single"]\nbudget = "300,seconds=20"\n'
    (tmp_path / "eval.toml").write_text(settings)
    async with FakeServer(reply=reply) as server:
        for run_id, given in (("file", []), ("option", ["--budget", "calls=5"])):
            arguments = ["--config", "eval.toml", "--base-url", server.url, "--max-tokens", "400", *given]
            await ttc(tmp_path, "eval", *arguments, "--run-id", run_id, "--no-report")
    cards = [orjson.loads((tmp_path / "runs" / name / "run.json").read_bytes()) for name in ("file", "option")]
    assert [card["config"]["budget"] for card in cards] == [
        "generated_tokens=400,seconds=20.0",
        "generated_tokens=400,calls=5",
    ]


async def test_ctrl_c_says_how_to_go_on(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply, token_delay=0.01) as server:
        arguments = ["eval", questions, "--base-url", server.url, "-s", "majority:n=4,stop=never", "--run-id", "cut"]
        command = [sys.executable, "-m", "ttc", *arguments, "--concurrency", "1", "--no-report"]
        process = await anyio.open_process(command, cwd=tmp_path)
        while len(server.requests) < 9:  # noqa: ASYNC110 -- a counter
            await anyio.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = b"".join([chunk async for chunk in process.stderr]).decode()
        assert await process.wait() == 130
        await process.aclose()
        assert "ttc: interrupted: " in err
        assert "of 6 queries are done. Go on with: ttc eval --resume cut" in err
        assert "Traceback" not in err
        _, err = await ttc(tmp_path, "eval", "--resume", "cut", "--base-url", server.url, "--no-report")
        assert "of 6 done before" in err
    summary = orjson.loads((tmp_path / "runs" / "cut" / "summary.json").read_bytes())
    assert summary["problems"]["all"] == 6


async def test_mistakes_are_one_line(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply, context=40) as server:
        here = ["--base-url", server.url, "--no-report"]
        wrong: list[tuple[list[str], str]] = [
            ([], "name a suite"),
            (["arithmatic"], "Did you mean 'arithmetic'"),
            ([questions, "-s", "majorty"], "Did you mean 'majority'"),
            ([questions, "--budgets", "1,x"], "give whole numbers"),
            ([questions, "--run-id", "../../x"], "run id '../../x'"),
            ([questions, "--model", "other"], "fake"),
            (["--resume", "nothing"], "there is no run"),
            (["--resume", "nothing", "--seed", "1"], "leave out: --seed"),
            ([questions, "-s", "single", "--sample-tokens", "500"], "do not fit"),
            ([questions, "--max-tokens", "9", "--budget", "30"], "both limit the generated tokens"),
            ([questions, "--max-tokens", "0"], "a limit must be a positive number"),
            (["--resume", "nothing", "--max-tokens", "9"], "leave out: --max-tokens"),
        ]
        for arguments, words in wrong:
            out, err = await ttc(tmp_path, "eval", *arguments, *here, code=2)
            assert out == ""
            last = err.strip().splitlines()[-1]
            assert last.startswith("ttc: ")
            assert words in last
            assert "Traceback" not in err
    out, err = await ttc(tmp_path, "eval", questions, *here, code=2)
    assert f"{server.url}" in err.strip().splitlines()[-1]  # it is gone by now


async def test_what_is_wrong_with_a_suite_or_its_verifier_is_said_before_a_server_is_asked(tmp_path: Path) -> None:
    nobody = ["--base-url", "http://127.0.0.1:9", "--no-report", "-s", "best_of_n:n=2"]
    (tmp_path / "words.jsonl").write_text('{"prompt": "Which?", "answer": "this"}\n')
    for suite, more, words in (
        ("file:gone.jsonl", [], "gone.jsonl cannot be read"),
        ("gsm8k:path=gone.jsonl", [], "gone.jsonl cannot be read"),
        ("file:words.jsonl", ["--verifier", "public_tests"], "none of these 1 problems has any"),
    ):
        out, err = await ttc(tmp_path, "eval", suite, *nobody, *more, code=2)
        (line,) = err.strip().splitlines()
        assert line.startswith("ttc: ")
        assert words in line
        assert out == ""
    _, err = await ttc(tmp_path, "eval", "file:words.jsonl", *nobody, code=2)
    assert "is the server running?" in err


async def test_a_level_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    rows = [{"prompt": f"Number {i}?", "answer": i, "level": level} for i, level in enumerate(("[/b]", "[red]", "x"))]
    (tmp_path / "levels.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    async with FakeServer(reply=reply) as server:
        suite = "file:levels.jsonl,tags=level"
        out, _ = await ttc(tmp_path, "eval", suite, "-s", "single", "--base-url", server.url, "--no-report")
    assert "[/b]" in out
    assert "[red]" in out


async def test_a_run_is_called_by_its_specs_and_goes_on_with_them(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        there = ["--base-url", server.url, "--no-report"]
        await ttc(tmp_path, "eval", questions, "-s", "single", "--run-id", "mine", *there)
        sent = len(server.requests)
        card = orjson.loads((tmp_path / "runs" / "mine" / "run.json").read_bytes())
        assert card["config"]["suites"] == [questions]
        assert card["suites"][0]["spec"] == questions
        await ttc(tmp_path, "eval", "--resume", "mine", *there)
        await ttc(tmp_path, "eval", questions, "-s", "single", "--run-id", "mine", *there)
        assert len(server.requests) == sent
