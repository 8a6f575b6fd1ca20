"""Who decides, wave by wave, how many more samples a query may draw: stop rules and budgets from outside a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ttc.types import Candidate

if TYPE_CHECKING:
    from ttc.session import Session

__all__ = ["Both", "Pace"]


class Pace(Protocol):
    """Meters the draws of a query: asked for each wave, so that nothing is in flight when it ends one.

    A strategy that is paced needs to know nothing of it: its draw ends early, as it does where the budget ends. So a
    pace is for strategies that are ``prefix_valid``. It sees what they have consumed, in issue order.
    """

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        """Say how many samples to draw next, of the ``left`` that the strategy wants; 0 ends the draw.

        Args:
            session: the query's; ``session.candidate`` is the answer so far. Notes of why a draw ends belong there
                (``session.stop_early``).
            drawn: what was drawn so far, samples that were handed on among them, with their scores.
            left: how many more the strategy wants.
        """
        ...


@dataclass(frozen=True, slots=True)
class Both:
    """Two paces at once: what the one allows is asked of the other, and the smaller number counts."""

    inner: Pace
    outer: Pace

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        """Ask the inner one first."""
        wave = min(left, await self.inner.next_wave(session, drawn, left))
        return wave and min(wave, await self.outer.next_wave(session, drawn, wave))
