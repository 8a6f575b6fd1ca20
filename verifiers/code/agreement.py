"""CodeT: candidates that pass the same tests vouch for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ttc.session import Session
from ttc.types import Candidate, ProgramTest, Query
from ttc.verifiers.code.public_tests import NO_PUBLIC_TESTS, public_tests
from ttc.verifiers.code.scoring import agreement_score
from ttc.verifiers.code.tested import TestedVerifier, run_tests
from ttc.verifiers.code.written_tests import write_tests

__all__ = ["Agreement"]


class Agreement(TestedVerifier):
    """Group the candidates by which tests they pass; a score is the group's size times the tests passed, scaled.

    Tests are the public ones of the query, or written by the model (one call per query, charged as ``judge``), or both.
    Scores depend on the other candidates.

    From Chen et al. 2022 (arXiv 2207.10397).
    """

    name: ClassVar[str] = "agreement"
    joint: ClassVar[bool] = True

    tests: Literal["public", "written", "both"] = Field(default="both", description="which tests count")
    n: int = Field(default=10, ge=1, le=100, description="written tests at the most")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return group size x tests passed per candidate, as a share of the most that could be.

        Raises:
            BudgetExhausted: no tokens for the call that writes tests.
            ConfigurationError: tests are to be written, and the query's answer type names no function.
        """
        tests: list[ProgramTest] = list(public_tests(query)) if self.tests != "written" else []
        if self.tests == "public" and not tests:
            session.warn(NO_PUBLIC_TESTS)
        if self.tests != "public":
            tests += [test for test in await write_tests(query, self.n, session) if test not in tests]
        answered = [c for c in candidates if c.answer is not None]
        if not tests or not answered:
            return [0.0 if c.answer is None else 0.5 for c in candidates]
        results = await run_tests(query, answered, tests, session)
        scores = iter(agreement_score([[r.passed for r in found] for found in results]))
        return [0.0 if c.answer is None else next(scores) for c in candidates]
