"""reasoning-gym's own scorers as a grader, asked in a process that can be killed."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import RunVar

from ttc.answer_type import same_answer
from ttc.errors import ConfigurationError
from ttc.evals.grading import Grade
from ttc.evals.problem import Problem

__all__ = ["GymProcess", "RGGrader", "shared_process"]

SECONDS = 5.0
"""Time that a scorer has for one answer."""

_STARTS = 120.0  # seconds for importing everything, on a machine that is busy
_LONGEST = 50_000  # characters of an answer: less than a pipe holds, so that writing one never waits


class GymProcess:
    """One process that draws and scores, started when it is first asked, and again after it was killed.

    Asked from threads, one at a time. It has no environment but the path of its modules, and a fixed PYTHONHASHSEED.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0
        atexit.register(self.close)

    def ask(self, job: Mapping[str, Any], *, seconds: float) -> dict[str, Any] | None:
        """Return its reply, or None where it took too long or died over the job. Blocks.

        Args:
            job: see :mod:`~ttc.evals.suites.gym_worker`.
            seconds: what it may take, once it has started.
        """
        with self._busy:
            process = self._running()
            if process is None:
                return None
            assert process.stdin is not None
            line = json.dumps({**job, "seconds": seconds}).encode() + b"\n"
            try:
                process.stdin.write(line)
                process.stdin.flush()
                reply = self._line(process, time.monotonic() + seconds)
            except (BrokenPipeError, ValueError):
                reply = b""
            if not reply.endswith(b"\n"):
                self._stop()
                return None
            return json.loads(reply)

    def close(self) -> None:
        """End the process."""
        with self._busy:
            self._stop()

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            path = os.pathsep.join(p for p in sys.path if p)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ttc.evals.suites.gym_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # an interrupt at the terminal is the run's, which still has answers to grade
                env={"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"},
            )
            self.started += 1
            if not self._line(self._process, time.monotonic() + _STARTS):
                self._stop()
        return self._process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert process.stdout is not None
        read, parts = process.stdout.fileno(), bytearray()
        while not parts.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([read], [], [], left)[0]:
                return b""
            part = os.read(read, 1 << 16)
            if not part:
                return b""
            parts += part
        return bytes(parts)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written yet is lost with it
                    pipe.close()
        self._process = None


_shared = GymProcess()
_turn: RunVar[anyio.CapacityLimiter] = RunVar("gym_turn")


def shared_process() -> GymProcess:
    """The process that all suites of this one share."""
    return _shared


@dataclass(frozen=True, slots=True)
class RGGrader:
    """Right is what equals the gold answer, or what the data set's own scorer gives full marks.

    Undecided where the scorer ran out of time or memory.

    Attributes:
        data_set: what makes the data set again: ``name``, ``size``, ``seed`` and ``settings``.
        places: for each query its entry's index.
        seconds: time for one answer.
    """

    data_set: Mapping[str, Any]
    places: Mapping[str, int] = field(repr=False)
    name: str = "reasoning-gym"
    seconds: float = SECONDS

    async def prepare(self) -> None:
        """Make sure that the process answers."""
        first = next(iter(self.places.values()))
        if await self._ask({"index": first, "answer": ""}, seconds=120) is None:
            raise ConfigurationError("reasoning-gym's scorer does not answer: try 'python -c \"import reasoning_gym\"'")

    async def grade(self, problem: Problem, answer: str) -> Grade:
        """Ask the scorer what equality does not settle, in a thread that waits for the process."""
        if problem.gold and same_answer(problem.query.answer_type, problem.gold, answer):
            return "right"
        if len(answer) > _LONGEST:
            return "wrong"
        reply = await self._ask({"index": self.places[problem.query.id], "answer": answer}, seconds=self.seconds)
        if reply is None or reply.get("score") is None:
            return "undecided"
        return "right" if reply["score"] >= 1 else "wrong"

    async def _ask(self, job: Mapping[str, Any], *, seconds: float) -> dict[str, Any] | None:
        try:
            turn = _turn.get()
        except LookupError:
            _turn.set(turn := anyio.CapacityLimiter(1))  # those who wait hold no thread
        ask = partial(shared_process().ask, {**job, "data_set": dict(self.data_set)}, seconds=seconds)
        return await anyio.to_thread.run_sync(ask, limiter=turn)
