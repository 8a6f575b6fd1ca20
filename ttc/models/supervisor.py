"""Runs a command and lets nothing of it outlive us: ``python -I -S supervisor.py COMMAND...``, standard library only.

Its stdin is a pipe whose other end the launcher holds. The pipe closes when the launcher closes it or dies by whatever
signal, and then the command's process group gets SIGTERM, after a grace SIGKILL, and so does every descendant, also
one that went into a group of its own (we are the subreaper: orphans become our children). The kernel's parent-death
signal alone would not do: it follows the launching *thread*, and reaches the child but not the child's children.
Exits with the command's exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state != "Z":
                parents[int(entry)] = int(parent)
    found = [os.getpid()]
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group; SIGKILL to whatever is there after the grace."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        _signal_group(child.pid, signal.SIGKILL)
        child.poll()
        left = _descendants()
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def main(command: list[str]) -> int:
    """Run ``command`` until it ends, stdin closes, our parent is gone, or SIGTERM comes."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    parent = os.getppid()
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: asked_to_stop.append(received))
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # We have one thread, so here the parent-death signal is sound: it covers a SIGKILL of this process.
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
    )
    watched = [sys.stdin]
    while child.poll() is None and not asked_to_stop and os.getppid() == parent:
        readable, _, _ = select.select(watched, [], [], 0.2)
        if readable and not os.read(sys.stdin.fileno(), 1):
            break
    _end(child)
    code = child.returncode
    return 128 - code if code is not None and code < 0 else (code or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
