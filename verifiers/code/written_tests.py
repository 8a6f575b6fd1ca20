"""Tests that the model writes, each weighing as much as it is plausible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import anyio
from pydantic import Field

from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.types import Candidate, Message, Query
from ttc.verifiers.code.asserts import read_asserts
from ttc.verifiers.code.scoring import plausibility, validity_weighted
from ttc.verifiers.code.tested import TestedVerifier, entry_point, run_tests

__all__ = ["WrittenTests", "prompt_for_tests", "write_tests"]

_NO_TESTS = "the model wrote no test that can be run"


class WrittenTests(TestedVerifier):
    """Let the model write tests, run them on all candidates, and weigh each test by how plausible it is.

    Many tests that a model writes are wrong, and wrong where it is wrong itself: the candidate that passes the most of
    them is less and less often right the more candidates there are. A test therefore counts by the share of the
    candidates that pass it, and a candidate by how many pass the same tests (``scoring.validity_weighted``). One call
    per query, charged as ``judge``; scores depend on the other candidates.

    The idea of dual agreement is from Chen et al. 2022 (arXiv 2207.10397).
    """

    name: ClassVar[str] = "written_tests"
    joint: ClassVar[bool] = True

    n: int = Field(default=10, ge=1, le=100, description="tests at the most")

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return the weighted share of the tests that each candidate passes.

        Raises:
            BudgetExhausted: no tokens for the call that writes them.
            ConfigurationError: the query's answer type names no function to be tested.
        """
        tests = await write_tests(query, self.n, session)
        answered = [c for c in candidates if c.answer is not None]
        if not tests or not answered:
            return [0.0 if c.answer is None else 0.5 for c in candidates]
        passed = [[r.passed for r in found] for found in await run_tests(query, answered, tests, session)]
        session.note("validity", tests=[[t, round(p, 4)] for t, p in zip(tests, plausibility(passed), strict=True)])
        scores = iter(validity_weighted(passed))
        return [0.0 if c.answer is None else next(scores) for c in candidates]


async def write_tests(query: Query, n: int, session: Session) -> tuple[str, ...]:
    """Let the model write up to ``n`` asserts, once per query and ``n``; later calls look them up.

    Raises:
        BudgetExhausted: no tokens for the call.
        ConfigurationError: the query's answer type names no function to be tested.
    """
    name = entry_point(query)
    if not name:
        raise ConfigurationError(
            f"query '{query.id}' names no function that tests could be written for: its answer type has to be "
            "CodeAnswer(entry_point=...); for whole programs take verifier 'public_tests'"
        )
    lock: anyio.Lock = session.kept.setdefault(("writing tests", n), anyio.Lock())
    async with lock:  # of two that ask at once the second one waits for the first one's tests
        place = ("written tests", n)
        if place not in session.kept:
            sampling = session.sampling
            # A choice among nothing is a call of the verifier's own: no sample of the query, and no answer to it.
            said = await session.choose(
                prompt_for_tests(query, n), (), temperature=sampling.temperature, max_tokens=sampling.max_tokens
            )
            session.kept[place] = read_asserts(said.text, name, limit=n)
            session.note("tests", tests=list(session.kept[place]))
        tests: tuple[str, ...] = session.kept[place]
    if not tests:
        session.warn(_NO_TESTS)
    return tests


def prompt_for_tests(query: Query, n: int) -> list[Message]:
    """Ask for asserts instead of a solution; the public tests show the form."""
    name = entry_point(query)
    shown = [test.strip() for test in query.public_tests if isinstance(test, str)][:3]
    examples = "\n".join(shown or [f"assert {name}(...) == ..."])
    content = (
        f"Here is a programming task. Do not solve it: write tests for it.\n\n{query.prompt}\n\n"
        f"Write {n} tests of `{name}`, one a line, of this form:\n\n```python\n{examples}\n```\n\n"
        "Use other arguments in each, edge cases among them, and only literal values. Answer with the lines alone."
    )
    return [{"role": "user", "content": content}]
