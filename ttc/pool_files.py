"""Pools as files: a header and one line a problem, in JSON, gzipped where the name ends in ``.gz``."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Any, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.pool_columns import import_pool
from ttc.pool_lines import Line, numbered_lines
from ttc.pools import CutColumns, Pool, RecordedProblem, Unit

__all__ = ["VERSION", "import_pool", "read_pool", "write_pool"]

VERSION = 1
"""Of the file's format."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
M = TypeVar("M", bound=BaseModel)
Writable: TypeAlias = IO[bytes] | gzip.GzipFile


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Price(_Strict):
    prompt: Amount
    generated: Amount
    cached: Amount | None = None


class _Header(_Strict):
    ttc_pool: int
    name: str
    model: str
    unit: Unit = "tokens"
    thinking: str = ""
    price: _Price | None = None
    pass_fail: tuple[str, ...] = ()
    cost: Mapping[str, Amount] = {}
    info: Mapping[str, Any] = {}


def _same_length(n: int, columns: Mapping[str, Sequence[object]], *, or_none: bool = False) -> None:
    for name, column in columns.items():
        if len(column) != n and (column or not or_none):
            raise ValueError(f"{name} has {len(column)} values, and answers has {n}")


class _Cut(_Strict):
    answers: tuple[str | None, ...]
    right: tuple[Share | None, ...]
    generated: tuple[Amount, ...]

    @model_validator(mode="after")
    def _as_long(self) -> _Cut:
        _same_length(len(self.answers), {"right": self.right, "generated": self.generated})
        return self


class _Row(_Strict):
    id: str = Field(min_length=1)
    group: str = ""
    prompt: str = ""
    tags: Mapping[str, str] = {}
    answers: tuple[str | None, ...]
    right: tuple[Share | None, ...]
    generated: tuple[Amount, ...] = ()
    reasoning: tuple[Count, ...] = ()
    answer_tokens: tuple[Count, ...] = ()
    prompt_tokens: tuple[Count, ...] = ()
    characters: tuple[Count, ...] = ()
    seconds: tuple[Amount, ...] = ()
    logprobs: tuple[Annotated[float, Field(allow_inf_nan=False)] | None, ...] = ()
    finish: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    scores: Mapping[str, tuple[Share | None, ...]] = {}
    cuts: Mapping[str, _Cut] = {}

    @field_validator("cuts")
    @classmethod
    def _tokens(cls, cuts: Mapping[str, _Cut]) -> Mapping[str, _Cut]:
        if wrong := [cut for cut in cuts if not (cut.isdecimal() and cut.isascii() and int(cut))]:
            raise ValueError(f"'{wrong[0]}' is no number of tokens to cut at, which is 1 or more")
        return cuts

    @model_validator(mode="after")
    def _as_long(self) -> _Row:
        n = len(self.answers)
        scores = {f"scores.{name}": column for name, column in self.scores.items()}
        cuts = {f"cuts.{name}.answers": cut.answers for name, cut in self.cuts.items()}
        _same_length(n, {"right": self.right, **scores, **cuts})
        _same_length(n, {name: getattr(self, name) for name in _COLUMNS}, or_none=True)
        return self


_AMOUNTS = ("generated", "reasoning", "answer_tokens", "prompt_tokens", "characters", "seconds")
_COLUMNS = ("right", *_AMOUNTS, "logprobs", "finish", "texts")


def read_pool(path: str | Path) -> Pool:
    """Read a pool, one problem at a time.

    Raises:
        ConfigurationError: there is no such file, or it is no pool of this version; file, line and field are named.
    """
    path = Path(path).expanduser()
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise ConfigurationError(f"{path}: the file is empty, and no pool: make one with ttc record or ttc pool import")
    header = _header(path, first)
    problems: list[RecordedProblem] = []
    seen: dict[str, int] = {}
    for line in lines:
        problem = _problem(_parsed(_Row, line.raw, path=path, line=line))
        if problem.id in seen:
            raise ConfigurationError(
                f"{path}, line {line.number}, id: '{problem.id}' is the id of line {seen[problem.id]} already"
            )
        seen[problem.id] = line.number
        problems.append(problem)
    if not problems:
        raise ConfigurationError(f"{path}: the pool is empty: it has a header, and no problem (the least is one)")
    return Pool(
        name=header.name,
        model=header.model,
        problems=tuple(problems),
        unit=header.unit,
        thinking=header.thinking,
        price=Price(**header.price.model_dump()) if header.price else None,
        pass_fail=frozenset(header.pass_fail),
        cost=dict(header.cost),
        info=dict(header.info),
    )


