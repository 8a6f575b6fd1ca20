"""One call of the sandbox, run to its end on a worker by a thread: tests, expressions or a program."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ttc.verifiers.code.candidate import OUT_OF_MEMORY
from ttc.verifiers.code.frames import CODES, HEAD, LOADED, LONGEST_TEXT, Status
from ttc.verifiers.code.verdicts import Execution, Limits, TestResult
from ttc.verifiers.code.worker import Ended, Worker

__all__ = ["Cancelled", "Trial"]

_LONGEST_ERROR = 4096


class Cancelled(Exception):
    """The trial was cancelled; its processes are gone."""


class Trial:
    """A call in progress. ``cancel`` may be called from any thread, and any number of times."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self.cancelled = False

    def cancel(self) -> None:
        """End the processes now; the thread that runs them raises Cancelled."""
        with self._lock:
            self.cancelled = True
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._wake >= 0:
                os.close(self._wake)
            self._wake = -1

    def check(
        self, worker: Worker, source: str, tests: Sequence[str], *, entry_point: str, setup: str, expressions: bool
    ) -> list[TestResult]:
        """Run tests, or evaluate expressions, in a pair of processes; in a new pair behind each that did not end."""
        results: list[TestResult] = []
        over = time.monotonic() + self._limits.total_seconds
        while len(results) < len(tests):
            left = tests[len(results) :]
            job = {
                "setup": setup,
                "entry_point": entry_point,
                "tests": left,
                "longest": LONGEST_TEXT if expressions else 0,
            }
            frames = _Frames(len(left), self._limits.seconds)
            payload, program = json.dumps(job).encode(), source.encode("utf-8", "surrogatepass")
            ended = self._run(
                worker,
                "check",
                [payload, frames, program],
                deadline=lambda: min(over, frames.deadline),  # noqa: B023
            )
            results += frames.results
            missing = len(tests) - len(results)
            if frames.loaded is None:
                return results + [self._unfinished(ended, over, "the import of the program")] * missing
            if frames.loaded.status != "passed":
                return results + [frames.loaded] * missing
            if missing and (not frames.results or frames.results[-1].status != "crashed"):
                results.append(self._unfinished(ended, over, "the test"))
            if time.monotonic() >= over:
                late = TestResult("timeout", f"the {self._limits.total_seconds:g} s for all tests were over")
                return results + [late] * (len(tests) - len(results))
        return results

    def test_program(self, worker: Worker, source: str, tests: Sequence[Mapping[str, str]]) -> list[TestResult]:
        """Run the program once per test, and compare what it writes with what is expected."""
        results: list[TestResult] = []
        over = time.monotonic() + self._limits.total_seconds
        for test in tests:
            expected = test.get("stdout", "")
            left = over - time.monotonic()
            if left <= 0:
                results.append(TestResult("timeout", f"the {self._limits.total_seconds:g} s for all tests were over"))
                continue
            longest = max(self._limits.output_bytes, 2 * len(_encoded(expected)))
            run = self.execute(worker, source, test.get("stdin", ""), seconds=left, longest=longest)
            results.append(_compared(run, expected))
        return results

    def execute(
        self, worker: Worker, source: str, stdin: str, *, seconds: float = math.inf, longest: int = 0
    ) -> Execution:
        """Run a program to its end, its deadline or the cap of its output."""
        out, error = _Kept(longest or self._limits.output_bytes), _Kept(1 << 20)
        deadline = time.monotonic() + min(seconds, self._limits.seconds)
        given = _encoded(stdin), source.encode("utf-8", "surrogatepass")
        ended = self._run(worker, "program", [given[0], out, error, given[1]], deadline=lambda: deadline)
        told = bytes(error.data[-_LONGEST_ERROR:]).decode("utf-8", "replace")
        status: Status = "error"
        if ended.reason == "deadline":
            status, told = "timeout", f"it did not end within {min(seconds, self._limits.seconds):g} s"
        elif out.full or error.full:
            told = f"it wrote more than {out.longest if out.full else error.longest} bytes"
        elif os.WIFSIGNALED(ended.statuses[0]):
            status, told = "crashed", f"it was ended by signal {os.WTERMSIG(ended.statuses[0])}"
        elif (code := os.waitstatus_to_exitcode(ended.statuses[0])) == OUT_OF_MEMORY:
            status, told = "memory", told or "out of memory"
        elif code == 0:
            status = "passed"
        else:
            told = told or f"exit code {code}"
        return Execution(status, bytes(out.data[: out.longest]).decode("utf-8", "surrogateescape"), told)

    def _run(self, worker: Worker, role: str, pipes: list[Any], *, deadline: Callable[[], float]) -> Ended:
        limits = {
            "role": role,
            "memory": self._limits.memory_mb << 20,
            "seconds": math.ceil(min(self._limits.total_seconds, 1e6)) + 1,
        }
        ended = worker.run(limits, pipes, deadline=deadline, wake=self._wake)
        if ended.reason == "cancelled":
            raise Cancelled
        return ended

    def _unfinished(self, ended: Ended, over: float, what: str) -> TestResult:
        if ended.reason == "deadline":
            seconds = self._limits.total_seconds if time.monotonic() >= over else self._limits.seconds
            return TestResult("timeout", f"{what} did not end within {seconds:g} s")
        codes = [os.waitstatus_to_exitcode(status) for status in ended.statuses]
        return TestResult("crashed", f"{what} ended its process (exit codes {codes})")


