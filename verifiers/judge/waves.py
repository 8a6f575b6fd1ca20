"""Judge calls that do not wait for each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count

import anyio

from ttc.errors import BudgetExhausted
from ttc.session import Session

__all__ = ["all_at_once", "all_known"]


async def all_at_once(jobs: Sequence[Callable[[Session], Awaitable[float]]], session: Session) -> list[float | None]:
    """Run jobs beside each other, each in a branch of the session, and return what they score.

    Branches are merged in the order of the jobs, so that nothing depends on which is the faster one. One that the
    budget refuses scores None and ends none of the others, which are paid for. A job by itself runs in the session as
    it is.
    """
    if len(jobs) == 1:
        try:
            return [await jobs[0](session)]
        except BudgetExhausted:
            return [None]
    # Whoever scores twice at a time in one session has the branches of the other call open.
    call = next(k for k in count() if ("judge", str(k), "0") not in session.progress.branches)
    branches = [session.branch("judge", call, i) for i in range(len(jobs))]
    scores: list[float | None] = [None] * len(jobs)

    async def run(i: int) -> None:
        with suppress(BudgetExhausted):
            scores[i] = await jobs[i](branches[i])

    try:
        async with anyio.create_task_group() as group:
            for i in range(len(jobs)):
                group.start_soon(run, i)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for branch, score in zip(branches, scores, strict=True):
            session.merge(branch, "judge", score=score)
    return scores


def all_known(scores: Sequence[float | None]) -> list[float] | None:
    """Return scores, or None where one is missing."""
    known = [score for score in scores if score is not None]
    return known if len(known) == len(scores) else None