def write_pool(pool: Pool, path: str | Path) -> None:
    """Write a pool, whole or not at all; equal pools become equal files.

    Raises:
        ConfigurationError: the file cannot be written, or the pool holds what its format does not.
    """
    path = Path(path).expanduser()
    with _replacing(path) as file:
        header = {
            "ttc_pool": VERSION,
            "name": pool.name,
            "model": pool.model,
            "unit": pool.unit,
            "thinking": pool.thinking,
            "price": asdict(pool.price) if pool.price else None,
            "pass_fail": sorted(pool.pass_fail),
            "cost": pool.cost,
            "info": pool.info,
        }
        _write(file, header, _Header, where=f"{path}: the header")
        for problem in pool.problems:
            _write(file, _data(problem), _Row, where=f"{path}: problem {problem.id}")


def _header(path: Path, line: Line) -> _Header:
    try:
        data = orjson.loads(line.raw)
    except orjson.JSONDecodeError:
        data = None
    version = data.get("ttc_pool") if isinstance(data, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if version is None:
        raise ConfigurationError(
            f'{path}: this is no pool: its first line has no "ttc_pool". '
            f"Columns of samples become one with: ttc pool import {path}"
        )
    if version != VERSION:
        raise ConfigurationError(
            f"{path}: a pool of version {version!r}, and this ttc reads version {VERSION}: "
            f"record it again, or use the ttc that made it"
        )
    return _parsed(_Header, line.raw, path=path, line=line)


def _parsed(model: type[M], raw: bytes, *, path: Path, line: Line) -> M:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        where, why = _first(error)
        if error.errors(include_url=False)[0]["type"] == "json_invalid":
            if not line.whole:
                why = "the line is cut off: the file was not written to its end; make it again, or delete the line"
            else:
                why = f"the line is broken: {why}"
        raise ConfigurationError(f"{path}, line {line.number}{where and ', ' + where}: {why}") from None


def _first(error: ValidationError) -> tuple[str, str]:
    """Return the field that the first of the errors is about, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    kept = [str(part) for part in first["loc"]]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Invalid JSON: ")
    if first["type"] == "extra_forbidden":
        message = "no such field; a newer ttc may know it"
    return ".".join(kept), message[:1].lower() + message[1:]


def _problem(row: _Row) -> RecordedProblem:
    cuts = {
        int(tokens): CutColumns(answers=c.answers, right=c.right, generated=c.generated)
        for tokens, c in row.cuts.items()
    }
    columns = {name: getattr(row, name) for name in _COLUMNS}
    return RecordedProblem(
        id=row.id,
        group=row.group,
        prompt=row.prompt,
        tags=dict(row.tags),
        answers=row.answers,
        scores=dict(row.scores),
        cuts=cuts,
        **columns,
    )


def _data(problem: RecordedProblem) -> dict[str, Any]:
    """A problem as plain data, without what was not recorded."""
    p = problem
    data: dict[str, Any] = {"id": p.id, "group": p.group if p.group != p.id else "", "prompt": p.prompt}
    data |= {"tags": dict(p.tags)}
    data |= {name: _compact(getattr(p, name)) for name in ("answers", *_COLUMNS)}
    data["scores"] = {name: _compact(column) for name, column in sorted(p.scores.items())}
    data["cuts"] = {
        str(tokens): {name: _compact(getattr(cut, name)) for name in ("answers", "right", "generated")}
        for tokens, cut in sorted(p.cuts.items())
    }
    return {name: value for name, value in data.items() if value or name in ("id", "answers", "right")}


def _compact(column: Sequence[object]) -> list[object]:
    """Write whole numbers as such: 1 and not 1.0."""
    return [int(x) if isinstance(x, float) and x.is_integer() else x for x in column]


def _write(file: Writable, data: Mapping[str, Any], model: type[BaseModel], *, where: str) -> None:
    try:
        # orjson would write NaN as null, so what is written is read before.
        model.model_validate(data, strict=False)
        file.write(orjson.dumps(data) + b"\n")
    except ValidationError as error:
        field, why = _first(error)
        raise ConfigurationError(f"{where}{field and ', ' + field}: {why}") from None
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from None


@contextmanager
def _replacing(path: Path) -> Generator[Writable]:
    """Write beside a file, and put it in its place at the end; what fails half-way leaves the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
                    yield packed
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror or error})") from None
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
