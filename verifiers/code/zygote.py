"""A process that forks jailed children, started with an empty environment and no descriptor but its socket.

It imports what solutions commonly import, so that a child is ready in a millisecond, and it never reads a job: the
descriptors that a job comes in on and goes out of are passed on to the children unread. So no child finds in its memory
what an earlier job, or the checker of its own, was given.

The parent sends, over a SEQPACKET socket: once the configuration; then, one job at a time, its limits with its
descriptors. It is answered with a pidfd for each child, and with their exit statuses when both have ended.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from ttc.verifiers.code import candidate, checker, landlock
from ttc.verifiers.code.channel import Channel, read_all
from ttc.verifiers.code.jail import Jail, die_with_parent, listed_paths, readable_paths

__all__ = ["main"]

_PRELOADED = (
    "abc array base64 bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime "
    "decimal enum fractions functools hashlib heapq inspect io itertools json linecache math numbers operator "
    "random re statistics string struct sys textwrap time traceback types typing unicodedata uuid"
)
# Not threading, nor what imports it: every fork would pay for it. random seeds itself anew in each child.
_LONGEST_MESSAGE = 1 << 17


def main(descriptor: int) -> None:
    """Serve the parent at the other end of the socket until it is gone."""
    die_with_parent(os.getppid())
    os.environ.clear()  # the interpreter itself put LC_CTYPE there
    parent = socket.socket(fileno=descriptor)
    configuration = json.loads(parent.recv(_LONGEST_MESSAGE))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    for name in _PRELOADED.split():
        importlib.import_module(name)
    try:
        jail = Jail()
        if configuration["jailed"]:
            readable = [*readable_paths(), *configuration["readable"]]
            ruleset = landlock.make_ruleset(readable, listed=listed_paths())
            jail = Jail(ruleset, base64.b64decode(configuration["filter"]))
        sys.path.extend(configuration["readable"])
    except OSError as error:
        parent.send(json.dumps({"error": str(error)}).encode())
        return
    parent.send(json.dumps({"error": "", "landlock": landlock.abi()}).encode())
    gc.collect()
    gc.freeze()  # children share these pages as long as no collection writes to them
    while True:
        message, given, _, _ = socket.recv_fds(parent, _LONGEST_MESSAGE, 8)
        if not message:
            return
        _serve(parent, jail, json.loads(message), given)


def _serve(parent: socket.socket, jail: Jail, limits: dict[str, Any], given: list[int]) -> None:
    """Fork the children of one job, tell the parent, and wait until they have ended."""
    zygote = os.getpid()
    mine: list[int] = []
    if limits["role"] == "program":
        roles = [("program", given)]
    else:
        payload, verdicts, source = given
        ours, theirs = socket.socketpair()
        mine = [ours.detach(), theirs.detach()]
        roles = [("checker", [payload, verdicts, mine[0]]), ("candidate", [source, mine[1]])]
    children: list[int] = []
    for role, descriptors in roles:
        child = os.fork()
        if child == 0:
            try:
                _child(role, descriptors, zygote, jail, limits)
            except BaseException:
                traceback.print_exc()  # to the pipe of a program; for the pair it goes nowhere
                sys.stderr.flush()
            finally:
                os._exit(70)
        children.append(child)
    for number in (*given, *mine):
        os.close(number)
    watched = {os.pidfd_open(child): child for child in children}
    socket.send_fds(parent, [b"started"], list(watched))
    parent.send(json.dumps(_wait(parent, watched, kill_group=not jail.instructions)).encode())


def _wait(parent: socket.socket, watched: dict[int, int], *, kill_group: bool) -> list[int]:
    """The wait statuses of the children, in order. Ends with them if the parent goes away."""
    poll = select.poll()
    poll.register(parent, select.POLLIN)
    for pidfd in watched:
        poll.register(pidfd, select.POLLIN)
    ended: dict[int, int] = {}
    while len(ended) < len(watched):
        for number, _ in poll.poll():
            if number not in watched:  # the parent is gone: it says nothing while a job runs
                for pidfd in watched:
                    with contextlib.suppress(OSError):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os._exit(0)
            child = watched[number]
            if kill_group:  # without a jail it may have started processes of its own
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
            ended[child] = os.waitpid(child, 0)[1]
            poll.unregister(number)
    for pidfd in watched:
        os.close(pidfd)
    return [ended[child] for child in watched.values()]


def _child(role: str, descriptors: list[int], zygote: int, jail: Jail, limits: dict[str, Any]) -> None:
    """Become one of the three roles; never returns."""
    os.setsid()
    die_with_parent(zygote)
    if role != "program":
        quiet = os.open(os.devnull, os.O_RDWR)
        descriptors = [quiet, quiet, quiet, *descriptors]
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in descriptors]
    rules = jail.ruleset if jail.ruleset < 0 else fcntl.fcntl(jail.ruleset, fcntl.F_DUPFD, 100)
    os.closerange(0, 100)
    for number, source in enumerate(high):
        os.dup2(source, number, inheritable=False)
    jail.limit(limits["memory"], limits["seconds"])
    Jail(rules, jail.instructions).enter()
    os.closerange(len(high), 4096)
    if role == "checker":
        checker.check(Channel(5), json.loads(read_all(3)), 4)
        os._exit(0)
    source = read_all(3).decode("utf-8", "surrogatepass")
    os.close(3)
    if role == "candidate":
        candidate.serve(Channel(4), source)
        os._exit(0)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os._exit(candidate.run_program(source))
