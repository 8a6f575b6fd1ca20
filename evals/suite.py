"""Problems with a grader. The gold answer lives here, where no strategy or verifier can reach it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from ttc import registry
from ttc.types import AnswerType, Outcome, Query

__all__ = ["Problem", "Suite", "SuiteConfig", "load_suite"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One query with what decides whether its answer is right."""

    query: Query
    gold: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A list of problems, how they are graded, and where they come from.

    Attributes:
        name: the spec that made it.
        problems: in a fixed order.
        info: licence, source, release date, and whatever a run card should hold.
    """

    name: str
    problems: Sequence[Problem]
    info: dict[str, Any] = field(default_factory=dict[str, Any])

    def grade(self, problem: Problem, outcome: Outcome) -> bool:
        """Decide whether an outcome is right: its answer equals the gold answer by the query's answer type."""
        if outcome.answer is None:
            return False
        return same(problem.query.answer_type, problem.gold, outcome.answer)

    def digest(self) -> str:
        """Hash problems and gold answers; part of the run card."""
        rows = [[p.query.id, [dict(m) for m in p.query.messages], p.gold] for p in self.problems]
        return hashlib.blake2b(orjson.dumps(rows), digest_size=8).hexdigest()


def same(answer_type: AnswerType, a: str, b: str) -> bool:
    """Whether two answers are the same: by key first, by equivalence only then. The empty key equals nothing."""
    key = answer_type.key(a)
    return (key != "" and key == answer_type.key(b)) or answer_type.equivalent(a, b)


class SuiteConfig(BaseModel, ABC):
    """The parameters of a suite (its spec on the command line is ``name:parameter=value,...``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
