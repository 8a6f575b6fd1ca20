"""Several models on the command line, what they cost, and how a run is limited, interrupted and gone on with."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc.cli.eval_models import models_of_options, reached_at, without_models
from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig, read_config
from ttc.testing import FakeServer, Reply


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """The spec of a suite in a local file: six questions whose answer is their number."""
    rows = [{"prompt": f"What is the number of question {i}?", "answer": i} for i in range(6)]
    (tmp_path / "questions.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return f"file:{tmp_path / 'questions.jsonl'}"


async def ttc(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "ttc", *arguments]
    done = await anyio.to_thread.run_sync(partial(subprocess.run, command, cwd=folder, capture_output=True, text=True))
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def reply(body: dict[str, Any], _: int) -> Reply:
    return Reply(text=f"so so the answer is {body['seed'] % 6}")


# -- options ----------------------------------------------------------------------------------------------------------


def test_one_model_is_settings_of_its_own() -> None:
    assert models_of_options(["a"], ["http://x"], ["0.1/0.4"], [1.7e9]) == {
        "model": "a",
        "base_url": "http://x",
        "price": "0.1/0.4",
        "parameters": 1.7e9,
    }
    assert models_of_options([], [], [], []) == {}


def test_several_models_have_one_server_or_one_each() -> None:
    assert models_of_options(["a", "b"], ["http://x"], [], []) == {
        "models": [{"model": "a"}, {"model": "b"}],
        "base_url": "http://x",
    }
    both = models_of_options(["a", "b"], ["http://x", "http://y"], ["1/2", "3/4"], [1e9, 2e9])
    served = EvalConfig(suites=("arithmetic",), **both).served()
    assert [(m.model, m.base_url, m.parameters) for m in served] == [("a", "http://x", 1e9), ("b", "http://y", 2e9)]
    assert [m.price.generated for m in served if m.price] == [2, 4]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((["a", "b", "c"], ["x", "y"], [], []), "2 URLs for 3 models: give one --base-url that serves all of them"),
        ((["a"], ["x", "y"], [], []), "2 URLs for 1 models"),
        (([], ["x", "y"], [], []), "2 URLs for 1 models"),
        ((["a", "b"], ["x"], ["1/2"], []), "--price is given once for 2 models"),
        ((["a"], ["x"], ["1/2", "3/4"], []), "--price is given 2 times for 1 models"),
        ((["a", "b"], ["x"], [], [1, 2, 3]), "--parameters is given 3 times for 2 models"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        models_of_options(*given)


def test_models_of_options_stand_in_the_place_of_those_of_a_file() -> None:
    one, several = {"model": "a", "price": "1/2", "seed": 3}, {"models": [{"model": "a"}], "seed": 3}
    assert without_models(one, {"models": []}) == {"seed": 3}
    assert without_models(several, {"model": "b"}) == {"seed": 3}
    assert without_models(one, {"base_url": "x"}) == one


def test_a_run_of_several_models_is_reached_elsewhere() -> None:
    config = read_config({"suites": ["arithmetic"], "models": [{"model": "a"}, {"model": "b"}]})
    assert [m.base_url for m in reached_at(config, ["x"]).served()] == ["x", "x"]
    assert [m.base_url for m in reached_at(config, ["x", "y"]).served()] == ["x", "y"]
    with pytest.raises(ConfigurationError, match="3 URLs for 2 models"):
        reached_at(config, ["x", "y", "z"])


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_two_models_on_two_servers_in_one_run(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply, model="small") as one, FakeServer(reply=reply, model="large") as two:
        both = ["--model", "small", "--model", "large", "--base-url", one.url, "--base-url", two.url, "--no-report"]
        costs = ["--price", "0/0.5", "--price", "1/2", "--parameters", "1e9", "--parameters", "7e9"]
        out, err = await ttc(tmp_path, "eval", questions, "-s", "single", "--run-id", "r", "--json", *both, *costs)
        assert (len(one.requests), len(two.requests)) == (6, 6)
        again, _ = await ttc(tmp_path, "eval", "--resume", "r", "--json", "--base-url", one.url, "--base-url", two.url)
        assert (len(one.requests), len(two.requests)) == (6, 6)
    assert orjson.loads(out) == orjson.loads(again)
    assert "small: 6 calls made" in err
    assert "large: 6 calls made" in err
    assert "paid" in err
    card = orjson.loads((tmp_path / "runs" / "r" / "run.json").read_bytes())
    assert [m["parameters"] for m in card["models"].values()] == [1e9, 7e9]


@pytest.mark.anyio
async def test_mistakes_with_models_are_one_line(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        here = ["--base-url", server.url, "--no-report", "-s", "single"]
        await ttc(tmp_path, "eval", questions, *here, "--run-id", "done")
        wrong = [
            ([questions, "--price", "cheap"], "a price is dollars per million prompt and generated tokens"),
            ([questions, "--model", "fake", "--model", "fake"], "model 'fake' is given 2 times"),
            ([questions, "--max-dollars", "1"], "a limit in dollars needs the price of every model"),
            (["--resume", "done", "--retry-failed", "other"], "name two runs"),
        ]
        for arguments, words in wrong:
            out, err = await ttc(tmp_path, "eval", *arguments, *(here if questions in arguments else here[:3]), code=2)
            (line,) = err.strip().splitlines()
            assert (out, line.startswith("ttc: "), words in line) == ("", True, True), line


@pytest.mark.anyio
async def test_a_limit_in_dollars_ends_a_run_that_goes_on_with_more(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        here = ["--base-url", server.url, "--no-report"]
        new = ["eval", questions, "-s", "single", "--price", "0/1000", "--sample-tokens", "8", "--concurrency", "1"]
        _, err = await ttc(tmp_path, *new, "--run-id", "r", "--max-dollars", "0.02", *here, code=2)
        assert "the $0.02 of the run are spent" in err
        assert "ttc eval --resume r --max-dollars N" in err
        await ttc(tmp_path, "eval", "--resume", "r", "--max-dollars", "1", *here)
        assert len({body["messages"][-1]["content"] for body in server.requests}) == 6


@pytest.mark.anyio
async def test_what_failed_is_done_again(tmp_path: Path, questions: str) -> None:
    broken = True

    def script(body: dict[str, Any], k: int) -> Reply:
        wrong = broken and "question 2" in str(body["messages"])
        return Reply(status=400, message="no") if wrong else reply(body, k)

    async with FakeServer(reply=script) as server:
        here = ["--base-url", server.url, "--no-report"]
        new = [questions, "-s", "single", "--concurrency", "1"]
        _, err = await ttc(tmp_path, "eval", *new, "--run-id", "fast", "--fail-fast", *here, code=2)
        assert "--fail-fast was given" in err
        assert "--resume fast" in err
        _, err = await ttc(tmp_path, "eval", *new, "--run-id", "r", *here)
        assert "1 queries failed" in err
        assert "ttc eval --retry-failed r" in err
        broken = False
        _, err = await ttc(tmp_path, "eval", "--retry-failed", "r", *here)
        assert "5 of 6 done before, 1 that failed are done again" in err
        assert "queries failed" not in err


@pytest.mark.anyio
async def test_a_recording_is_gone_on_with_by_its_own_command(tmp_path: Path, questions: str) -> None:
    async with FakeServer(reply=reply) as server:
        here = ["--base-url", server.url]
        await ttc(tmp_path, "record", questions, "-n", "2", "--out", "p.jsonl", "--run-id", "rec", *here)
        _, err = await ttc(tmp_path, "eval", "--resume", "rec", *here, code=2)
    assert err.startswith("ttc: run 'rec' is a recording: 'ttc record --resume rec --out FILE' goes on with it")


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_waits_for_what_is_in_flight(
    tmp_path: Path, questions: str, number: signal.Signals
) -> None:
    def long(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="so " * 100 + "the answer is 3")

    async with FakeServer(reply=long, token_delay=0.02) as server:
        new = ["eval", questions, "-s", "majority:n=4,stop=never,wave=1", "--run-id", "r", "--base-url", server.url]
        command = [sys.executable, "-m", "ttc", *new, "--no-report", "--concurrency", "3"]
        process = await anyio.open_process(command, cwd=tmp_path)
        while len(server.requests) < 3:  # noqa: ASYNC110 -- a counter
            await anyio.sleep(0.005)
        process.send_signal(number)
        assert process.stderr is not None
        err = b"".join([chunk async for chunk in process.stderr]).decode()
        assert await process.wait() == 130
        await process.aclose()
        assert "ttc: stopping: waiting for the 3 calls in flight" in err
        assert "Go on with: ttc eval --resume r" in err
        assert "Traceback" not in err
        assert len(server.requests) == 3
        assert server.generated_tokens == 3 * 104  # all three came to their ends
        await ttc(tmp_path, "eval", "--resume", "r", "--base-url", server.url, "--no-report")
        assert len(server.requests) == 6 * 4


@pytest.mark.anyio
async def test_the_second_signal_gives_up_what_is_in_flight(tmp_path: Path, questions: str) -> None:
    def endless(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="so " * 3000)

    async with FakeServer(reply=endless, token_delay=0.05) as server:
        new = ["eval", questions, "-s", "single", "--run-id", "r", "--base-url", server.url, "--sample-tokens", "3000"]
        process = await anyio.open_process([sys.executable, "-m", "ttc", *new, "--no-report"], cwd=tmp_path)
        while len(server.requests) < 6:  # noqa: ASYNC110 -- a counter
            await anyio.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = ""
        async for chunk in process.stderr:
            err += chunk.decode()
            if "waiting for the 6 calls" in err and "stopping: what" not in err:
                process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        await process.aclose()
    assert "0 of 6 queries are done. Go on with: ttc eval --resume r" in err
    assert "Traceback" not in err
