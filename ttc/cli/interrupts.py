"""Long work that can be gone on with: Ctrl-C and SIGTERM end it in one line that says how."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import anyio
import typer

from ttc.errors import RunStopped

__all__ = ["run_interruptibly", "saying_when_stopped"]

T = TypeVar("T")


def run_interruptibly(
    work: Callable[[], Awaitable[T]], farewell: Callable[[], str], *, drain: Callable[[], bool] | None = None
) -> T:
    """Run work; an interrupt ends the program with code 130 and the line that ``farewell`` makes.

    Args:
        work: what is done.
        farewell: says how to go on.
        drain: called at the first interrupt: asks the work to come to an end by itself, and returns whether there is
            anything to wait for. The next interrupt ends the work at once.
    """
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = anyio.run(_listening, work, drain) if drain is not None else [anyio.run(work)]
        if done:
            return done[0]
    except (KeyboardInterrupt, RunStopped):
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    print(farewell(), file=sys.stderr)
    raise typer.Exit(130)


async def _listening(work: Callable[[], Awaitable[T]], drain: Callable[[], bool]) -> list[T]:
    """Work, and hear the signals meanwhile; nothing comes back where one ended the work."""
    done: list[T] = []

    async def hear(scope: anyio.CancelScope) -> None:
        draining = False
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if draining or not drain():
                    scope.cancel()
                    return
                draining = True

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(hear, group.cancel_scope)
            done.append(await work())
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return done


@contextmanager
def saying_when_stopped() -> Generator[None]:
    """Say at once that an interrupt was heard: what came back is still being written, and servers stopped."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        print("ttc: stopping: what came back is being written", file=sys.stderr, flush=True)
        raise


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
