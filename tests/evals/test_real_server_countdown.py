"""Countdown by the real model: a beam over moves, with the exact checker."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.store import read_units
from ttc.evals.suites.countdown import Countdown
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.types import Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]

if Countdown().missing():
    pytest.skip(f"reasoning-gym is not installed: {Countdown().missing()}", allow_module_level=True)

N, STEP_TOKENS = 4, 32


async def test_a_beam_grows_in_waves_and_what_passes_is_right(vllm_server: RunningServer, tmp_path: Path) -> None:
    config = EvalConfig(
        suites=("countdown:numbers=3,size=8,seed=7",),
        strategies=(f"beam:n={N},m=2,separator=\\n,step_tokens={STEP_TOKENS},max_steps=4",),
        verifier="countdown",
        sampling=Sampling(temperature=1.0, force_answer=0),
        runs=tmp_path,
        run_id="countdown",
    )
    async with VLLMServer(vllm_server.base_url) as model:
        run = await run_eval(config, model)
    units = list(read_units(run.directory))
    assert len(units) == 8
    for unit in units:
        outcome = unit.outcome
        waves = [event for event in outcome.trace if event["event"] == "grow"]
        scored = [event for event in outcome.trace if event["event"] == "score_steps"]
        # One wave of requests a step and one of scores: n calls at first, no more than n behind it.
        assert 1 <= len(waves) == len(scored) <= 4
        assert len(waves) <= outcome.calls["generate"] <= N * len(waves)
        assert len(outcome.calls) == len(outcome.usage) == 1
        assert 0 < outcome.usage["generate"].generated <= STEP_TOKENS * outcome.calls["generate"]
        assert outcome.usage["generate"].prompt_tokens > 0
        assert all(0 <= node["score"] <= 1 for wave in waves for node in wave["nodes"])
        # The checker is exact: what it passes reasoning-gym grades right.
        assert unit.correct or outcome.ended_by == "finished"
        assert not unit.undecided
