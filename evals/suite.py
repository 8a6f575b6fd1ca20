"""Problems with a grader. The gold answer lives here, where no strategy or verifier can reach it."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict

from ttc import registry
from ttc.evals.grading import AnswerGrader, Grade, Grader
from ttc.evals.problem import Problem

__all__ = ["Problem", "Suite", "SuiteConfig", "load_suite"]


@dataclass(frozen=True, slots=True)
class Suite:
    """A list of problems, how they are graded, and where they come from.

    Attributes:
        name: the spec that made it.
        problems: in a fixed order.
        info: licence, source, release date, and whatever a run card should hold.
        grader: decides whether an answer is right.
    """

    name: str
    problems: Sequence[Problem]
    info: dict[str, Any] = field(default_factory=dict[str, Any])
    grader: Grader = field(default_factory=AnswerGrader)

    async def grade(self, problem: Problem, answer: str | None) -> Grade:
        """Decide whether an answer is right; none at all is wrong."""
        return "wrong" if answer is None else await self.grader.grade(problem, answer)

    def digest(self) -> str:
        """Hash problems and all that their verdicts depend on; part of the run card and of every unit's key."""
        rows = [
            [
                p.query.id,
                [dict(m) for m in p.query.messages],
                p.gold,
                p.tests,
                p.reference,
                p.query.public_tests,
                _described(p.query.answer_type),
            ]
            for p in self.problems
        ]
        return hashlib.blake2b(orjson.dumps([_described(self.grader), rows]), digest_size=8).hexdigest()


def _described(thing: object) -> str:
    """An object in words, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


class SuiteConfig(BaseModel, ABC):
    """The parameters of a suite (its spec on the command line is ``name:parameter=value,...``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verifier: ClassVar[str] = ""
    """What scores its samples where nothing else is asked for, as public tests do; empty where any will do."""

    @abstractmethod
    def load(self) -> Suite:
        """Make the suite.

        Raises:
            ConfigurationError: the data cannot be had; says how to get it.
        """

    def missing(self) -> str:
        """Say what has to be got before the suite can be loaded, and how; empty where it can be loaded now.

        Looks at what is installed and on disk, and calls nobody.
        """
        return ""


def load_suite(spec: str) -> Suite:
    """Load ``arithmetic:per_family=50`` and the like.

    Raises:
        UnknownName: no such suite or parameter.
        ConfigurationError: the data cannot be had.
    """
    config: SuiteConfig = registry.create("suite", spec)
    return config.load()
