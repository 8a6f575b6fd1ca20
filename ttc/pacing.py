"""Who decides, wave by wave, how many more samples a query may draw: stop rules and budgets from outside a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.types import Candidate

if TYPE_CHECKING:
    from ttc.session import Session
    from ttc.strategy import Strategy

__all__ = ["Allocation", "Allotment", "Both", "Pace", "check_allocation", "make_allocation"]


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
            left: how many more the strategy wants now; where it draws in waves, of a wave.
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


class Allotment(Protocol):
    """The tokens of one batch of queries while they are handed out."""

    def place(self, position: int) -> AbstractAsyncContextManager[Pace]:
        """Wait until a query may begin; gives its pace. Leaving the block ends the query's part.

        Args:
            position: of the query in the batch; each once.
        """
        ...


@runtime_checkable
class Allocation(Protocol):
    """How the tokens of a batch are handed out over its queries."""

    def over(self, queries: int, ledger: Ledger, *, concurrency: int) -> Allotment:
        """Begin a batch of so many queries that share what ``ledger`` has left."""
        ...


def make_allocation(spec: str | Allocation) -> Allocation:
    """Make an allocation of its name, such as ``greedy`` or ``greedy:first=2`` (an object is returned as it is).

    Raises:
        ConfigurationError: no such allocation or parameter, or a value out of its range.
    """
    return registry.create("allocation", spec) if isinstance(spec, str) else spec


def check_allocation(strategy: Strategy, ledger: Ledger) -> None:
    """Make sure that the tokens of a batch can be handed out over queries that this strategy solves.

    Raises:
        ConfigurationError: its draws cannot be metered, or no tokens are limited.
    """
    if not strategy.paceable:
        raise ConfigurationError(
            f"strategy '{strategy.name}' cannot be allocated to: how many samples it draws is not for others to say, "
            "wave by wave. Take one that draws plain samples and is prefix-valid, such as majority or best_of_n"
        )
    if not any(x.budget.counts_tokens for x in ledger.chain()):
        raise ConfigurationError(
            "there are no tokens to allocate: limit generated_tokens or total_tokens of the batch "
            "(total=Budget(generated_tokens=...), or --total-tokens)"
        )
