"""The optional outer layer: the zygote in namespaces of its own, made by bubblewrap (``bwrap``)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from ttc.errors import SandboxUnavailable

__all__ = ["bubblewrapped"]

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")


def bubblewrapped(command: Sequence[str], *, readable: Iterable[str] = ()) -> list[str]:
    """The command inside new namespaces, with nothing but the interpreter and ``readable`` to see, all read-only.

    bwrap itself has to be started with an empty environment: ``--clearenv`` alone leaves the variables readable in
    ``/proc/1/environ``. Raises SandboxUnavailable where bwrap is not installed.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxUnavailable(
            "bubblewrap was asked for, and there is no bwrap on PATH: install the package 'bubblewrap', or leave out "
            "bubblewrap=True and TTC_BUBBLEWRAP"
        )
    binds: list[str] = []
    for path in dict.fromkeys((*_SYSTEM, sys.base_prefix, *_interpreter(), *readable)):
        if os.path.exists(path):
            binds += ["--ro-bind", path, path]
    isolated = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    return [bwrap, *isolated, *binds, "--dev", "/dev", "--chdir", "/", "--", *command]


def _interpreter() -> list[str]:
    """The file that is started and those that its links lead to, and what marks a virtual environment."""
    files = [sys.executable]
    while os.path.islink(files[-1]) and len(files) < 20:
        files.append(os.path.normpath(os.path.join(os.path.dirname(files[-1]), os.readlink(files[-1]))))
    return [*files, os.path.join(sys.prefix, "pyvenv.cfg")]
