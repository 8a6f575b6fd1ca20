"""``ttc record`` as people run it: a pool, clear mistakes before anything is paid, and a recording that goes on."""

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

from ttc.pool_files import read_pool
from ttc.testing import FakeServer, Reply

pytestmark = pytest.mark.anyio


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """The spec of a suite in a local file: six questions whose answer is their number."""
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"What is the number of question {i}?", "answer": f"It is {i}.\n#### {i}"} for i in range(6)]
    file.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return f"gsm8k:path={file}"


def reply(body: dict[str, Any], _: int) -> Reply:
    rng = random.Random(f"{body['seed']}{body['messages'][-1]['content']}")
    if body.get("continue_final_message"):
        return Reply(text=f" {rng.randrange(6)}", cached_tokens=3)
    return Reply(text="so " * rng.randrange(3, 9) + f"the answer is {rng.randrange(6)}")


async def ttc(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run the command in a folder; return what it printed on standard output and error."""
    command = [sys.executable, "-m", "ttc", *arguments]
    done = await anyio.to_thread.run_sync(partial(subprocess.run, command, cwd=folder, capture_output=True, text=True))
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


async def test_a_recording_ends_with_a_pool_and_what_it_cost(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        arguments = ["record", questions, "--base-url", server.url, "-n", "3", "--verifier", "mean_logprob"]
        out, err = await ttc(tmp_path, *arguments, "--run-id", "mine", "--out", "pool.jsonl.gz")
        sent = len(server.requests)
        again, _ = await ttc(
            tmp_path, "record", "--resume", "mine", "--base-url", server.url, "--out", "again.jsonl", "--json"
        )
        assert len(server.requests) == sent  # it was done
    assert sent == 18
    assert "6 problems, 18 samples" in out
    assert "scored by mean_logprob" in out
    assert "charged: generate" in out
    assert "18 calls made" in err
    pool, same = read_pool(tmp_path / "pool.jsonl.gz"), read_pool(tmp_path / "again.jsonl")
    assert pool == same
    assert [len(p) for p in pool.problems] == [3] * 6
    facts = orjson.loads(again)  # nothing else is on standard output
    assert (facts["problems"], facts["width"], facts["verifiers"]) == (6, 3, ["mean_logprob"])
    assert facts["cost"]["generate"] == pytest.approx(18 * facts["mean_generated"])


async def test_another_recording_takes_from_the_cache_what_the_first_has_paid_for(
    tmp_path: Path, questions: str
) -> None:
    async with FakeServer(reply=reply, root="maker/fake") as server:
        arguments = ["record", questions, "--base-url", server.url, "--cache", "kept"]
        await ttc(tmp_path, *arguments, "-n", "3", "--run-id", "a", "--out", "a.jsonl")
        sent = len(server.requests)
        _, err = await ttc(tmp_path, *arguments, "-n", "4", "--run-id", "b", "--out", "b.jsonl")
        assert len(server.requests) - sent == 6  # the fourth sample of each problem
        assert "6 calls made, 0 answered by the store, 18 by the cache" in err
        server.root = "maker/another"
        sent = len(server.requests)
        await ttc(tmp_path, *arguments, "-n", "3", "--run-id", "c", "--out", "c.jsonl")
        assert len(server.requests) - sent == 18  # other weights under the same name
        server.root = ""
        _, err = await ttc(tmp_path, *arguments, "-n", "3", "--run-id", "d", "--out", "d.jsonl", code=2)
        assert "leave --cache out" in err
    a, b = read_pool(tmp_path / "a.jsonl"), read_pool(tmp_path / "b.jsonl")
    for few, many in zip(a.problems, b.problems, strict=True):
        assert (few.answers, few.generated) == (many.answers[:3], many.generated[:3])


async def test_cuts_are_recorded_and_said(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        arguments = ["record", questions, "--base-url", server.url, "-n", "2", "--cuts", "2,4", "--limit", "3"]
        out, _ = await ttc(tmp_path, *arguments, "--out", "pool.jsonl", "--sample-tokens", "50")
    pool = read_pool(tmp_path / "pool.jsonl")
    assert pool.cuts == (2, 4)
    assert len(pool) == 3
    assert "cut at 2, 4 tokens" in out
    assert "probe" in out


async def test_thinking_is_asked_for_and_noted(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        arguments = ["record", questions, "--base-url", server.url, "-n", "1", "--limit", "1", "--out", "pool.jsonl"]
        await ttc(tmp_path, *arguments, "--thinking", "off", "--no-logprobs")
        assert [body["chat_template_kwargs"] for body in server.requests] == [{"enable_thinking": False}]
        assert "logprobs" not in server.requests[0]
    pool = read_pool(tmp_path / "pool.jsonl")
    assert pool.thinking == "off"
    assert pool.problems[0].logprobs == ()


async def test_ctrl_c_says_how_to_go_on_and_what_was_paid_is_kept(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply, token_delay=0.01) as server:
        arguments = ["record", questions, "--base-url", server.url, "-n", "4", "--run-id", "cut", "--concurrency", "1"]
        command = [sys.executable, "-m", "ttc", *arguments, "--out", "pool.jsonl"]
        process = await anyio.open_process(command, cwd=tmp_path)
        while len(server.requests) < 9:  # noqa: ASYNC110 -- a counter
            await anyio.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = b"".join([chunk async for chunk in process.stderr]).decode()
        assert await process.wait() == 130
        assert "Go on with: ttc record --out pool.jsonl --resume cut" in err
        assert not (tmp_path / "pool.jsonl").exists()
        _, err = await ttc(
            tmp_path, "record", "--resume", "cut", "--base-url", server.url, "--out", "pool.jsonl", code=0
        )
        assert "answered by the store" in err
        made, replayed = int(err.split(" calls made")[0].split()[-1]), int(err.split(" answered")[0].split()[-1])
        assert made < 24
        assert made + replayed >= 16
    assert read_pool(tmp_path / "pool.jsonl").width == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name a suite"),
        (["arithmetic", "-n", "0"], "n=0: must be 1 to 4096"),
        (["arithmetic", "--cuts", "9,4"], "ascending"),
        (["arithmetic", "--cuts", "4,many"], "--cuts 4,many: give whole numbers"),
        (["arithmetic", "--cuts", "8", "--sample-tokens", "8"], "raise the cap (--sample-tokens)"),
        (["arithmetic", "--verifier", "learned:path=nowhere.json"], "nowhere.json"),
        (["arithmetic", "--verifier", "nobody"], "unknown verifier 'nobody'"),
        (["arithmetic", "--verifier", "agreement"], "scores candidates together"),
        (["arithmetic", "--thinking", "512"], "tokens are given as --cuts"),
        (["no_such_suite"], "unknown suite 'no_such_suite'"),
        (["--resume", "nothing"], "there is no run"),
        (["--resume", "nothing", "-n", "4"], "leave out: -n"),
        (["arithmetic", "--out", "missing/pool.jsonl"], "there is no folder"),
    ],
)
async def test_a_mistake_is_one_line_before_a_server_is_asked(tmp_path: Path, options: list[str], said: str) -> None:
    out = [] if "--out" in options else ["--out", "pool.jsonl"]
    _, err = await ttc(tmp_path, "record", *options, *out, "--base-url", "http://127.0.0.1:9", code=2)
    assert said in err
    assert "Traceback" not in err
    assert err.strip().count("\n") == 0
