"""A batch of live requests as one stream of samples: a task per request, handed on in issue order or by finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

import anyio
import anyio.abc

from ttc.errors import BudgetExhausted
from ttc.ledger import Ledger
from ttc.types import Request, Sample

__all__ = ["Complete", "LiveStream"]

Complete: TypeAlias = Callable[[Request, Ledger, Callable[[], bool]], Awaitable[list[Sample]]]
"""Answers one request under a ledger; the last argument says whether it is the oldest one in flight."""


@dataclass(slots=True, eq=False)
class _Slot:
    request: Request
    samples: list[Sample] | None = None
    done: anyio.Event = field(default_factory=anyio.Event)


class LiveStream:
    """The stream of a :class:`~ttc.models.base.LiveModel`: a task per request, samples in issue order.

    With ``by_finish`` they come as they finish: for strategies that mean to select for speed, and say so.
    """

    def __init__(
        self, complete: Complete, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False
    ) -> None:
        self._complete = complete
        self._ledger = ledger
        self._by_finish = by_finish
        self._finished: deque[_Slot] = deque()
        self._news = anyio.Event()
        self._slots: list[_Slot] = [_Slot(r) for r in requests]
        self._started = 0
        self._next = 0  # the slot to hand on
        self._head = 0  # the oldest slot that is not done
        self._ready: list[Sample] = []
        self._group: anyio.abc.TaskGroup | None = None

    def issue(self, requests: Sequence[Request]) -> None:
        """Add requests behind those that were issued."""
        self._slots.extend(_Slot(r) for r in requests)
        self._start()

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        try:
            return await self._group.__aexit__(kind, error, where)
        except BaseExceptionGroup as group:
            # An exception of the body leaves as it is; a task's own is a defect and leaves alone.
            if error is not None and not isinstance(error, anyio.get_cancelled_exc_class()):
                return False
            raise group.exceptions[0] from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sample:
        while not self._ready:
            if self._next >= len(self._slots):
                raise StopAsyncIteration
            if self._by_finish:
                while not self._finished:
                    self._news = anyio.Event()
                    await self._news.wait()
                slot = self._finished.popleft()
            else:
                slot = self._slots[self._next]
                await slot.done.wait()
            self._next += 1
            self._ready = list(slot.samples or ())
        return self._ready.pop(0)

    def _start(self) -> None:
        if self._group is None:
            return
        while self._started < len(self._slots):
            self._group.start_soon(self._run, self._slots[self._started], self._started)
            self._started += 1

    async def _run(self, slot: _Slot, position: int) -> None:
        def is_head() -> bool:
            return position <= self._head

        try:
            slot.samples = await self._complete(slot.request, self._ledger, is_head)
        except BudgetExhausted:
            slot.samples = []
        slot.done.set()
        self._finished.append(slot)
        self._news.set()
        while self._head < len(self._slots) and self._slots[self._head].done.is_set():
            self._head += 1
