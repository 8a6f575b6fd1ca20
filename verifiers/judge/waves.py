"""Judge calls that do not wait for each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import anyio

from ttc.errors import BudgetExhausted
from ttc.session import Session

__all__ = ["all_at_once"]


async def all_at_once(jobs: Sequence[Callable[[Session], Awaitable[float]]], session: Session) -> list[float]:
    """Run jobs beside each other, each in a branch of the session, and return what they score.

    Branches are merged in the order of the jobs, so that nothing depends on which is the faster one. One that the
    budget refuses ends none of the others, which are paid for. A job by itself runs in the session as it is.

    Raises:
        BudgetExhausted: a job was refused; all others have ended by then.
    """
    if len(jobs) == 1:
        return [await jobs[0](session)]
    # Whoever scores twice at a time in one session has the branches of the other call open.
    call = next(k for k in count() if ("judge", str(k), "0") not in session.progress.branches)
    branches = [session.branch("judge", call, i) for i in range(len(jobs))]
    scores: list[float | None] = [None] * len(jobs)
    refused: list[BudgetExhausted] = []

    async def run(i: int) -> None:
        try:
            scores[i] = await jobs[i](branches[i])
        except BudgetExhausted as error:
            refused.append(error)

    try:
        async with anyio.create_task_group() as group:
            for i in range(len(jobs)):
                group.start_soon(run, i)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for branch, score in zip(branches, scores, strict=True):
            session.merge(branch, "judge", score=score)
    if refused:
        raise refused[0]
    return [score for score in scores if score is not None]
