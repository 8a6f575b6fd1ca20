"""A suite of one's own: a file of prompts and answers, or of prompts and tests, in columns that one names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field, field_validator

from ttc import registry
from ttc.answer_type import AnswerType
from ttc.errors import ConfigurationError
from ttc.evals.grading import AnswerGrader, TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, SuiteConfig
from ttc.evals.suites.rows import Row, file_rows, files, missing_data
from ttc.evals.suites.tests_column import tests_of
from ttc.types import Message, Query
from ttc.verifiers.code.safety import missing_jail
from ttc.verifiers.maths import parse_number

__all__ = ["File"]

_ROLES = ("system", "user", "assistant")


class File(SuiteConfig):
    """Problems of your own out of a JSONL, JSON or CSV file: ``file:mine.jsonl,prompt=question,answer=gold``.

    A prompt is a column's text (or chat messages in OpenAI's form), or a template with columns in braces:
    ``template=({question} Answer in {unit}.)``, or ``template=@FILE``. With ``tests``, a list of asserts or of
    ``{"stdin": ..., "stdout": ...}``, answers are programs, and the tests are hidden.
    """

    positional: ClassVar[str] = "path"
    about: ClassVar[dict[str, Any]] = {"licence": "yours", "size": "yours"}

    path: str = Field(description="JSONL, JSON, CSV or Parquet, .gz too; several with +")
    prompt: str = Field(default="prompt", description="column of the prompt")
    template: str = Field(default="", description="a prompt with {columns} in it, or @FILE")
    system: str = Field(default="", description="a system message for all of them")
    answer: str = Field(default="answer", description="column of the right answer")
    type: str = Field(
        default="",
        description="answer type, as in maths or choice:letters=ABCD; without one, code where there are tests, number "
        "where all answers are numbers, else text",
    )
    tests: str = Field(default="", description="column of hidden tests, for programs")
    public_tests: str = Field(default="", description="column of tests that verifiers may run too")
    entry_point: str = Field(default="entry_point", description="column of the function's name, for programs")
    id: str = Field(default="", description="column of a name for each problem; without one, its number")
    tags: tuple[str, ...] = Field(default=(), description="columns of the query class: level+topic")
    limit: int | None = Field(default=None, ge=1, description="only the first so many problems")

    @field_validator("tags", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Read the form that a command line can carry: ``level+topic``."""
        return (
            [x.strip() for x in re.split(r"[+,]", value.strip("[]() ")) if x.strip()]
            if isinstance(value, str)
            else value
        )

    def load(self) -> Suite:
        """Read the problems.

        Raises:
            UnknownName: no answer type of that name.
            ConfigurationError: no such file, or a row without one of the columns, or two of one id: its line is named.
        """
        if self.type.partition(":")[0] == "code" and not self.tests:
            raise ConfigurationError(
                f"file: programs are graded by tests: name their column, file:{self.path},tests=..."
            )
        rows = list(islice(file_rows(self.path), self.limit))
        answer_type: AnswerType = registry.create("answer type", self.type or self._fitting(rows))
        stem = "+".join(file.name.split(".")[0] for file in files(self.path))
        template = self._template()
        problems: list[Problem] = []
        seen: dict[str, str] = {}
        for number, row in enumerate(rows):
            problem = self._problem(row, f"{stem}/{number}", template=template, answer_type=answer_type)
            if (name := problem.query.id) in seen:
                raise row.wrong(f"the id '{name}' was given already, in {seen[name]}")
            seen[name] = row.where
            problems.append(problem)
        if not problems:
            raise ConfigurationError(f"file: {self.path} holds no problems")
        info = {"source": self.path, "problems": len(problems), "answers": answer_type.name}
        return Suite(f"file:{stem}", problems, info, TestsGrader() if self.tests else AnswerGrader())

    def missing(self) -> str:
        """Say which file is not there, or what it takes to run programs where there are tests."""
        data = missing_data(self.path, how="") if self.path else ""
        return data or (missing_jail() if self.tests else "")

    def _problem(self, row: Row, name: str, *, template: str, answer_type: AnswerType) -> Problem:
        gold = ""
        if not self.tests:
            gold = row.value(self.answer)
            if not answer_type.key(gold):
                raise row.wrong(f"'{self.answer}' is no answer of type {answer_type.name} ({gold[:60]})")
        elif entry_point := row.get(self.entry_point):
            answer_type = dataclasses.replace(cast("Any", answer_type), entry_point=entry_point)
        messages = _messages(row, self.prompt) if not template else (_user(_filled(template, row)),)
        if self.system:
            messages = ({"role": "system", "content": self.system}, *messages)
        query = Query(
            messages=messages,
            id=row.value(self.id) if self.id else name,
            answer_type=answer_type,
            tags={"family": name.rpartition("/")[0], **{tag: row.value(tag) for tag in self.tags}},
            public_tests=tests_of(row, self.public_tests) if self.public_tests else (),
        )
        return Problem(query, gold, tests=tests_of(row, self.tests) if self.tests else ())

    def _fitting(self, rows: list[Row]) -> str:
        if self.tests:
            return "code"
        return "number" if all(parse_number(row.value(self.answer)) for row in rows) else "text"

    def _template(self) -> str:
        if not self.template.startswith("@"):
            text = self.template
        else:
            try:
                text = Path(self.template[1:]).expanduser().read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"file: the template {self.template[1:]} cannot be read: {error}") from None
        if text and not any(place[1] for place in _PLACE.finditer(text)):
            raise ConfigurationError("file: the template has no column in it: write {question} where its text goes")
        return text


_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def _filled(template: str, row: Row) -> str:
    """Put columns into their places; doubled braces stand for braces, and empty ones for themselves."""
    return _PLACE.sub(lambda place: row.value(place[1].strip()) if place[1] else place[0][0], template)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _messages(row: Row, column: str) -> tuple[Message, ...]:
    given = row.columns.get(column)
    if not isinstance(given, list):
        return (_user(row.text(column)),)
    turns = cast("list[Any]", given)
    for turn in turns:
        if not isinstance(turn, Mapping) or not {"role", "content"} <= set(cast("Mapping[str, Any]", turn)):
            raise row.wrong(f"'{column}' is a list, but not of messages with 'role' and 'content'")
        if turn["role"] not in _ROLES:
            raise row.wrong(f"'{column}' has a message of role '{turn['role']}'; there are {', '.join(_ROLES)}")
    if not turns or turns[-1]["role"] != "user":
        raise row.wrong(f"'{column}' has to end with a message of the user")
    return tuple(cast("list[Message]", turns))
