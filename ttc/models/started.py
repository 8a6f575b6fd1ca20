"""A note of each server that was started on this machine, so that a run that uses it can say how it was started."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from ttc.models.bundled import cache_dir

__all__ = ["StartedServer", "forget_started", "note_started", "started_at", "without_secrets"]

_SECRET = re.compile(r"key|token$|secret|password|credential", re.IGNORECASE)
_TELLING = re.compile(r"VLLM_(?!NO_USAGE|HTTP_|LOG|CONFIGURE_LOG|API_|HOST_)|CUDA_VISIBLE_|OMP_|KMP_|NCCL_|TORCH_")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedServer:
    """How a server was started here.

    Attributes:
        pid: of its supervisor.
        model: the name that it serves.
        path: what vLLM was given: a folder or a hub id.
        flags: its command line behind the model, secrets left out.
        environment: the variables that tell on what it computes.
        started: when the supervisor was, in clock ticks since the machine's start: tells it from a later process of
            the same number.
    """

    pid: int
    model: str
    path: str
    flags: tuple[str, ...]
    environment: Mapping[str, str]
    started: int

    def flag(self, name: str) -> str | None:
        """Return the last value of a flag, as ``--name value`` or ``--name=value``."""
        value = None
        for i, word in enumerate(self.flags):
            if word == name and i + 1 < len(self.flags):
                value = self.flags[i + 1]
            elif word.startswith(f"{name}="):
                value = word.partition("=")[2]
        return value


def note_started(
    port: int, *, pid: int, model: str, path: str, flags: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Note a server that answers. A disk that cannot be written costs the note, and nothing else."""
    note = StartedServer(
        pid=pid,
        model=model,
        path=path,
        flags=tuple(without_secrets(flags)),
        environment={k: v for k, v in sorted(environment.items()) if _TELLING.match(k) and not _SECRET.search(k)},
        started=_start_of(pid) or 0,
    )
    with contextlib.suppress(OSError):
        file = _file(port)
        file.parent.mkdir(exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_bytes(orjson.dumps(asdict(note)))
        beside.replace(file)


def forget_started(port: int, *, pid: int) -> None:
    """Take the note of a server away that is stopped."""
    note = _read(port)
    if note is not None and note.pid == pid:
        with contextlib.suppress(OSError):
            _file(port).unlink(missing_ok=True)


def started_at(base_url: str) -> StartedServer | None:
    """Return how the server at a URL was started, where it is one of this machine's that still runs."""
    parts = urlsplit(base_url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or parts.port is None:
        return None
    note = _read(parts.port)
    if note is None or not note.started or _start_of(note.pid) != note.started:
        return None
    return note


def without_secrets(flags: Sequence[str]) -> list[str]:
    """Return a command line with the values of its keys and passwords left out."""
    kept: list[str] = []
    hiding = False
    for word in flags:
        name, equals, _ = word.partition("=")
        if word.startswith("-"):
            hiding = bool(_SECRET.search(name))
            kept.append(f"{name}=***" if hiding and equals else word)
            hiding = hiding and not equals
        else:
            kept.append("***" if hiding else word)
    return kept


def _file(port: int) -> Path:
    return cache_dir() / "servers" / f"{port}.json"


def _read(port: int) -> StartedServer | None:
    try:
        data: dict[str, Any] = orjson.loads(_file(port).read_bytes())
        return StartedServer(
            pid=int(data["pid"]),
            model=data["model"],
            path=data["path"],
            flags=tuple(data["flags"]),
            environment=data["environment"],
            started=int(data["started"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _start_of(pid: int) -> int | None:
    """When a process was started, in clock ticks since the machine's start; None where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
