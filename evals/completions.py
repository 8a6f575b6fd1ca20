"""Completions from anywhere: read from a file, graded by a suite or by a column of gold answers, and summed up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.evals.grading import AnswerGrader, Grade, Grader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite
from ttc.evals.suites.rows import Row, file_rows
from ttc.pool_statistics import pass_at
from ttc.statistics import Mean, mean
from ttc.types import Query
from ttc.verifiers.maths import parse_number

__all__ = [
    "Completion",
    "Graded",
    "fitting_type",
    "grade_completions",
    "of_columns",
    "of_suite",
    "summarise",
]

_IDS = ("id", "task_id", "problem", "problem_id", "question_id")
_TEXTS = ("completion", "solution", "text", "response", "output", "answer")


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion of a problem.

    Attributes:
        where: its file and line.
        problem: what it answers.
        text: the completion.
        is_answer: it is the answer already, with nothing to be read out.
    """

    where: str
    problem: Problem
    text: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Graded:
    """A completion with the answer that was read out of it, None where there is none, and its verdict."""

    completion: Completion
    answer: str | None
    verdict: Grade


def of_suite(file: Path, suite: Suite, *, id_field: str = "", text_field: str = "") -> list[Completion]:
    """Read completions of a suite's problems; several rows of one problem are its samples.

    Args:
        file: JSONL (or any other form that suites read).
        suite: whose problems they answer, named by the whole id or by its last part (``HumanEval/3``, ``3``).
        id_field: column of the problem's id; found by its name where none is given (``id``, ``task_id``, ...).
        text_field: column of the completion; likewise (``completion``, ``text``, ``response``, ``answer``, ...).

    Raises:
        ConfigurationError: a column is missing, or an id unknown; names file and line. Or there are no rows.
    """
    rows = _rows(file)
    ids, texts = id_field or _column(rows[0], _IDS, "--id-field"), _text_column(rows[0], text_field)
    known = _by_name(suite)
    found: list[Completion] = []
    for row in rows:
        name = row.value(ids)
        problem = known.get(name.casefold())
        if problem is None:
            example = suite.problems[0].query.id
            raise row.wrong(f"{suite.name} has no problem '{name}' ('{ids}'); its ids are like '{example}'")
        found.append(Completion(row.where, problem, _text(row, texts), texts == "answer"))
    return found


def fitting_type(file: Path, gold_field: str) -> str:
    """The answer type that a column of gold answers asks for: ``number`` where all of them are numbers, else ``text``.

    Raises:
        ConfigurationError: the column is missing; names file and line.
    """
    return "number" if all(parse_number(row.value(gold_field)) for row in _rows(file)) else "text"


def of_columns(
    file: Path, gold_field: str, answer_type: str, *, id_field: str = "", text_field: str = ""
) -> list[Completion]:
    """Read completions beside which the gold answer stands.

    Rows without an id column are problems of their own.

    Raises:
        ConfigurationError: a column is missing, or two rows of one problem have different gold answers.
        UnknownName: no such answer type.
    """
    kind = registry.create("answer type", answer_type)
    rows = _rows(file)
    ids = id_field or next((name for name in _IDS if name in rows[0].columns), "")
    texts = _text_column(rows[0], text_field, besides=gold_field)
    problems: dict[str, Problem] = {}
    found: list[Completion] = []
    for row in rows:
        name, gold = row.value(ids) if ids else row.where, row.value(gold_field)
        query = Query(messages=({"role": "user", "content": name},), id=name, answer_type=kind)
        problem = problems.setdefault(name, Problem(query, gold))
        if problem.gold != gold:
            raise row.wrong(
                f"'{gold_field}' of problem '{name}' is '{gold}', and was '{problem.gold}' in an earlier row"
            )
        found.append(Completion(row.where, problem, _text(row, texts), texts == "answer"))
    return found


