"""The client against a server that speaks vLLM's interface: requests, usage, connections, several servers."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ttc.budget import Budget
from ttc.errors import ConfigurationError, ServerUnreachable
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.models.wire import EventBuffer, prometheus_sums
from ttc.testing import FakeServer, Reply, words
from ttc.types import Request, Sample, Usage

pytestmark = pytest.mark.anyio

ASK = Request(messages=({"role": "user", "content": "6 times 7?"},), max_tokens=64, seed=7)


async def draw(model: VLLMServer, *requests: Request, ledger: Ledger | None = None) -> list[Sample]:
    samples: list[Sample] = []
    async with model.open(requests, ledger or Ledger()) as stream:
        async for sample in stream:
            samples.append(sample)
    return samples


# -- finding the server and the model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/v1", "{}/v1/", "127.0.0.1:{port}"])
async def test_any_form_of_the_url_will_do(form: str) -> None:
    async with FakeServer() as server:
        url = form.format(server.url, port=server.url.rpartition(":")[2])
        async with VLLMServer(url) as model:
            assert model.name == "fake"
            assert model.context == 65536
            assert model.base_url == server.url


async def test_a_wrong_url_says_how_to_start_a_server() -> None:
    with pytest.raises(ServerUnreachable, match=r"^nothing answers at http://127\.0\.0\.1:9 .*`ttc up` starts one$"):
        async with VLLMServer("http://127.0.0.1:9"):
            pass


async def test_something_else_at_the_url_is_told_apart() -> None:
    async with FakeServer() as server:
        with pytest.raises(ServerUnreachable, match=r"no OpenAI-compatible server .*404.*check the URL"):
            async with VLLMServer(server.url + "/elsewhere"):
                pass


async def test_a_wrong_model_lists_what_is_served() -> None:
    async with FakeServer(model="smol") as server:
        with pytest.raises(ConfigurationError, match="does not serve 'big': it serves smol"):
            async with VLLMServer(server.url, "big"):
                pass


@pytest.mark.parametrize("url", ["ftp://host", "http://", ""])
async def test_what_is_no_url_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no server's URL"):
        VLLMServer(url)


async def test_a_call_outside_the_block_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="async with VLLMServer"):
        await VLLMServer("http://localhost:1").metrics()


# -- what is sent -----------------------------------------------------------------------------------------------------


async def sent(request: Request) -> dict[str, Any]:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        await draw(model, request)
        return server.requests[0]


async def test_the_body_says_all_that_determines_the_sample() -> None:
    body = await sent(replace(ASK, temperature=0.3, top_p=0.9, logprobs=5, extra={"min_tokens": 2}))
    assert body == {
        "model": "fake",
        "messages": [{"role": "user", "content": "6 times 7?"}],
        "max_tokens": 64,
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 5,
        "min_tokens": 2,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }


async def test_choices_continuations_and_thinking_budgets_use_vllms_fields() -> None:
    body = await sent(
        replace(ASK, choices=("yes", "no"), continue_final=True, thinking_tokens=99, stream=False, n=3, max_tokens=8)
    )
    assert body["structured_outputs"] == {"choice": ["yes", "no"]}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert body["thinking_token_budget"] == 99
    assert body["n"] == 3
    assert body["max_tokens"] == 8
    assert "stream" not in body


@pytest.mark.parametrize("field", ["max_tokens", "n", "stream", "messages", "seed"])
async def test_extra_fields_cannot_get_around_the_budget(field: str) -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        with pytest.raises(ConfigurationError, match=f"may not contain {field}"):
            await draw(model, replace(ASK, extra={field: 1}))
        assert server.requests == []


async def test_the_api_key_is_sent_as_a_bearer_token() -> None:
    model = VLLMServer("http://localhost:1", api_key="secret")
    assert model._replicas._headers["Authorization"] == "Bearer secret"


# -- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_usage_is_the_servers_and_the_same_streamed_or_not(stream: bool) -> None:
    async with (
        FakeServer(lambda b, k: Reply(text=words(30), cached_tokens=3)) as server,
        VLLMServer(server.url) as model,
    ):
        ledger = Ledger()
        (sample,) = await draw(model, replace(ASK, stream=stream, index=4), ledger=ledger)
        assert sample.usage == Usage(prompt_tokens=7, cached_tokens=3, answer_tokens=30)
        assert ledger.spent == sample.usage
        assert server.generated_tokens == 30
        assert (sample.text, sample.finish, sample.index, sample.seed) == (words(30), "stop", 4, 7)
        assert sample.attempts == 1
        assert sample.latency > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_completion_that_reaches_its_cap_ends_by_length(stream: bool) -> None:
    async with FakeServer(lambda b, k: Reply(text=words(90))) as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, replace(ASK, stream=stream))
        assert (sample.finish, sample.usage.generated) == ("length", 64)


async def test_equal_seeds_repeat_and_other_seeds_differ() -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        first = await draw(model, *[replace(ASK, seed=i) for i in range(8)])
        again = await draw(model, *[replace(ASK, seed=i) for i in range(8)])
        assert [s.text for s in first] == [s.text for s in again]
        assert len({s.text for s in first}) > 4


async def test_a_fixed_batch_is_one_request_whose_usage_adds_up() -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        ledger = Ledger()
        batch = await draw(model, replace(ASK, n=5, index=10), ledger=ledger)
        assert len(server.requests) == 1
        assert [(s.index, s.seed) for s in batch] == [(10 + i, 7 + i) for i in range(5)]
        alone = await draw(model, *[replace(ASK, seed=7 + i) for i in range(5)])
        assert [s.text for s in batch] == [s.text for s in alone]
        assert [s.usage.generated for s in batch] == [s.usage.generated for s in alone]
        assert ledger.spent == Usage(prompt_tokens=7, answer_tokens=sum(s.usage.generated for s in alone))


@pytest.mark.parametrize("stream", [True, False])
async def test_logprobs_are_per_token_and_sorted(stream: bool) -> None:
    reply = Reply(text="yes of course", first={"no": -2.0, "yes": -0.1, "maybe": -5.0})
    async with FakeServer(lambda b, k: reply) as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, replace(ASK, logprobs=3, stream=stream))
        assert sample.logprobs == (-0.1, -0.1, -0.1)
        assert sample.top_logprobs == ((-0.1, -2.0, -5.0), (-0.1, -1.1, -2.1), (-0.1, -1.1, -2.1))
        assert sample.first_choices == (("yes", -0.1), ("no", -2.0), ("maybe", -5.0))


async def test_a_choice_among_words_comes_back_as_one_of_them() -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, replace(ASK, choices=("left", "right"), stream=False))
        assert sample.text in ("left", "right")


@pytest.mark.parametrize("interval", [1, 7])
async def test_without_running_usage_the_final_one_counts(interval: int) -> None:
    reply = Reply(text=words(50), running_usage=False)
    async with FakeServer(lambda b, k: reply, stream_interval=interval) as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, ASK)
        assert sample.usage == Usage(prompt_tokens=7, answer_tokens=50)


@pytest.mark.parametrize("stream", [True, False])
async def test_without_any_usage_the_tokenizer_counts_and_says_so(stream: bool) -> None:
    reply = Reply(text=words(50), running_usage=False, usage=False)
    async with FakeServer(lambda b, k: reply) as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, replace(ASK, stream=stream))
        assert sample.usage.generated == 50
        assert sample.usage.reasoning_source == "tokenizer"
        assert not sample.usage.upper_bound


async def test_without_usage_and_tokenizer_an_estimate_is_flagged() -> None:
    reply = Reply(text=words(50), running_usage=False, usage=False)
    async with FakeServer(lambda b, k: reply, tokenize=False) as server, VLLMServer(server.url) as model:
        (sample,) = await draw(model, ASK)
        assert sample.usage.upper_bound
        assert sample.usage.reasoning_source == "estimate"
        assert sample.usage.generated >= 50


# -- counting ---------------------------------------------------------------------------------------------------------


async def test_tokens_are_counted_by_the_server_once() -> None:
    async with FakeServer() as server, VLLMServer(server.url) as model:
        assert await model.count_tokens("one two three") == (3, "tokenizer")
        assert await model.count_prompt(ASK.messages) == 7
        assert await model.count_tokens("") == (0, "tokenizer")
        server.down = True
        assert await model.count_tokens("one two three") == (3, "tokenizer")
        assert await model.count_prompt(ASK.messages) == 7


async def test_without_a_tokenizer_counts_are_marked_and_prompts_bounded() -> None:
    async with FakeServer(tokenize=False) as server, VLLMServer(server.url) as model:
        assert await model.count_tokens("four") == (1, "estimate")
        assert await model.count_tokens("fours") == (2, "estimate")
        assert await model.count_prompt(({"role": "user", "content": "é" * 10},)) >= 64 + 20


async def test_metrics_are_summed_over_labels_and_servers() -> None:
    page = '# HELP x y\nvllm:a{e="0"} 2.0\nvllm:a{e="1",m="a b"} 3.5\nvllm:b 1e3\n'
    assert prometheus_sums(page) == {"vllm:a": 5.5, "vllm:b": 1000.0}
    async with FakeServer() as one, FakeServer() as two, VLLMServer([one.url, two.url]) as model:
        await draw(model, ASK, replace(ASK, seed=8))
        total = one.generated_tokens + two.generated_tokens
        assert (await model.metrics())["vllm:generation_tokens_total"] == total > 0


# -- framing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_events_are_framed_however_the_bytes_are_split(newline: bytes) -> None:
    lines = [
        b": a comment",
        b"",
        b"event: x",
        b"data: one",
        b"",
        b"data:two",
        b"id: 3",
        b"data: lines",
        b"",
        b"data: open",
    ]
    stream = newline.join(lines)
    for size in (1, 2, 3, 5, 1000):
        events = EventBuffer()
        found = [e for i in range(0, len(stream), size) for e in events.feed(stream[i : i + size])]
        assert found == [b"one", b"two\nlines"]


# -- connections ------------------------------------------------------------------------------------------------------


async def test_cancelling_calls_closes_their_connections_and_charges_a_bound() -> None:
    reply = Reply(text=words(60_000))
    async with FakeServer(lambda b, k: reply) as server, VLLMServer(server.url, in_flight=1000) as model:
        ledger = Ledger()
        requests = [replace(ASK, max_tokens=60_000, seed=i) for i in range(1000)]
        async with model.open(requests, ledger):
            await until(lambda: server.running == 1000)
        await until(lambda: server.running == 0)
        assert server.open_connections == 0
        assert server.peak == 1000
        assert ledger.spent.upper_bound
        assert server.generated_tokens <= ledger.spent.generated
        assert ledger.leased_tokens == 0
        assert model.limiter.borrowed_tokens == 0
        connector = model._replicas.http.connector
        assert connector is not None
        assert len(connector._acquired) == 0


async def test_connections_are_used_again() -> None:
    async with FakeServer() as server, VLLMServer(server.url, in_flight=1) as model:
        await draw(model, *[replace(ASK, seed=i) for i in range(20)])
        connector = model._replicas.http.connector
        assert connector is not None
        assert sum(len(kept) for kept in connector._conns.values()) == 1


async def test_the_limit_of_open_files_is_raised_for_many_calls() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 700:
        pytest.skip(f"the hard limit of open files is {hard} here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        async with FakeServer() as server, VLLMServer(server.url, in_flight=400):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 656
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- several servers --------------------------------------------------------------------------------------------------


async def test_calls_go_to_the_server_with_the_fewest_in_flight() -> None:
    def slow(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=words(400))

    async with FakeServer(slow) as one, FakeServer(slow) as two, VLLMServer([one.url, two.url]) as model:
        await draw(model, *[replace(ASK, max_tokens=400, seed=i) for i in range(20)])
        assert (len(one.requests), len(two.requests)) == (10, 10)


async def test_a_server_that_died_is_left_out_while_another_answers() -> None:
    async with (
        FakeServer() as one,
        FakeServer() as two,
        VLLMServer([one.url, two.url], sleep=no_wait, probe_every=0) as model,
    ):
        one.down = True
        samples = await draw(model, *[replace(ASK, seed=i) for i in range(40)])
        assert [s.error for s in samples if not s.ok] == []
        assert len([body for body in two.requests if body["max_tokens"] == 64]) == 40
        one.down = False
        await draw(model, *[replace(ASK, seed=i) for i in range(40)])
        assert len(one.requests) > 10  # a probe found it back


async def until(what: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; a thousand turns of 5 ms are the end of patience."""
    for _ in range(1000):
        if what():
            return
        await anyio.sleep(0.005)
    raise AssertionError("it never came about")


