"""Data that is not part of the project: data sets and recorded samples, read where they lie beside the checkout."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

__all__ = ["dataset", "lines", "recorded"]

FOLDER = Path(os.environ.get("TTC_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def dataset(name: str) -> Path:
    """The path of a data set's file; skips the test where it is absent."""
    return _found(FOLDER / "datasets" / name)


def recorded(name: str) -> Path:
    """The path of a file of recorded samples; skips the test where it is absent."""
    return _found(FOLDER / "recorded" / name)


def lines(path: Path) -> list[Any]:
    """The rows of a JSONL file, gzipped or not."""
    raw = path.read_bytes()
    return [orjson.loads(line) for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()]


def _found(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no {path}: set TTC_TEST_DATA to the folder that holds datasets/ and recorded/")
    return path
