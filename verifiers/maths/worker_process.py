"""The parent's side of one worker: start it, hand it a pair, kill what runs out of time."""

from __future__ import annotations

import base64
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import orjson

__all__ = ["MEMORY", "WorkerFailed", "WorkerProcess"]

MEMORY = 1 << 30
"""Bytes of address space of a worker; sympy takes a quarter of it."""

_START = 60.0  # seconds until sympy must be there, on a busy machine too
_SCRIPT = Path(__file__).with_name("worker.py")

# A child that dies with its parent dies with the thread that started it, so this one lives as long as the process.
_starters: dict[int, ThreadPoolExecutor] = {}


class WorkerFailed(Exception):
    """The worker cannot be started, or is gone for good; says why."""


class WorkerProcess:
    """One worker, used by one comparison at a time, on any event loop."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._into, self._out_of = process.stdin.fileno(), process.stdout.fileno()
        self._read = b""
        self._waiting = False  # its child is there and does nothing
        self._job = 0
        self._failed = False

    @property
    def alive(self) -> bool:
        """Whether it can be handed another pair."""
        return not self._failed and self._process.poll() is None

    @classmethod
    async def start(cls) -> Self:
        """Start a process; its imports go on while nobody waits.

        Raises:
            WorkerFailed: this machine does not let us start one.
        """
        try:
            return cls(await anyio.to_thread.run_sync(lambda: _starter().submit(_popen).result()))
        except OSError as error:
            raise WorkerFailed(f"no worker process can be started: {error}") from error

    async def ready(self) -> None:
        """Wait until it can compare.

        Raises:
            WorkerFailed: it ended, or it took more than a minute.
        """
        with anyio.move_on_after(_START):
            while not self._waiting:
                await self._line()
        if not self._waiting:
            self._failed = True
            raise WorkerFailed(f"the worker was not ready within {_START:g} s")

    async def compare(self, gold: str, answer: str, *, timeout: float) -> bool | None:
        """Whether two formulas are the same, or None where time or memory did not suffice.

        Cancelled or out of time, the comparison is killed, and a new one can start at once.

        Raises:
            WorkerFailed: there is no worker any more.
        """
        await self.ready()
        self._job += 1
        job = {"id": self._job, "gold": gold, "answer": answer, "seconds": timeout}
        try:
            os.write(self._into, orjson.dumps(job) + b"\n")  # the pipe is empty and holds more than two answers
        except OSError as error:
            self._failed = True
            raise WorkerFailed(f"the worker is gone: {error}") from error
        finished = False
        try:
            with anyio.move_on_after(timeout):
                while True:
                    line = await self._line()
                    if line.get("id") == self._job:
                        finished = True
                        return line["equal"]
                    if line.get("lost"):
                        finished = True
                        return None
            return None
        finally:
            if not finished and not self._failed:
                self._waiting = False
                self._process.send_signal(signal.SIGUSR1)

    async def _line(self) -> Mapping[str, Any]:
        while b"\n" not in self._read:
            await anyio.wait_readable(self._out_of)
            if not (more := os.read(self._out_of, 65536)):
                self._failed, self._waiting = True, False
                raise WorkerFailed("the worker ended")
            self._read += more
        raw, _, self._read = self._read.partition(b"\n")
        line: Mapping[str, Any] = orjson.loads(raw)
        if "ready" in line:
            self._waiting = True
        if "failed" in line:
            self._failed = True
            raise WorkerFailed(line["failed"])
        return line

    def close(self) -> None:
        """Kill it."""
        self._failed = True
        self._process.kill()
        self.disown()
        self._process.wait()

    def disown(self) -> None:
        """Close the pipes, in a process that was forked from the one that started it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _starter() -> ThreadPoolExecutor:
    """One thread for as long as this process lives: a worker is told of its parent's end by the thread that made it."""
    if os.getpid() not in _starters:  # a forked process has none of its parent's threads
        _starters[os.getpid()] = ThreadPoolExecutor(1, thread_name_prefix="ttc-maths-start")
    return _starters[os.getpid()]


def _popen() -> subprocess.Popen[bytes]:
    """Start the script by its path: isolated from the user's environment, with an empty one."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", str(_SCRIPT), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        bufsize=0,
        start_new_session=True,  # an interrupt at the terminal is for us alone
    )
    assert process.stdin is not None
    setup = {"path": _packages(), "memory": MEMORY, "jail": _jail()}
    process.stdin.write(orjson.dumps(setup) + b"\n")
    return process


def _packages() -> list[str]:
    return [os.path.abspath(folder) for folder in sys.path if folder]


@functools.cache
def _jail() -> dict[str, str] | None:
    """What a worker needs to enter the jail of programs once sympy is loaded; None where this machine has none."""
    try:
        from ttc.verifiers.code import landlock, seccomp

        instructions = seccomp.build_filter()
        os.close(landlock.make_ruleset([]))
    except (OSError, ImportError):
        return None  # limits, a number-only parse_expr and the empty environment still hold
    return {
        "landlock": str(landlock.__file__),
        "seccomp": str(seccomp.__file__),
        "filter": base64.b64encode(instructions).decode(),
    }
