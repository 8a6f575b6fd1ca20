"""Starts a vLLM server for this machine, and sees to it that nothing of it is left behind.

The server is a child of a small supervisor (``supervisor.py``) that ends it, engine processes included, when we stop
it, leave, or are killed. A server that already answers on the port with the same model is used as it is and left alone.

Use ``async with serve(...)`` in async code; ``start_server`` and ``RunningServer.stop`` where no event loop lives long
enough. ``import`` of this module loads neither vllm nor torch.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ttc.errors import LaunchError
from ttc.models.bundled import SMOLLM2, Progress, cache_dir, resolve_model
from ttc.models.flags import Device, detect_device, server_environment, server_flags
from ttc.models.server_log import explain, last_step
from ttc.models.started import forget_started, note_started

__all__ = ["DEFAULT_PORT", "RunningServer", "serve", "start_server"]

DEFAULT_PORT = 8000
_LOGS_KEPT = 20


@dataclass(eq=False)
class RunningServer:
    """A server that answers.

    Attributes:
        base_url: with the ``/v1`` that OpenAI clients expect.
        model: the name under which requests ask for the model.
        pid: of the process whose end ends the server; None where the server is not ours.
        log_path: the server's own output; None where the server is not ours.
        owned: whether we started it, and so stop it.
    """

    base_url: str
    model: str
    pid: int | None = None
    log_path: Path | None = None
    owned: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def root_url(self) -> str:
        """Without ``/v1``: where ``/health``, ``/metrics`` and ``/tokenize`` are."""
        return self.base_url.removesuffix("/v1")

    def poll(self) -> int | None:
        """The exit code once a server of ours has ended; None while it runs, or is not ours."""
        return self._process.poll() if self._process else None

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log, routes and blank lines left out."""
        return explain(self.log_path, lines=lines) if self.log_path else ""

    def stop(self) -> None:
        """End the server and all its processes; does nothing when it is not ours, or ended before."""
        if self._process is not None:
            forget_started(urlsplit(self.base_url).port or 0, pid=self._process.pid)
            _stop(self._process)


def start_server(
    model: str = SMOLLM2,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    extra_args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    reuse: bool = True,
    startup_timeout: float = 600,
    on_progress: Callable[[float, str], None] | None = None,
    on_conversion: Progress | None = None,
    device: Device | None = None,
    command: Sequence[str] | None = None,
) -> RunningServer:
    """Start a server, or find one that serves ``model`` already, and return once it answers.

    Args:
        model: ``smollm2``, a folder or a hub id.
        port: without one, 8000 or, where that is taken by something else, any free port.
        host: the address to listen on.
        extra_args: flags for vLLM, after ours, so that they win.
        env: variables for the server, over our defaults and the environment.
        reuse: whether a running server with the same model is taken.
        startup_timeout: seconds from start to health; downloading a model counts.
        on_progress: told the seconds since the start and what the server is doing, about once a second.
        on_conversion: told how far the conversion of ``smollm2`` is; without it a bar is drawn.
        device: ``cpu`` or ``gpu``, found out by itself when left out.
        command: what to run in place of vLLM's server, given ``--port N`` and the rest; for tests.

    Raises:
        LaunchError: it ended or did not answer in time; carries the last log lines and what to do about it.
        MissingExtra: vLLM, or a package of the bundled model, is not installed.
        ConfigurationError: ``model`` is no model.
    """
    found, port = _find(model, host, port, reuse)
    if found:
        return found
    path = model if command else resolve_model(model, progress=on_conversion)
    order = _Order(model, path, host, port, extra_args, env or {}, device, command)
    startup = _Startup(order, startup_timeout, on_progress)
    try:
        while not startup.answers():
            time.sleep(0.25)
    except BaseException:
        _stop(startup.process)
        raise
    return startup.server()


@asynccontextmanager
async def serve(
    model: str = SMOLLM2,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    extra_args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    reuse: bool = True,
    startup_timeout: float = 600,
    on_progress: Callable[[float, str], None] | None = None,
    on_conversion: Progress | None = None,
    device: Device | None = None,
    command: Sequence[str] | None = None,
) -> AsyncGenerator[RunningServer]:
    """``start_server`` as an async context: the event loop stays free, and leaving the block stops a server of ours.

    Cancelling it during the start ends the server, or the conversion, at once. Arguments and errors are those of
    ``start_server``.
    """
    found, port = await anyio.to_thread.run_sync(_find, model, host, port, reuse)
    if found:
        yield found
        return
    path = model
    if not command:
        cancelled = threading.Event()
        resolve = partial(resolve_model, model, progress=on_conversion, cancelled=cancelled)
        try:
            path = await anyio.to_thread.run_sync(resolve, abandon_on_cancel=True)
        finally:
            cancelled.set()
    order = _Order(model, path, host, port, extra_args, env or {}, device, command)
    startup = _Startup(order, startup_timeout, on_progress)
    try:
        while True:
            if await anyio.to_thread.run_sync(startup.answers):
                break
            await anyio.sleep(0.25)
        yield startup.server()
    finally:
        forget_started(order.port, pid=startup.process.pid)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_stop, startup.process)


