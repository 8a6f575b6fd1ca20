"""The sandbox: a pool of jailed interpreters, and what can be asked of it."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ttc.errors import ConfigurationError, SandboxUnavailable
from ttc.verifiers.code.canaries import try_canaries
from ttc.verifiers.code.safety import jail_filter, unavailable, unsafe_allowed
from ttc.verifiers.code.trial import Cancelled, Trial
from ttc.verifiers.code.verdicts import Execution, Limits, Observation, TestResult
from ttc.verifiers.code.worker import Setting, Worker, WorkerLost

__all__ = ["Sandbox", "shared_sandbox"]

_BUBBLEWRAP = "TTC_BUBBLEWRAP"
_ATTEMPTS = 3  # of a job whose zygote is lost, which is never the job's own doing
_CLOSING_SECONDS = 5
_NO_LIMITS = Limits()

T = TypeVar("T")


class Sandbox:
    """Runs programs that nobody has read. Safe to use from any event loop and thread; a cancelled call is killed.

    Tests run in one process, which holds what they expect; the program runs in another one, which sees the arguments of
    calls; both are jailed (Landlock and seccomp: they read the standard library, and do nothing else). What the
    program returns is rebuilt as exact builtins (``plain_data``). Whether that holds is tried once, before the first
    program, by attacks from inside.

    Not as in one process: functions of a test cannot be passed to the program, what it returns is never the same object
    as an argument, and its own objects can be compared with nothing. Changes to arguments that are lists, dicts, sets
    or bytearrays are made in the test too.

    Args:
        workers: how many jobs run at a time; as many as this process may use cores, by default.
        bubblewrap: an outer layer of namespaces by bubblewrap; TTC_BUBBLEWRAP=1 asks for it too.
        readable: folders besides the standard library that programs may import from.

    Raises:
        SandboxUnavailable: this machine cannot jail a program (what is missing is known at once, whether the attacks
            fail at the first call). Nothing is run then, unless ``allow_unsafe()`` or TTC_UNSAFE_LOCAL_EXEC=1 permits.
    """

    def __init__(
        self, workers: int | None = None, *, bubblewrap: bool | None = None, readable: Sequence[str] = ()
    ) -> None:
        self.size = len(os.sched_getaffinity(0)) if workers is None else workers
        if self.size < 1:
            raise ConfigurationError(f"workers={workers}: a sandbox needs at least 1")
        wrapped = os.environ.get(_BUBBLEWRAP) == "1" if bubblewrap is None else bubblewrap
        self._setting = Setting(jail_filter(), tuple(readable), wrapped)
        self._slots: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self.size):
            self._slots.put(None)
        self._starting = threading.Lock()
        self._tried = not self._setting.instructions
        self._alive: set[Worker] = set()
        self._running: set[Trial] = set()
        self._closed = False
        self._pid = os.getpid()
        self._turns: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar(f"ttc-sandbox-{id(self)}")
        self._threads: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar(f"ttc-threads-{id(self)}")
        atexit.register(self.close)

    @property
    def isolation(self) -> str:
        """What stands around a program: ``landlock+seccomp``, ``bubblewrap+landlock+seccomp``, or ``none``."""
        layers = ["bubblewrap"] * self._setting.bubblewrap + ["landlock", "seccomp"] * bool(self._setting.instructions)
        return "+".join(layers) or "none"

    async def check(
        self,
        source: str,
        tests: Sequence[str | Mapping[str, str]],
        *,
        entry_point: str = "",
        setup: str = "",
        limits: Limits = _NO_LIMITS,
    ) -> list[TestResult]:
        """How a program does on tests, one result for each, in order.

        Args:
            source: the program; it is imported as the module ``solution``.
            tests: Python source, of which every name that neither it, nor ``setup``, nor the builtins define is one of
                the program's; or ``{"stdin": ..., "stdout": ...}``, for which it runs as a program, and lines are
                compared without trailing white space.
            entry_point: the name that is always the program's, even where ``setup`` defines it.
            setup: trusted source that is run before the tests: the imports and helper functions of a prompt.
            limits: per test, and for all of them.
        """
        asserts = [test for test in tests if isinstance(test, str)]
        examples = [test for test in tests if not isinstance(test, str)]
        results: list[TestResult] = []
        if asserts:
            results = await self._on_worker(
                limits,
                lambda trial, worker: trial.check(
                    worker, source, asserts, entry_point=entry_point, setup=setup, expressions=False
                ),
            )
        if not examples:
            return results
        others = await self._on_worker(limits, lambda trial, worker: trial.test_program(worker, source, examples))
        of_asserts, of_examples = iter(results), iter(others)
        return [next(of_asserts) if isinstance(test, str) else next(of_examples) for test in tests]

    async def evaluate(
        self,
        source: str,
        expressions: Sequence[str],
        *,
        entry_point: str = "",
        setup: str = "",
        limits: Limits = _NO_LIMITS,
    ) -> list[Observation]:
        """What a program makes of expressions, as texts that equal values share (``canonical_text``), in order."""
        results = await self._on_worker(
            limits,
            lambda trial, worker: trial.check(
                worker, source, expressions, entry_point=entry_point, setup=setup, expressions=True
            ),
        )
        return [Observation(result.status, result.detail) for result in results]

    async def execute(self, source: str, *, stdin: str = "", limits: Limits = _NO_LIMITS) -> Execution:
        """Run a program as ``__main__``, with a standard input."""
        return await self._on_worker(limits, lambda trial, worker: trial.execute(worker, source, stdin))

    def close(self) -> None:
        """End every process of the pool. Calls in progress, and later ones, raise SandboxUnavailable."""
        atexit.unregister(self.close)
        if self._closed or os.getpid() != self._pid:  # a fork of this process has no right to them
            return
        self._closed = True
        for trial in list(self._running):
            trial.cancel()
        with contextlib.suppress(queue.Empty):
            for _ in range(self.size):  # a slot comes back when the processes of its job are gone
                self._slots.get(timeout=_CLOSING_SECONDS)
        with self._starting:
            for worker in self._alive:
                worker.kill()
            self._alive.clear()

    async def _on_worker(self, limits: Limits, job: Callable[[Trial, Worker], T]) -> T:
        """Wait for a turn, then run the job in a thread. Cancelled, it is killed, and the worker is free again."""
        result: T | Cancelled = Cancelled()
        async with _of_this_loop(self._turns, self.size):
            trial = Trial(limits)
            try:
                async with anyio.create_task_group() as watch:
                    watch.start_soon(_cancel_with_me, trial)
                    with anyio.CancelScope(shield=True):
                        result = await anyio.to_thread.run_sync(
                            self._blocking, trial, job, limiter=_of_this_loop(self._threads, math.inf)
                        )
                    watch.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                trial.close()
        if isinstance(result, Cancelled):
            await anyio.lowlevel.checkpoint()
            raise SandboxUnavailable("the sandbox was closed while a program ran")
        return result

    def _blocking(self, trial: Trial, job: Callable[[Trial, Worker], T]) -> T | Cancelled:
        self._running.add(trial)
        try:
            return self._attempted(trial, job)
        finally:
            self._running.discard(trial)

    def _attempted(self, trial: Trial, job: Callable[[Trial, Worker], T]) -> T | Cancelled:
        lost: WorkerLost | None = None
        for _ in range(_ATTEMPTS):
            worker = self._take(trial)
            if worker is None:
                return Cancelled()
            keep: Worker | None = None
            try:
                result = job(trial, worker)
                keep = worker
                return result
            except Cancelled as cancelled:
                keep = worker
                return cancelled
            except WorkerLost as error:
                lost = error
            finally:
                if keep is None:
                    self._drop(worker)
                self._slots.put(keep)
        if self._closed:
            return Cancelled()
        raise SandboxUnavailable(f"the sandbox was lost {_ATTEMPTS} times while it ran one program: {lost}") from lost

    def _take(self, trial: Trial) -> Worker | None:
        """A worker that nobody else has, started if need be; None if the trial is cancelled before there is one."""
        while True:
            if trial.cancelled or self._closed:
                return None
            try:
                worker = self._slots.get(timeout=0.05)  # another event loop may have them all
                break
            except queue.Empty:
                continue
        if worker is not None:
            return worker
        try:
            return self._start()
        except BaseException:
            self._slots.put(None)
            raise

    def _start(self) -> Worker:
        with self._starting:
            if self._closed:
                raise SandboxUnavailable("the sandbox is closed")
            worker = self._worker()
            if self._tried:
                return worker
            try:
                self._try(worker)
            except BaseException as error:
                self._alive.discard(worker)
                worker.kill()
                if not (isinstance(error, SandboxUnavailable) and unsafe_allowed()):
                    raise
                # Half a jail is none: what was permitted is said to be what it is.
                self._setting = replace(self._setting, instructions=b"")
                worker = self._worker()
            self._tried = True
            return worker

    def _worker(self) -> Worker:
        try:
            worker = Worker(self._setting)
        except WorkerLost as error:
            raise unavailable(str(error)) from error
        self._alive.add(worker)
        return worker

    def _try(self, worker: Worker) -> None:
        trial = Trial(Limits(seconds=30, total_seconds=30))
        try:
            succeeded = try_canaries(lambda source, stdin: trial.execute(worker, source, stdin))
        except (RuntimeError, WorkerLost) as error:
            raise unavailable(str(error)) from error
        finally:
            trial.close()
        if succeeded:
            raise unavailable(f"attacks from inside the jail succeeded: {', '.join(succeeded)}")

    def _drop(self, worker: Worker) -> None:
        with self._starting:
            self._alive.discard(worker)
        worker.kill()


def shared_sandbox() -> Sandbox:
    """The one pool of this process, started at the first call and ended with the process.

    Raises SandboxUnavailable where this machine cannot jail a program.
    """
    global _shared
    with _sharing:
        if _shared is None or _shared._closed or _shared._pid != os.getpid():
            _shared = Sandbox()
        return _shared


_shared: Sandbox | None = None
_sharing = threading.Lock()


def _of_this_loop(variable: anyio.lowlevel.RunVar[anyio.CapacityLimiter], size: float) -> anyio.CapacityLimiter:
    try:
        return variable.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(size)
        variable.set(limiter)
        return limiter


async def _cancel_with_me(trial: Trial) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        trial.cancel()
