"""Rows of data sets: read from files (JSONL, JSON, CSV, TSV, each also gzipped; Parquet) or from the Hugging Face hub.

A row knows where it comes from, so that whatever is wrong with it is said with its file and line. Rows are read as they
are asked for: a limit stops the reading. Reading blocks, and is done in a thread by whoever loads a suite.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from ttc.errors import ConfigurationError, MissingExtra
from ttc.evals.suites.file_forms import placed_values

__all__ = ["Hub", "Row", "file_rows", "files", "hub_rows", "missing_data", "plain_text"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data set.

    Attributes:
        where: file and line (or data set and row), for messages.
        columns: its values by name.
    """

    where: str
    columns: Mapping[str, Any]

    def text(self, *names: str) -> str:
        """Return the text in the first of these columns that the row has, as it is.

        Raises:
            ConfigurationError: it has none of them, or the first it has is empty or no text; names line and columns.
        """
        name, value = self._first(names)
        if not isinstance(value, str):
            raise self.wrong(f"'{name}' is missing or no text ({_short(value)})")
        if not value.strip():
            raise self.wrong(f"'{name}' is missing: the column is empty")
        return value

    def value(self, *names: str) -> str:
        """Return text or a number as text, without surrounding space; whole numbers without a decimal point.

        Raises:
            ConfigurationError: as :meth:`text`, but numbers are welcome.
        """
        name, value = self._first(names)
        written = plain_text(value)
        if written is None:
            raise self.wrong(f"'{name}' is no text and no number ({_short(value)})")
        if not written.strip():
            raise self.wrong(f"'{name}' is missing: the column is empty")
        return written.strip()

    def get(self, *names: str) -> str:
        """Return what :meth:`value` would, or the empty string where that is an error."""
        for name in names:
            if written := plain_text(self.columns.get(name)):
                return written.strip()
        return ""

    def wrong(self, what: str) -> ConfigurationError:
        """Make the error that says what is wrong with the row, and where it is."""
        return ConfigurationError(f"{self.where}: {what}")

    def _first(self, names: Sequence[str]) -> tuple[str, Any]:
        for name in names:
            if self.columns.get(name) is not None:
                return name, self.columns[name]
        wanted = " or ".join(f"'{name}'" for name in names)
        there = ", ".join(map(str, self.columns)) or "none"
        empty = " (it is empty)" if any(name in self.columns for name in names) else ""
        raise self.wrong(f"{wanted} is missing{empty}; the columns are: {there}")


@dataclass(frozen=True, slots=True)
class Hub:
    """A data set of the Hugging Face hub.

    Attributes:
        name: ``owner/name``.
        config: which of its configurations; empty where it has one.
        split: which part.
        gated: its terms have to be accepted first.
    """

    name: str
    config: str = ""
    split: str = "test"
    gated: bool = False

    @property
    def page(self) -> str:
        """Where people find it."""
        return f"https://huggingface.co/datasets/{self.name}"


def files(path: str) -> list[Path]:
    """Return the files that a ``path`` parameter names: one, or several joined by ``+`` (``I.jsonl+II.jsonl``)."""
    whole = Path(path).expanduser()
    if "+" not in path or whole.exists():
        return [whole]
    return [Path(part.strip()).expanduser() for part in path.split("+") if part.strip()]


def file_rows(path: str | Path, *, how: str = "") -> Iterator[Row]:
    """The rows of a file or of several joined by ``+``: JSONL, a JSON list, CSV or TSV with a header; Parquet.

    Args:
        path: the file; its ending says what it is (``.gz`` aside), and JSONL is taken for what has another.
        how: how to get the file where it cannot be read.

    Raises:
        ConfigurationError: it cannot be read, or a line is wrong, which is named.
        MissingExtra: it is a Parquet file, and pyarrow is not installed.
    """
    for file in files(str(path)):
        try:
            with _opened(file) as stream:
                for where, value in placed_values(file, stream):
                    yield _row(value, where)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"{file} cannot be read ({reason}){': ' * bool(how)}{how}") from None


def hub_rows(hub: Hub, *, how: str) -> Iterator[Row]:
    """The rows of a data set of the hub, as the package ``datasets`` reads it (and keeps it in its cache).

    Args:
        hub: which.
        how: how to do without the hub.

    Raises:
        MissingExtra: ``datasets`` is not installed.
        ConfigurationError: it cannot be had; says why and what to do.
    """
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports, reportUnknownVariableType]
    except ImportError:
        raise MissingExtra("datasets", "suites", f"{hub.name} from the hub (without: {how})") from None
    names = (hub.name, hub.config) if hub.config else (hub.name,)
    try:
        rows = cast("Iterable[Any]", load_dataset(*names, split=hub.split))
    except Exception as error:  # requests, httpx, the hub client and the file system each have their own
        why = f"{type(error).__name__}: {_line(error)}"
        raise ConfigurationError(
            f"{hub.name} cannot be had from the hub ({why}). {_way_out(hub, error)}, {how}"
        ) from None
    for number, row in enumerate(rows, 1):
        yield _row(row, f"{hub.name} ({hub.split}), row {number}")


def missing_data(path: str | None, *, how: str) -> str:
    """Say what has to be got before rows can be read, looking at the disk and at what is installed; empty for nothing.

    Args:
        path: the file or files, or None for the hub.
        how: how to do without the hub.
    """
    if path:
        absent = [str(file) for file in files(path) if not file.is_file()]
        return f"there is no file {' and no file '.join(absent)}" if absent else ""
    if importlib.util.find_spec("datasets") is None:
        return f"pip install 'ttc-compute[suites]', or {how}"
    return ""


def plain_text(value: Any) -> str | None:
    """Text or a number as text, 27.0 as ``27``; None for what is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def _opened(file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file) if file.suffix == ".gz" else file.open("rb"))


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: not an object with named columns ({_short(value)})")
    return Row(where, cast("Mapping[str, Any]", value))


def _way_out(hub: Hub, error: Exception) -> str:
    if hub.gated or "gated" in str(error).lower():
        return f"It is gated: accept its terms on {hub.page} and log in with 'hf auth login'. Else"
    return "Where there is no network"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