async def no_wait(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


# -- budgets over the wire --------------------------------------------------------------------------------------------


async def test_a_stream_is_cut_where_the_budget_ends_and_charged_its_bound() -> None:
    reply = Reply(text=words(9000))
    async with FakeServer(lambda b, k: reply, stream_interval=4) as server, VLLMServer(server.url) as model:
        ledger = Ledger(Budget(generated_tokens=2000))
        samples = await draw(model, *[replace(ASK, max_tokens=9000, seed=i) for i in range(3)], ledger=ledger)
        assert {s.finish for s in samples} == {"cut"}
        assert server.generated_tokens <= ledger.spent.generated <= 2000
        assert all(s.text for s in samples)


async def test_the_server_itself_keeps_a_lone_call_within_the_budget() -> None:
    reply = Reply(text=words(9000))
    async with FakeServer(lambda b, k: reply, stream_interval=16) as server, VLLMServer(server.url) as model:
        ledger = Ledger(Budget(generated_tokens=50))
        (sample,) = await draw(model, replace(ASK, max_tokens=9000), ledger=ledger)
        assert server.requests[0]["max_tokens"] == 50
        assert sample.finish == "cut"  # by the budget, which the server was told as max_tokens
        assert sample.usage == Usage(prompt_tokens=7, answer_tokens=50)
        assert server.generated_tokens == 50
