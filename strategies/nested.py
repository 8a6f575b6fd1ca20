"""A strategy as a parameter of another: its spec, checked when it is given, and decided in a branch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ttc.errors import BudgetExhausted
from ttc.session import Session
from ttc.strategy import make_strategy
from ttc.types import Candidate
from ttc.verifier import Verifier

__all__ = ["NestedSpec", "accepted_by", "decide", "required_by"]


def _known(spec: str) -> str:
    make_strategy(spec)
    return spec


NestedSpec = Annotated[str, AfterValidator(_known)]
"""The spec of another strategy, e.g. ``majority:n=3``; an unknown one is refused when the outer strategy is made."""


def required_by(*specs: str | None) -> frozenset[str]:
    """Return what the strategies of some specs cannot work without, all together; None asks for nothing."""
    return frozenset[str]().union(*(make_strategy(spec).requires() for spec in specs if spec))


def accepted_by(verifier: Verifier | None, *specs: str | None) -> None:
    """Refuse a verifier that one of the strategies of some specs cannot work with; None takes any.

    Raises:
        ConfigurationError: one cannot.
    """
    for spec in specs:
        if spec:
            make_strategy(spec).accepts(verifier)


async def decide(spec: str, branch: Session) -> Candidate | None:
    """Let a strategy decide in a branch of its own, and return what it proposed last.

    Where the budget refuses it more, what it has proposed by then stands. The branch is left to be merged.
    """
    try:
        await make_strategy(spec).solve(branch.query, branch)
    except* BudgetExhausted:  # its own, or one of the tasks that it ran
        branch.progress.out_of_budget = True
    return branch.candidate
