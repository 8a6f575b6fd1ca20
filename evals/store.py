"""A run's directory and its store: what was acknowledged is on the disk, and is never paid for twice.

SQLite in WAL mode with ``synchronous=FULL``. Records are committed in groups by one thread, and whoever writes one
goes on only after the COMMIT. Keys are unique and the first record of a key stays. A lock refuses a second writer; it
goes with the process that holds it, so a killed run leaves none behind.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import orjson

from ttc.errors import RunError
from ttc.evals.records import (
    Meetings,
    UnitRecord,
    outcome_from_json,
    outcome_to_json,
    request_to_json,
    sample_from_json,
    sample_to_json,
)
from ttc.evals.run_directory import STORE as FILE
from ttc.evals.run_directory import lock, refuse_network_disk, resolve, write_file
from ttc.types import Request, Sample

__all__ = ["KeptCall", "Store", "read_calls", "read_requests", "read_times", "read_units", "resolve", "write_file"]

SCHEMA = 3
GROUP = 512
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (content TEXT PRIMARY KEY, request BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    key TEXT NOT NULL, logprobs INTEGER NOT NULL, content TEXT NOT NULL, query TEXT NOT NULL, kind TEXT NOT NULL,
    strategy TEXT NOT NULL, seed INTEGER NOT NULL, position INTEGER NOT NULL, finish TEXT NOT NULL,
    sample BLOB NOT NULL, time REAL NOT NULL, UNIQUE (key, logprobs));
CREATE TABLE IF NOT EXISTS units (
    key TEXT PRIMARY KEY, suite TEXT NOT NULL, problem TEXT NOT NULL, tags TEXT NOT NULL, epoch INTEGER NOT NULL,
    strategy TEXT NOT NULL, spec TEXT NOT NULL, setting INTEGER, prefix INTEGER NOT NULL, outcome BLOB NOT NULL,
    correct INTEGER NOT NULL, checkpoints_correct TEXT NOT NULL, time REAL NOT NULL, meetings TEXT,
    model TEXT NOT NULL DEFAULT '');
"""
_UPGRADES = {  # to each version from the one before it
    2: "ALTER TABLE units ADD COLUMN meetings TEXT",
    3: "ALTER TABLE units ADD COLUMN model TEXT NOT NULL DEFAULT ''",
}
UNDECIDED = -1
"""In the column of verdicts, beside 1 (right) and 0 (wrong)."""

_UNITS = "key, suite, problem, tags, epoch, strategy, spec, setting, prefix, outcome, correct, checkpoints_correct"

_ASKED = "CAST(request AS TEXT)"
_PART = f"json_extract({_ASKED}, '$.until') IS NOT NULL OR json_extract({_ASKED}, '$.continue_final')"


@dataclass(slots=True, eq=False)
class _Pending:
    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    done: bool = False


