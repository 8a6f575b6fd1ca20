"""A run with a cache pays for nothing that another run of the same model has paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer, Reply
from ttc.types import Query

pytestmark = pytest.mark.anyio


def settings(tmp_path: Path, run_id: str, *strategies: str) -> EvalConfig:
    number = registry.create("answer type", "number")
    suite = Suite("toy", [Problem(Query.of(f"problem {i}", answer_type=number), str(i)) for i in range(4)])
    return EvalConfig(
        suites=(suite,), strategies=strategies, run_id=run_id, runs=tmp_path / "runs", cache=tmp_path / "cache"
    )


def reply(body: dict[str, Any], _: int) -> Reply:
    return Reply(text=f"it is {body['seed'] % 4}")


async def test_the_second_run_asks_the_cache(tmp_path: Path) -> None:
    async with FakeServer(reply=reply, root="an-org/a-model") as server, VLLMServer(server.url) as model:
        first = await run_eval(settings(tmp_path, "a", "single"), model)
        assert (first.progress.calls.made, first.progress.calls.cached) == (4, 0)
        second = await run_eval(settings(tmp_path, "b", "majority:n=3,stop=never", "single"), model)
        assert (second.progress.calls.made, second.progress.calls.cached) == (8, 4)
        assert len(server.requests) == 12


async def test_a_model_that_cannot_be_told_from_others_has_no_cache(tmp_path: Path) -> None:
    model = Scripted(lambda r: "4")
    with pytest.raises(ConfigurationError, match="leave --cache out"):
        await run_eval(settings(tmp_path, "a", "single"), model)
    assert model.requests == []
