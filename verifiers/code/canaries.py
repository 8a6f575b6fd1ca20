"""Attacks that are tried inside the jail before anything else is run there. One that succeeds, and nothing is run.

``PROGRAM`` is what the jailed process runs. It is given what to go for on its standard input, and writes the names of
the attacks that succeeded.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from ttc.verifiers.code.verdicts import Execution

__all__ = ["PROGRAM", "installed_file", "try_canaries"]

PROGRAM = r"""
import ctypes, json, os, signal, socket, sys

goal = json.load(sys.stdin)
folder, parent = goal["folder"], goal["parent"]
libc = ctypes.CDLL(None, use_errno=True)

def write_a_file():
    open(folder + "/written", "w").close()

def change_a_file():
    os.truncate(folder + "/secret", 0)

def make_a_folder():
    os.mkdir(folder + "/made")

def delete_a_file():
    os.unlink(folder + "/victim")

def link_a_file():
    os.link(folder + "/secret", folder + "/linked")

def change_a_mode():
    os.chmod(folder + "/secret", 0o777)

def read_a_secret_file():
    open(folder + "/secret").read()

def read_an_installed_package():
    open(goal["package"]).read()

def read_passwd():
    open("/etc/passwd").read()

def list_a_folder():
    os.listdir(folder)

def read_the_parents_environment():
    open("/proc/%d/environ" % parent, "rb").read()

def read_the_first_environment():
    open("/proc/1/environ", "rb").read()

def read_its_own_memory_map():
    open("/proc/self/maps").read()

def find_an_environment():
    assert os.environ

def open_a_tcp_socket():
    socket.socket(socket.AF_INET, socket.SOCK_STREAM)

def open_a_udp_socket():
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

def open_a_unix_socket():
    socket.socket(socket.AF_UNIX).connect(folder + "/socket")

def bind_an_abstract_socket():
    socket.socket(socket.AF_UNIX).bind("\0ttc-canary-%d" % os.getpid())

def fork():
    if os.fork() == 0:
        os._exit(0)

def execute_a_program():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {})
    os.waitpid(pid, 0)

def replace_itself():  # by what is no program, so that this one goes on
    try:
        os.execv(folder + "/secret", ["secret"])
    except OSError as error:
        if error.errno != 8:
            raise

def signal_the_parent():
    os.kill(parent, 0)

def signal_its_group():
    os.killpg(os.getppid(), 0)

def trace_the_parent():  # PTRACE_SEIZE does not stop it
    if libc.ptrace(0x4206, parent, 0, 0) != 0:
        raise OSError

def limit_the_parent():
    import resource
    resource.prlimit(parent, resource.RLIMIT_NOFILE)

def open_the_parent():
    os.close(os.pidfd_open(parent))

def make_a_file_in_memory():
    os.close(os.memfd_create("canary"))

def mount_a_filesystem():
    if libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) != 0:
        raise OSError
    libc.umount(folder.encode())

def make_a_namespace():
    if libc.unshare(0x10000000) != 0:
        raise OSError

def start_io_uring():
    if libc.syscall(ctypes.c_long(425), 8, ctypes.create_string_buffer(256)) < 0:
        raise OSError

def raise_its_limits():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))

attacks = [a for a in list(globals().values()) if callable(a) and getattr(a, "__module__", "") == "__main__"]
succeeded = []
for attack in attacks:
    try:
        attack()
    except (OSError, AssertionError, ImportError, ValueError):
        continue
    succeeded.append(attack.__name__)
print(json.dumps([len(attacks), succeeded]))
"""


def try_canaries(execute: Callable[[str, str], Execution]) -> list[str]:
    """The names of the attacks that succeeded; ``execute`` runs a program on a standard input in the jail.

    Raises RuntimeError where the attacks could not be tried: then nothing is known about the jail.
    """
    with tempfile.TemporaryDirectory(prefix="ttc-canary-") as folder:
        (Path(folder) / "secret").write_text("a secret")
        (Path(folder) / "secret").chmod(0o755)
        (Path(folder) / "victim").write_text("")
        Path(folder).chmod(0o777)
        run = execute(PROGRAM, json.dumps({"folder": folder, "parent": os.getpid(), "package": installed_file()}))
        changed = [name for name in sorted(os.listdir(folder)) if name not in ("secret", "victim")]
    try:
        tried, succeeded = json.loads(run.stdout)
    except ValueError as error:
        raise RuntimeError(f"the canary attacks did not run: {run.status}, {run.error[-500:]}") from error
    if not tried:
        raise RuntimeError("no canary attack was tried")
    return [*succeeded, *(f"left {name}" for name in changed)]


def installed_file() -> str:
    """A file of a package that is installed beside the standard library, or one that is not there."""
    folders = [Path(sys.base_prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")]
    folders += [Path(sysconfig.get_paths()["purelib"]), Path("/usr/lib/python3/dist-packages")]
    found = (str(file) for folder in folders if folder.is_dir() for file in folder.glob("*/*.py"))
    return next(found, "/nowhere")
