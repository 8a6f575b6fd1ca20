"""The tests that a problem shows, run on each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ttc.session import Session
from ttc.types import Candidate, ProgramTest, Query
from ttc.verifiers.code.shown_tests import shown_tests
from ttc.verifiers.code.tested import TestedVerifier, entry_point, run_tests
from ttc.verifiers.code.verdicts import TestResult

__all__ = ["NO_PUBLIC_TESTS", "PublicTests", "public_tests"]

NO_PUBLIC_TESTS = "this query has no public tests: its candidates all score the same"
SHOWN = 3
"""Failing tests that a critique shows."""

_LONGEST = 400


class PublicTests(TestedVerifier):
    """Run the query's public tests on each candidate in the sandbox; the score is the share that passes.

    Where the query brings none, those that its prompt shows: asserts, and examples like ``>>> f(1)`` with the value
    below. One that passes all of them is taken at once. To a revision it says which failed, and how. Costs no tokens.
    Without any public tests every program scores 1/2, and the outcome says so.
    """

    name: ClassVar[str] = "public_tests"
    pass_fail: ClassVar[bool] = True

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return the share of the public tests that each candidate passes."""
        tests = public_tests(query)
        if not tests:
            session.warn(NO_PUBLIC_TESTS)
            return [0.0 if c.answer is None else 0.5 for c in candidates]
        results = await run_tests(query, candidates, tests, session)
        return [sum(r.passed for r in found) / len(tests) for found in results]

    async def critique(self, query: Query, candidate: Candidate, session: Session) -> str:
        """Say which public tests fail, with what was expected and found or with the error; empty where none does."""
        tests = public_tests(query)
        if not tests:
            return ""
        if candidate.answer is None:
            return "There is no program in your answer: put it in one ```python block." if candidate.sample.ok else ""
        (results,) = await run_tests(query, [candidate], tests, session)
        failed = [(test, r) for test, r in zip(tests, results, strict=True) if not r.passed]
        if not failed:
            return ""
        if len(failed) == len(results) and len({(r.status, r.detail) for r in results}) == 1 and len(results) > 1:
            return f"Your program fails all {len(results)} tests in the same way: {_said(failed[0][1])}"
        more = f"\n(and {len(failed) - SHOWN} more)" if len(failed) > SHOWN else ""
        lines = "\n".join(f"- {_shown(test)}\n  {_said(result)}" for test, result in failed[:SHOWN])
        return f"Your program fails {len(failed)} of {len(results)} tests:\n{lines}{more}"


def public_tests(query: Query) -> tuple[ProgramTest, ...]:
    """The tests that a query brings, else those that its prompt shows."""
    return query.public_tests or shown_tests(query.prompt, entry_point(query))


def _shown(test: ProgramTest) -> str:
    if isinstance(test, str):
        return _short(test.strip())
    return _short(f"for the input {test.get('stdin', '')!r} it should print {test.get('stdout', '')!r}")


def _said(result: TestResult) -> str:
    words = {"failed": "wrong", "error": "it raised", "timeout": "too slow", "memory": "too much memory"}
    said = words.get(result.status, result.status)
    return _short(f"{said}: {result.detail}" if result.detail else said)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
