"""The forms of files that hold a data set: JSONL, a JSON list, CSV and TSV with a header, and Parquet."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ttc.errors import ConfigurationError, MissingExtra

__all__ = ["Placed", "placed_values"]

Placed = tuple[str, Any]
"""Where a value stands (file and line), and the value."""

_BOM = b"\xef\xbb\xbf"


def placed_values(file: Path, stream: BinaryIO) -> Iterator[Placed]:
    """Read a file's values in order, each with its file and line. Its ending says its form; JSONL is taken for others.

    Args:
        file: its path, whose ``.gz`` is looked past.
        stream: what is in it, unpacked.

    Raises:
        ConfigurationError: it is not of its form; names the line.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    ending = (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()
    if ending == ".parquet":
        return _parquet_rows(file, stream)
    if ending in (".csv", ".tsv"):
        return _table_rows(file, stream, delimiter="," if ending == ".csv" else "\t")
    if ending == ".json":
        text = stream.read().removeprefix(_BOM)
        if text.lstrip()[:1] == b"[":
            return _list_rows(file, text)
        _refuse_one_object(file, text)
        return _line_rows(file, io.BytesIO(text))
    return _line_rows(file, stream)


def _line_rows(file: Path, lines: Iterable[bytes]) -> Iterator[Placed]:
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(_BOM) if number == 1 else line
        if line.strip():
            where = f"{file}, line {number}"
            try:
                # Not orjson: it makes floats of long integers, and takes no Infinity; EvalPlus has both.
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigurationError(f"{where}: not JSON ({error})") from None
            yield where, value


def _refuse_one_object(file: Path, raw: bytes) -> None:
    """Refuse one object over several lines, of which the first would be called no JSON."""
    try:
        one = isinstance(json.loads(raw), dict) and len(raw.strip().splitlines()) > 1
    except (ValueError, RecursionError):
        return  # several objects, or no JSON, which is said with its line
    if one:
        raise ConfigurationError(
            f"{file}: it holds one JSON object over several lines, but a .json file has to be a list of objects, or to "
            "hold one object a line (.jsonl)"
        )


def _list_rows(file: Path, raw: bytes) -> Iterator[Placed]:
    """One object after the other out of a JSON list, each with the line on which it begins."""
    at, line = 0, 1
    try:
        text, decode = raw.decode(), json.JSONDecoder().raw_decode
        at, end = _past_space(text, text.index("[") + 1), len(text.rstrip()) - 1
        if text[end] != "]":
            raise ValueError("the list is not closed")
        line += text.count("\n", 0, at)
        while at < end:
            value, behind = decode(text, at)
            yield f"{file}, line {line}", value
            after = _past_space(text, behind)
            if after < end and text[after] != ",":
                raise ValueError("a comma is missing between two objects")
            after = _past_space(text, after + 1)
            line += text.count("\n", at, after)
            at = after
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}, line {line}: not JSON ({error})") from None


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _table_rows(file: Path, stream: BinaryIO, *, delimiter: str) -> Iterator[Placed]:
    line, text = 0, io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        reader = csv.DictReader(text, delimiter=delimiter, strict=True)
        if not reader.fieldnames:
            return
        while True:
            line = reader.line_num + 1  # a row in quotes may go over several lines: this is its first
            row = next(reader, None)
            if row is None:
                return
            if None in row:
                raise ConfigurationError(f"{file}, line {line}: more fields than the header has columns")
            yield f"{file}, line {line}", row
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}, line {line}: not a table ({error})") from None
    finally:
        text.detach()  # the file is closed by whoever opened it


def _parquet_rows(file: Path, stream: BinaryIO) -> Iterator[Placed]:
    """The form in which the hub keeps most of its data sets."""
    try:
        arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    except ImportError:
        raise MissingExtra("pyarrow", "suites", f"{file}") from None
    try:
        batches = parquet.ParquetFile(stream).iter_batches()
        values = (value for batch in batches for value in batch.to_pylist())
        for number, value in enumerate(values, 1):
            yield f"{file}, row {number}", value
    except arrow.ArrowException as error:
        raise ConfigurationError(f"{file}: not Parquet ({' '.join(str(error).split())})") from None
