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

__all__ = ["run_interruptibly", "saying_when_stopped"]

T = TypeVar("T")


def run_interruptibly(work: Callable[[], Awaitable[T]], farewell: Callable[[], str]) -> T:
    """Run work; an interrupt ends the program with code 130 and the line that ``farewell`` makes."""
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        print(farewell(), file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


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
