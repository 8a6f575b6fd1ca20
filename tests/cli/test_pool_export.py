"""``ttc pool export``: what an eval has paid for is a pool, without a server."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.test_record import questions, reply, ttc
from ttc.pool_files import read_pool
from ttc.testing import FakeServer

__all__ = ["questions"]  # a fixture

pytestmark = pytest.mark.anyio


@pytest.fixture
async def run(tmp_path: Path, questions: str) -> Path:
    """The folder of a run that is done; its server is gone."""
    async with FakeServer(reply=reply) as server:
        options = ["--base-url", server.url, "-s", "majority:n=4,stop=never", "--run-id", "mine", "--no-report"]
        await ttc(tmp_path, "eval", questions, *options)
    return tmp_path / "runs" / "mine"


async def test_a_run_is_exported_by_name_or_path(tmp_path: Path, run: Path) -> None:
    out, _ = await ttc(tmp_path, "pool", "export", "mine", "--out", "a.jsonl")
    assert "6 problems, 24 samples" in out
    said, _ = await ttc(tmp_path, "pool", "export", str(run), "--out", "b.jsonl.gz", "--json")
    facts = orjson.loads(said)
    assert (facts["out"], facts["width"], facts["cost"]["calls"]) == ("b.jsonl.gz", 4, 24)
    assert read_pool(tmp_path / "a.jsonl") == read_pool(tmp_path / "b.jsonl.gz")


async def test_so_many_samples_are_taken(tmp_path: Path, run: Path) -> None:
    await ttc(tmp_path, "pool", "export", "mine", "-n", "2", "--out", "a.jsonl")
    assert read_pool(tmp_path / "a.jsonl").width == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["other", "--out", "a.jsonl"], "there is no run 'other'"),
        (["mine", "--out", "missing/a.jsonl"], "there is no folder"),
        (["mine", "-n", "0", "--out", "a.jsonl"], "n=0"),
    ],
)
async def test_a_mistake_is_one_line(tmp_path: Path, run: Path, options: list[str], said: str) -> None:
    _, err = await ttc(tmp_path, "pool", "export", *options, code=2)
    assert said in err
    assert err.strip().count("\n") == 0
