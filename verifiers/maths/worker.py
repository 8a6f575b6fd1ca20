"""A stand-alone process that compares formulas with math-verify, so that a comparison can be killed.

It is run by its path, and knows nothing of ``ttc``. One nurse process imports sympy once and forks a child that
compares; when the child is killed, or dies, the nurse forks the next one, in milliseconds and not in the seconds of an
import. Both speak JSON lines over the pipes of the nurse: never pickle, and never anything made by sympy but a bool.

::

    > {"path": [...], "memory": bytes, "jail": {...}}  once: where packages are found; the jail may be null
    < {"ready": pid, "lost": false}                    a child waits for work; lost: the one before died over its own
    > {"id": 7, "gold": "...", "answer": "...", "seconds": 2.0}
    < {"failed": "ImportError: ..."}                   or this, and the nurse ends
    < {"id": 7, "equal": true}                         null: it ran out of memory or depth
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import functools
import importlib.util
import json
import logging
import os
import pkgutil
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["main"]

_RETIRED = 3
"""Exit code of a child that has compared enough, so that no cache of sympy's grows for ever."""

_COMPARISONS = 5000
_HARDEST_CPU = 900  # seconds of the CPU over a child's whole life; each comparison has its own, smaller one
_DIGITS = 9  # decimal places within which numbers that are not rational count as equal

# What sympy imports inside functions. All is loaded before files can no longer be opened.
_LEFT_OUT = frozenset(
    """tests testing benchmarks plotting physics parsing codegen interactive printing vector diffgeom stats liealgebras
    categories crypto unify sandbox utilities geometry external conftest this holonomic tensor algebras trace galgebra
    compatibility deprecated meijerint_doc hyperexpand_doc __main__""".split()  # noqa: SIM905 (more readable)
)
_WARM = [("x^2+2x+1", "(x+1)^2"), (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}"), (r"1<x<2", "(1,2)"), ("1.5", r"\sqrt2")]


_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")


def main() -> None:
    """Import, then keep one child comparing until the parent closes the pipe."""
    _die_with_parent(int(sys.argv[1]))
    setup = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = setup["path"]
    resource.setrlimit(resource.RLIMIT_AS, (setup["memory"], setup["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        equal, enter_jail = _comparison(), _jail(setup["jail"])
    except Exception as error:
        _reply({"failed": f"{type(error).__name__}: {error}"[:500]})
        sys.exit(1)
    watched = {signal.SIGUSR1, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)  # taken one at a time, so that no child is killed after its end
    lost = False
    while True:
        nurse, child = os.getpid(), os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            _compare_for_ever(equal, enter_jail, nurse=nurse, lost=lost)
        while True:
            if signal.sigwait(watched) == signal.SIGUSR1:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
        code = os.waitstatus_to_exitcode(status)
        if code in (0, 1):  # the pipe was closed, or it cannot even wait for work
            sys.exit(code)
        lost = code != _RETIRED


def _compare_for_ever(
    equal: Callable[[str, str], bool], enter_jail: Callable[[], None], *, nurse: int, lost: bool
) -> NoReturn:
    """Serve until the pipe is closed; never returns to the nurse's code, whatever happens."""
    try:
        _die_with_parent(nurse)
        resource.setrlimit(resource.RLIMIT_CPU, (_HARDEST_CPU, _HARDEST_CPU))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # those that are open stay so
        with contextlib.suppress(OSError):  # a kernel without it: the limits hold all the same
            enter_jail()
        _reply({"ready": os.getpid(), "lost": lost})
        for _ in range(_COMPARISONS):
            line = sys.stdin.buffer.readline()
            if not line:
                os._exit(0)
            job = json.loads(line)
            signal.setitimer(signal.ITIMER_PROF, job["seconds"] + 1)  # of the CPU: ends it where the parent cannot
            verdict = _bool_or_none(equal, job["gold"], job["answer"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            _reply({"id": job["id"], "equal": verdict})
        os._exit(_RETIRED)
    finally:
        os._exit(1)


def _bool_or_none(equal: Callable[[str, str], bool], gold: str, answer: str) -> bool | None:
    try:
        return bool(equal(gold, answer))
    except (MemoryError, RecursionError):
        return None
    except Exception:
        return False  # the two cannot even be subtracted, ordered or solved


def _reply(line: dict[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")  # shorter than PIPE_BUF, so written whole or not at all


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _jail(jail: dict[str, str] | None) -> Callable[[], None]:
    """Return what puts a process into the jail of programs: it opens no file, and makes only harmless system calls."""
    if jail is None:
        return lambda: None
    landlock, seccomp = (_module(jail[name]) for name in ("landlock", "seccomp"))
    instructions = base64.b64decode(jail["filter"])
    ruleset = landlock.make_ruleset([])

    def enter() -> None:
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        landlock.restrict_self(ruleset)
        seccomp.enter_filter(instructions)

    return enter


def _module(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(os.path.basename(path).removesuffix(".py"), path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _comparison() -> Callable[[str, str], bool]:
    """Load all that a comparison can need, close the ways to evaluate text, and return the comparison."""
    warnings.simplefilter("ignore")
    logging.disable()
    import math_verify
    import sympy
    import sympy.parsing.sympy_parser as text_parser

    for module in pkgutil.walk_packages(sympy.__path__, "sympy."):
        if not _LEFT_OUT.intersection(module.name.split(".")):
            with contextlib.suppress(ImportError):  # of packages that sympy can do without
                importlib.import_module(module.name)

    def literal(text: str, *_: object, **__: object) -> Any:
        if not _NUMBER.fullmatch(text.strip()):
            raise SyntaxError("text is not evaluated here")
        return sympy.Float(text.strip()) if "." in text else sympy.Integer(int(text))

    # LaTeX goes through a grammar, but its numbers through sympify, and that calls parse_expr: compile and eval.
    text_parser.parse_expr = literal
    text_parser.eval_expr = literal
    latex = [math_verify.LatexExtractionConfig()]

    @functools.lru_cache(256)  # a gold answer meets many others
    def parsed(text: str) -> list[Any]:
        found: list[Any] = math_verify.parse(  # pyright: ignore[reportUnknownVariableType]
            f"${text}$", extraction_config=latex, fallback_mode="no_fallback", parsing_timeout=0
        )
        return [formula for formula in found if not isinstance(formula, str)]

    def equal(gold: str, answer: str) -> bool:
        wanted = parsed(gold)
        return bool(wanted) and math_verify.verify(wanted, parsed(answer), float_rounding=_DIGITS, timeout_seconds=None)

    for gold, answer in _WARM:
        equal(gold, answer)
    return equal


if __name__ == "__main__":
    main()
