"""What the real server says of itself, and whether samples that it drew come out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttc.errors import RunError
from ttc.evals.config import EvalConfig
from ttc.evals.model_cards import still_the_same
from ttc.evals.reproduction import reproduce
from ttc.evals.run_card import read_card
from ttc.evals.runner import run_eval
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.types import Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]


async def test_a_run_says_what_served_it_and_its_samples_come_out_again(
    vllm_server: RunningServer, tmp_path: Path
) -> None:
    config = EvalConfig(
        suites=("arithmetic:per_family=1",),
        strategies=("majority:n=3,stop=never", "knockout:n=2"),
        comparator="judge",
        sampling=Sampling(max_tokens=40),
        runs=tmp_path,
        run_id="r",
    )
    async with VLLMServer(vllm_server.base_url) as model:
        directory = (await run_eval(config, model)).directory
        card = read_card(directory)
        facts = next(iter(card["models"].values()))["server"]
        assert facts["version"]
        assert facts["root"]
        assert facts["context"] == model.context
        assert len(facts["tokenizer"]) == len(facts["template"]) == 32
        assert facts["tokenizer"] != facts["template"]
        assert facts["dated"] is False
        if vllm_server.owned:
            assert facts["unknown"] == []
            assert facts["weights"]["digest"]
            assert "--max-model-len" in facts["flags"]
        again = (await model.facts()).to_json()
        assert still_the_same("r", card["models"], {name: {"server": again} for name in card["models"]}) == []
        other = {name: {"server": {**again, "template": "0" * 32}} for name in card["models"]}
        with pytest.raises(RunError, match="another chat template"):
            still_the_same("r", card["models"], other)

        found = await reproduce(directory, model, k=8, concurrency=[1, 16])
    assert found.failed == {1: 0, 16: 0}
    assert found.servers == ()
    assert found.generated > 0
    assert all(row.same or row.character is not None or row.finish[0] != row.finish[1] for row in found.redrawn)
    if facts["hardware"] and facts["hardware"]["gpus"] == []:
        assert found.matching == {1: 8, 16: 8}  # on a CPU what else is in the batch changes nothing
