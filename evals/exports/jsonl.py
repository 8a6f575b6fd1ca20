"""A run's tables as JSONL: one object a line, one file a table."""

from __future__ import annotations

from pathlib import Path

import orjson

from ttc.evals.exports.columns import TABLES
from ttc.evals.exports.rows import rows_of
from ttc.evals.exports.whole_files import whole_files

__all__ = ["write_jsonl"]


def write_jsonl(directory: Path, folder: Path) -> list[Path]:
    """Write ``calls.jsonl``, ``units.jsonl`` and ``checkpoints.jsonl``; return them.

    Raises:
        RunError: there is no run, it is damaged, or they cannot be written.
    """
    names = [f"{table}.jsonl" for table in TABLES]
    with whole_files(folder, names) as paths:
        for (table, columns), path in zip(TABLES.items(), paths, strict=True):
            with open(path, "wb") as file:
                for row in rows_of(directory, table):
                    file.write(orjson.dumps({c.name: row[c.name] for c in columns}, option=orjson.OPT_APPEND_NEWLINE))
    return [folder / name for name in names]
