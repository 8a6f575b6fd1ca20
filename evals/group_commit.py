"""Commits in groups: whoever writes waits for the COMMIT, and one thread commits for all who wait by then."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

from ttc.errors import RunError

__all__ = ["GROUP", "GroupCommits", "Statement"]

GROUP = 512
"""The most records of one COMMIT."""

Statement = tuple[str, tuple[Any, ...]]
"""SQL and its values."""


@dataclass(slots=True, eq=False)
class _Pending:
    statements: tuple[Statement, ...]
    done: bool = False


class GroupCommits:
    """Writes through one SQLite connection, in groups.

    After a failure nothing more is written: what would follow might depend on what is missing.
    """

    def __init__(self, connection: sqlite3.Connection, explain: Callable[[sqlite3.Error], RunError]) -> None:
        """Write through ``connection``; ``explain`` says what a failure means and what to do."""
        self._connection = connection
        self._explain = explain
        self._waiting: deque[_Pending] = deque()
        self._turn = anyio.Lock()
        self._broken: RunError | None = None

    async def write(self, *statements: Statement) -> None:
        """Queue statements and wait for their COMMIT. Once queued they are committed even if the writer is cancelled.

        Raises:
            RunError: they could not be written.
        """
        pending = _Pending(statements)
        self._waiting.append(pending)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not pending.done and self._broken is None:
                    group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
                    await anyio.to_thread.run_sync(self.commit, group)
        if not pending.done:
            assert self._broken is not None
            raise self._broken

    def commit(self, group: list[_Pending]) -> None:
        """Commit a group, in a thread."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for pending in group:
                for statement, values in pending.statements:
                    self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._broken = self._explain(error)
            return
        for pending in group:
            pending.done = True
