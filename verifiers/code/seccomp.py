"""The system calls that a jailed program may make: an allow-list, built once by libseccomp and entered per child.

All else fails with EPERM: fork and exec, sockets, signals, ptrace, memfd, io_uring, mount, prctl. Threads may be
started (their memory counts), a socketpair may be made (asyncio wakes itself with one), files are opened for reading
alone. ``build_filter`` needs pyseccomp and libseccomp2; ``enter_filter`` needs neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import Any

__all__ = ["build_filter", "enter_filter", "library"]

_ALLOWED = (
    "read readv pread64 preadv write writev pwrite64 lseek close close_range fstat stat lstat newfstatat statx fstatfs "
    "access faccessat faccessat2 readlink readlinkat getcwd getdents64 fadvise64 dup dup2 dup3 pipe pipe2 "
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 "
    "getsockname getsockopt recvfrom shutdown "
    "mmap munmap mprotect mremap madvise brk membarrier "
    "futex futex_waitv get_robust_list set_robust_list rseq set_tid_address sched_yield sched_getaffinity getcpu "
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause "
    "alarm setitimer getitimer restart_syscall "
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getrlimit sysinfo uname "
    "getrandom getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid "
    "getpgid getpgrp getsid exit exit_group"
)

_FCNTL = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: none names a process
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEW_THREAD = 0x00010000 | 0x00000100 | 0x00000800  # CLONE_THREAD, CLONE_VM, CLONE_SIGHAND
_NAMESPACES = 0x7E020000 | 0x00000080  # CLONE_NEW*

_SET_MODE_FILTER = 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def library() -> Any:
    """The module pyseccomp, with libseccomp2 loaded.

    Raises MissingExtra without pyseccomp, OSError without libseccomp2 or on an architecture that was never tried.
    """
    if os.uname().machine not in _SECCOMP:
        raise OSError(f"the seccomp filter is written for {' and '.join(_SECCOMP)}, not for {os.uname().machine}")
    from ttc.errors import MissingExtra  # here, for the process that enters the filter has none of the project but this

    try:
        import pyseccomp
    except ImportError as error:
        raise MissingExtra("pyseccomp", "code", "running programs in a jail") from error
    except (RuntimeError, OSError) as error:
        raise OSError(f"libseccomp2 is not installed ({error})") from error
    return pyseccomp


def build_filter() -> bytes:
    """The filter as BPF instructions for this machine. Raises as :func:`library`."""
    import tempfile

    libseccomp = library()
    arg, equal, masked = libseccomp.Arg, libseccomp.EQ, libseccomp.MASKED_EQ
    rules = libseccomp.SyscallFilter(libseccomp.ERRNO(errno.EPERM))

    def allow(call: str, *conditions: Any, action: int = libseccomp.ALLOW) -> None:
        with contextlib.suppress(OSError, ValueError):  # this architecture has no call of that name: nothing to allow
            rules.add_rule(action, call, *conditions)

    for call in _ALLOWED.split():
        allow(call)
    allow("openat", arg(2, masked, _WRITING, 0))
    allow("open", arg(1, masked, _WRITING, 0))
    allow("clone", arg(0, masked, _NEW_THREAD | _NAMESPACES, _NEW_THREAD))
    allow("clone3", action=libseccomp.ERRNO(errno.ENOSYS))  # its flags are in memory; libc falls back to clone
    allow("prlimit64", arg(0, equal, 0), arg(2, equal, 0))  # reads its own limits
    allow("socketpair", arg(0, equal, 1))
    allow("sendto", arg(4, equal, 0))  # into a connected pair, never to an address
    for command in _FCNTL:
        allow("fcntl", arg(1, equal, command))
    for request in _IOCTL:
        allow("ioctl", arg(1, equal, request))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def enter_filter(instructions: bytes) -> None:
    """Put the filter on this process, for good. Needs ``no_new_privs``. Raises OSError if the kernel refuses."""
    program = _Program(len(instructions) // 8, instructions)
    if _libc.syscall(_SECCOMP[os.uname().machine], _SET_MODE_FILTER, 0, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp: " + os.strerror(ctypes.get_errno()))
