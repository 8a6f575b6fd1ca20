"""A run in the forms that other programs read: flat tables as JSONL or Parquet, and logs of inspect_ai."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ttc.errors import RunError
from ttc.evals.exports.inspect_log import write_inspect_logs
from ttc.evals.exports.jsonl import write_jsonl
from ttc.evals.exports.parquet import write_parquet

__all__ = ["FORMS", "Form", "export_run", "write_inspect_logs", "write_jsonl", "write_parquet"]

Form = Literal["jsonl", "parquet", "inspect"]
FORMS: tuple[Form, ...] = ("jsonl", "parquet", "inspect")


def export_run(directory: Path, form: Form, out: Path | None = None) -> list[Path]:
    """Write a run in a form that other programs read; what it holds by now, also while it goes on.

    All files are there, or none of them is new. Texts of models stay what they are: data in JSON or Parquet.

    Args:
        directory: the run's.
        form: ``jsonl`` or ``parquet`` (the tables of :mod:`~ttc.evals.exports.columns`), or ``inspect``.
        out: the folder to write into, made where it is not there; ``exports/FORM`` in the run's by default.

    Returns:
        The files.

    Raises:
        RunError: there is no run, it is damaged, or the files cannot be written.
        MissingExtra: Parquet without pyarrow.
    """
    folder = out if out is not None else directory / "exports" / form
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror or error}") from error
    match form:
        case "jsonl":
            return write_jsonl(directory, folder)
        case "parquet":
            return write_parquet(directory, folder)
        case "inspect":
            return write_inspect_logs(directory, folder)
