"""Graders: they decide whether an answer is right, with the gold answer or hidden tests that nobody else sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from ttc.equality import decide
from ttc.evals.problem import Problem

__all__ = ["AnswerGrader", "Grade", "Grader"]

Grade = Literal["right", "wrong", "undecided"]
"""A verdict; ``undecided`` where the grader could not come to one (a comparison ran into its time limit)."""


@runtime_checkable
class Grader(Protocol):
    """Decides whether an answer is right. Lives in evals alone: no strategy and no verifier can reach it."""

    @property
    def name(self) -> str:
        """How a run card calls it."""
        ...

    async def prepare(self) -> None:
        """Make sure that it can work, before anything is paid for.

        Raises:
            ConfigurationError: it cannot; says what to do.
        """
        ...

    async def grade(self, problem: Problem, answer: str) -> Grade:
        """Decide. Slow work is done off the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerGrader:
    """Right is what equals the gold answer, by the query's answer type; the gold answer is passed first."""

    name: str = "answer"

    async def prepare(self) -> None:
        """Needs nothing."""

    async def grade(self, problem: Problem, answer: str) -> Grade:
        """Compare with the gold answer; no model is called."""
        found = await decide(problem.query.answer_type, problem.gold, answer)
        return "right" if found == "equal" else "undecided" if found == "undecided" else "wrong"
