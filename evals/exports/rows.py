"""The rows of a run's tables, one at a time: nothing of the size of a run is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import ConfigurationError
from ttc.evals.records import UnitRecord
from ttc.evals.store_schema import reading
from ttc.evals.stored_records import stream_units
from ttc.types import Usage

__all__ = ["call_rows", "checkpoint_rows", "rows_of", "unit_rows"]

Row = dict[str, Any]


def rows_of(directory: Path, table: str) -> Iterator[Row]:
    """Read the rows of one of the :data:`~ttc.evals.exports.columns.TABLES`."""
    return {"calls": call_rows, "units": unit_rows, "checkpoints": checkpoint_rows}[table](directory)


def call_rows(directory: Path) -> Iterator[Row]:
    """Read the calls, in the order in which they came.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    with reading(directory) as (connection, version):
        late = "model, unit, source" if version > 3 else "'', '', ''"
        columns = f"key, content, query, kind, strategy, seed, position, sample, time, request, {late}"
        for row in connection.execute(
            f"SELECT {columns} FROM calls JOIN requests USING (content) ORDER BY calls.rowid"
        ):
            key, content, query, kind, strategy, seed, position, raw, time, asked, model, unit, source = row
            sample, request = orjson.loads(raw), orjson.loads(asked)
            yield {
                "run": directory.name,
                "model": sample["model"] or model,
                "problem": query,
                "spec": strategy,
                "unit": unit,
                "key": key,
                "kind": kind,
                "position": position,
                "seed": seed,
                "content": content,
                "messages": orjson.dumps(request["messages"]).decode(),
                "max_tokens": request["max_tokens"],
                "temperature": request["temperature"],
                **{name: sample[name] for name in ("text", "reasoning", "finish", "forced", "latency", "attempts")},
                "replayable": ":" not in key,
                "source": source or "model",
                **_tokens(Usage(**sample["usage"])),
                "upper_bound": sample["usage"]["upper_bound"],
                "reasoning_source": sample["usage"]["reasoning_source"],
                "time": time,
                "error": sample["error"],
                "error_type": sample["error_type"],
            }


def unit_rows(directory: Path) -> Iterator[Row]:
    """Read the units, in the order of their keys.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    for unit in stream_units(directory):
        o = unit.outcome
        usage = {kind: asdict(used) | {"calls": o.calls.get(kind, 0)} for kind, used in (*o.usage.items(),)}
        usage |= {kind: asdict(used) | {"calls": o.calls.get(kind, 0)} for kind, used in o.foreign.items()}
        yield {
            **_place(directory, unit),
            "setting": unit.setting,
            "prefix": unit.prefix,
            "tags": orjson.dumps(dict(unit.tags)).decode(),
            "answer": o.answer,
            "correct": unit.correct,
            "undecided": unit.undecided,
            "ended_by": o.ended_by,
            "calls": sum(o.calls.values()),
            **_sums(unit),
            "answer_tokens": o.answer_tokens,
            "seconds": o.seconds,
            "dollars": o.dollars,
            "usage": orjson.dumps(usage).decode(),
            "checkpoints": len(o.checkpoints),
            "warnings": orjson.dumps(o.warnings).decode(),
            "error": o.error,
            "error_type": o.error_type,
        }


def checkpoint_rows(directory: Path) -> Iterator[Row]:
    """Read the checkpoints, unit by unit, in the order in which they came.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    for unit in stream_units(directory):
        correct = unit.checkpoints_correct
        for number, point in enumerate(unit.outcome.checkpoints):
            yield {
                **_place(directory, unit),
                "number": number,
                "samples": point.samples,
                "answer": point.answer,
                "correct": correct[number] if number < len(correct) else None,
                **_tokens(point.prefix),
                "thinking_tokens": point.thinking_tokens,
                "answer_tokens": point.answer_tokens,
                "realised_tokens": point.realised.generated,
                "dollars": point.dollars,
            }


def _place(directory: Path, unit: UnitRecord) -> Row:
    return {
        "run": directory.name,
        "model": unit.model,
        "unit": unit.key,
        "suite": unit.suite,
        "problem": unit.problem,
        "epoch": unit.epoch,
        "strategy": unit.strategy,
        "spec": unit.spec,
    }


def _sums(unit: UnitRecord) -> Row:
    """The tokens of a unit; none where several models' would be added up."""
    try:
        return {**_tokens(unit.outcome.total_usage), "thinking_tokens": unit.outcome.thinking_tokens}
    except ConfigurationError:
        return dict.fromkeys([*_tokens(Usage()), "thinking_tokens"])


def _tokens(usage: Usage) -> Row:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "text_tokens": usage.answer_tokens,
    }
