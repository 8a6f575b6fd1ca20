"""Run cards say what serves a model; a run that goes on is asked of the same model, or says what is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from ttc import registry
from ttc.errors import RunError
from ttc.evals.config import EvalConfig
from ttc.evals.model_cards import differing, models_of, still_the_same
from ttc.evals.run_card import read_card
from ttc.evals.runner import EvalRun, run_eval
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer
from ttc.types import Query, Sampling

pytestmark = pytest.mark.anyio

NUMBER = registry.create("answer type", "number")
A, B = "a" * 40, "b" * 40


def suite(n: int = 2) -> Suite:
    return Suite("toy", [Problem(Query.of(f"problem {i}", answer_type=NUMBER), str(i)) for i in range(n)])


def config(runs: Path, **fields: Any) -> EvalConfig:
    fields.setdefault("strategies", ("single",))
    return EvalConfig(suites=(suite(),), runs=runs, run_id="r", sampling=Sampling(max_tokens=20), **fields)


async def run_on(runs: Path, **server: Any) -> EvalRun:
    async with FakeServer(**server) as fake, VLLMServer(fake.url) as model:
        return await run_eval(config(runs), model)


async def test_a_card_holds_what_the_server_says_and_what_is_unknown(tmp_path: Path) -> None:
    card = read_card((await run_on(tmp_path, version="0.32.0", context=999)).directory)
    server = card["models"]["fake"]["server"]
    assert (server["version"], server["context"]) == ("0.32.0", 999)
    assert len(server["tokenizer"]) == len(server["template"]) == 32
    assert {"weights", "flags", "dtype", "hardware"} <= set(server["unknown"])
    assert card["server"] == server  # of one model also where it has always been
    assert card["machine"]["cores"] >= 1


async def test_what_is_no_server_says_nothing_and_is_kept(tmp_path: Path) -> None:
    run = await run_eval(config(tmp_path), Scripted(lambda _: "the answer is 1"))
    assert read_card(run.directory)["models"] == {
        "scripted": {"served": "scripted", "price": None, "server": {}, "parameters": None}
    }


async def test_each_of_several_models_has_an_entry(tmp_path: Path) -> None:
    async with (
        FakeServer(vocabulary="s") as one,
        FakeServer(vocabulary="l") as other,
        VLLMServer(one.url) as small,
        VLLMServer(other.url) as large,
    ):
        run = await run_eval(config(tmp_path), {"small": small, "large": large})
    models = read_card(run.directory)["models"]
    assert list(models) == ["small", "large"]
    assert models["small"]["server"]["tokenizer"] != models["large"]["server"]["tokenizer"]


async def test_a_run_goes_on_with_the_same_model_in_silence(tmp_path: Path) -> None:
    await run_on(tmp_path, version="1")
    again = await run_on(tmp_path, version="1")
    assert again.progress.warnings == []
    assert "resumed" not in read_card(again.directory)


@pytest.mark.parametrize(
    ("server", "what"), [({"vocabulary": "other"}, "tokenizer"), ({"opens_thought": True}, "chat template")]
)
async def test_a_run_is_not_mixed_with_another_model_of_the_same_name(
    tmp_path: Path, server: dict[str, Any], what: str
) -> None:
    await run_on(tmp_path)
    before = (tmp_path / "r" / "run.json").read_bytes()
    with pytest.raises(RunError, match=f"run 'r' was made with another {what} of model 'fake' .*start a new run"):
        await run_on(tmp_path, **server)
    assert (tmp_path / "r" / "run.json").read_bytes() == before


async def test_another_version_is_said_and_noted(tmp_path: Path) -> None:
    summary = (await run_on(tmp_path, version="1")).directory / "summary.json"
    before = summary.read_bytes()
    again = await run_on(tmp_path, version="2")
    assert again.progress.warnings == [
        "model 'fake': another version of the server than at the start of the run (1, now 2): samples of both are in it"
    ]
    (resumed,) = read_card(again.directory)["resumed"]
    assert resumed["servers"]["fake"]["version"] == "2"
    assert read_card(again.directory)["models"]["fake"]["server"]["version"] == "1"
    assert summary.read_bytes() == before  # what serves it is no part of what it showed


async def test_a_card_of_before_goes_on(tmp_path: Path) -> None:
    run = await run_on(tmp_path, version="1")
    card = read_card(run.directory)
    for new in ("models", "machine"):
        del card[new]
    card["server"] = {"base_url": "http://x", "version": None, "context": 65536, "served": None}
    (run.directory / "run.json").write_bytes(orjson.dumps(card))
    again = await run_on(tmp_path, version="1", vocabulary="other")
    assert again.progress.warnings == []
    assert models_of(card) == {"fake": {"served": "fake", "price": None, "server": card["server"]}}


def test_only_what_both_sides_know_is_compared() -> None:
    assert differing({"tokenizer": "x", "version": None}, {"tokenizer": None, "version": "2"}) == {}
    assert differing({"tokenizer": "x"}, {"tokenizer": "y"}) == {"tokenizer": ("x", "y")}


@pytest.mark.parametrize(
    ("before", "now", "other"),
    [
        ({"revision": A}, {"revision": B}, True),
        ({"revision": A}, {"revision": A}, False),
        ({"digest": "x", "how": "one"}, {"digest": "y", "how": "one"}, True),
        ({"revision": A}, {"digest": "x", "how": "one"}, False),
        ({"digest": "x", "how": "one"}, {"digest": "y", "how": "other"}, False),
    ],
)
def test_weights_are_compared_where_both_are_told_in_the_same_way(
    before: dict[str, str], now: dict[str, str], other: bool
) -> None:
    assert ("weights" in differing({"weights": before}, {"weights": now})) is other


def test_a_template_that_writes_the_date_is_another_every_day_and_the_same_model() -> None:
    assert differing({"template": "x", "dated": True}, {"template": "y", "dated": True}) == {}
    assert differing({"template": "x", "dated": False}, {"template": "y", "dated": False}) == {"template": ("x", "y")}


def test_other_weights_are_refused_whatever_else_is_the_same() -> None:
    before, now = ({"m": {"server": {"weights": {"revision": which}}}} for which in (A, B))
    with pytest.raises(RunError, match=f"other weights of model 'm' .{A}, now {B}"):
        still_the_same("r", before, now)
    assert still_the_same("r", {}, now) == []