@dataclass(slots=True)
class _Kept:
    """A sink that keeps what comes, until it is ``longest`` bytes."""

    longest: int
    data: bytearray
    full: bool

    def __init__(self, longest: int) -> None:
        self.longest, self.data, self.full = longest, bytearray(), False

    def __call__(self, part: bytes) -> bool:
        self.data += part
        self.full = len(self.data) > self.longest
        return self.full


class _Frames:
    """A sink for the checker's frames; each one moves the deadline. What is out of order or too long ends the job."""

    def __init__(self, expected: int, seconds: float) -> None:
        self._buffer = bytearray()
        self._expected = expected
        self._seconds = seconds
        self.loaded: TestResult | None = None
        self.results: list[TestResult] = []
        self.deadline = time.monotonic() + seconds

    def __call__(self, part: bytes) -> bool:
        self._buffer += part
        while len(self._buffer) >= HEAD.size:
            number, code, length = map(int, HEAD.unpack_from(self._buffer))
            wanted = LOADED if self.loaded is None else len(self.results)
            if number != wanted or code >= len(CODES) or length > LONGEST_TEXT:
                return True
            if len(self._buffer) < HEAD.size + length:
                return False
            text = bytes(self._buffer[HEAD.size : HEAD.size + length]).decode("utf-8", "replace")
            del self._buffer[: HEAD.size + length]
            result = TestResult(CODES[code], text)
            if number == LOADED:
                self.loaded = result
            else:
                self.results.append(result)
            self.deadline = time.monotonic() + self._seconds
            if len(self.results) == self._expected or result.status == "crashed":
                return True  # of a pair of which one side is gone, the other is of no more use
        return False


def _encoded(text: str) -> bytes:
    """Bytes that were decoded with surrogateescape as they were; of other surrogates none is left."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _compared(run: Execution, expected: str) -> TestResult:
    if run.status == "error" and run.error.startswith("it wrote more than"):
        return TestResult("failed", run.error)
    if run.status != "passed":
        return TestResult(run.status, run.error[-1000:])
    ours, theirs = _lines(run.stdout), _lines(expected)
    if ours == theirs:
        return TestResult("passed")
    for number, (wrote, wanted) in enumerate(zip(ours, theirs, strict=False), start=1):
        if wrote != wanted:
            return TestResult("failed", f"line {number}: expected {wanted[:200]!r}, it wrote {wrote[:200]!r}")
    return TestResult("failed", f"expected {len(theirs)} lines, it wrote {len(ours)}")


def _lines(text: str) -> list[str]:
    """Lines without trailing white space, and without empty ones at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