async def grade_completions(
    completions: Sequence[Completion],
    grader: Grader | None = None,
    *,
    at_a_time: int = 4,
    on_done: Callable[[], None] = lambda: None,
) -> list[Graded]:
    """Grade completions, in their order. Equal answers of a problem are graded once.

    Args:
        completions: what is graded.
        grader: the suite's; by default answers are compared with the gold one.
        at_a_time: problems graded at a time.
        on_done: called for each completion.

    Raises:
        ConfigurationError: the grader cannot work.
    """
    judge = grader or AnswerGrader()
    await judge.prepare()
    of_problem: dict[str, list[int]] = {}
    for i, completion in enumerate(completions):
        of_problem.setdefault(completion.problem.query.id, []).append(i)
    graded: dict[int, Graded] = {}
    todo = iter(list(of_problem.values()))

    async def work() -> None:
        for indices in todo:
            verdicts: dict[str, Grade] = {}
            for i in indices:
                completion = completions[i]
                answer = await anyio.to_thread.run_sync(_answer, completion)
                if answer is not None and answer not in verdicts:
                    verdicts[answer] = await judge.grade(completion.problem, answer)
                graded[i] = Graded(completion, answer, "wrong" if answer is None else verdicts[answer])
                on_done()

    async with anyio.create_task_group() as group:
        for _ in range(max(1, at_a_time)):
            group.start_soon(work)
    return [graded[i] for i in range(len(completions))]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the verdicts come to; what is undecided or unanswered is not right.

    Attributes:
        accuracy: over all completions, its error clustered on problems.
        pass_at: by k, the chance that one of k samples is right.
        counts: ``completions``, ``problems``, ``right``, ``undecided``, ``unanswered``.
        levels: the accuracy by level, where problems have one.
    """

    accuracy: Mean
    pass_at: Mapping[int, Mean]
    counts: Mapping[str, int]
    levels: Mapping[str, Mean] = field(default_factory=dict[str, Mean])


def summarise(graded: Sequence[Graded]) -> Summary:
    """Sum verdicts up."""
    scores: dict[str, list[float]] = {}
    levels: dict[str, dict[str, list[float]]] = {}
    for g in graded:
        query = g.completion.problem.query
        scores.setdefault(query.id, []).append(float(g.verdict == "right"))
        if level := query.tags.get("level"):
            levels.setdefault(level, {}).setdefault(query.id, []).append(float(g.verdict == "right"))
    fewest = min(map(len, scores.values()))
    ks = sorted({1, 10, 100, fewest, *(2**i for i in range(1, 12))})
    verdicts = Counter(g.verdict for g in graded)
    counts = {
        "completions": len(graded),
        "problems": len(scores),
        "right": verdicts["right"],
        "undecided": verdicts["undecided"],
        "unanswered": sum(g.answer is None for g in graded),
    }
    passed = {k: mean({name: pass_at(s, [k]) for name, s in scores.items()}) for k in ks if k <= fewest}
    order = {"easy": 0, "medium": 1, "hard": 2}
    by_level = {level: mean(levels[level]) for level in sorted(levels, key=lambda name: (order.get(name, 3), name))}
    return Summary(mean(scores), passed, counts, by_level)


def _rows(file: Path) -> list[Row]:
    rows = list(file_rows(file))
    if not rows:
        raise ConfigurationError(f"{file} holds no rows")
    return rows


def _column(row: Row, names: Sequence[str], option: str) -> str:
    for name in names:
        if name in row.columns:
            return name
    there = ", ".join(map(str, row.columns)) or "none"
    raise row.wrong(f"none of the columns {', '.join(names)} is there; name the one that it is by {option} ({there})")


def _text_column(row: Row, given: str, *, besides: str = "") -> str:
    return given or _column(row, [name for name in _TEXTS if name != besides], "--text-field")


def _text(row: Row, column: str) -> str:
    value: Any = row.columns.get(column)
    if value == "":
        return ""  # the model said nothing: a completion without an answer
    return value if isinstance(value, str) else row.value(column)


def _by_name(suite: Suite) -> dict[str, Problem]:
    """Problems by their whole ids, and by the last parts that are of one problem alone."""
    lasts = Counter(p.query.id.rpartition("/")[2].casefold() for p in suite.problems)
    known = {p.query.id.rpartition("/")[2].casefold(): p for p in suite.problems}
    known = {last: problem for last, problem in known.items() if lasts[last] == 1}
    return known | {p.query.id.casefold(): p for p in suite.problems}


def _answer(completion: Completion) -> str | None:
    answer_type = completion.problem.query.answer_type
    if completion.is_answer and answer_type.name != "code":
        return completion.text.strip() or None
    answer = answer_type.extract(completion.text)
    entry_point: str = getattr(answer_type, "entry_point", "")
    if entry_point and not _defines(answer or "", entry_point):
        return _continued(completion, entry_point) or answer
    return answer


def _continued(completion: Completion, entry_point: str) -> str | None:
    """The program that a base model went on with: the function's body, indented, behind the prompt's code."""
    lines = [line for line in completion.text.splitlines() if line.strip()]
    if not lines or not lines[0][0].isspace():
        return None
    begun = completion.problem.query.answer_type.extract(completion.problem.query.prompt) or ""
    return f"{begun}\n{completion.text}" if _defines(begun, entry_point) else None


def _defines(source: str, name: str) -> bool:
    return bool(re.search(rf"^(?:async )?(?:def|class) +{re.escape(name)}\b", source, re.MULTILINE))
