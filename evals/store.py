"""A run's store, open for writing: what was acknowledged is on the disk, and is never paid for twice.

SQLite in WAL mode with ``synchronous=FULL``. Records are committed in groups by one thread, and whoever writes one
goes on only after the COMMIT. Keys are unique and the first record of a key stays. A lock refuses a second writer; it
goes with the process that holds it, so a killed run leaves none behind.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from ttc.errors import RunError
from ttc.evals.group_commit import GroupCommits
from ttc.evals.records import UnitRecord, outcome_to_json, request_to_json, sample_from_json, sample_to_json
from ttc.evals.run_directory import STORE as FILE
from ttc.evals.run_directory import lock, refuse_network_disk, resolve, write_file
from ttc.evals.store_schema import (
    SCHEMA,
    UNDECIDED,
    UNIT_COLUMNS,
    advice,
    close,
    connect,
    marks,
    migrate,
    saying_what_is_wrong,
)
from ttc.evals.stored_records import (
    KeptCall,
    Paid,
    read_calls,
    read_paid,
    read_requests,
    read_superseded,
    read_times,
    read_units,
    stream_units,
    units_of,
)
from ttc.types import Request, Sample

__all__ = [
    "KeptCall",
    "Paid",
    "Store",
    "read_calls",
    "read_paid",
    "read_requests",
    "read_superseded",
    "read_times",
    "read_units",
    "resolve",
    "stream_units",
    "write_file",
]

_CALL = (
    "key, logprobs, content, query, kind, strategy, seed, position, finish, sample, time, model, unit, source, "
    "prompt_tokens, cached_tokens, generated_tokens, latency, attempts"
)


class Store:
    """The store of one run, open for writing. A context manager; closing it lets the lock go.

    Raises:
        RunError: another process writes it, it is of another version, it is damaged, or it lies on a network disk.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.directory} cannot be made: {error.strerror}") from error
        refuse_network_disk(self.directory)
        with contextlib.ExitStack() as opened:
            self._lock = opened.enter_context(lock(self.directory))
            with saying_what_is_wrong(self.directory):
                self._writer = opened.enter_context(contextlib.closing(connect(self.directory / FILE)))
                migrate(self._writer, self.directory)
                self._reader = opened.enter_context(contextlib.closing(connect(self.directory / FILE)))
                #: the most logprobs that a replayable call is kept with, by key
                self._calls: dict[str, int] = dict(
                    self._reader.execute("SELECT key, max(logprobs) FROM calls WHERE key NOT LIKE '%:%' GROUP BY key")
                )
                self._units: set[str] = {key for (key,) in self._reader.execute("SELECT key FROM units")}
            opened.pop_all()  # they stay open until the store is closed
        self._commits = GroupCommits(self._writer, self._explained)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let the lock go. What was acknowledged is on the disk already."""
        close(self._reader, self._writer)
        self._lock.close()

    # -- writing ------------------------------------------------------------------------------------------------------

    async def add_call(
        self,
        key: str,
        request: Request,
        sample: Sample,
        *,
        query: str = "",
        strategy: str = "",
        unit: str = "",
        model: str = "",
        source: str = "",
        replay: bool = True,
    ) -> None:
        """Keep a call; returns once it is committed.

        Args:
            key: of the request, by :func:`ttc.evals.recorded_calls.call_key`.
            request: what was asked.
            sample: what came.
            query: id of the query that asked first.
            strategy: spec of the strategy that asked first.
            unit: key of the unit that asked first.
            model: name of the model that answered.
            source: ``cache`` where the response cache answered; empty where the model did.
            replay: whether it may answer the same request again; if not it is only logged.
        """
        content, logprobs, now = request.content(), request.logprobs or 0, time.time()
        row = key if replay else f"{key}:{sample.finish}:{time.time_ns()}"
        values = (row, logprobs, content, query, request.kind, strategy, request.seed, request.index, sample.finish)
        used = sample.usage
        values += (sample_to_json(sample), now, model, unit, source)
        values += (used.prompt_tokens, used.cached_tokens, used.generated, sample.latency, sample.attempts)
        await self._commits.write(
            ("INSERT OR IGNORE INTO requests VALUES (?, ?)", (content, request_to_json(request))),
            (f"INSERT OR IGNORE INTO calls ({_CALL}) VALUES ({marks(len(values))})", values),
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
        await self._commits.write(
            (f"INSERT OR IGNORE INTO units ({UNIT_COLUMNS}) VALUES ({marks(len(values))})", values)
        )
        self._units.add(unit.key)

    async def forget_units(self, keys: Iterable[str]) -> None:
        """Take units back, so that they are done again; returns once that is committed.

        Nothing is lost: their records move to the table ``superseded`` (:func:`~ttc.evals.store.read_superseded`), and
        their calls stay. So the calls that succeeded answer again, and only those that failed are made anew.
        """
        keys, now = list(keys), time.time()
        await self._commits.write(
            *(
                statement
                for key in keys
                for statement in (
                    (
                        f"INSERT INTO superseded ({UNIT_COLUMNS}, superseded) "
                        f"SELECT {UNIT_COLUMNS}, ? FROM units WHERE key = ?",
                        (now, key),
                    ),
                    ("DELETE FROM units WHERE key = ?", (key,)),
                )
            )
        )
        self._units.difference_update(keys)

    async def set_meta(self, name: str, value: str) -> None:
        """Keep a fact about the run."""
        await self._commits.write(("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value)))

    def _explained(self, error: sqlite3.Error) -> RunError:
        name = self.directory.name
        return RunError(
            f"the store of run '{name}' in {self.directory} cannot be written ({error}): what was acknowledged is "
            f"safe; {advice(error)}; then the run can be resumed: ttc eval --resume {name}"
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def has_call(self, key: str, *, logprobs: int = 0) -> bool:
        """Whether a call is kept that may be replayed, with at least so many logprobs."""
        return self._calls.get(key, -1) >= logprobs

    def call(self, key: str, *, logprobs: int = 0) -> Sample | None:
        """Return the sample of a call that is kept, the first of those that carry at least so many logprobs."""
        if not self.has_call(key, logprobs=logprobs):
            return None
        with saying_what_is_wrong(self.directory):
            row = self._reader.execute(
                "SELECT sample FROM calls WHERE key = ? AND logprobs >= ? ORDER BY rowid LIMIT 1", (key, logprobs)
            ).fetchone()
        return sample_from_json(row[0])

    def has_unit(self, key: str) -> bool:
        """Whether a unit is done."""
        return key in self._units

    def units(self) -> Iterator[UnitRecord]:
        """The units that are done, in the order of their keys."""
        with saying_what_is_wrong(self.directory):
            yield from units_of(self._reader, SCHEMA)

    def failed_units(self) -> list[str]:
        """Keys of the units of which a call failed for good: what ``--retry-failed`` does again.

        Those are units of which every call failed, and those with a failed call in the log since they were last taken
        back. In stores of before schema 4 a failed call tells its query and its strategy alone.
        """
        with saying_what_is_wrong(self.directory):
            again = dict(self._reader.execute("SELECT key, max(superseded) FROM superseded GROUP BY key"))
            rows = self._reader.execute("SELECT unit, query, strategy, time FROM calls WHERE finish = 'failed'")
            last: dict[str | tuple[str, str], float] = {unit or (query, by): at for unit, query, by, at in rows}
            units = self._reader.execute(
                "SELECT key, problem, spec, json_extract(CAST(outcome AS TEXT), '$.ended_by') FROM units ORDER BY key"
            )
            return [
                key
                for key, problem, spec, ended_by in units
                if ended_by == "all_calls_failed"
                or max(last.get(key, 0.0), last.get((problem, spec), 0.0)) > again.get(key, 0.0)
            ]

    def meta(self, name: str) -> str | None:
        """Return a fact about the run."""
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None
