"""Samples that were recorded elsewhere, read as rows to learn a verifier from."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from ttc.answer_type import make_answer_type
from ttc.errors import ConfigurationError
from ttc.evals.learning import Row
from ttc.types import AnswerType
from ttc.verifiers.learned import Observed, features

__all__ = ["rows_of_records"]


def rows_of_records(path: Path, *, answer_type: str | AnswerType = "text") -> list[Row]:
    """Read recorded samples: a line of JSON per query with ``problem``, ``answers`` and ``correct``.

    ``answers`` and ``correct`` are lists, as are ``tokens_out``, ``chars``, ``finished`` and ``logprob`` where they are
    there; null stands for no answer and for what is not known. ``run`` tells apart who drew them.

    Raises:
        ConfigurationError: the file cannot be read, or names the line that is not of this form.
    """
    kind = make_answer_type(answer_type)
    rows: list[Row] = []
    try:
        raw = path.read_bytes()
        lines = (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows += _rows_of_record(orjson.loads(line), kind, f"{path.name}:{number}")
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(f"{path}, line {number}: not JSON ({error}); {_FORM}") from None
        except _NoRecord as error:
            raise ConfigurationError(f"{path}, line {number}: {error}; {_FORM}") from None
    return rows


_NEEDED = ("problem", "answers", "correct")
_COUNTS = ("tokens_out", "chars")
_NUMBER = (bool, int, float)
_FORM = "a line is an object with 'problem', and lists 'answers' and 'correct' of one length"


class _NoRecord(Exception):
    """Says what is wrong with a line."""


def _rows_of_record(value: Any, kind: AnswerType, query: str) -> list[Row]:
    if not isinstance(value, Mapping):
        raise _NoRecord("it is no object with named fields")
    record = cast("Mapping[str, Any]", value)
    for name in _NEEDED:
        if record.get(name) is None:
            there = ", ".join(f"'{field}'" for field in record) or "nothing"
            raise _NoRecord(f"'{name}' is missing (there is {there})")
    listed: Any = record["answers"]
    n = len(cast("list[Any]", listed)) if isinstance(listed, list) else 0

    def column(name: str, *kinds: type) -> list[Any]:
        given: Any = record.get(name)
        if given is None or (not given and name not in _NEEDED):
            return [None] * n
        if not isinstance(given, list):
            raise _NoRecord(f"'{name}' is no list")
        values = cast("list[Any]", given)
        if len(values) != n:
            raise _NoRecord(f"'{name}' holds {len(values)} values for {n} answers")
        for value in values if kinds else ():
            if value is not None and not isinstance(value, kinds):
                raise _NoRecord(f"'{name}' holds {value!r}, which is no number")
            if value is not None and name in _COUNTS and value < 0:
                raise _NoRecord(f"'{name}' holds {value!r}, which is below 0")
        return values

    answers, correct = column("answers"), column("correct", *_NUMBER)
    samples = [
        Observed(None if answer is None or not kind.key(str(answer)) else str(answer), *seen)
        for answer, *seen in zip(
            answers,
            column("tokens_out", *_NUMBER),
            column("chars", *_NUMBER),
            column("finished", *_NUMBER),
            column("logprob", *_NUMBER),
            strict=True,
        )
    ]
    return [
        Row(str(record["problem"]), query, f, bool(right))
        for f, right in zip(features(kind, samples), correct, strict=True)
        if f is not None and right is not None
    ]
