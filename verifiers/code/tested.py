"""Candidates run against tests in the sandbox, each program once per query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import anyio

from ttc.session import Session
from ttc.types import Candidate, ProgramTest, Query
from ttc.verifiers.code.sandbox import shared_sandbox
from ttc.verifiers.code.verdicts import TestResult

__all__ = ["entry_point", "ready", "run_tests"]


async def ready() -> None:
    """Make sure that programs can be run here, before anything is paid for.

    Raises:
        SandboxUnavailable: this machine cannot jail a program.
    """
    global _ready
    sandbox = shared_sandbox()
    if _ready is not sandbox:
        await sandbox.execute("")  # the jail is attacked from inside before its first program
        _ready = sandbox


_ready: object = None


def entry_point(query: Query) -> str:
    """The name of the function that a query asks for; empty where it asks for none."""
    return str(getattr(query.answer_type, "entry_point", ""))


async def run_tests(
    query: Query, candidates: Sequence[Candidate], tests: Sequence[ProgramTest], session: Session
) -> list[list[TestResult]]:
    """Run each candidate's program against each test; one list of results per candidate, empty without an answer.

    What was run before for this query, by any verifier, is looked up.

    Raises:
        SandboxUnavailable: this machine cannot jail a program.
    """
    identity = tuple(test if isinstance(test, str) else tuple(sorted(test.items())) for test in tests)

    def place(answer: str) -> tuple[Any, ...]:
        return ("test results", query.answer_type.key(answer), identity)

    async def run(answer: str) -> None:
        program = cast(Any, query.answer_type).program(answer) if hasattr(query.answer_type, "program") else answer
        session.kept[place(answer)] = await shared_sandbox().check(
            program,
            tests,
            entry_point=entry_point(query),
            setup=str(getattr(query.answer_type, "preamble", "")),
        )

    answers = [c.answer for c in candidates if c.answer is not None]
    missing = {place(answer): answer for answer in answers if place(answer) not in session.kept}
    try:
        async with anyio.create_task_group() as group:
            for answer in missing.values():
                group.start_soon(run, answer)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [[] if c.answer is None else list(session.kept[place(c.answer)]) for c in candidates]
