"""When an attempt is worth another one, on a clock that nobody waits for."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest

from ttc.errors import BadResponse, ModelError, RequestRejected, ServerUnreachable
from ttc.models.retry import Breaker, Broken, RetryBudget, RetryPolicy, retry_after


class Clock:
    """Remembers the waits; a wait takes no time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    @property
    def now(self) -> float:
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()


class Attempts:
    """Fails as it was told, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def policy(clock: Clock, *, tokens: float = 100) -> RetryPolicy:
    return RetryPolicy(RetryBudget(tokens), sleep=clock.sleep, rng=random.Random(1))


def reset(after: float | None = None) -> Broken:
    return Broken(ServerUnreachable("reset"), transport=True, after=after)


@pytest.mark.anyio
async def test_what_breaks_is_tried_again_with_full_jitter() -> None:
    clock = Clock()
    attempts = Attempts(reset(), Broken(BadResponse("html")), reset())
    assert await policy(clock).run(attempts) == "done"
    assert attempts.count == 4
    assert len(clock.waits) == 3
    assert all(0 <= wait <= limit for wait, limit in zip(clock.waits, (0.5, 1, 2), strict=True))
    assert len(set(clock.waits)) == 3


@pytest.mark.anyio
async def test_jitter_never_exceeds_thirty_seconds() -> None:
    clock = Clock()
    patient = RetryPolicy(RetryBudget(100), attempts=40, sleep=clock.sleep, rng=random.Random(1))
    await patient.run(Attempts(*[reset() for _ in range(39)]))
    assert 25 < max(clock.waits) <= 30


@pytest.mark.anyio
async def test_the_fourth_failure_is_final_and_keeps_its_type() -> None:
    attempts = Attempts(*[Broken(BadResponse(f"html {i}")) for i in range(9)])
    with pytest.raises(BadResponse, match="html 3"):
        await policy(Clock()).run(attempts)
    assert attempts.count == 4


@pytest.mark.anyio
@pytest.mark.parametrize("error", [RequestRejected("bad", status=422), ModelError("read timeout"), KeyError("defect")])
async def test_other_errors_are_never_tried_again(error: Exception) -> None:
    clock = Clock()
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        await policy(clock).run(attempts)
    assert attempts.count == 1
    assert clock.waits == []


@pytest.mark.anyio
async def test_retry_after_is_waited_for_exactly() -> None:
    clock = Clock()
    await policy(clock).run(Attempts(reset(after=7), reset(after=0)))
    assert clock.waits == [7, 0]


def test_retry_after_reads_seconds_and_dates_and_caps_both() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)

    def read(header: str | None) -> float | None:
        return retry_after(header, now=now.timestamp)

    assert read("1") == 1
    assert read(" 2.5 ") == 2.5
    assert read(format_datetime(now + timedelta(seconds=30), usegmt=True)) == 30
    assert read(format_datetime(now - timedelta(seconds=30), usegmt=True)) == 0
    assert read("1000000000") == read("inf") == read(format_datetime(now + timedelta(days=9), usegmt=True)) == 120
    assert read("-5") == 0
    assert read(None) is read("") is read("soon") is read("nan") is None


@pytest.mark.anyio
async def test_retries_are_a_tenth_of_the_calls_in_the_long_run() -> None:
    retrying = policy(Clock(), tokens=20)
    sends = 0
    for _ in range(1000):
        attempts = Attempts(reset(), reset(), reset(), reset())
        with pytest.raises(ServerUnreachable):
            await retrying.run(attempts)
        sends += attempts.count
    assert 1100 <= sends <= 1120


@pytest.mark.anyio
async def test_a_call_that_comes_out_of_a_pause_needs_no_retry_token() -> None:
    retrying = policy(Clock(), tokens=0)
    broken = reset()
    broken.paused = True
    assert await retrying.run(Attempts(broken)) == "done"
    with pytest.raises(ServerUnreachable):
        await retrying.run(Attempts(reset()))


class Server:
    """A server that comes back at a time of the clock."""

    def __init__(self, clock: Clock, back_at: float) -> None:
        self.clock = clock
        self.back_at = back_at
        self.probes = 0

    async def probe(self) -> bool:
        self.probes += 1
        return self.clock.now >= self.back_at


def broken_breaker(clock: Clock, server: Server, *, patience: float = 60) -> Breaker:
    breaker = Breaker(server.probe, where="http://server", sleep=clock.sleep, every=2, patience=patience)
    for _ in range(20):
        assert not breaker.open
        breaker.failed()
    assert breaker.open
    return breaker


@pytest.mark.anyio
async def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    clock = Clock()
    breaker = Breaker(Server(clock, 0).probe, sleep=clock.sleep)
    for _ in range(10):
        for _ in range(19):
            breaker.failed()
        breaker.succeeded()
    assert not breaker.open


@pytest.mark.anyio
async def test_all_calls_pause_behind_one_prober_and_go_on_together() -> None:
    clock = Clock()
    server = Server(clock, back_at=40)
    breaker = broken_breaker(clock, server)
    passed = 0

    async def call() -> None:
        nonlocal passed
        await breaker.ready()
        passed += 1

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(call)
    assert passed == 1000
    assert server.probes == 20
    assert clock.now == 40


@pytest.mark.anyio
async def test_when_patience_ends_everybody_is_told_at_once() -> None:
    clock = Clock()
    server = Server(clock, back_at=1e9)
    breaker = broken_breaker(clock, server, patience=60)
    told: list[str] = []

    async def call() -> None:
        with pytest.raises(ServerUnreachable) as caught:
            await breaker.ready()
        told.append(str(caught.value))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(call)
    assert len(told) == 50
    assert set(told) == {told[0]}
    assert "http://server" in told[0]
    assert "60 s" in told[0]
    assert clock.now == 60
    await call()  # one that comes later looks once, and does not wait
    assert clock.now == 60
    assert server.probes == 31
    server.back_at = 0
    await breaker.ready()
    assert not breaker.open


@pytest.mark.anyio
async def test_when_the_prober_is_cancelled_another_takes_over() -> None:
    clock = Clock()
    server = Server(clock, back_at=10)
    breaker = broken_breaker(clock, server)
    passed: list[int] = []

    async def call(i: int, scope: anyio.CancelScope) -> None:
        with scope:
            await breaker.ready()
            passed.append(i)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as group:
        for i, scope in enumerate(scopes):
            group.start_soon(call, i, scope)
        await anyio.lowlevel.checkpoint()
        scopes[0].cancel()
    assert passed == [1, 2]
