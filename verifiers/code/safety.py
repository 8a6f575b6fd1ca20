"""Whether this machine can jail a program, and whether it may run one all the same."""

from __future__ import annotations

import os

from ttc.errors import MissingExtra, SandboxUnavailable
from ttc.verifiers.code import landlock, seccomp

__all__ = ["allow_unsafe", "jail_filter", "unavailable", "unsafe_allowed"]

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
    missing: list[str] = []
    instructions = b""
    if landlock.abi() < 1:
        missing.append("Landlock (Linux 5.13 or later, with landlock among the security modules it was booted with)")
    try:
        instructions = seccomp.build_filter()
    except MissingExtra:
        missing.append("the package pyseccomp (pip install 'ttc-compute[code]', and libseccomp2 from the system)")
    except OSError as error:
        missing.append(f"seccomp: {error}")
    if not missing:
        return instructions
    if unsafe_allowed():
        return b""
    raise unavailable("it has no " + ", and no ".join(missing))


def unavailable(why: str) -> SandboxUnavailable:
    """The error that says why nothing is run, how to get a jail, and what would permit running without."""
    return SandboxUnavailable(
        f"programs that a model wrote cannot be jailed on this machine: {why}. Nothing was run. The jail needs Linux "
        "5.13 or later with Landlock, pip install 'ttc-compute[code]' and libseccomp2. To run them all the same, with "
        f"your own rights: --unsafe-local-exec (or {_UNSAFE}=1)."
    )
