"""Who takes part in a tournament: plain samples, the answers of inner strategies, candidates of several models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import anyio

from ttc.budget import Budget
from ttc.session import Session
from ttc.strategies.nested import decide
from ttc.types import Candidate

__all__ = ["draw_entrants"]


async def draw_entrants(
    session: Session, n: int, *, each: str | None, models: str, enter: Callable[[int, Candidate | None], None]
) -> None:
    """Draw the candidates of n seats at once, and enter them in the order of the seats.

    Args:
        session: what to draw with.
        n: seats.
        each: the spec of a strategy that decides each seat; None: one sample a seat.
        models: names of a fleet's models, joined by ``+``, which take the seats in turn; empty: the default one.
        enter: called with each seat and its candidate, or with None where the seat stays empty.

    Raises:
        ConfigurationError: there is no such model; before any call.
    """
    names = [name.strip() for name in models.split("+")]
    for name in names:
        session.check_model(name)
    if each is None:
        await _samples(session, n, names, enter)
    else:
        await _decided(session, n, each, names, enter)


async def _samples(session: Session, n: int, names: list[str], enter: Callable[[int, Candidate | None], None]) -> None:
    async with AsyncExitStack() as stack:
        draws = [
            await stack.enter_async_context(session.sample(n=len(range(i, n, len(names))), whole=True, **_model(name)))
            for i, name in enumerate(names[:n])
        ]
        for seat in range(n):
            try:
                candidate = await anext(draws[seat % len(names)])
            except StopAsyncIteration:  # the budget refused it
                candidate = None
            enter(seat, candidate)


async def _decided(
    session: Session, n: int, spec: str, names: list[str], enter: Callable[[int, Candidate | None], None]
) -> None:
    branches = [session.branch("seat", seat) for seat in range(n)]
    done = [anyio.Event() for _ in branches]
    decided: list[Candidate | None] = [None] * n
    left = session.tokens_left
    # Each has its share of what is left: who draws whole samples reads what is left, and they all read it at once.
    share = Budget(generated_tokens=None if left is None else max(1, left // n))

    async def work(seat: int) -> None:
        branch = branches[seat]
        branch.sampling = replace(branch.sampling, **_model(names[seat % len(names)]))
        async with branch.within(share) as seated:
            decided[seat] = await decide(spec, seated)
        done[seat].set()

    async with anyio.create_task_group() as group:
        for seat in range(n):
            group.start_soon(work, seat)
        for seat in range(n):
            await done[seat].wait()
            candidate = decided[seat]
            session.merge(branches[seat], "seat", seat=seat, answer=candidate.answer if candidate else None)
            enter(seat, candidate)


def _model(name: str) -> dict[str, Any]:
    return {"model": name} if name else {}
