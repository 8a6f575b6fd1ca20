"""``ttc up``: a vLLM server in the foreground."""

from __future__ import annotations

import json
import signal
import time
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ttc.errors import LaunchError
from ttc.models.launch import DEFAULT_PORT, RunningServer, start_server

__all__ = ["up"]


def up(
    model: Annotated[str, typer.Argument(help="smollm2 (bundled), a folder, or a hub id.")] = "smollm2",
    vllm_args: Annotated[list[str] | None, typer.Argument(help="Flags for vLLM, after --.")] = None,
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    timeout: Annotated[float, typer.Option(help="Seconds from start to the first answer.")] = 600,
    json_: Annotated[bool, typer.Option("--json", help="Print one line of JSON once it answers.")] = False,
) -> None:
    """Serve a model with vLLM until Ctrl-C, with flags that suit this machine.

    A server that runs on the port already with the same model is left as it is.
    """
    console = Console(stderr=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job starts with SIGINT ignored
        signal.signal(number, _as_interrupt)
    try:
        with console.status("starting vLLM") as status:

            def tell(seconds: float, step: str) -> None:
                if console.is_terminal:
                    status.update(escape(f"{seconds:.0f} s: {step}"))
                elif round(seconds) % 10 == 0:
                    console.print(f"{seconds:.0f} s: {step}", highlight=False, markup=False)

            def convert(stage: str, done: float) -> None:
                status.update(f"converting the bundled model, once: {stage} ({done:.0%})")

            server = start_server(
                model,
                port=port,
                host=host,
                extra_args=vllm_args or (),
                startup_timeout=timeout,
                on_progress=tell,
                on_conversion=convert,
            )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _announce(server, console, json_)
    if server.owned:
        _hold(server)


def _announce(server: RunningServer, console: Console, as_json: bool) -> None:
    if as_json:
        line = {"base_url": server.base_url, "model": server.model, "pid": server.pid, "owned": server.owned}
        print(json.dumps(line), flush=True)
        return
    what = "serves" if server.owned else "already serves"
    console.print(f"{server.base_url} {what} {server.model}", highlight=False, markup=False)
    if server.owned:
        console.print(f"log: {server.log_path}\nCtrl-C stops it", highlight=False, soft_wrap=True, markup=False)


def _hold(server: RunningServer) -> None:
    """Stay until we are told to go, or the server goes."""
    try:
        while server.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        return
    finally:
        server.stop()
    raise LaunchError(f"the server for {server.model} ended with exit code {server.poll()}. {server.log_tail()}")


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
