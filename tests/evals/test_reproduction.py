"""Samples of a run are drawn again with their very requests, held beside, and nothing of the run changes."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from ttc import registry
from ttc.errors import ConfigurationError, RunError
from ttc.evals.call_keys import call_key
from ttc.evals.config import EvalConfig
from ttc.evals.records import request_from_json, request_to_json
from ttc.evals.reproduction import Reproduction, first_difference, reproduce
from ttc.evals.run_card import read_card
from ttc.evals.run_directory import STORE
from ttc.evals.runner import run_eval
from ttc.evals.store_schema import reading
from ttc.evals.stored_samples import spread, stored_samples
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer, Reply
from ttc.types import ForcedAnswer, Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

NUMBER = registry.create("answer type", "number")


def suite(n: int = 4) -> Suite:
    queries = [Query.of(f"problem {i}", answer_type=NUMBER, tags={"family": "toy"}) for i in range(n)]
    return Suite("toy", [Problem(q, str(i)) for i, q in enumerate(queries)])


def reply(request: Request) -> Sample | str:
    if request.choices:
        return Sample(text=request.choices[request.seed % 2], first_choices=(("Yes", -0.2), ("No", -1.7)))
    rng = random.Random(request.seed)
    return " ".join([f"s{request.seed}", *["so"] * rng.randrange(2, 12), f"the answer is {rng.randrange(3)}"])


async def run(tmp_path: Path, *strategies: str, model: Any = None, **fields: Any) -> Path:
    fields.setdefault("sampling", Sampling(max_tokens=60))
    config = EvalConfig(suites=(suite(),), strategies=strategies, runs=tmp_path, run_id="r", **fields)
    return (await run_eval(config, model or Scripted(reply))).directory


def store_hash(directory: Path) -> str:
    with reading(directory) as (connection, _):
        rows = [list(connection.execute(f"SELECT * FROM {table}")) for table in ("calls", "requests", "units", "meta")]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


async def test_a_model_that_repeats_itself_gives_every_sample_again(tmp_path: Path) -> None:
    directory = await run(tmp_path, "majority:n=5,stop=never", "knockout:n=4", comparator="judge")
    before, model = store_hash(directory), Scripted(reply)
    found = await reproduce(directory, model, k=8)
    assert (found.samples, found.matching, found.agreeing) == (8, {1: 8, 64: 8}, 8)
    assert found.kinds == {"generate": 4, "judge": 4}
    assert found.verdict.startswith("all 8 samples come out again to the byte")
    assert len(model.requests) == 8 + 64  # alone, and as many as are to be under way
    assert found.generated == model.generated
    assert store_hash(directory) == before
    kept = orjson.loads((directory / "reproduction.json").read_bytes())
    assert kept["verdict"] == found.verdict
    assert len(kept["redrawn"]) == 16


async def test_the_requests_are_the_very_ones(tmp_path: Path) -> None:
    first, again = Scripted(reply), Scripted(reply)
    directory = await run(tmp_path, "majority:n=3,stop=never", model=first)
    await reproduce(directory, again, k=12, concurrency=[1])
    keys = [{call_key("m", request) for request in model.requests} for model in (first, again)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 12


async def test_samples_that_part_say_where(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single", model=Scripted(lambda _: "one two three four"))
    found = await reproduce(directory, Scripted(lambda _: "one two THREE four"), k=4, concurrency=[1])
    assert found.matching == {1: 0}
    row = found.redrawn[0]
    assert (row.same, row.character) == (False, 8)
    assert row.share_of_characters == pytest.approx(8 / 18)
    assert row.share_of_tokens == pytest.approx(2 / 4)
    assert "it is not served as it was then" in found.verdict


async def test_another_end_is_no_match(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single", model=Scripted(lambda _: "the answer is 2"))
    other = Scripted(lambda _: Sample(text="the answer is 2", finish="length"))
    found = await reproduce(directory, other, k=1, concurrency=[1])
    assert found.matching == {1: 0}
    assert found.redrawn[0].finish == ("stop", "length")
    assert found.redrawn[0].character is None


async def test_a_model_that_changes_in_company_reproduces_alone(tmp_path: Path) -> None:
    directory = await run(tmp_path, "majority:n=5,stop=never")
    model: Scripted

    def batched(request: Request) -> Sample | str:
        said = reply(request)
        return said if model.running < 2 else f"{said}!"

    model = Scripted(batched, latency=lambda _: 0.0)
    found = await reproduce(directory, model, k=6)
    assert found.matching[1] == 6
    assert found.matching[64] < 6
    assert found.verdict.startswith("alone all 6 samples come out again to the byte, with 64 in flight")


async def test_calls_that_fail_conclude_nothing(tmp_path: Path) -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        directory = await run(tmp_path, "single", model=model)
    refusing = FakeServer(lambda body, k: Reply(status=400, message="no"))
    async with refusing as server, VLLMServer(server.url) as model:
        found = await reproduce(directory, model, k=2, concurrency=[1])
    assert found.failed == {1: 2}
    assert "nothing is concluded" in found.verdict
    assert "400" in found.redrawn[0].error


async def test_another_server_is_named(tmp_path: Path) -> None:
    async with FakeServer(version="1") as server, VLLMServer(server.url) as model:
        directory = await run(tmp_path, "single", model=model)
    async with FakeServer(version="2") as server, VLLMServer(server.url) as model:
        found = await reproduce(directory, model, k=2, concurrency=[1, 2])
    assert found.servers == ("version of fake: 1 then, 2 now",)
    assert found.matching == {1: 2, 2: 2}


async def test_cut_and_forced_samples_are_left_out_and_counted(tmp_path: Path) -> None:
    long = Scripted(lambda r: "so the answer is 2" if r.continue_final else " ".join(["word"] * 50))
    directory = await run(tmp_path, "majority:n=3", model=long, sampling=Sampling(max_tokens=10))
    with pytest.raises(RunError, match="holds no sample that a server could be asked for again"):
        await reproduce(directory, long, k=2)
    fit, left = stored_samples(directory, read_card(directory))
    assert fit == []
    assert set(left) == {"its answer was forced, by a call of its own"}


async def test_what_ran_in_a_race_is_left_out(tmp_path: Path) -> None:
    directory = await run(tmp_path, "short_m_at_k:k=4,m=2", "single")
    fit, left = stored_samples(directory, read_card(directory))
    with reading(directory) as (connection, _):
        (calls,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    assert len(fit) + sum(left.values()) == calls
    assert left["it was watched, ran in a race, or may not be replayed"] > 0
    assert len(fit) == 4  # those of single


async def test_several_models_are_each_asked_for_their_own(tmp_path: Path) -> None:
    models = {"small": Scripted(lambda r: f"s{r.seed}"), "large": Scripted(lambda r: f"l{r.seed}")}
    config = EvalConfig(suites=(suite(),), strategies=("single",), runs=tmp_path, run_id="r")
    directory = (await run_eval(config, models)).directory
    found = await reproduce(directory, models, k=6, concurrency=[1])
    assert found.matching == {1: 6}
    assert Counter(row.model for row in found.redrawn) == {"small": 3, "large": 3}
    with pytest.raises(ConfigurationError, match="was asked of large too"):
        await reproduce(directory, models["small"], k=6)


async def test_the_choice_follows_from_the_seed_and_is_spread(tmp_path: Path) -> None:
    directory = await run(tmp_path, "majority:n=6,stop=never")
    fit, _ = stored_samples(directory, read_card(directory))
    chosen = spread(fit, 4, seed=1)
    assert {one.query for one in chosen} == {one.query for one in fit}
    assert chosen == spread(fit, 4, seed=1)
    assert chosen != spread(fit, 4, seed=2)
    assert len(spread(fit, 1000, seed=1)) == len(fit) == 24


@pytest.mark.parametrize(("k", "concurrency"), [(0, [1]), (1, []), (1, [0])])
async def test_nothing_to_draw_is_refused(tmp_path: Path, k: int, concurrency: list[int]) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        await reproduce(tmp_path, Scripted(reply), k=k, concurrency=concurrency)


async def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        await reproduce(tmp_path / "none", Scripted(reply))


async def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    directory = await run(tmp_path, "single")
    for file in directory.glob(f"{STORE}*"):
        file.unlink()
    (directory / STORE).write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    with pytest.raises(RunError, match="cannot be read"):
        await reproduce(directory, Scripted(reply))


@pytest.mark.parametrize(
    "request_",
    [
        Request(messages=({"role": "user", "content": "x"},), max_tokens=7),
        Request(
            messages=({"role": "user", "content": "x"}, {"role": "assistant", "content": "So"}),
            max_tokens=7,
            n=1,
            temperature=0.0,
            top_p=0.5,
            choices=("a", "b"),
            until=("\n\n",),
            continue_final=True,
            thinking_tokens=9,
            force=ForcedAnswer("So:", 4, bool),
            extra={"chat_template_kwargs": {"enable_thinking": False}},
        ),
    ],
)
def test_a_request_comes_back_from_json(request_: Request) -> None:
    again = request_from_json(orjson.loads(request_to_json(request_)), kind="judge", index=3, seed=5)
    assert again.content() == request_.content()
    assert (again.kind, again.index, again.seed) == ("judge", 3, 5)


@pytest.mark.parametrize(
    ("a", "b", "at"),
    [("", "", None), ("ab", "ab", None), ("ab", "ac", 1), ("ab", "abc", 2), ("", "x", 0), ("é", "e", 0)],
)
def test_where_texts_part(a: str, b: str, at: int | None) -> None:
    assert first_difference(a, b) == first_difference(b, a) == at


def verdict(alone: int, among: int, agreeing: int) -> str:
    fields: dict[str, Any] = {"run": "r", "of": 9, "left_out": {}, "kinds": {}, "redrawn": (), "servers": ()}
    return Reproduction(
        samples=4, matching={1: alone, 64: among}, failed={1: 0, 64: 0}, agreeing=agreeing, generated=0,
        counted_by="tokenizer", **fields,
    ).verdict  # fmt: skip


def test_the_verdict_tells_batches_from_another_server() -> None:
    assert "the run reproduces" in verdict(4, 4, 4)
    assert "single texts only alone" in verdict(4, 1, 1)
    assert "nothing that is known of it differs" in verdict(1, 1, 4)
    assert "its single texts cannot" in verdict(1, 2, 0)
