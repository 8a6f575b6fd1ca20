"""How many queries are open at a time: a fixed number, or as many as keep a model's calls in flight."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import anyio

from ttc.models.in_flight import InFlight

__all__ = ["Crowd"]

LEAST = 4


class Crowd:
    """Places for queries, entered and left.

    Where the calls in flight of a model adapt (:class:`~ttc.models.in_flight.InFlight`), so do the places: one more
    whenever a query leaves and a permit is free with nobody waiting for it, one fewer whenever more calls wait than are
    in flight. Few open queries come to their ends sooner than many, and need no more of the server.
    """

    def __init__(self, models: Iterable[object], *, fixed: int | None = None, start: int = 32) -> None:
        """Make places for queries that ask ``models``.

        Args:
            models: what is asked. A fleet is its models.
            fixed: so many places, whatever the models do.
            start: places at first; for good where the calls of no model adapt.
        """
        limiters = [getattr(one, "limiter", None) for model in models for one in _parts(model)]
        self._limits = [limiter for limiter in limiters if isinstance(limiter, InFlight)] if fixed is None else []
        self._places = anyio.CapacityLimiter(fixed or start)

    @property
    def places(self) -> int:
        """Queries that may be open now."""
        return int(self._places.total_tokens)

    async def enter(self, who: object) -> None:
        """Wait for a place for ``who``."""
        await self._places.acquire_on_behalf_of(who)

    def leave(self, who: object) -> None:
        """Give the place of ``who`` back."""
        if self._limits:
            self._places.total_tokens = self._fitting()
        self._places.release_on_behalf_of(who)

    @asynccontextmanager
    async def place(self, who: object) -> AsyncGenerator[None]:
        """A place for the time of the block."""
        await self.enter(who)
        try:
            yield
        finally:
            self.leave(who)

    def _fitting(self) -> int:
        now = [limit.statistics() for limit in self._limits]
        if any(s.borrowed_tokens < s.total_tokens and not s.tasks_waiting for s in now):
            return min(self.places + 1, sum(limit.most for limit in self._limits))
        if all(s.tasks_waiting > s.total_tokens for s in now):
            return max(self.places - 1, LEAST)
        return self.places


def _parts(model: object) -> Iterable[object]:
    models: dict[str, object] | None = getattr(model, "models", None)
    return [model] if models is None else models.values()
