"""Pools out of columns: JSONL with one problem a line and a list for each thing that was recorded of its samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from pathlib import Path
from typing import Any, get_args

from ttc.answer_type import AnswerType, make_answer_type
from ttc.errors import ConfigurationError
from ttc.pool_answers import equal_texts
from ttc.pool_rows import COLUMNS, ColumnRow, column_rows
from ttc.pools import EFFORTS, Pool, RecordedProblem, Unit, is_thinking

__all__ = ["COLUMNS", "import_pool"]

_WHOLE = ("reasoning", "answer_tokens", "prompt_tokens", "characters")
_OF_TOKENS = ("reasoning", "answer_tokens", "prompt_tokens")
_READ: Mapping[str, Callable[[Any], Any]] = {"seconds": float, "texts": str, "finish": str}
_UNIT_FIELDS: Mapping[Unit, str] = {"tokens": "generated", "characters": "characters", "samples": "answers"}


@dataclass(slots=True)
class _Found:
    """What was imported so far, and what was left out."""

    problems: list[RecordedProblem] = field(default_factory=list[RecordedProblem])
    lines: dict[str, str] = field(default_factory=dict[str, str])
    models: Counter[str] = field(default_factory=Counter[str])
    left_out: Counter[str] = field(default_factory=Counter[str])
    with_unit: Counter[str] = field(default_factory=Counter[str])
    raw_scores: list[Mapping[str, list[float | None]]] = field(default_factory=list[Mapping[str, "list[float | None]"]])


def import_pool(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    answer: str | AnswerType | None = None,
    unit: Unit = "tokens",
    model: str = "",
    thinking: str = "",
    where: Mapping[str, Sequence[str]] | None = None,
    tags: Sequence[str] = (),
    scores: Mapping[str, str] | None = None,
    name: str = "",
) -> Pool:
    """Make a pool of a JSONL file with a list for each thing that was recorded, and a row a problem.

    Answers that are equivalent become equal texts. Null is what was not recorded; nothing is put in its place. Samples
    without a cost in ``unit`` are left out, and counted in the pool's ``info``.

    Args:
        path: the file, gzipped or not.
        columns: where a field of :class:`~ttc.pools.RecordedProblem`, or the model, is; see ``COLUMNS`` for the rest.
        answer: how answers are told apart, as in ``number`` or ``maths`` (default: by text).
        unit: what costs are counted in.
        model: the model's name (default: that of the rows).
        thinking: how the samples were drawn: ``off``, an effort, or a cap in tokens.
        where: values that a column may have; other rows are left behind.
        tags: columns that make the query class.
        scores: the column of each verifier. Where values of it are outside [0, 1], all are squashed by the logistic
            function 1/(1+exp(-x)), which keeps their order.
        name: the pool's (default: the file's).

    Raises:
        ConfigurationError: a row or column is not as it has to be (file, line and column are named), no row is left or
            none has a column that is asked for, those that are left are of several models, or there is no such unit or
            way to think.
        UnknownName: no answer type of that name.
    """
    path = Path(path).expanduser()
    columns, where, scores = dict(columns or {}), dict(where or {}), dict(scores or {})
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ConfigurationError(f"columns: no field '{unknown[0]}'. Known: {', '.join(COLUMNS)}.")
    if unit not in get_args(Unit):
        raise ConfigurationError(f"unit: '{unit}' is none. Costs are counted in {', '.join(get_args(Unit))}.")
    if not is_thinking(thinking):
        raise ConfigurationError(
            f"thinking: '{thinking}' is none: give {', '.join(EFFORTS)}, or tokens that a sample may think, e.g. 512"
        )
    made = make_answer_type(answer)
    found, seen = _Found(), _Seen()
    for row in column_rows(path, columns):
        if seen.keeps(row, where):
            _take(row, found, unit=unit, tags=tags, scores=scores)
    for option, asked in (("tags", tags), ("scores", scores.values())):
        if lacking := [column for column in asked if column not in seen.filled]:
            raise ConfigurationError(
                f"{path}: {option}: no row has a column '{lacking[0]}'; columns are {', '.join(seen.filled)}"
            )
    if not found.problems:
        raise ConfigurationError(f"{path}: {_why_empty(seen, found, where=where, unit=unit)}")
    if not model and len(found.models) != 1:
        named = ", ".join(sorted(found.models)[:5]) or "no model at all"
        raise ConfigurationError(
            f"{path}: the rows are of {len(found.models)} models ({named}{', ...' if len(found.models) > 5 else ''}): "
            f"tokens of different models are not added up. Take one with --where model=..., or name what they have in "
            f"common with --model"
        )
    answers, undecided = equal_texts([p.answers for p in found.problems], made)
    problems = [replace(p, answers=a) for p, a in zip(found.problems, answers, strict=True)]
    problems, squashed = _scored(problems, found.raw_scores)
    info: dict[str, Any] = {"source": path.name, "answer": made.name, "left_out": dict(found.left_out)}
    info |= {"where": {c: list(v) for c, v in where.items()}} if where else {}
    info |= {"columns": columns} if columns else {}
    info |= {"squashed": {v: f"1/(1+exp(-{scores[v]}))" for v in squashed}} if squashed else {}
    info |= {"undecided": undecided} if undecided else {}
    return Pool(
        name=name or path.name.removesuffix(".gz").removesuffix(".jsonl"),
        model=model or next(iter(found.models)),
        problems=tuple(problems),
        unit=unit,
        thinking=thinking,
        info=info,
    )


# -- rows ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Seen:
    """What rows the file has, and what stands in those that are kept: to say what would do, where nothing is left."""

    rows: int = 0
    kept: int = 0
    columns: dict[str, None] = field(default_factory=dict[str, None])
    filled: dict[str, None] = field(default_factory=dict[str, None])
    values: dict[str, Counter[str]] = field(default_factory=dict[str, "Counter[str]"])

    def keeps(self, row: ColumnRow, where: Mapping[str, Sequence[str]]) -> bool:
        """Whether a row has the values that are asked for."""
        self.rows += 1
        self.columns |= dict.fromkeys(row.data)
        found = {column: str(row.data[column]) for column in where if row.data.get(column) is not None}
        for column, value in found.items():
            self.values.setdefault(column, Counter())[value] += 1
        keep = all(found.get(column) in values for column, values in where.items())
        self.kept += keep
        if keep:
            self.filled |= dict.fromkeys(column for column, value in row.data.items() if value is not None)
        return keep


def _why_empty(seen: _Seen, found: _Found, *, where: Mapping[str, Sequence[str]], unit: Unit) -> str:
    if not seen.rows:
        return "the file is empty; one row is the least"
    if not seen.kept:
        for column, wanted in where.items():
            known = seen.values.get(column, Counter[str]())
            if not known:
                return f"no row has a column '{column}'; columns are {', '.join(seen.columns)}"
            if not any(value in known for value in wanted):
                some = ", ".join(sorted(known)[:5]) + (", ..." if len(known) > 5 else "")
                return f"no row with {column}={wanted[0]}; there are {some}"
        return "no row has all of these values: " + " ".join(f"{c}={'|'.join(v)}" for c, v in where.items())
    others = [f"--unit {u} takes {n} rows" for u, n in found.with_unit.items() if n and u != unit]
    return (
        f"of {seen.kept} rows none has {unit} of its samples (column {' or '.join(COLUMNS[_UNIT_FIELDS[unit]])}): "
        f"{'; '.join(others) or 'none of them has a sample'}"
    )


def _take(row: ColumnRow, found: _Found, *, unit: Unit, tags: Sequence[str], scores: Mapping[str, str]) -> None:
    """Make a problem of a row, without its samples that have no cost."""
    column = row.column("answers")
    if column is None or not isinstance(row.data[column], list):
        raise row.error(row.columns.get("answers", "answers"), "a list with the answer of each sample is needed")
    answers = [_answer(row, column, i, value) for i, value in enumerate(row.data[column])]
    n = len(answers)
    numbers = {name: row.numbers(name, n) for name in ("right", "generated", *_WHOLE, "seconds", "logprobs")}
    for name, field_name in _UNIT_FIELDS.items():
        values = answers if name == "samples" else numbers[field_name] or []
        found.with_unit[name] += bool(values) and (name == "samples" or any(v is not None for v in values))
    cost = numbers[_UNIT_FIELDS[unit]] if unit != "samples" else [1.0] * n
    if not cost or all(c is None for c in cost):
        found.left_out[f"rows without {unit}"] += 1
        return
    kept = [i for i, c in enumerate(cost) if c is not None]
    if len(kept) < n:
        found.left_out[f"samples without {unit}"] += n - len(kept)
    whole: dict[str, Any] = {}
    for name in (*_WHOLE, "seconds", "texts", "finish"):
        values: list[Any] | None = numbers[name] if name in numbers else row.values(name, n)
        mine = [values[i] for i in kept] if values else []
        if mine and None not in mine and not (name in _OF_TOKENS and unit != "tokens"):
            whole[name] = tuple(map(_READ.get(name, int), mine))
    right = [None if (numbers["right"] is None or (r := numbers["right"][i]) is None) else float(r) for i in kept]
    if wrong := [r for r in right if r is not None and not 0 <= r <= 1]:
        raise row.error(row.column("right") or "right", f"{wrong[0]} is no verdict: 1, 0, or between them")
    logprobs = numbers["logprobs"]
    problem = RecordedProblem(
        id=row.text("id") or row.where.rpartition(", ")[2],
        group=row.text("group"),
        prompt=row.text("prompt"),
        tags={tag: str(row.data[tag]) for tag in tags if row.data.get(tag) is not None},
        answers=tuple(answers[i] for i in kept),
        right=tuple(right),
        generated=() if unit == "samples" else tuple(float(cost[i] or 0) for i in kept),
        logprobs=tuple(logprobs[i] for i in kept) if logprobs else (),
        **whole,
    )
    if problem.id in found.lines:
        raise row.error(
            row.columns.get("id", "id"),
            f"'{problem.id}' names {found.lines[problem.id].rpartition(', ')[2]} already: "
            f"name the columns that tell rows apart, as in --columns id=run+problem",
        )
    found.lines[problem.id] = row.where
    if named := row.text("model"):
        found.models[named] += 1
    raw = {v: row.numbers(v, n, column=c) for v, c in scores.items()}
    found.raw_scores.append({v: [column[i] for i in kept] for v, column in raw.items() if column})
    found.problems.append(problem)


def _answer(row: ColumnRow, column: str, i: int, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int | float):
        return str(value)
    raise row.error(column, f"value {i + 1} is no answer: a text, a number, or null")


# -- scores ------------------------------------------------------------------------------------------------------


def _scored(
    problems: Sequence[RecordedProblem], raw: Sequence[Mapping[str, list[float | None]]]
) -> tuple[list[RecordedProblem], list[str]]:
    """Add scores, and return which of them were squashed into [0, 1]."""
    outside = {v for scores in raw for v, column in scores.items() for x in column if x is not None and not 0 <= x <= 1}

    def share(verifier: str, x: float | None) -> float | None:
        return x if x is None or verifier not in outside else _logistic(x)

    scored = [
        replace(p, scores={v: tuple(share(v, x) for x in column) for v, column in scores.items()})
        for p, scores in zip(problems, raw, strict=True)
    ]
    return scored, sorted(outside)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