@dataclass(frozen=True)
class _Order:
    """What is to be started."""

    model: str
    path: str
    host: str
    port: int
    extra_args: Sequence[str]
    env: Mapping[str, str]
    device: Device | None
    command: Sequence[str] | None

    @property
    def address(self) -> str:
        return _address(self.host, self.port)

    @property
    def on(self) -> Device:
        return self.device or ("cpu" if self.command else detect_device())

    @property
    def flags(self) -> list[str]:
        return [*server_flags(self.on), *self.extra_args]

    @property
    def environment(self) -> dict[str, str]:
        return server_environment(self.on, local=Path(self.path).exists(), env=self.env)

    def start(self, log_path: Path) -> subprocess.Popen[bytes]:
        vllm = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", self.path)
        command = [*(self.command or vllm), "--served-model-name", self.model]
        command += ["--host", self.host, "--port", str(self.port), *self.flags]
        with log_path.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")), *command],
                stdin=subprocess.PIPE,  # held open while we live: see supervisor.py
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # a Ctrl-C at the terminal is for us to act on
            )


class _Startup:
    """A server between its start and its first answer."""

    def __init__(self, order: _Order, timeout: float, on_progress: Callable[[float, str], None] | None) -> None:
        self.order = order
        self.timeout = timeout
        self.on_progress = on_progress
        self.log_path = _new_log(order.port)
        self.started = time.monotonic()
        self.reported = -1.0
        self.process = order.start(self.log_path)

    def answers(self) -> bool:
        """Look once. Raises LaunchError when the server has ended or its time is up."""
        if self.process.poll() is not None:
            raise LaunchError(
                f"the server for {self.order.model} ended with exit code {self.process.returncode}. "
                f"{explain(self.log_path, hint=True)}"
            )
        if _get(self.order.address + "/health") is not None:
            return True
        seconds = time.monotonic() - self.started
        if seconds > self.timeout:
            raise LaunchError(
                f"the server for {self.order.model} did not answer within {self.timeout:.0f} s. "
                f"{explain(self.log_path)}"
            )
        if self.on_progress and seconds - self.reported >= 1:
            self.reported = seconds
            self.on_progress(seconds, last_step(self.log_path))
        return False

    def server(self) -> RunningServer:
        order = self.order
        note_started(
            order.port,
            pid=self.process.pid,
            model=order.model,
            path=order.path,
            flags=order.flags,
            environment=order.environment,
        )
        return RunningServer(
            f"{self.order.address}/v1",
            self.order.model,
            self.process.pid,
            self.log_path,
            owned=True,
            _process=self.process,
        )


def _find(model: str, host: str, port: int | None, reuse: bool) -> tuple[RunningServer | None, int]:
    """A server to reuse, and else the port to start on."""
    wanted = DEFAULT_PORT if port is None else port
    if wanted and not _is_free(host, wanted):
        models = _models(_address(host, wanted))
        if reuse and model in models:
            return RunningServer(f"{_address(host, wanted)}/v1", model), wanted
        if port is not None:
            what = f"a server for {', '.join(models)}" if models else "another program"
            raise LaunchError(f"port {wanted} is taken by {what}: stop it, or choose another port with --port")
        wanted = 0
    if not wanted:
        with socket.socket() as probe:
            probe.bind((host, 0))
            wanted = probe.getsockname()[1]
    return None, wanted


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is not 'taken'
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _address(host: str, port: int) -> str:
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{port}"


def _get(url: str) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no way to this machine
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.read()
    except (OSError, ValueError):
        return None


def _models(address: str) -> list[str]:
    try:
        listing: Any = json.loads(_get(address + "/v1/models") or "{}")
        return [str(entry["id"]) for entry in listing["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _new_log(port: int) -> Path:
    folder = cache_dir() / "logs"
    folder.mkdir(exist_ok=True)
    for old in sorted(folder.glob("vllm-*.log"), key=lambda path: path.stat().st_mtime)[: -_LOGS_KEPT + 1]:
        old.unlink(missing_ok=True)
    return folder / f"vllm-{port}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin and not process.stdin.closed:
        process.stdin.close()  # the supervisor takes it from here, within its grace
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
