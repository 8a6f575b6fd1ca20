"""A strategy as a parameter of another: its spec, checked when it is given, and decided in a branch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategy import make_strategy
from ttc.types import Candidate

__all__ = ["NestedSpec", "decide", "required_by"]


def _known(spec: str) -> str:
    make_strategy(spec)
    return spec


NestedSpec = Annotated[str, AfterValidator(_known)]
"""The spec of another strategy, e.g. ``majority:n=3``; an unknown one is refused when the outer strategy is made."""


def required_by(*specs: str | None) -> frozenset[str]:
    """Return what the strategies of some specs cannot work without, all together; None asks for nothing."""
    return frozenset[str]().union(*(make_strategy(spec).requires() for spec in specs if spec))


async def decide(spec: str, branch: Session) -> Candidate | None:
    """Let a strategy decide in a branch of its own, and return what it proposed last.

    Where the budget refuses it more, what it has proposed by then stands. The branch is left to be merged.
    """
    try:
        await make_strategy(spec).solve(branch.query, branch)
    except* BudgetExhausted:  # its own, or one of the tasks that it ran
        branch.progress.out_of_budget = True
    return branch.candidate
