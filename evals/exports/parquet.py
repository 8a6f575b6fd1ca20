"""A run's tables as Parquet: one file a table, the meaning of each column in its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from ttc.errors import MissingExtra
from ttc.evals.exports.columns import TABLES, Column
from ttc.evals.exports.rows import rows_of
from ttc.evals.exports.whole_files import whole_files

__all__ = ["write_parquet"]

BATCH = 2000
"""Rows that are held at a time: a row group."""


def write_parquet(directory: Path, folder: Path) -> list[Path]:
    """Write ``calls.parquet``, ``units.parquet`` and ``checkpoints.parquet``; return them.

    Raises:
        MissingExtra: pyarrow is not installed.
        RunError: there is no run, it is damaged, or they cannot be written.
    """
    try:
        arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "Parquet") from None
    names = [f"{table}.parquet" for table in TABLES]
    with whole_files(folder, names) as paths:
        for (table, columns), path in zip(TABLES.items(), paths, strict=True):
            schema = _schema(arrow, columns)
            with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
                rows = rows_of(directory, table)
                while held := list(islice(rows, BATCH)):
                    writer.write_table(arrow.Table.from_pylist(held, schema=schema))
    return [folder / name for name in names]


def _schema(arrow: Any, columns: Sequence[Column]) -> Any:
    kinds = {"text": arrow.string(), "integer": arrow.int64(), "number": arrow.float64(), "truth": arrow.bool_()}
    return arrow.schema([arrow.field(c.name, kinds[c.kind], metadata={"meaning": c.meaning}) for c in columns])
