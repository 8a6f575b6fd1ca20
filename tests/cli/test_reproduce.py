"""``ttc reproduce``: what it prints, whom it asks, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import anyio
import orjson
import pytest

from ttc.cli.reproduce import reproduce_command
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer, Reply
from ttc.types import Sampling

pytestmark = pytest.mark.anyio

SUITE = "arithmetic:per_family=1"


async def made(runs: Path, server: FakeServer, **fields: str) -> None:
    async with VLLMServer(server.url) as model:
        settings = EvalConfig(
            suites=(SUITE,), strategies=("majority:n=3",), runs=runs, run_id="r", sampling=Sampling(max_tokens=500)
        )
        await run_eval(settings.model_copy(update=fields), model)


async def reproduced(*options: str, runs: Path) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "ttc", "reproduce", "r", "--runs", str(runs), *options]
    return (await anyio.run_process(command)).stdout.decode()


async def test_how_many_match_and_what_that_means(tmp_path: Path) -> None:
    async with FakeServer() as server:
        await made(tmp_path, server, base_url=server.url)
        out = await reproduced("-k", "5", "--concurrency", "1,8", runs=tmp_path)
    assert "calls in flight" in out
    assert "5 of " in out
    assert "all 5 samples come out again to the byte, alone and with 8 in flight: the run reproduces" in out
    assert (tmp_path / "r" / "reproduction.json").is_file()


async def test_another_server_that_says_something_else(tmp_path: Path) -> None:
    async with FakeServer() as server:
        await made(tmp_path, server)
    async with FakeServer(lambda body, k: Reply(text="\x1b[31mnothing")) as server:
        out = await reproduced("-k", "3", "--base-url", server.url, runs=tmp_path)
    assert "\x1b" not in out
    assert "parts at character 0" in out
    assert "it is not served as it was then, and nothing that is known of it differs" in out


async def test_several_models_are_asked_where_they_are_now(tmp_path: Path) -> None:
    settings = EvalConfig(suites=(SUITE,), strategies=("majority:n=3",), runs=tmp_path, run_id="r")
    async with (
        FakeServer(model="small") as small,
        FakeServer(model="large") as large,
        VLLMServer(small.url) as one,
        VLLMServer(large.url) as two,
    ):
        await run_eval(settings, {"small": one, "large": two})
    async with FakeServer(model="small") as small, FakeServer(model="large") as large:
        moved = ["--base-url", small.url, "--base-url", large.url]
        said = orjson.loads(await reproduced("-k", "6", *moved, "--json", runs=tmp_path))
        assert small.requests
        assert large.requests
    assert (said["samples"], said["matching"]) == (6, {"1": 6, "64": 6})
    wrong = [sys.executable, "-m", "ttc", "reproduce", "r", "--runs", str(tmp_path), "--base-url", "http://a"]
    refused = await anyio.run_process(wrong, check=False)
    assert refused.returncode == 2
    assert b"small, large: give --base-url once for each, in this order" in refused.stderr


async def test_everything_as_json(tmp_path: Path) -> None:
    async with FakeServer() as server:
        await made(tmp_path, server)
        said = orjson.loads(await reproduced("-k", "4", "--base-url", server.url, "--json", runs=tmp_path))
    assert (said["samples"], said["matching"]) == (4, {"1": 4, "64": 4})
    assert said == orjson.loads((tmp_path / "r" / "reproduction.json").read_bytes())


def test_an_unknown_run_names_the_nearest(tmp_path: Path) -> None:
    async def make() -> None:
        async with FakeServer() as server:
            await made(tmp_path, server)

    asyncio.run(make())
    (tmp_path / "r").rename(tmp_path / "arithmetic-1")
    with pytest.raises(RunError, match=r"Did you mean 'arithmetic-1'\?"):
        reproduce_command("arithmetic-2", runs=tmp_path)


@pytest.mark.parametrize("wrong", ["", "0", "1,x", "-1"])
def test_a_concurrency_that_is_none_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "store.sqlite").touch()
    with pytest.raises(ConfigurationError, match="give whole numbers from 1"):
        reproduce_command("r", concurrency=wrong, runs=tmp_path)


def test_an_empty_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "store.sqlite").touch()
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run.json is damaged"):
        reproduce_command("r", runs=tmp_path)
    assert os.listdir(tmp_path / "r")
