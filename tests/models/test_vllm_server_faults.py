"""Hostile servers: what is retried, what is not, what is charged, and outages without a storm of retries."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer, Fault, Reply, words
from ttc.types import Request, Sample

pytestmark = pytest.mark.anyio

ASK = Request(messages=({"role": "user", "content": "6 times 7?"},), max_tokens=64, seed=7)
Script = Callable[[dict[str, Any], int], Reply]


class Clock:
    """Waits are remembered and take no time of ours: whoever has the least left to wait goes first."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.now = 0.0
        self.at: tuple[float, Callable[[], None]] | None = None
        self._ends: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        end = self.now + seconds
        bisect.insort(self._ends, end)
        await anyio.sleep(0.001)  # let others begin to wait as well
        while end > self._ends[0] + 0.1:  # noqa: ASYNC110  # it is a clock
            await anyio.sleep(0.001)
        self._ends.remove(end)
        self.now = max(self.now, end)
        if self.at and self.now >= self.at[0]:
            self.at[1]()
            self.at = None


def at_first(*wrong: Reply, then: Reply | None = None) -> Script:
    """Go wrong so many times, then answer."""
    return lambda body, k: wrong[k] if k < len(wrong) else then or Reply(text="it is 42")


async def draw(
    server: FakeServer, *requests: Request, ledger: Ledger | None = None, clock: Clock | None = None
) -> list[Sample]:
    samples: list[Sample] = []
    sleep = (clock or Clock()).sleep
    async with (
        VLLMServer(server.url, in_flight=1000, sleep=sleep, rng=random.Random(1)) as model,
        model.open(requests, ledger or Ledger()) as stream,
    ):
        async for sample in stream:
            samples.append(sample)
    return samples


BREAKS: list[Fault] = [
    "reset_before_headers",
    "reset_mid_body",
    "html",
    "truncated_json",
    "no_choices",
    "sse_error",
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", BREAKS)
async def test_what_breaks_is_sent_again_with_the_same_seed(fault: Fault, stream: bool) -> None:
    async with FakeServer(at_first(Reply(text=words(20), fault=fault))) as server:
        ledger = Ledger(Budget(generated_tokens=1000))
        (sample,) = await draw(server, replace(ASK, stream=stream), ledger=ledger)
        assert (sample.text, sample.finish, sample.attempts) == ("it is 42", "stop", 2)
        assert server.requests[0] == server.requests[1]
        # What the broken attempt may have generated is charged, as an upper bound; the answer comes once.
        assert sample.usage.upper_bound
        assert server.generated_tokens <= ledger.spent.generated == sample.usage.generated <= 1000


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", BREAKS)
async def test_what_breaks_four_times_is_a_failed_sample_with_its_reason(fault: Fault, stream: bool) -> None:
    async with FakeServer(lambda body, k: Reply(text=words(20), fault=fault)) as server:
        ledger = Ledger()
        (sample,) = await draw(server, replace(ASK, stream=stream), ledger=ledger)
        assert (sample.finish, sample.attempts, len(server.requests)) == ("failed", 4, 4)
        if fault == "sse_error" and not stream:  # then it is a plain 500
            assert (sample.error_type, "500: the engine stumbled" in sample.error) == ("ModelError", True)
        else:
            assert sample.error_type == ("ServerUnreachable" if fault.startswith("reset") else "BadResponse")
        assert sample.error
        assert "\n" not in sample.error
        assert server.generated_tokens <= ledger.spent.generated


@pytest.mark.parametrize("finish", ["abort", "error"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_completion_that_the_engine_gave_up_is_drawn_again(finish: str, stream: bool) -> None:
    async with FakeServer(at_first(Reply(finish=finish))) as server:
        (sample,) = await draw(server, replace(ASK, stream=stream))
        assert (sample.text, sample.attempts) == ("it is 42", 2)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_busy_and_broken_servers_are_asked_again(status: int) -> None:
    async with FakeServer(at_first(Reply(status=status), Reply(status=status))) as server:
        (sample,) = await draw(server, ASK)
        assert (sample.ok, sample.attempts) == (True, 3)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_refused_before_generating_costs_nothing(status: int) -> None:
    async with FakeServer(at_first(Reply(status=status))) as server:
        ledger = Ledger()
        (sample,) = await draw(server, ASK, ledger=ledger)
        assert ledger.spent.generated == server.generated_tokens
        assert not sample.usage.upper_bound


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_refusal_is_final_and_costs_nothing(status: int) -> None:
    async with FakeServer(lambda body, k: Reply(status=status, message="top_p must be in (0, 1]")) as server:
        ledger = Ledger()
        (sample,) = await draw(server, ASK, ledger=ledger)
        assert len(server.requests) == 1
        assert (sample.finish, sample.error_type) == ("failed", "RequestRejected")
        assert f"({status}): top_p must be in (0, 1]" in sample.error
        assert ledger.spent.generated == 0


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("1", 1),
        (format_datetime(datetime.now(UTC) + timedelta(days=400), usegmt=True), 120),
        ("1000000000", 120),
    ],
)
async def test_retry_after_is_honoured_and_capped(header: str, wait: float) -> None:
    clock = Clock()
    async with FakeServer(at_first(Reply(status=429, headers={"Retry-After": header}))) as server:
        (sample,) = await draw(server, ASK, clock=clock)
        assert sample.ok
        assert clock.waits == [wait]


async def test_a_date_in_retry_after_is_waited_for() -> None:
    clock = Clock()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    async with FakeServer(at_first(Reply(status=429, headers={"Retry-After": date}))) as server:
        await draw(server, ASK, clock=clock)
        assert 0 < clock.waits[0] <= 90


@pytest.mark.parametrize("stream", [True, False])
async def test_a_context_overflow_names_both_lengths_and_the_option(stream: bool) -> None:
    async with FakeServer(context=60) as server:
        ledger = Ledger()
        (sample,) = await draw(server, replace(ASK, stream=stream), ledger=ledger)
        assert len(server.requests) == 1
        assert sample.error_type == "ContextOverflow"
        assert sample.error == (
            "the prompt (7 tokens) and max_tokens (64) do not fit the context of fake (60 tokens): "
            "lower --sample-tokens or shorten the prompt"
        )
        assert ledger.spent.generated == 0


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 4096 output tokens",
        "max_tokens=10000000 cannot be greater than max_model_len=2048. Please request fewer output tokens.",
        "The decoder prompt (length 3000) is longer than the maximum model length of 2048.",
        "Input length (3000) exceeds model's maximum context length (2048).",
    ],
)
async def test_a_context_overflow_is_known_in_all_of_vllms_words(message: str) -> None:
    async with FakeServer(lambda body, k: Reply(status=400, message=message)) as server:
        (sample,) = await draw(server, ASK)
        assert (sample.error_type, len(server.requests)) == ("ContextOverflow", 1)


