"""The limit of the calls in flight: it grows to what a server carries, and shrinks when the server has no room."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ModelError
from ttc.ledger import Ledger
from ttc.models import virtual_clock
from ttc.models.base import LiveModel, Meter
from ttc.models.in_flight import InFlight, InFlightLaw, Permit
from ttc.models.vllm_server import VLLMServer
from ttc.testing import FakeServer, Reply
from ttc.types import Request, Sample, Usage

ASK = Request(messages=({"role": "user", "content": "6 times 7?"},), max_tokens=64, seed=7)
Pace = Callable[[int], float]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def windows(law: InFlightLaw, n: int, pace: Pace, *, full: bool = True, room: float = math.inf) -> list[int]:
    """Feed n windows of answers at the pace that a server has under so many calls; return the limit after each."""
    limits: list[int] = []
    for _ in range(n):
        mark, limit = law.begin(), law.limit
        if limit > room:
            for _ in range(int(limit - room)):
                law.refused(mark)
        else:
            for _ in range(max(8, limit)):
                law.answered(mark, seconds=20 * pace(limit), tokens=20, full=full)
        limits.append(law.limit)
    return limits


def queueing(capacity: int) -> Pace:
    """A server that works on so many calls at a time and lets the others wait."""
    return lambda limit: 0.02 * max(1.0, limit / capacity)


def batching(saturation: float) -> Pace:
    """A server whose steps take the longer the more calls share them, as that of an engine that batches."""
    return lambda limit: 0.02 * (1 + limit / saturation)


# -- the law ----------------------------------------------------------------------------------------------------------


def test_it_grows_by_half_while_the_server_keeps_pace_and_ends_at_the_cap() -> None:
    assert windows(InFlightLaw(), 8, queueing(10_000)) == [48, 72, 108, 162, 243, 365, 512, 512]


@pytest.mark.parametrize("capacity", [40, 100, 200, 300])
def test_it_grows_to_what_a_queueing_server_carries(capacity: int) -> None:
    limits = windows(InFlightLaw(), 40, queueing(capacity))
    assert capacity <= limits[10] <= 1.5 * capacity
    assert max(limits) <= 1.5**2 * capacity
    settled = sorted(limits[10:])[len(limits[10:]) // 2]
    assert capacity <= settled <= 1.5 * capacity


def test_a_server_that_is_full_from_the_start_is_asked_for_no_more_than_a_first_try() -> None:
    limits = windows(InFlightLaw(), 10, queueing(16))
    assert limits == [48] + 9 * [32]


def test_it_goes_on_where_growth_pays_less_and_less_and_stops_where_it_hardly_pays() -> None:
    limits = windows(InFlightLaw(cap=4096), 60, batching(200))
    gain = batching(200)
    settled = limits[-1]
    rate = settled / gain(settled)
    assert rate > 0.6 * 200 / 0.02  # of what endless calls would bring
    assert settled < 2000


def test_what_is_not_used_says_nothing() -> None:
    assert windows(InFlightLaw(), 20, queueing(10), full=False) == 20 * [32]


def test_a_refusal_takes_it_down_once_for_all_calls_under_way() -> None:
    law = InFlightLaw(limit=100)
    mark = law.begin()
    assert [law.refused(mark) for _ in range(30)] == [True] + 29 * [False]
    assert (law.limit, law.shrinks) == (70, 1)
    assert not law.answered(mark, seconds=1, tokens=20, full=True)  # of before
    assert law.refused(law.begin())
    assert law.limit == 49


@pytest.mark.parametrize("capacity", [1, 5, 20, 50, 100, 333])
def test_under_refusals_it_stays_close_to_the_capacity(capacity: int) -> None:
    law = InFlightLaw()
    limits = windows(law, 300, queueing(10_000), room=capacity)[100:]
    assert min(limits) >= max(1, math.floor(0.7 * 0.7 * capacity))
    refused = sum(limit < before for before, limit in pairwise(limits))
    assert refused <= len(limits) / 10
    assert sum(limits) / len(limits) >= 0.75 * capacity


def test_a_server_that_becomes_slow_is_asked_for_less_but_not_for_too_little() -> None:
    law = InFlightLaw()
    windows(law, 12, queueing(100))
    settled = law.limit
    after = windows(law, 1, lambda _: 0.3)
    assert after == [int(0.7 * settled)]
    # From there the slower pace is what it compares with, and no spiral.
    assert min(windows(law, 20, lambda limit: 0.3 * max(1.0, limit / 100))) >= 50


def test_slowness_alone_never_takes_it_below_the_floor() -> None:
    law, slower = InFlightLaw(), 0.02
    for _ in range(30):
        slower *= 3
        windows(law, 1, lambda _, p=slower: p)
    assert law.limit >= law.floor


@given(
    st.lists(st.tuples(st.sampled_from(["answer", "refusal"]), st.floats(0, 1e6), st.integers(0, 10_000)), max_size=300)
)
def test_whatever_happens_it_stays_within_its_bounds(events: list[tuple[str, float, int]]) -> None:
    law = InFlightLaw(limit=8, cap=64)
    for what, seconds, tokens in events:
        if what == "refusal":
            law.refused(law.begin())
        else:
            law.answered(law.begin(), seconds=seconds, tokens=tokens, full=True)
        assert 1 <= law.limit <= 64


# -- permits ----------------------------------------------------------------------------------------------------------


class Slots(LiveModel):
    """A server that works on so many calls at a time: others wait there, or are refused."""

    def __init__(self, limiter: InFlight, *, slots: int, refuses: bool = False) -> None:
        super().__init__("slots", limiter=limiter)
        self.slots = anyio.Semaphore(slots)
        self.refuses = refuses
        self.running = self.peak = self.refusals = 0
        self.rng = random.Random(1)

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        meter.start()
        tokens = self.rng.randint(5, 60)
        for _ in range(4):
            assert meter.permit is not None
            await meter.permit.again()
            if self.refuses and not self.slots.value:
                self.refusals += 1
                meter.permit.refused()
                await anyio.sleep(0.5)
                continue
            async with self.slots:
                self.running += 1
                self.peak = max(self.peak, self.running)
                await anyio.sleep(0.01 * tokens)
                self.running -= 1
            return [Sample(text="42", usage=Usage(answer_tokens=tokens), index=request.index)]
        raise ModelError("429", status=429)

    async def count_tokens(self, text: str) -> tuple[int, str]:
        return 1, "tokenizer"

    async def count_prompt(self, messages: Any, extra: Any = None) -> int:
        return 1


async def drawn(slots: int, calls: int, *, refuses: bool = False) -> tuple[Slots, list[Sample], list[float]]:
    model = Slots(InFlight(clock=anyio.current_time), slots=slots, refuses=refuses)
    requests = [Request(messages=ASK.messages, max_tokens=64, seed=i, index=i) for i in range(calls)]
    limits: list[float] = []
    async with model.open(requests, Ledger()) as stream:
        samples: list[Sample] = []
        async for sample in stream:
            samples.append(sample)
            limits.append(model.limiter.total_tokens)
    return model, samples, limits


def test_calls_grow_to_the_capacity_of_a_server_and_not_far_beyond() -> None:
    model, samples, limits = virtual_clock.run(drawn, 100, 6000)
    assert all(s.ok for s in samples)
    assert model.peak == 100
    assert 100 <= sorted(limits[2000:])[2000] <= 150
    assert max(limits) <= 250
    assert model.limiter.borrowed_tokens == 0


def test_calls_that_are_refused_are_all_answered_and_few() -> None:
    model, samples, limits = virtual_clock.run(lambda: drawn(60, 6000, refuses=True))
    assert all(s.ok for s in samples)
    assert model.refusals < 0.05 * 6000
    assert max(limits) <= 72
    assert 40 <= sum(limits[1000:]) / len(limits[1000:]) <= 60
    assert model.limiter.borrowed_tokens == 0


@pytest.mark.anyio
async def test_a_refused_call_steps_aside_and_a_cancelled_one_gives_nothing_back_twice() -> None:
    limiter = InFlight(InFlightLaw(limit=2))
    async with Permit(limiter) as first:
        assert limiter.borrowed_tokens == 1
        async with anyio.create_task_group() as group:

            async def second(*, task_status: anyio.abc.TaskStatus[None]) -> None:
                async with Permit(limiter) as permit:
                    permit.refused()  # one permit is left, and two are out
                    task_status.started()
                    await permit.again()

            await group.start(second)
            await anyio.wait_all_tasks_blocked()
            assert (limiter.total_tokens, limiter.borrowed_tokens) == (1, 1)
            group.cancel_scope.cancel()
        assert limiter.borrowed_tokens == 1
        assert first.adapts
    assert limiter.borrowed_tokens == 0


# -- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_that_says_429_gets_what_it_can_carry_and_no_call_fails() -> None:
    refused = 0

    def reply(body: dict[str, Any], k: int) -> Reply:
        nonlocal refused
        if server.running >= 24:
            refused += 1
            return Reply(status=429)
        return Reply(text="so " * 6 + "it is 42")

    async def soon(seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.01))

    async with (
        FakeServer(reply, token_delay=0.002) as server,
        VLLMServer(server.url, sleep=soon, rng=random.Random(1)) as model,
    ):
        requests = [Request(messages=ASK.messages, max_tokens=64, seed=i, index=i) for i in range(1500)]
        async with model.open(requests, Ledger()) as stream:
            samples = [sample async for sample in stream]
        assert all(s.ok for s in samples)
        assert server.peak <= 24
        assert isinstance(model.limiter, InFlight)
        assert model.limiter.law.shrinks >= 1
        assert 12 <= model.limiter.total_tokens <= 32
        assert refused <= 0.1 * 1500


@pytest.mark.anyio
async def test_what_was_fixed_stays_fixed() -> None:
    async with FakeServer(lambda body, k: Reply(status=429)) as server, VLLMServer(server.url, in_flight=5) as model:
        assert isinstance(model.limiter, anyio.CapacityLimiter)
        async with model.open([ASK], Ledger()) as stream:
            (sample,) = [s async for s in stream]
        assert (sample.ok, len(server.requests), model.limiter.total_tokens) == (False, 4, 5)
