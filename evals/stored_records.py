"""Reading what a run's store holds, also while another process writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from ttc.evals.records import Meetings, UnitRecord, outcome_from_json, sample_from_json
from ttc.evals.store_schema import UNDECIDED, reading
from ttc.types import Sample

__all__ = [
    "KeptCall",
    "Paid",
    "read_calls",
    "read_paid",
    "read_requests",
    "read_superseded",
    "read_times",
    "read_units",
    "stream_units",
    "units_of",
]

_UNITS = "key, suite, problem, tags, epoch, strategy, spec, setting, prefix, outcome, correct, checkpoints_correct"
_KINDS = ("prompt_tokens", "cached_tokens", "reasoning_tokens", "answer_tokens")
_ASKED = "CAST(request AS TEXT)"
_PART = f"json_extract({_ASKED}, '$.until') IS NOT NULL OR json_extract({_ASKED}, '$.continue_final')"


def read_units(directory: Path) -> list[UnitRecord]:
    """Read the units of a run, in the order of their keys; all at once, see :func:`stream_units` for one at a time.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    return list(stream_units(directory))


def stream_units(directory: Path) -> Iterator[UnitRecord]:
    """Read the units of a run one at a time, in the order of their keys, as they stood when the first was read.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with reading(directory) as (connection, version):
        yield from units_of(connection, version)


def read_superseded(directory: Path) -> list[UnitRecord]:
    """Read the units that were done again, as they were before, oldest first (see :meth:`Store.forget_units`).

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with reading(directory) as (connection, version):
        if version < 4:
            return []
        return list(units_of(connection, version, "superseded ORDER BY superseded, key"))


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
    with reading(directory) as (connection, _):
        rows = connection.execute(
            f"SELECT query, content, sample, {_PART}, key, max(logprobs) FROM calls JOIN requests USING (content) "
            "WHERE kind = ? AND key NOT LIKE '%:%' "
            "GROUP BY key ORDER BY calls.rowid",  # of several the one with the most logprobs
            (kind,),
        )
        return [KeptCall(query, of, sample_from_json(raw), bool(part), key) for query, of, raw, part, key, _ in rows]


@dataclass(frozen=True, slots=True)
class Paid:
    """What the calls of one model were, as they were paid: whatever several strategies shared counts once.

    Attributes:
        calls: that the model answered, or failed to.
        prompt_tokens: of those, the cached ones among them.
        cached_tokens: prompt tokens that the server's prefix cache answered.
        generated_tokens: of those.
        answered_by_cache: further calls, which the response cache answered.
    """

    calls: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    answered_by_cache: int = 0


def read_paid(directory: Path) -> dict[str, Paid]:
    """Sum up what the calls of a run cost, by model; under "" those of before models were kept with calls.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with reading(directory) as (connection, version):
        if version < 4:
            prompt, prefix, thoughts, text = (
                f"json_extract(CAST(sample AS TEXT), '$.usage.{kind}')" for kind in _KINDS
            )
            row = connection.execute(
                f"SELECT count(*), total({prompt}), total({prefix}), total({thoughts} + {text}) FROM calls"
            ).fetchone()
            return {"": Paid(*map(int, row))} if row[0] else {}
        found: dict[str, Paid] = {}
        for model, source, *sums in connection.execute(
            "SELECT model, source, count(*), total(prompt_tokens), total(cached_tokens), total(generated_tokens) "
            "FROM calls GROUP BY model, source"
        ):
            known = found.get(model, Paid(0, 0, 0, 0))
            calls, prompt, prefix, generated = map(int, sums)
            found[model] = (
                replace(known, answered_by_cache=calls)
                if source == "cache"
                else Paid(calls, prompt, prefix, generated, known.answered_by_cache)
            )
        return found


def read_requests(directory: Path) -> dict[str, dict[str, Any]]:
    """Read what was asked for in a run, as :func:`~ttc.evals.records.request_to_json` wrote it, by its hash.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with reading(directory) as (connection, _):
        return {content: orjson.loads(raw) for content, raw in connection.execute("SELECT * FROM requests")}


def read_times(directory: Path) -> list[tuple[float, float]]:
    """Read when each call of a run was sent and when it was acknowledged, in seconds since 1970.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    with reading(directory) as (connection, _):
        rows = connection.execute("SELECT time, json_extract(CAST(sample AS TEXT), '$.latency') FROM calls")
        return [(ended - (took or 0.0), ended) for ended, took in rows]


def units_of(connection: sqlite3.Connection, version: int, of: str = "units ORDER BY key") -> Iterator[UnitRecord]:
    """Read units of a store that is open, of this version or an older one."""
    columns = ", ".join([_UNITS, "meetings" if version > 1 else "NULL", "model" if version > 2 else "''"])
    for row in connection.execute(f"SELECT {columns} FROM {of}"):
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