async def test_a_silent_server_is_given_up_and_never_asked_again() -> None:
    async with FakeServer(lambda body, k: Reply(text=words(20), fault="hang")) as server:
        async with VLLMServer(server.url, read_timeout=0.2) as model:
            ledger = Ledger()
            async with model.open([ASK], ledger) as stream:
                (sample,) = [s async for s in stream]
        assert len(server.requests) == 1
        assert (sample.finish, sample.error_type) == ("failed", "ModelError")
        assert "favour short answers" in sample.error
        # It had generated something, which is charged.
        assert server.generated_tokens == 4
        assert 4 <= ledger.spent.generated <= 4 + 2
        assert ledger.spent.upper_bound


async def test_a_retry_that_the_budget_does_not_carry_is_not_made() -> None:
    async with FakeServer(lambda body, k: Reply(text=words(20), fault="truncated_json")) as server:
        ledger = Ledger(Budget(generated_tokens=64))
        (sample,) = await draw(server, replace(ASK, stream=False), ledger=ledger)
        assert len(server.requests) == 1
        assert sample.finish == "failed"
        assert ledger.spent.generated == 64


async def test_one_failed_call_leaves_its_siblings_alone() -> None:
    def script(body: dict[str, Any], k: int) -> Reply:
        return Reply(status=400) if body["seed"] == 3 else Reply()

    async with FakeServer(script) as server:
        samples = await draw(server, *[replace(ASK, seed=i, index=i) for i in range(8)])
        assert [s.ok for s in samples] == [i != 3 for i in range(8)]
        assert [s.index for s in samples] == list(range(8))


async def test_an_outage_of_a_minute_costs_no_retries_and_no_sample() -> None:
    clock = Clock()
    async with FakeServer(lambda body, k: Reply(text=words(200)), stream_interval=20) as server:
        requests = [replace(ASK, max_tokens=200, seed=i) for i in range(1000)]
        ledger = Ledger()

        def back() -> None:
            assert model.waiting
            server.down = False

        async with (
            VLLMServer(server.url, in_flight=1000, sleep=clock.sleep, rng=random.Random(1)) as model,
            model.open(requests, ledger) as stream,
        ):
            while server.running < 1000:
                await anyio.lowlevel.checkpoint()
            clock.at = (60.0, back)
            server.down = True  # breaks all thousand
            samples = [s async for s in stream]
            assert not model.waiting
        probes = [body for body in server.requests if body["max_tokens"] == 1]
        assert model.probe_tokens == len(probes) == 1
        assert all(s.ok and s.text == words(200) for s in samples)
        assert 60 <= clock.now < 66
        # Sends that met the dead server: those that it broke, and a few before the breaker opened.
        assert 1000 + server.turned_away <= 1.1 * 1000
        assert len(server.requests) - len(probes) == 2000  # the broken ones, and each of them once more
        assert server.generated_tokens - model.probe_tokens <= ledger.spent.generated


async def test_a_server_that_stays_away_fails_every_call_by_name() -> None:
    clock = Clock()
    async with FakeServer(lambda body, k: Reply(text=words(200))) as server:
        requests = [replace(ASK, max_tokens=200, seed=i) for i in range(50)]
        async with (
            VLLMServer(server.url, in_flight=50, sleep=clock.sleep, patience=30) as model,
            model.open(requests, Ledger()) as stream,
        ):
            while server.running < 50:
                await anyio.lowlevel.checkpoint()
            server.down = True
            samples = [s async for s in stream]
        assert {s.error_type for s in samples} == {"ServerUnreachable"}
        assert all("did not come back within 30 s" in s.error for s in samples)


async def test_an_engine_that_died_behind_a_living_api_is_not_taken_for_recovered() -> None:
    clock = Clock()
    async with FakeServer(lambda body, k: Reply(status=500, message="EngineDeadError")) as server:
        requests = [replace(ASK, seed=i) for i in range(40)]
        async with (
            VLLMServer(server.url, in_flight=40, sleep=clock.sleep, patience=10) as model,
            model.open(requests, Ledger()) as stream,
        ):
            samples = [s async for s in stream]
        assert not any(s.ok for s in samples)
        probes = [body for body in server.requests if body["max_tokens"] == 1]
        assert len(probes) == 5  # /health said 200 each time, and the completion did not
        assert len(server.requests) - len(probes) <= 40 + 20
