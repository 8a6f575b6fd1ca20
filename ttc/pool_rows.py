"""Rows of columnar JSONL: a list for each thing that was recorded, and where the fields of a pool are looked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import ConfigurationError
from ttc.pool_lines import numbered_lines

__all__ = ["AMOUNTS", "COLUMNS", "ColumnRow", "column_rows"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("run+problem", "id", "problem"),
    "group": ("problem",),
    "model": ("model",),
    "prompt": ("question", "prompt"),
    "answers": ("answers",),
    "right": ("correct", "right"),
    "generated": ("tokens_out", "generated"),
    "reasoning": ("tokens_reasoning", "reasoning"),
    "answer_tokens": ("answer_tokens",),
    "prompt_tokens": ("tokens_in", "prompt_tokens"),
    "characters": ("chars", "characters"),
    "seconds": ("time_s", "seconds"),
    "logprobs": ("logprobs",),
    "finish": ("finish",),
    "texts": ("texts",),
}
"""Where each field of a problem is looked for; the first of the names that a row has. ``a+b`` joins two columns."""

AMOUNTS = frozenset({"generated", "reasoning", "answer_tokens", "prompt_tokens", "characters", "seconds"})
"""Fields that are never below zero."""


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A line of the file, and the columns that its fields are in."""

    where: str
    data: Mapping[str, Any]
    columns: Mapping[str, str]

    def text(self, name: str) -> str:
        """A field of the whole row; empty where it has none."""
        column = self.column(name)
        return "" if column is None else ":".join(str(self.data[part]) for part in column.split("+"))

    def column(self, name: str) -> str | None:
        """The column of a field, if the row has it."""
        given = self.columns.get(name)
        names = (given,) if given is not None else COLUMNS.get(name, (name,))
        return next((n for n in names if all(self.data.get(part) is not None for part in n.split("+"))), None)

    def values(self, name: str, n: int, *, column: str | None = None) -> list[Any] | None:
        """A value for each of ``n`` samples; None where the row has none at all.

        Raises:
            ConfigurationError: it is no list of that length.
        """
        column = column or self.column(name)
        if column is None or (found := self.data.get(column)) is None:
            return None
        if not isinstance(found, list):
            raise self.error(column, f"is no list: a value for each of the {n} samples is needed")
        if len(found) != n:  # pyright: ignore[reportUnknownArgumentType]
            raise self.error(column, f"{len(found)} values, and answers has {n}")  # pyright: ignore[reportUnknownArgumentType]
        return found  # pyright: ignore[reportUnknownVariableType]

    def numbers(self, name: str, n: int, *, column: str | None = None) -> list[float | None] | None:
        """Numbers, null where one was not recorded; amounts are none below zero.

        Raises:
            ConfigurationError: something else is among them.
        """
        values = self.values(name, n, column=column)
        for i, value in enumerate(values or ()):
            if value is not None and (not isinstance(value, int | float) or not isfinite(value)):
                raise self.error(
                    column or self.column(name) or name, f"value {i + 1} is no number: {str(value)[:40]!r}"
                )
            if value is not None and value < 0 and name in AMOUNTS:
                raise self.error(self.column(name) or name, f"value {i + 1} is below zero: {value}")
        return values

    def error(self, column: str, what: str) -> ConfigurationError:
        """What is wrong with a column."""
        return ConfigurationError(f"{self.where}, {column}: {what}")


def column_rows(path: Path, columns: Mapping[str, str]) -> Iterator[ColumnRow]:
    """Read the rows of a file, one at a time.

    Raises:
        ConfigurationError: a line is no JSON object, or the file cannot be read.
    """
    for line in numbered_lines(path):
        where = f"{path}, line {line.number}"
        try:
            data = orjson.loads(line.raw)
        except orjson.JSONDecodeError as error:
            cut = "" if line.whole else "it is cut off: the file was not written to its end. "
            raise ConfigurationError(f"{where}: no JSON ({cut}{error})") from None
        if not isinstance(data, dict):
            raise ConfigurationError(f"{where}: no JSON object with a list for each column")
        yield ColumnRow(where, data, columns)  # pyright: ignore[reportUnknownArgumentType]