class Store:
    """The store of one run, open for writing. A context manager; closing it lets the lock go.

    Raises:
        RunError: another process writes it, it is of another version, it is damaged, or it lies on a network disk.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._waiting: deque[_Pending] = deque()
        self._turn = anyio.Lock()
        self._broken: RunError | None = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.directory} cannot be made: {error.strerror}") from error
        refuse_network_disk(self.directory)
        self._lock = lock(self.directory)
        try:
            with _clear(self.directory):
                self._writer = _connect(self.directory)
                _migrate(self._writer, self.directory)
                self._reader = _connect(self.directory)
                #: the most logprobs that a replayable call is kept with, by key
                self._calls: dict[str, int] = dict(
                    self._reader.execute("SELECT key, max(logprobs) FROM calls WHERE key NOT LIKE '%:%' GROUP BY key")
                )
                self._units: set[str] = {key for (key,) in self._reader.execute("SELECT key FROM units")}
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let the lock go. What was acknowledged is on the disk already."""
        for connection in (self._reader, self._writer):
            try:
                connection.close()
            except sqlite3.Error:  # a full disk refuses the last checkpoint; the log holds everything
                continue
        self._lock.close()

    # -- writing ------------------------------------------------------------------------------------------------------

    async def add_call(
        self, key: str, request: Request, sample: Sample, *, query: str = "", strategy: str = "", replay: bool = True
    ) -> None:
        """Keep a call; returns once it is committed.

        Args:
            key: of the request, by :func:`ttc.evals.recorded_calls.call_key`.
            request: what was asked.
            sample: what came.
            query: id of the query that asked first.
            strategy: spec of the strategy that asked first.
            replay: whether it may answer the same request again; if not it is only logged.
        """
        content, logprobs, now = request.content(), request.logprobs or 0, time.time()
        row = key if replay else f"{key}:{sample.finish}:{time.time_ns()}"
        values = (row, logprobs, content, query, request.kind, strategy, request.seed, request.index, sample.finish)
        await self._write(
            ("INSERT OR IGNORE INTO requests VALUES (?, ?)", (content, request_to_json(request))),
            (f"INSERT OR IGNORE INTO calls VALUES ({_marks(11)})", (*values, sample_to_json(sample), now)),
        )
        if replay:
            self._calls[key] = max(logprobs, self._calls.get(key, 0))

    async def add_unit(self, unit: UnitRecord) -> None:
        """Keep a unit that is done; returns once it is committed."""
        values = (
            unit.key,
            unit.suite,
            unit.problem,
            orjson.dumps(dict(unit.tags)).decode(),
            unit.epoch,
            unit.strategy,
            unit.spec,
            unit.setting,
            unit.prefix,
            outcome_to_json(unit.outcome),
            UNDECIDED if unit.undecided else unit.correct,
            orjson.dumps(unit.checkpoints_correct).decode(),
            time.time(),
            orjson.dumps(unit.meetings).decode(),
            unit.model,
        )
        await self._write((f"INSERT OR IGNORE INTO units VALUES ({_marks(15)})", values))
        self._units.add(unit.key)

    async def set_meta(self, name: str, value: str) -> None:
        """Keep a fact about the run."""
        await self._write(("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value)))

    async def _write(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Queue statements and wait for their COMMIT; whoever's turn it is commits for all who wait by then.

        Once queued a record is committed even if its writer is cancelled.
        """
        pending = _Pending(statements)
        self._waiting.append(pending)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not pending.done and self._broken is None:
                    group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
                    await anyio.to_thread.run_sync(self._commit, group)
        if not pending.done:
            assert self._broken is not None
            raise self._broken

    def _commit(self, group: list[_Pending]) -> None:
        """Commit a group, in the writer's thread. After a failure nothing more is written."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for pending in group:
                for statement, values in pending.statements:
                    self._writer.execute(statement, values)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            self._broken = RunError(
                f"the store of run '{self.directory.name}' cannot be written ({error}): what was acknowledged is safe; "
                f"make room in {self.directory}, and the run can be resumed: ttc eval --resume {self.directory.name}"
            )
            return
        for pending in group:
            pending.done = True

    # -- reading ------------------------------------------------------------------------------------------------------

    def has_call(self, key: str, *, logprobs: int = 0) -> bool:
        """Whether a call is kept that may be replayed, with at least so many logprobs."""
        return self._calls.get(key, -1) >= logprobs

    def call(self, key: str, *, logprobs: int = 0) -> Sample | None:
        """Return the sample of a call that is kept, the first of those that carry at least so many logprobs."""
        if not self.has_call(key, logprobs=logprobs):
            return None
        with _clear(self.directory):
            row = self._reader.execute(
                "SELECT sample FROM calls WHERE key = ? AND logprobs >= ? ORDER BY rowid LIMIT 1", (key, logprobs)
            ).fetchone()
        return sample_from_json(row[0])

    def has_unit(self, key: str) -> bool:
        """Whether a unit is done."""
        return key in self._units

    def units(self) -> Iterator[UnitRecord]:
        """The units that are done, in the order of their keys."""
        with _clear(self.directory):
            yield from _units(self._reader)

    def meta(self, name: str) -> str | None:
        """Return a fact about the run."""
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None


def read_units(directory: Path) -> list[UnitRecord]:
    """Read the units of a run, also while another process writes it.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with _reading(directory) as connection:
        return list(_units(connection))


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call of a run.

    Attributes:
        query: which query asked.
        content: the hash of what was asked.
        sample: what came.
        part: it is no whole sample but a part of one: up to a stop sequence of ours, or on from where another ended.
        key: what it is found again by, see :func:`ttc.evals.recorded_calls.call_key`.
    """

    query: str
    content: str
    sample: Sample
    part: bool = False
    key: str = ""


def read_calls(directory: Path, *, kind: str) -> list[KeptCall]:
    """Read the calls of one kind that a run may replay, in the order in which they came, each once.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with _reading(directory) as connection:
        rows = connection.execute(
            f"SELECT query, content, sample, {_PART}, key, max(logprobs) FROM calls JOIN requests USING (content) "
            "WHERE kind = ? AND key NOT LIKE '%:%' "
            "GROUP BY key ORDER BY calls.rowid",  # of several the one with the most logprobs
            (kind,),
        )
        return [KeptCall(query, of, sample_from_json(raw), bool(part), key) for query, of, raw, part, key, _ in rows]


def read_requests(directory: Path) -> dict[str, dict[str, Any]]:
    """Read what was asked for in a run, as :func:`~ttc.evals.records.request_to_json` wrote it, by its hash.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with _reading(directory) as connection:
        return {content: orjson.loads(raw) for content, raw in connection.execute("SELECT * FROM requests")}


def read_times(directory: Path) -> list[tuple[float, float]]:
    """Read when each call of a run was sent and when it was acknowledged, in seconds since 1970.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with _reading(directory) as connection:
        rows = connection.execute("SELECT time, json_extract(CAST(sample AS TEXT), '$.latency') FROM calls")
        return [(ended - (took or 0.0), ended) for ended, took in rows]


@contextmanager
def _reading(directory: Path) -> Generator[sqlite3.Connection]:
    """A run's store, for reading."""
    if not (directory / FILE).is_file():
        raise RunError(f"there is no run in {directory}: 'ttc eval' makes one")
    with _clear(directory):
        connection = _connect(directory)
        try:
            _migrate(connection, directory, make=False)
            yield connection
        finally:
            connection.close()


def _units(connection: sqlite3.Connection) -> Iterator[UnitRecord]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    columns = ", ".join([_UNITS, "meetings" if version > 1 else "NULL", "model" if version > 2 else "''"])
    for row in connection.execute(f"SELECT {columns} FROM units ORDER BY key"):
        key, suite, problem, tags, epoch, strategy, spec, setting, prefix, outcome, correct, checkpoints, *late = row
        met, model = late
        meetings: dict[str, Any] | None = orjson.loads(met or "null")
        yield UnitRecord(
            key=key,
            suite=suite,
            problem=problem,
            tags=orjson.loads(tags),
            epoch=epoch,
            strategy=strategy,
            spec=spec,
            setting=setting,
            prefix=bool(prefix),
            outcome=outcome_from_json(outcome),
            correct=correct == 1,
            undecided=correct == UNDECIDED,
            checkpoints_correct=tuple(orjson.loads(checkpoints)),
            meetings=Meetings(**meetings) if meetings else None,
            model=model,
        )


def _marks(n: int) -> str:
    return ", ".join("?" * n)


def _connect(directory: Path) -> sqlite3.Connection:
    # Only one thread at a time uses a connection: the one whose turn it is to commit.
    connection = sqlite3.connect(directory / FILE, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _migrate(connection: sqlite3.Connection, directory: Path, *, make: bool = True) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and make:
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
    elif 0 < version < SCHEMA:  # reading it takes no change
        if make:
            steps = "; ".join(_UPGRADES[to] for to in range(version + 1, SCHEMA + 1))
            connection.executescript(f"BEGIN; {steps}; PRAGMA user_version={SCHEMA}; COMMIT;")
    elif version != SCHEMA:
        raise RunError(
            f"the store in {directory} has version {version}, and this program reads version {SCHEMA}: "
            "use the version of ttc that made it, or start a new run"
        )


@contextmanager
def _clear(directory: Path) -> Generator[None]:
    """Say what is wrong with a store in our own words."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(f"the store in {directory} cannot be read: {error}") from error
