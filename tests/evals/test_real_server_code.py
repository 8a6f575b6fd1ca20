"""Programs by the real model, selected by their public tests and graded by hidden ones, in the jail."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc.errors import SandboxUnavailable
from ttc.evals.config import EvalConfig
from ttc.evals.run_card import read_card
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.types import Sampling
from ttc.verifiers.code import shared_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.server]


async def test_public_tests_select_better_than_chance(vllm_server: RunningServer, tmp_path: Path) -> None:
    """24 problems: credibly above one sample. Above voting too takes all 100: benchmarks/selection.py."""
    try:
        isolation = shared_sandbox().isolation
    except SandboxUnavailable as missing:
        pytest.skip(str(missing))
    config = EvalConfig(
        suites=("tiny_code",),
        strategies=("single", "best_of_n:n=8", "revision:chains=1,length=3"),
        verifier="public_tests",
        sampling=Sampling(max_tokens=160),
        limit=24,
        runs=tmp_path,
        run_id="code",
    )
    async with VLLMServer(vllm_server.base_url) as model:
        run = await run_eval(config, model)
    (best,) = (
        c for c in run.summary.comparisons if c.strategy == "best_of_n" and c.setting == "n=8" and c.group == "all"
    )
    assert best.verdict == "above single"
    units = read_units(run.directory)
    assert not any(unit.undecided for unit in units)
    # What stops a query is a program that passes all public tests; whether it is right the hidden ones say.
    passed = [u for u in units if u.strategy == "best_of_n" and u.outcome.ended_by == "stopped_early"]
    assert passed
    assert sum(u.correct for u in passed) > len(passed) / 2
    assert {kind for u in units for kind in u.outcome.calls} == {"generate", "revise"}
    (suite,) = read_card(run.directory)["suites"]
    assert (suite["grader"], suite["isolation"]) == ("tests", isolation)
