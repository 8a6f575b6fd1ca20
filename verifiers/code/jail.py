"""What a child does to itself before it sees a byte of its job: limits, Landlock, seccomp."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass

from ttc.verifiers.code import landlock, seccomp

__all__ = ["Jail", "die_with_parent", "listed_paths", "readable_paths"]

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38
_SHARED_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_HARMLESS = ("/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom")
_INSTALLED = ("site-packages", "dist-packages")  # packages may hold data sets with their answers

_libc = ctypes.CDLL(None, use_errno=True)


def readable_paths() -> list[str]:
    """What the interpreter itself needs: its standard library, shared libraries, time zones, random bytes.

    What is installed beside them is left out: of these folders what is in them is named, one by one.
    """
    libraries = (*_SHARED_LIBRARIES, os.path.join(sys.base_prefix, "lib"))
    found = [path for folder in sys.path for path in _inside(folder, but=_INSTALLED)]
    found += [path for folder in libraries for path in _inside(folder, but=("python3", *_INSTALLED))]
    return [*_HARMLESS, *found]


def listed_paths() -> list[str]:
    """Folders whose names may be listed, which is how an import looks for a module."""
    return [folder for folder in sys.path if os.path.isdir(folder)]


def _inside(folder: str, *, but: tuple[str, ...]) -> list[str]:
    if not os.path.isdir(folder):
        return [folder]  # the standard library may be an archive
    return [entry.path for entry in os.scandir(folder) if not entry.name.startswith(but)]


def die_with_parent(parent: int) -> None:
    """Be killed when the process ``parent``, which made this one, ends; end at once if it is gone already."""
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@dataclass(frozen=True, slots=True)
class Jail:
    """What holds the children: ``ruleset`` is a Landlock descriptor, ``instructions`` the seccomp filter.

    Both are left out (-1 and no bytes) where running without a jail was permitted; the limits hold all the same.
    """

    ruleset: int = -1
    instructions: bytes = b""

    def limit(self, memory: int, seconds: int) -> None:
        """Limit this process: bytes of address space, CPU seconds, no files written, few open, no core dump."""
        if self.instructions:
            _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def enter(self) -> None:
        """Close the doors. Raises OSError where the kernel refuses one of them, and then nothing may be run."""
        if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
        if self.ruleset >= 0:
            landlock.restrict_self(self.ruleset)
            os.close(self.ruleset)
        if self.instructions:
            seccomp.enter_filter(self.instructions)
