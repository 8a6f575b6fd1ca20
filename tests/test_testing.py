"""The fake server itself: what others test against has to be true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import orjson
import pytest

from ttc.models.wire import EventBuffer
from ttc.testing import FakeServer, Reply, words

pytestmark = pytest.mark.anyio

ASK: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "6 times 7?"}], "max_tokens": 50}
STREAM: dict[str, Any] = ASK | {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def complete(http: aiohttp.ClientSession, server: FakeServer, body: dict[str, Any]) -> dict[str, Any]:
    async with http.post(f"{server.url}/v1/chat/completions", json=body) as response:
        return orjson.loads(await response.read())


async def stream(http: aiohttp.ClientSession, server: FakeServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    events = EventBuffer()
    async with http.post(f"{server.url}/v1/chat/completions", json=body) as response:
        found = [e async for data in response.content.iter_any() for e in events.feed(data)]
    assert found.pop() == b"[DONE]"
    return [orjson.loads(e) for e in found]


async def test_the_default_reply_is_a_function_of_messages_and_seed(http: aiohttp.ClientSession) -> None:
    async with FakeServer() as one, FakeServer() as two:
        texts = [(await complete(http, s, ASK | {"seed": i}))["choices"] for s in (one, two) for i in range(6)]
        assert texts[:6] == texts[6:]
        assert len({t[0]["message"]["content"] for t in texts}) > 3
        batch = (await complete(http, one, ASK | {"seed": 0, "n": 3}))["choices"]
        assert [c["message"] for c in batch] == [t[0]["message"] for t in texts[:3]]


async def test_a_stream_says_what_the_whole_answer_says(http: aiohttp.ClientSession) -> None:
    for interval in (1, 3, 100):
        async with FakeServer(lambda b, k: Reply(text=words(20)), stream_interval=interval) as server:
            whole = await complete(http, server, ASK)
            *chunks, last = await stream(http, server, STREAM)
            assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == words(20)
            assert [c["usage"]["completion_tokens"] for c in chunks] == [
                min(20, i + interval) for i in range(0, 20, interval)
            ]
            assert last["usage"] == whole["usage"]
            assert [c["choices"][0]["finish_reason"] for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_choices_are_streamed_with_their_own_usage_and_summed_at_the_end(http: aiohttp.ClientSession) -> None:
    async with FakeServer(lambda b, k: Reply(text=words(1 + b["seed"]))) as server:
        *chunks, last = await stream(http, server, STREAM | {"n": 3, "seed": 4})
        for i in range(3):
            mine = [c for c in chunks if c["choices"][0]["index"] == i]
            assert mine[-1]["usage"]["completion_tokens"] == 5 + i
        assert last["usage"]["completion_tokens"] == 5 + 6 + 7


async def test_what_is_generated_is_what_the_tokenizer_counts(http: aiohttp.ClientSession) -> None:
    replies = [
        Reply(text="a  b\n\nc "),
        Reply(text="a b", reasoning="x y z", inline=True),
        Reply(text="a b", reasoning="x y z", inline=True, opener=False),
        Reply(text="", reasoning="x y", inline=True),
    ]
    for reply in replies:
        async with FakeServer(lambda b, k, reply=reply: reply) as server:
            answer = await complete(http, server, ASK)
            text = answer["choices"][0]["message"]["content"]
            async with http.post(f"{server.url}/tokenize", json={"prompt": text}) as response:
                assert (
                    (await response.json())["count"] == answer["usage"]["completion_tokens"] == server.generated_tokens
                )


async def test_max_tokens_and_context_are_kept(http: aiohttp.ClientSession) -> None:
    async with FakeServer(lambda b, k: Reply(text=words(99)), context=60) as server:
        answer = await complete(http, server, ASK | {"max_tokens": 53})
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"] | {"prompt_tokens_details": 0} == {
            "prompt_tokens": 7,
            "completion_tokens": 53,
            "total_tokens": 60,
            "prompt_tokens_details": 0,
            "completion_tokens_details": None,
        }
        refused = await complete(http, server, ASK | {"max_tokens": 54})
        assert refused["error"]["code"] == 400
        assert "maximum context length is 60 tokens" in refused["error"]["message"]


async def test_metrics_count_what_runs_and_what_was_generated(http: aiohttp.ClientSession) -> None:
    gate = anyio.Event()

    async def held(seconds: float) -> None:
        await gate.wait()

    async def metric(server: FakeServer, name: str) -> float:
        async with http.get(f"{server.url}/metrics") as page:
            lines = (await page.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    async with FakeServer(lambda b, k: Reply(text=words(9)), token_delay=1, sleep=held) as server:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(complete, http, server, ASK)
            while server.running < 5:  # noqa: ASYNC110  # the server is another program, in principle
                await anyio.sleep(0.001)
            assert await metric(server, "vllm:num_requests_running") == 5
            assert await metric(server, "vllm:generation_tokens_total") == 0
            gate.set()
        assert await metric(server, "vllm:num_requests_running") == 0
        assert await metric(server, "vllm:generation_tokens_total") == 45
        assert server.peak == 5


@pytest.mark.parametrize("body", [ASK, STREAM])
async def test_a_client_that_leaves_ends_the_generation(body: dict[str, Any], http: aiohttp.ClientSession) -> None:
    async with FakeServer(lambda b, k: Reply(text=words(50_000))) as server:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(complete, http, server, body | {"max_tokens": 50_000})
                while server.generated_tokens < 20:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert server.running == 0
        assert server.generated_tokens < 1000


async def test_requests_are_kept_in_order_of_arrival(http: aiohttp.ClientSession) -> None:
    async with FakeServer() as server:
        for seed in (3, 1, 2):
            await complete(http, server, ASK | {"seed": seed})
        assert [body["seed"] for body in server.requests] == [3, 1, 2]


async def test_a_server_that_is_down_resets_and_comes_back(http: aiohttp.ClientSession) -> None:
    async with FakeServer(down=True) as server:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await complete(http, server, ASK)
        assert (server.turned_away, server.requests) == (1, [])
        server.down = False
        assert (await complete(http, server, ASK))["choices"]


async def test_health_can_be_told(http: aiohttp.ClientSession) -> None:
    async with FakeServer() as server:
        async with http.get(f"{server.url}/health") as response:
            assert response.status == 200
        server.healthy = False
        async with http.get(f"{server.url}/health") as response:
            assert response.status == 503
