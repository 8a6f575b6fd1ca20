"""Graders: they decide whether an answer is right, with the gold answer or hidden tests that nobody else sees."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from ttc.equality import decide
from ttc.evals.problem import Problem
from ttc.types import ProgramTest
from ttc.verifiers.code import Limits, TestResult, shared_sandbox

__all__ = ["AnswerGrader", "Grade", "Grader", "TestsGrader"]

Grade = Literal["right", "wrong", "undecided"]
"""A verdict; ``undecided`` where the grader could not come to one: a comparison ran into its time limit,
or takes a package that is not installed."""

_LONGEST_REFERENCE = 30.0  # seconds


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


@dataclass(frozen=True, slots=True)
class TestsGrader:
    """Right is a program that passes all hidden tests of its problem, run in the sandbox.

    Args:
        limits: per test, and for all tests of a problem.
        patience: where a test runs out of time and the problem has a reference solution, it is run once more, with this
            many times what the reference takes for it as the limit, if that is more.
        oracle: trusted source that the tests need, run before them. It finds the problem's reference solution as the
            text ``REFERENCE``, and the name of the function as ``ENTRY_POINT``.
    """

    __test__ = False  # pytest collects classes of this name

    limits: Limits = field(default_factory=Limits)
    patience: float = 4.0
    oracle: str = ""
    name: str = "tests"

    @property
    def isolation(self) -> str:
        """What stands around the programs, for the run card."""
        return shared_sandbox().isolation

    async def prepare(self) -> None:
        """Start the sandbox.

        Raises:
            SandboxUnavailable: this machine cannot jail a program.
        """
        await shared_sandbox().check("", ["assert True"])

    async def grade(self, problem: Problem, answer: str) -> Grade:
        """Run the hidden tests, up to the first ones that fail; without any nothing can be said."""
        done, size = 0, 1
        while done < len(problem.tests):
            # Few at first: a program that never ends is found out at its first test, and not at each of a hundred.
            results = await self.check(problem, answer, problem.tests[done : done + size])
            if not all(result.passed for result in results):
                return "wrong"
            done, size = done + size, 8 * size
        return "right" if problem.tests else "undecided"

    async def check(self, problem: Problem, answer: str, tests: Sequence[ProgramTest]) -> list[TestResult]:
        """How an answer does on tests of its problem, one result for each; those behind a timeout may not have run."""
        results = await self._run(problem, answer, tests, self.limits)
        for i, result in enumerate(results):
            if result.status == "timeout" and problem.reference:
                # Once more: it may have been the machine. What runs out of time again is the program's doing.
                seconds = max(self.limits.seconds, self.patience * await self._reference_seconds(problem, tests[i]))
                longer = replace(self.limits, seconds=seconds, total_seconds=max(seconds, self.limits.total_seconds))
                results[i] = (await self._run(problem, answer, tests[i : i + 1], longer))[0]
                if not results[i].passed:
                    break
        return results

    async def _run(
        self, problem: Problem, answer: str, tests: Sequence[ProgramTest], limits: Limits
    ) -> list[TestResult]:
        whole: Callable[[str], str] = getattr(problem.query.answer_type, "program", str)
        return await shared_sandbox().check(
            whole(answer), tests, entry_point=_entry_point(problem), setup=self._setup(problem), limits=limits
        )

    async def _reference_seconds(self, problem: Problem, test: ProgramTest) -> float:
        """How long the reference takes for a test, on this machine now; measured in the sandbox, without the queue."""
        if not isinstance(test, str):
            return 0.0
        timed = f"(lambda clock: (clock(), exec({test!r}), clock()))(__import__('time').perf_counter)"
        limits = replace(self.limits, seconds=_LONGEST_REFERENCE, total_seconds=_LONGEST_REFERENCE)
        (observed,) = await shared_sandbox().evaluate(
            problem.reference, [timed], entry_point=_entry_point(problem), setup=self._setup(problem), limits=limits
        )
        if observed.status != "passed":
            return 0.0
        began, _, ended = ast.literal_eval(observed.value)
        return ended - began

    def _setup(self, problem: Problem) -> str:
        setup: str = getattr(problem.query.answer_type, "preamble", "")
        if not self.oracle:
            return setup
        given = f"REFERENCE = {problem.reference!r}\nENTRY_POINT = {_entry_point(problem)!r}"
        return f"{setup}\n\n{given}\n{self.oracle}"


def _entry_point(problem: Problem) -> str:
    return getattr(problem.query.answer_type, "entry_point", "")
