r"""When two formulas are the same although they are written differently: math-verify, where it can be killed.

sympy can compute for ever, swallow all memory and, on its way through ``parse_expr``, evaluate code. So it never runs
in this process: a few workers (:mod:`~ttc.verifiers.maths.worker`) compare, one pair each, and a comparison that runs
out of time is killed with its worker, which is replaced in milliseconds. The event loop only waits for pipes, and no
thread is held. What needs no algebra (equal forms, plain numbers, words) is settled here, as is what must not be parsed
(:mod:`~ttc.verifiers.maths.screening`).
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import threading
import warnings

import anyio
from anyio.lowlevel import RunVar

from ttc.answer_type import Equality
from ttc.verifiers.maths.canonical import canonical, parse_number
from ttc.verifiers.maths.screening import prepared, screened
from ttc.verifiers.maths.worker_process import WorkerFailed, WorkerProcess

__all__ = ["POOL_SIZE", "equal", "prewarm"]

POOL_SIZE = min(os.cpu_count() or 1, 8)
"""Comparisons at once on one event loop."""

_REMEMBERED = 16384  # decided pairs
_SHORTEST_WORD = 4  # of letters only; a shorter one may be a product, xy or abc

_idle: list[WorkerProcess] = []
_decided: dict[tuple[str, str], Equality] = {}
_lock = threading.Lock()
_warned: set[str] = set()
_places: RunVar[anyio.CapacityLimiter] = RunVar("ttc_maths_places")


async def equal(gold: str, answer: str, *, timeout: float = 2.0) -> Equality:
    r"""Compare two answers by their canonical forms, else by algebra in a worker. Can be cancelled at any moment.

    The comparison is not symmetric: ``x=5`` answers 5 and ``(1,2)`` an interval, whichever the gold answer asks for.
    Without math-verify there is no algebra, and a warning says so once.

    Args:
        gold: what was asked for.
        answer: what was given.
        timeout: seconds that a worker may take, from when it has begun.

    Returns:
        ``undecided`` where the worker ran out of time or memory, where the formula is too big to be tried, and where
        only algebra could tell and there is no math-verify. Code, and what has no canonical form, is ``different``
        without being parsed.
    """
    if (cheap := _without_algebra(gold, answer)) is not None:
        return cheap
    if (known := _decided.get((gold, answer))) is not None:
        return known
    if importlib.util.find_spec("math_verify") is None:
        _warn(
            "there is no algebra, so whether x+1 is 1+x stays undecided, and neither a vote nor a grade takes them for "
            "the same: "
            "pip install 'ttc-compute[maths]'"
        )
        return "undecided"
    async with _limiter():
        verdict = await _compared(*prepared(gold, answer), timeout=timeout)
    if verdict != "undecided":
        with _lock:
            if len(_decided) >= _REMEMBERED:
                del _decided[next(iter(_decided))]
            _decided[gold, answer] = verdict
    return verdict


async def prewarm(workers: int = POOL_SIZE) -> None:
    """Start workers ahead of their first comparison, which then need not wait some two seconds for sympy's import."""

    async def one() -> None:
        try:
            worker = await WorkerProcess.start()
            try:
                await worker.ready()
            finally:
                _give_back(worker)
        except WorkerFailed as failure:
            _warn_of(failure)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(workers, POOL_SIZE) - len(_idle)):
            tasks.start_soon(one)


async def _compared(gold: str, answer: str, *, timeout: float) -> Equality:
    try:
        worker = _taken() or await WorkerProcess.start()
        try:
            same = await worker.compare(gold, answer, timeout=timeout)
        finally:
            _give_back(worker)
    except WorkerFailed as failure:
        _warn_of(failure)
        return "undecided"
    return "undecided" if same is None else "equal" if same else "different"


def _taken() -> WorkerProcess | None:
    while True:
        with _lock:
            worker = _idle.pop() if _idle else None
        if worker is None or worker.alive:
            return worker
        worker.close()


def _give_back(worker: WorkerProcess) -> None:
    """Keep a worker for the next comparison, on whichever event loop; close it where there are enough, or it failed."""
    with _lock:
        if worker.alive and len(_idle) < POOL_SIZE:
            _idle.append(worker)
            return
    worker.close()


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _places.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(POOL_SIZE)
        _places.set(limiter)
        return limiter


def _without_algebra(gold: str, answer: str) -> Equality | None:
    wanted, given = canonical(gold), canonical(answer)
    if not wanted or not given:
        return "different"
    if wanted == given:
        return "equal"
    first, second = parse_number(gold), parse_number(answer)
    if first is not None and second is not None:
        return "equal" if first.near(second) else "different"
    forms = (wanted, given)
    if any(form.isalpha() and len(form) >= _SHORTEST_WORD for form in forms) or all(map(_is_letter, forms)):
        return "different"
    if {form.removeprefix("\\")[0] for form in forms} == {"(", "{"}:
        return "different"  # what has an order, and what has none
    return screened(gold) or screened(answer)


def _is_letter(form: str) -> bool:
    return form.isalpha() and len(form) == 1


def _warn_of(failure: WorkerFailed) -> None:
    _warn(f"maths answers stay undecided where their written forms differ: {failure}")


def _warn(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _close_all() -> None:
    while worker := _taken():
        worker.close()


def _forget() -> None:
    """A forked process has none of its parent's workers."""
    global _lock
    _lock = threading.Lock()
    for worker in _idle:
        worker.disown()
    _idle.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget)
