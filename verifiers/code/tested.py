"""Candidates run against tests in the sandbox, each program once per query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import anyio
from pydantic import BaseModel, ConfigDict

from ttc.session import Session
from ttc.types import Candidate, ProgramTest, Query
from ttc.verifiers.code.extraction import extract_code
from ttc.verifiers.code.normal_form import normal_form
from ttc.verifiers.code.sandbox import shared_sandbox
from ttc.verifiers.code.verdicts import TestResult

__all__ = ["TestedVerifier", "entry_point", "program_of", "ready", "run_tests"]

Place = tuple[str, str, tuple[Any, ...]]


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


class TestedVerifier(BaseModel):
    """What verifiers that run programs have in common: no logprobs are needed, and a sandbox is."""

    __test__ = False  # pytest collects classes of this name

    model_config = ConfigDict(frozen=True, extra="forbid")

    logprobs: ClassVar[int] = 0

    async def prepare(self) -> None:
        """Make sure of the sandbox.

        Raises:
            SandboxUnavailable: this machine cannot jail a program.
        """
        await ready()


def entry_point(query: Query) -> str:
    """The name of the function that a query asks for; empty where it asks for none."""
    return str(getattr(query.answer_type, "entry_point", ""))


def program_of(query: Query, answer: str) -> str:
    """What is run for an answer: with the preamble of its type, or the program in it where its type knows of none."""
    answer_type: Any = query.answer_type
    if hasattr(answer_type, "program"):
        return str(answer_type.program(answer))
    return extract_code(answer) or answer


async def run_tests(
    query: Query, candidates: Sequence[Candidate], tests: Sequence[ProgramTest], session: Session
) -> list[list[TestResult]]:
    """Run each candidate's program against each test; one list of results per candidate, empty without an answer.

    What was run before for this query, by any verifier, is looked up.

    Raises:
        SandboxUnavailable: this machine cannot jail a program.
    """
    identity = tuple(test if isinstance(test, str) else tuple(sorted(test.items())) for test in tests)

    setup = str(getattr(query.answer_type, "preamble", ""))

    async def run(place: Place, program: str) -> None:
        session.kept[place] = await shared_sandbox().check(program, tests, entry_point=entry_point(query), setup=setup)

    programs = [None if c.answer is None else program_of(query, c.answer) for c in candidates]
    places = [("test results", normal_form(program or ""), identity) for program in programs]
    missing = {
        place: program
        for place, program in zip(places, programs, strict=True)
        if program is not None and place not in session.kept
    }
    try:
        async with anyio.create_task_group() as group:
            for place, program in missing.items():
                group.start_soon(run, place, program)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [
        [] if program is None else list(session.kept[place]) for place, program in zip(places, programs, strict=True)
    ]
