"""A call that any run paid for answers the same call of every other, of the same weights alone, and is charged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from ttc import registry
from ttc.budget import Budget
from ttc.errors import ConfigurationError, RunError
from ttc.evals.config import EvalConfig
from ttc.evals.recorded_calls import StoredCalls
from ttc.evals.response_cache import CACHE_FILE, CachedResponses, ResponseCache, model_identity
from ttc.evals.runner import run_eval
from ttc.evals.store import FILE, Paid, Store, read_paid
from ttc.evals.suite import Problem, Suite
from ttc.models.scripted import Scripted
from ttc.models.server_facts import ServerFacts
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer
from ttc.types import Outcome, Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

QUERY = Query.of("How many?", answer_type="number")
WHO: dict[str, Any] = {"name": "scripted", "weights": {"digest": "0" * 32}}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResponseCache]:
    with ResponseCache(tmp_path / "cache") as cache:
        yield cache


def ask(index: int = 0, **fields: Any) -> Request:
    return Request(messages=tuple(QUERY.messages), max_tokens=9, index=index, seed=100 + index, **fields)


def drawn(request: Request) -> str:
    return f"The answer is {request.seed % 97}"


async def run(tmp_path: Path, name: str, responses: CachedResponses | None, **options: Any) -> tuple[Any, Outcome]:
    model = Scripted(drawn)
    with Store(tmp_path / name) as store:
        calls = StoredCalls(model, store, cache=responses)
        outcome = await solve(QUERY, options.pop("strategy", "majority:n=4,stop=never"), calls, **options)
        return (len(model.requests), calls.counts.made, calls.counts.cached, calls.counts.replayed), outcome


async def test_another_run_pays_nothing_and_is_charged_the_same(tmp_path: Path, cache: ResponseCache) -> None:
    counted, first = await run(tmp_path, "a", await cache.of_identity(WHO))
    assert counted == (4, 4, 0, 0)
    counted, again = await run(tmp_path, "b", await cache.of_identity(WHO))
    assert counted == (0, 0, 4, 0)
    assert (again.usage, again.calls, again.answer) == (first.usage, first.calls, first.answer)
    # What had come back by then depends on the moment; what was consumed does not.
    assert [(c.answer, c.prefix) for c in again.checkpoints] == [(c.answer, c.prefix) for c in first.checkpoints]


async def test_what_the_cache_answered_is_in_the_run_which_goes_on_without_it(
    tmp_path: Path, cache: ResponseCache
) -> None:
    await run(tmp_path, "a", await cache.of_identity(WHO))
    await run(tmp_path, "b", await cache.of_identity(WHO))
    counted, _ = await run(tmp_path, "b", None)
    assert counted == (0, 0, 0, 4)
    rows = sqlite3.connect(tmp_path / "b" / FILE)
    assert rows.execute("SELECT DISTINCT source FROM calls").fetchall() == [("cache",)]
    rows.close()


async def test_more_samples_are_drawn_where_the_cache_ends(tmp_path: Path, cache: ResponseCache) -> None:
    await run(tmp_path, "a", await cache.of_identity(WHO))
    counted, _ = await run(tmp_path, "b", await cache.of_identity(WHO), strategy="majority:n=6,stop=never")
    assert counted == (2, 2, 4, 0)


@pytest.mark.parametrize(
    "other",
    [
        {**WHO, "weights": {"digest": "1" * 32}},
        {**WHO, "name": "another"},
        {**WHO, "template": "x"},
        {"name": "scripted"},
    ],
)
async def test_other_weights_under_the_same_name_never_answer(
    tmp_path: Path, cache: ResponseCache, other: dict[str, Any]
) -> None:
    await run(tmp_path, "a", await cache.of_identity(WHO))
    counted, _ = await run(tmp_path, "b", await cache.of_identity(other))
    assert counted == (4, 4, 0, 0)


async def test_another_seed_is_another_call(tmp_path: Path, cache: ResponseCache) -> None:
    await run(tmp_path, "a", await cache.of_identity(WHO), seed=1)
    counted, _ = await run(tmp_path, "b", await cache.of_identity(WHO), seed=2)
    assert counted == (4, 4, 0, 0)


@pytest.mark.parametrize("change", [{"seed": 7}, {"index": 3}, {"max_tokens": 8}, {"temperature": 0.1}, {"n": 2}])
async def test_only_the_same_request_is_answered(cache: ResponseCache, change: dict[str, Any]) -> None:
    responses = await cache.of_identity(WHO)
    await responses.keep(ask(), Sample(text="42"))
    assert responses.find(ask()) == Sample(text="42")
    assert responses.find(replace(ask(), **change)) is None


async def test_a_race_is_neither_kept_nor_answered(cache: ResponseCache) -> None:
    responses = await cache.of_identity(WHO)
    await responses.keep(ask(race=True), Sample(text="42"))
    assert responses.find(ask(race=True)) is None
    assert responses.find(ask()) is None


async def test_logprobs_are_answered_by_a_response_that_has_them(cache: ResponseCache) -> None:
    responses = await cache.of_identity(WHO)
    await responses.keep(ask(), Sample(text="plain"))
    assert responses.find(ask(logprobs=5)) is None
    await responses.keep(ask(logprobs=5), Sample(text="rich"))
    assert responses.find(ask(logprobs=5)) == Sample(text="rich")
    assert responses.find(ask()) == Sample(text="plain")


async def test_what_was_cut_is_not_kept(tmp_path: Path, cache: ResponseCache) -> None:
    long = Scripted(lambda _: " ".join(["hm"] * 40))
    responses = await cache.of_identity(WHO)
    with Store(tmp_path / "a") as store:
        outcome = await solve(
            QUERY,
            "single",
            StoredCalls(long, store, cache=responses),
            sampling=Sampling(force_answer=0),
            budget=Budget(generated_tokens=20),
        )
    assert "1 samples were cut by the budget" in outcome.warnings
    rows = sqlite3.connect(cache.folder / CACHE_FILE)
    assert rows.execute("SELECT count(*) FROM responses").fetchone() == (0,)
    rows.close()


def test_two_processes_write_one_cache(tmp_path: Path, cache: ResponseCache) -> None:
    script = (
        "import sys, anyio; from pathlib import Path\n"
        "from ttc.evals.response_cache import ResponseCache\n"
        "from ttc.types import Request, Sample\n"
        "async def main():\n"
        "    with ResponseCache(Path(sys.argv[1])) as cache:\n"
        "        mine = await cache.of_identity({'name': 'x'})\n"
        "        async with anyio.create_task_group() as tasks:\n"
        "            for i in range(300):\n"
        "                request = Request(messages=(), max_tokens=9, index=i, seed=i)\n"
        "                tasks.start_soon(mine.keep, request, Sample(text=sys.argv[2]))\n"
        "anyio.run(main)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(cache.folder), who]) for who in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    responses = anyio.run(cache.of_identity, {"name": "x"})
    found = [responses.find(Request(messages=(), max_tokens=9, index=i, seed=i)) for i in range(300)]
    assert {sample.text for sample in found if sample} <= {"a", "b"}
    assert None not in found
    rows = sqlite3.connect(cache.folder / CACHE_FILE)
    assert rows.execute("SELECT count(*) FROM responses").fetchone() == (300,)
    rows.close()


async def test_a_full_disk_stops_the_run_whose_store_has_everything(tmp_path: Path, cache: ResponseCache) -> None:
    responses = await cache.of_identity(WHO)
    pages = cache._writer.execute("PRAGMA page_count").fetchone()[0]
    cache._writer.execute(f"PRAGMA max_page_count={pages}")
    long = Scripted(lambda r: f"{'so ' * 3000} the answer is {r.seed % 97}")
    with Store(tmp_path / "a") as store:
        with pytest.raises(RunError, match=r"response cache .* cannot be written"):
            await solve(QUERY, "single", StoredCalls(long, store, cache=responses), sampling=Sampling(max_tokens=9999))
        again = StoredCalls(long, store)
        await solve(QUERY, "single", again, sampling=Sampling(max_tokens=9999))
        assert (again.counts.made, again.counts.replayed) == (0, 1)


async def test_what_is_no_cache_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / CACHE_FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(RunError, match="cannot be read"):
        ResponseCache(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be opened"):
        ResponseCache(tmp_path / "file")


async def test_another_version_is_refused(tmp_path: Path) -> None:
    ResponseCache(tmp_path).close()
    other = sqlite3.connect(tmp_path / CACHE_FILE)
    other.execute("PRAGMA user_version=9")
    other.close()
    with pytest.raises(RunError, match="version 9"):
        ResponseCache(tmp_path)


# -- who a server is --------------------------------------------------------------------------------------------------


class Told(VLLMServer):
    """A server that is not there, and says these things of itself."""

    def __init__(self, url: str = "http://10.0.0.1:8000", **facts: Any) -> None:
        super().__init__(url, "m")
        self.told = ServerFacts(base_url=url, **facts)

    async def facts(self) -> ServerFacts:
        return self.told


async def test_a_server_is_told_by_its_weights_and_version_and_not_by_where_it_is() -> None:
    one = await model_identity(Told(weights={"revision": "a"}, version="0.1", context=5))
    assert one == await model_identity(Told("http://10.0.0.2:9", weights={"revision": "a"}, version="0.1", context=9))
    assert one != await model_identity(Told(weights={"revision": "b"}, version="0.1"))
    assert one != await model_identity(Told(weights={"revision": "a"}, version="0.2"))
    assert one != await model_identity(Told(weights={"revision": "a"}, version="0.1", template="t"))


async def test_a_hub_id_will_do(tmp_path: Path) -> None:
    assert (await model_identity(Told(root="Qwen/Qwen3-8B")))["root"] == "Qwen/Qwen3-8B"


async def test_a_folder_on_this_machine_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    one = await model_identity(Told("http://127.0.0.1:8000", root=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"two")
    two = await model_identity(Told("http://127.0.0.1:8000", root=str(tmp_path)))
    assert one["weights"] != two["weights"]


async def test_a_folder_of_that_name_here_says_nothing_of_another_machine(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    with pytest.raises(ConfigurationError, match="only the path"):
        await model_identity(Told("http://10.0.0.1:8000", root=str(tmp_path)))


@pytest.mark.parametrize(("url", "root"), [("http://10.0.0.1:8000", "/models/m"), ("http://localhost:8000", None)])
async def test_weights_that_nobody_can_tell_are_refused(url: str, root: str | None) -> None:
    with pytest.raises(ConfigurationError, match="leave --cache out"):
        await model_identity(Told(url, root=root))


async def test_a_model_that_is_no_server_is_refused(cache: ResponseCache) -> None:
    with pytest.raises(ConfigurationError, match="says nothing of its weights"):
        await cache.of(Scripted(drawn))


# -- whole runs -------------------------------------------------------------------------------------------------------


def eval_config(tmp_path: Path, name: str, **settings: Any) -> EvalConfig:
    number = registry.create("answer type", "number")
    queries = [Query.of(f"problem {i}", id=f"p{i}", answer_type=number) for i in range(6)]
    suite = Suite("toy", [Problem(query, str(i)) for i, query in enumerate(queries)])
    strategies = ("single", "majority:n=4,stop=never", "knockout:n=2")
    return EvalConfig(
        suites=(suite,), strategies=strategies, comparator="judge", runs=tmp_path / "runs", run_id=name, **settings
    )


def summary_of(tmp_path: Path, name: str) -> dict[str, Any]:
    summary = orjson.loads((tmp_path / "runs" / name / "summary.json").read_bytes())
    assert summary["run"].pop("run_id") == name
    return summary


async def test_a_run_that_the_cache_answers_has_the_summary_of_one_that_paid(tmp_path: Path) -> None:
    async with FakeServer(root="maker/fake") as server, VLLMServer(server.url) as model:
        await run_eval(eval_config(tmp_path, "plain"), model)
        paid = len(server.requests)
        await run_eval(eval_config(tmp_path, "first", cache=tmp_path / "cache"), model)
        assert len(server.requests) == 2 * paid
        again = await run_eval(eval_config(tmp_path, "second", cache=tmp_path / "cache"), model)
        assert len(server.requests) == 2 * paid
    assert (again.progress.calls.made, again.progress.calls.cached) == (0, paid)
    assert summary_of(tmp_path, "plain") == summary_of(tmp_path, "first") == summary_of(tmp_path, "second")
    assert read_paid(tmp_path / "runs" / "second") == {"fake": Paid(0, 0, 0, 0, answered_by_cache=paid)}


async def test_two_runs_at_once_use_one_cache(tmp_path: Path) -> None:
    async with FakeServer(root="maker/fake", token_delay=0.001) as server, VLLMServer(server.url) as model:
        async with anyio.create_task_group() as tasks:
            for name in ("a", "b"):
                tasks.start_soon(run_eval, eval_config(tmp_path, name, cache=tmp_path / "cache"), model)
        sent = len(server.requests)
        await run_eval(eval_config(tmp_path, "c", cache=tmp_path / "cache"), model)
        assert len(server.requests) == sent
    assert summary_of(tmp_path, "a") == summary_of(tmp_path, "b") == summary_of(tmp_path, "c")
