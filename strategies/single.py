"""One sample: the baseline that everything else is measured against."""

from __future__ import annotations

from typing import ClassVar

from ttc.session import Session
from ttc.strategy import Strategy
from ttc.types import Query

__all__ = ["Single"]


class Single(Strategy):
    """Draw one sample and return its answer."""

    prefix_valid: ClassVar[bool] = True
    cost: ClassVar[str] = "1 call"

    async def solve(self, query: Query, session: Session) -> None:
        """Draw one sample."""
        session.propose(await session.generate())
