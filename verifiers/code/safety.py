"""Whether this machine can jail a program, and whether it may run one all the same."""

from __future__ import annotations

import os

from ttc.errors import MissingExtra, SandboxUnavailable
from ttc.verifiers.code import landlock, seccomp

__all__ = ["allow_unsafe", "jail_filter", "missing_jail", "unavailable", "unsafe_allowed"]

_UNSAFE = "TTC_UNSAFE_LOCAL_EXEC"


def allow_unsafe() -> None:
    """Permit programs to run without a jail where this machine has none; for subprocesses too, by the environment.

    They still run in processes of their own, with limits and deadlines, and with the rights of this user.
    """
    os.environ[_UNSAFE] = "1"


def unsafe_allowed() -> bool:
    """Whether running without a jail is permitted."""
    return os.environ.get(_UNSAFE) == "1"


def jail_filter() -> bytes:
    """The seccomp filter, or nothing where there can be no jail and running without one is permitted.

    Raises SandboxUnavailable where it is not permitted; the message names what is missing.
    """
    lacking = _lacking()
    if not lacking:
        try:
            return seccomp.build_filter()
        except OSError as error:
            lacking = f"seccomp ({error})"
    if unsafe_allowed():
        return b""
    raise unavailable(f"it lacks {lacking}")


def missing_jail() -> str:
    """Say what this machine lacks to run programs; empty where it can jail them, or may run them without a jail.

    Nothing is started. Whether the jail holds is only known when it has been attacked, at the first program.
    """
    lacking = "" if unsafe_allowed() else _lacking()
    return f"a jail for programs, which takes {lacking}" if lacking else ""


def _lacking() -> str:
    lacking: list[str] = []
    if landlock.abi() < 1:
        lacking.append("Landlock (Linux 5.13 or later, with landlock among the security modules it was booted with)")
    try:
        seccomp.library()
    except MissingExtra:
        lacking.append("the package pyseccomp (pip install 'ttc-compute[code]', and libseccomp2 from the system)")
    except OSError as error:
        lacking.append(f"seccomp ({error})")
    return " and ".join(lacking)


def unavailable(why: str) -> SandboxUnavailable:
    """The error that says why nothing is run, how to get a jail, and what would permit running without."""
    return SandboxUnavailable(
        f"programs that a model wrote cannot be jailed on this machine: {why}. Nothing was run. The jail needs Linux "
        "5.13 or later with Landlock, pip install 'ttc-compute[code]' and libseccomp2. To run them all the same, with "
        f"your own rights: --unsafe-local-exec (or {_UNSAFE}=1)."
    )
