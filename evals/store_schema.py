"""The tables of a run's store, their versions, and how a store is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from ttc.errors import RunError
from ttc.evals.run_directory import STORE

__all__ = [
    "SCHEMA",
    "UNDECIDED",
    "UNIT_COLUMNS",
    "advice",
    "close",
    "connect",
    "marks",
    "migrate",
    "reading",
    "saying_what_is_wrong",
]

SCHEMA = 4
"""The version that is written; older ones are read as they are, and brought to it when they are written on."""

UNDECIDED = -1
"""In the column of verdicts, beside 1 (right) and 0 (wrong)."""

UNIT_COLUMNS = (
    "key, suite, problem, tags, epoch, strategy, spec, setting, prefix, outcome, correct, checkpoints_correct, time, "
    "meetings, model"
)

_UNIT = """suite TEXT NOT NULL, problem TEXT NOT NULL, tags TEXT NOT NULL, epoch INTEGER NOT NULL,
    strategy TEXT NOT NULL, spec TEXT NOT NULL, setting INTEGER, prefix INTEGER NOT NULL, outcome BLOB NOT NULL,
    correct INTEGER NOT NULL, checkpoints_correct TEXT NOT NULL, time REAL NOT NULL, meetings TEXT,
    model TEXT NOT NULL DEFAULT ''"""
_SUPERSEDED = f"CREATE TABLE IF NOT EXISTS superseded (key TEXT NOT NULL, {_UNIT}, superseded REAL NOT NULL)"
_COSTS = "CREATE INDEX IF NOT EXISTS costs ON calls (model, source, prompt_tokens, cached_tokens, generated_tokens)"
_SAMPLE = "CAST(sample AS TEXT)"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (content TEXT PRIMARY KEY, request BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    key TEXT NOT NULL, logprobs INTEGER NOT NULL, content TEXT NOT NULL, query TEXT NOT NULL, kind TEXT NOT NULL,
    strategy TEXT NOT NULL, seed INTEGER NOT NULL, position INTEGER NOT NULL, finish TEXT NOT NULL,
    sample BLOB NOT NULL, time REAL NOT NULL, model TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '', prompt_tokens INTEGER, cached_tokens INTEGER, generated_tokens INTEGER,
    latency REAL, attempts INTEGER,
    UNIQUE (key, logprobs));
{_COSTS};
CREATE TABLE IF NOT EXISTS units (key TEXT PRIMARY KEY, {_UNIT});
{_SUPERSEDED};
"""
_UPGRADES = {  # to each version from the one before it
    2: "ALTER TABLE units ADD COLUMN meetings TEXT",
    3: "ALTER TABLE units ADD COLUMN model TEXT NOT NULL DEFAULT ''",
    4: "ALTER TABLE calls ADD COLUMN model TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE calls ADD COLUMN unit TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE calls ADD COLUMN source TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE calls ADD COLUMN prompt_tokens INTEGER; ALTER TABLE calls ADD COLUMN cached_tokens INTEGER;"
    "ALTER TABLE calls ADD COLUMN generated_tokens INTEGER;"
    "ALTER TABLE calls ADD COLUMN latency REAL; ALTER TABLE calls ADD COLUMN attempts INTEGER;"
    f"UPDATE calls SET prompt_tokens = json_extract({_SAMPLE}, '$.usage.prompt_tokens'), "
    f"cached_tokens = json_extract({_SAMPLE}, '$.usage.cached_tokens'), "
    f"generated_tokens = json_extract({_SAMPLE}, '$.usage.reasoning_tokens') "
    f"+ json_extract({_SAMPLE}, '$.usage.answer_tokens'), "
    f"latency = json_extract({_SAMPLE}, '$.latency'), attempts = json_extract({_SAMPLE}, '$.attempts');"
    f"{_COSTS}; {_SUPERSEDED}",
}


def marks(n: int) -> str:
    """Return the question marks of a statement with so many values."""
    return ", ".join("?" * n)


def close(*connections: sqlite3.Connection) -> None:
    """Close databases, also on a full disk: that refuses the last checkpoint, and the log holds everything."""
    for connection in connections:
        with suppress(sqlite3.Error):
            connection.close()


def connect(file: Path) -> sqlite3.Connection:
    """Open a database so that a COMMIT is on the disk, and others may read meanwhile."""
    # Only one thread at a time uses a connection: the one whose turn it is to commit.
    connection = sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, directory: Path, *, make: bool = True) -> int:
    """Make the tables, or bring those of an older version to this one; return the version that is there now.

    Args:
        connection: to the store.
        directory: the run's, for messages.
        make: whether to write; without it an older store stays as it is, since reading it takes no change.

    Raises:
        RunError: the store is of a version that this program does not know.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and make:
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
    elif 0 < version < SCHEMA:
        if not make:
            return version
        steps = "; ".join(_UPGRADES[to] for to in range(version + 1, SCHEMA + 1))
        connection.executescript(f"BEGIN; {steps}; PRAGMA user_version={SCHEMA}; COMMIT;")
    elif version == 0:
        raise RunError(
            f"the store in {directory} is empty: the run was ended before it had begun, and nothing of it was paid; "
            "start it again, or delete the folder"
        )
    elif version != SCHEMA:
        raise RunError(
            f"the store in {directory} has version {version}, and this program reads version {SCHEMA}: "
            "use the version of ttc that made it, or start a new run"
        )
    return SCHEMA


@contextmanager
def reading(directory: Path) -> Generator[tuple[sqlite3.Connection, int]]:
    """A run's store, for reading, and its version. Another process may write it meanwhile.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    if not (directory / STORE).is_file():
        raise RunError(f"there is no run in {directory}: 'ttc eval' makes one")
    with saying_what_is_wrong(directory):
        connection = _connect_to_read(directory / STORE)
        try:
            yield connection, migrate(connection, directory, make=False)
        finally:
            connection.close()


@contextmanager
def saying_what_is_wrong(directory: Path) -> Generator[None]:
    """Say what is wrong with a store in our own words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise RunError(f"the store in {directory} cannot be read ({error}): {advice(error)}") from error


def advice(error: sqlite3.Error) -> str:
    """Say what to do about an error of SQLite: whether the disk is to blame, or the file is damaged."""
    # SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL and SQLITE_CANTOPEN, in all their kinds.
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (8, 10, 13, 14):
        return "the disk is full, read-only or failing; make room on it"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (5, 6):  # SQLITE_BUSY, SQLITE_LOCKED
        return "another program holds it; end that, and try again"
    return "if the disk is sound the file is damaged; keep a copy of it, with its -wal, before anything is tried on it"


def _connect_to_read(file: Path) -> sqlite3.Connection:
    """Open a store for reading, also on a disk that takes nothing more, if nobody writes it there."""
    try:
        return connect(file)
    except sqlite3.OperationalError:
        log = file.with_name(f"{file.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        return sqlite3.connect(f"file:{quote(str(file.resolve()))}?immutable=1", uri=True, isolation_level=None)
