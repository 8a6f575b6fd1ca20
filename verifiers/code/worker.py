"""The parent's side of one zygote: it is started, given one job at a time, and ended."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ttc.verifiers.code.bubblewrap import bubblewrapped

__all__ = ["Ended", "Setting", "Sink", "Worker", "WorkerLost"]

Sink = Callable[[bytes], bool]
"""Takes what came out of a pipe; True ends the job."""

_HERE = Path(__file__).resolve().parent
_BOOT = """
import sys, types
for name in ("ttc", "ttc.verifiers", "ttc.verifiers.code"):
    sys.modules[name] = package = types.ModuleType(name)
    package.__path__ = [{folder!r}] if name.endswith(".code") else []
from ttc.verifiers.code.zygote import main
main({descriptor})  # ttc sandbox of process {parent}
"""
_START_SECONDS = 60
_FAREWELL_SECONDS = 10  # from SIGKILL until the kernel has taken a process apart
_LONGEST_MESSAGE = 1 << 17


class WorkerLost(Exception):
    """The zygote did not start, or ended: start another one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How zygotes are started.

    Args:
        instructions: the seccomp filter; none where running without a jail was permitted.
        readable: folders that programs may import from, besides the standard library.
        bubblewrap: whether bwrap makes an outer layer.
    """

    instructions: bytes = b""
    readable: tuple[str, ...] = ()
    bubblewrap: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a job ended: by itself, at its deadline, because it was cancelled, or because a sink had enough.

    ``statuses`` are the wait statuses of its processes, none of which is left.
    """

    reason: Literal["ended", "deadline", "cancelled", "enough"]
    statuses: tuple[int, ...]


class Worker:
    """One zygote. Not to be shared by threads. Raises WorkerLost where it does not start or answer."""

    def __init__(self, setting: Setting) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        try:
            self.process = _spawner().submit(_spawn, setting, theirs.fileno()).result()
        except OSError as error:
            ours.close()
            raise WorkerLost(f"the interpreter of the sandbox does not start: {error}") from error
        finally:
            theirs.close()
        ours.settimeout(_START_SECONDS)
        configuration = {
            "jailed": bool(setting.instructions),
            "filter": base64.b64encode(setting.instructions).decode(),
            "readable": setting.readable,
        }
        try:
            ours.send(json.dumps(configuration).encode())
            greeting = json.loads(ours.recv(_LONGEST_MESSAGE) or b'{"error": "it ended at once"}')
        except OSError as error:
            self.kill()
            raise WorkerLost(f"the interpreter of the sandbox does not answer: {error}") from error
        if greeting["error"]:
            self.kill()
            raise WorkerLost(f"the jail cannot be made: {greeting['error']}")

    def run(
        self,
        limits: dict[str, Any],
        pipes: Sequence[bytes | Sink],
        *,
        deadline: Callable[[], float],
        wake: int,
    ) -> Ended:
        """Run one job to its end.

        ``pipes`` are the descriptors that its processes get, in order: bytes are what they read from one, a sink takes
        what they write to one. ``deadline`` is asked before each wait (on the monotonic clock); ``wake`` is a
        descriptor that becomes readable when the job is cancelled.
        """
        inputs: dict[int, memoryview] = {}
        sinks: dict[int, Sink] = {}
        given: list[int] = []
        pidfds: list[int] = []
        try:
            for pipe in pipes:
                reading, writing = os.pipe()
                if callable(pipe):
                    given.append(writing)
                    sinks[reading] = pipe
                    os.set_blocking(reading, False)
                else:
                    given.append(reading)
                    inputs[writing] = memoryview(pipe)
                    os.set_blocking(writing, False)
            socket.send_fds(self._socket, [json.dumps(limits).encode()], given)
            for number in given:
                os.close(number)
            given.clear()
            message, pidfds, _, _ = socket.recv_fds(self._socket, _LONGEST_MESSAGE, 4)
            if message != b"started":
                raise WorkerLost("the sandbox's process ended")
            reason, statuses = self._converse(inputs, sinks, deadline, wake)
            if statuses is None:
                statuses = self._end(pidfds)
            return Ended(reason, statuses)
        except OSError as error:
            raise WorkerLost(f"the sandbox's process does not answer: {error}") from error
        finally:
            for number in (*given, *inputs, *sinks, *pidfds):
                os.close(number)

    def _converse(
        self, inputs: dict[int, memoryview], sinks: dict[int, Sink], deadline: Callable[[], float], wake: int
    ) -> tuple[Literal["ended", "deadline", "cancelled", "enough"], tuple[int, ...] | None]:
        poll = select.poll()
        control = self._socket.fileno()
        poll.register(control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        for number in sinks:
            poll.register(number, select.POLLIN)
        for number in inputs:
            poll.register(number, select.POLLOUT)
        while True:
            left = deadline() - time.monotonic()
            if left <= 0:
                return "deadline", None
            ready = dict(poll.poll(left * 1000 + 1))
            if wake in ready:
                return "cancelled", None
            for number in ready.keys() & inputs.keys():
                if not _feed(inputs, number):
                    poll.unregister(number)
                    os.close(number)
                    del inputs[number]
            for number in ready.keys() & sinks.keys():
                part = os.read(number, 1 << 16)
                if not part:
                    poll.unregister(number)
                elif sinks[number](part):
                    return "enough", None
            if control in ready:
                statuses = self._farewell()
                return ("enough" if _drain(sinks) else "ended"), statuses

    def _end(self, pidfds: list[int]) -> tuple[int, ...]:
        for pidfd in pidfds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return self._farewell()

    def _farewell(self) -> tuple[int, ...]:
        self._socket.settimeout(_FAREWELL_SECONDS)
        message = self._socket.recv(_LONGEST_MESSAGE)
        if not message:
            raise WorkerLost("the sandbox's process ended")
        return tuple(json.loads(message))

    def kill(self) -> None:
        """End the zygote, and with it whatever it runs."""
        self._socket.close()
        self.process.kill()
        self.process.wait()


def _feed(inputs: dict[int, memoryview], number: int) -> bool:
    """Write what the pipe takes; whether something is left to write."""
    try:
        inputs[number] = inputs[number][os.write(number, inputs[number]) :] if inputs[number] else inputs[number]
    except BlockingIOError:
        return True
    except BrokenPipeError:
        return False
    return bool(inputs[number])


def _drain(sinks: dict[int, Sink]) -> bool:
    """Read what the ended processes have left in the pipes; whether a sink had enough."""
    for number, sink in sinks.items():
        with contextlib.suppress(BlockingIOError):
            while part := os.read(number, 1 << 16):
                if sink(part):
                    return True
    return False


def _spawn(setting: Setting, descriptor: int) -> subprocess.Popen[bytes]:
    boot = _BOOT.format(folder=str(_HERE), descriptor=descriptor, parent=os.getpid())
    command = [sys.executable, "-I", "-S", "-E", "-B", "-X", "utf8", "-c", boot]
    if setting.bubblewrap:
        command = bubblewrapped(command, readable=[str(_HERE), *setting.readable])
    return subprocess.Popen(
        command,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[descriptor],
        cwd="/",
        start_new_session=True,  # an interrupt at the terminal is the parent's to deal with
    )


_spawners: dict[int, ThreadPoolExecutor] = {}


def _spawner() -> ThreadPoolExecutor:
    """One thread for as long as this process lives: a child is told of its parent's end by the thread that made it."""
    if os.getpid() not in _spawners:
        _spawners[os.getpid()] = ThreadPoolExecutor(1, thread_name_prefix="ttc-sandbox")
    return _spawners[os.getpid()]
