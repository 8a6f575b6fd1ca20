"""Suites that others published: what they share is where the rows come from and what is known of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from ttc.errors import ConfigurationError
from ttc.evals.grading import AnswerGrader, Grader, TestsGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, SuiteConfig
from ttc.evals.suites.rows import Hub, Row, file_rows, files, hub_rows, missing_data
from ttc.verifiers.code.safety import missing_jail

__all__ = ["PublishedPrograms", "PublishedSuite"]


class PublishedSuite(SuiteConfig):
    """A data set read from a local file, else from the Hugging Face hub.

    Attributes:
        suite: its registered name.
        about: what is known of it: ``licence``, ``released`` (when the problems became public, as year-month: a model
            trained later may have seen them), ``home``, ``size`` (problems), ``paper``, ``prompt``.
        file: what has to be downloaded where there is no hub, e.g. ``test.jsonl``.
    """

    suite: ClassVar[str]
    about: ClassVar[dict[str, Any]]
    file: ClassVar[str] = "the data"

    path: str | None = Field(default=None, description="a file (JSONL, JSON, CSV, Parquet), else the hub")
    limit: int | None = Field(default=None, ge=1, description="only the first so many problems")

    @property
    @abstractmethod
    def hub(self) -> Hub:
        """The data set of the hub that is read without a path."""

    @abstractmethod
    def problem(self, row: Row, name: str) -> Problem:
        """Make a problem of a row.

        Args:
            row: one row of the file or of the hub.
            name: an id made of the suite, the part and the row's number, for rows that have none.

        Raises:
            ConfigurationError: a column is missing or wrong (:meth:`Row.text` and :meth:`Row.wrong` say where).
        """

    def grader(self) -> Grader:
        """What decides whether an answer is right: equality with the gold one, unless a suite says otherwise."""
        return AnswerGrader()

    def load(self) -> Suite:
        """Read the problems.

        Raises:
            ConfigurationError: no such file, a bad row (its line is named), two rows of one id, or the hub cannot be
                reached.
            MissingExtra: there is no path, and the package ``datasets`` is not installed.
        """
        part = "+".join(file.name.split(".")[0] for file in files(self.path)) if self.path else self.hub.split
        problems: list[Problem] = []
        seen: dict[str, str] = {}
        for number, row in enumerate(islice(self._rows(), self.limit)):
            problem = self.problem(row, f"{self.suite}/{part}/{number}")
            if (name := problem.query.id) in seen:
                raise row.wrong(f"the id '{name}' was given already, in {seen[name]}")
            seen[name] = row.where
            problems.append(problem)
        if not problems:
            raise ConfigurationError(f"{self.suite}: {self.path or self.hub.name} holds no problems")
        hub = " ".join(filter(None, (self.hub.name, self.hub.config, f"({self.hub.split})")))
        info = {**self.about, "source": self.path or hub, "problems": len(problems)}
        return Suite(self.suite, problems, info, self.grader())

    def missing(self) -> str:
        """Say what is missing: the file, or the package that reads the hub."""
        return "" if self._shipped() else missing_data(self.path, how=self._how())

    def origin(self) -> str:
        """Say where the rows would come from: ``file``, ``package``, or ``hub`` (its cache, once they were read)."""
        return "file" if self.path else "package" if self._shipped() else "hub"

    def _rows(self) -> Iterator[Row]:
        path = self.path or self._shipped()
        return file_rows(path, how=self._how()) if path else hub_rows(self.hub, how=self._how())

    def _shipped(self) -> Path | None:
        """The file in an installed package that ships the data; None where there is a path, or no such package."""
        return None

    def _how(self) -> str:
        home = self.about.get("home", self.hub.page)
        return f"download {self.file} from {home} and pass its path: {self.suite}:path=FILE"


class PublishedPrograms(PublishedSuite):
    """A data set whose answers are programs, graded by running hidden tests in the sandbox."""

    verifier: ClassVar[str] = "public_tests"

    def grader(self) -> Grader:
        """The hidden tests, 4 seconds each."""
        return TestsGrader()

    def missing(self) -> str:
        """Say what is missing: the data, or a jail to run programs in."""
        return super().missing() or missing_jail()
