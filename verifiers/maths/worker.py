"""A stand-alone process that compares formulas with math-verify, so that a comparison can be killed.

It is run by its path, and knows nothing of ``ttc``. One nurse process imports sympy once and forks a child that
compares; when the child is killed, or dies, the nurse forks the next one, in milliseconds and not in the seconds of an
import. Both speak JSON lines over the pipes of the nurse: never pickle, and never anything made by sympy but a bool.

::

    > {"path": [...], "memory": bytes}                 once: where packages are found
    < {"ready": pid, "lost": false}                    a child waits for work; lost: the one before died over its own
    > {"id": 7, "gold": "...", "answer": "...", "seconds": 2.0}
    < {"failed": "ImportError: ..."}                   or this, and the nurse ends
    < {"id": 7, "equal": true}                         null: it ran out of memory or depth
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import logging
import math
import os
import pkgutil
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["main"]

_RETIRED = 3
"""Exit code of a child that has compared enough, so that no cache of sympy's grows for ever."""

_COMPARISONS = 5000
_HARDEST_CPU = 900  # seconds of the CPU over a child's whole life; each comparison has its own, smaller limit
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
        equal = _comparison()
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
            _compare_for_ever(equal, nurse=nurse, lost=lost)
        while True:
            if signal.sigwait(watched) == signal.SIGUSR1:
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            sys.exit(0)
        lost = code != _RETIRED


def _compare_for_ever(equal: Callable[[str, str], bool], *, nurse: int, lost: bool) -> None:
    """Serve until the pipe is closed; never returns to the nurse's code, whatever happens."""
    try:
        _die_with_parent(nurse)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # those that are open stay so
        _reply({"ready": os.getpid(), "lost": lost})
        for _ in range(_COMPARISONS):
            line = sys.stdin.buffer.readline()
            if not line:
                os._exit(0)
            job = json.loads(line)
            _allow_cpu(job["seconds"])
            _reply({"id": job["id"], "equal": _bool_or_none(equal, job["gold"], job["answer"])})
        os._exit(_RETIRED)
    finally:
        os._exit(1)


def _bool_or_none(equal: Callable[[str, str], bool], gold: str, answer: str) -> bool | None:
    try:
        return bool(equal(gold, answer))
    except (MemoryError, RecursionError):
        return None


def _reply(line: dict[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")  # shorter than PIPE_BUF, so written whole or not at all


def _allow_cpu(seconds: float) -> None:
    """A second line behind the parent's kill: the system ends a child that computes on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = min(_HARDEST_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, _HARDEST_CPU))


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


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
