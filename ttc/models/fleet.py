"""Several models behind one session: a request says which of them answers it.

Their tokens are never added up: usage is kept by kind and model (``generate@small``), and what is compared is dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ttc.budget import Price
from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.base import Model, SampleStream
from ttc.models.stream import LiveStream
from ttc.types import Request, Sample

__all__ = ["Fleet", "FleetModel"]


class FleetModel(Model, Protocol):
    """What a fleet is made of: any live model, or recorded samples of one."""

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request under a ledger; ``is_head`` says whether it is the oldest one in flight.

        Raises:
            BudgetExhausted: the ledger refused the call.
        """
        ...


class Fleet:
    """Models by name, the first one the default.

    Use as ``Fleet({"small": VLLMServer(...), "large": VLLMServer(...)})``, each connected before, and draw with
    ``session.sample(n=8, model="large")`` or with a strategy's ``models=small+large``. Budgets in calls, seconds and
    dollars span all of them; dollars need a price on every model. With recorded samples of several models
    (:func:`ttc.pools.replay_model`) it replays a cascade: there each call is over at once, and charged whole.

    Attributes:
        models: by name.
    """

    def __init__(self, models: Mapping[str, FleetModel]) -> None:
        if not models:
            raise ConfigurationError("a fleet needs at least one model")
        if wrong := [name for name in models if not name or set(name) & set("+@,:()")]:
            raise ConfigurationError(
                f"fleet: a model may not be called '{wrong[0]}': no +, @, comma, colon, parenthesis"
            )
        self.models = dict(models)

    @property
    def name(self) -> str:
        """The names of the models."""
        return "+".join(self.models)

    @property
    def price(self) -> Price | None:
        """That of the first model, where all have one; each call is charged at its own model's."""
        prices = [model.price for model in self.models.values()]
        return prices[0] if None not in prices else None

    def price_of(self, name: str) -> Price | None:
        """Return the price of one of the models, of the first one without a name.

        Raises:
            ConfigurationError: the fleet has no such model.
        """
        return self.models[self._known(name)].price

    def open(self, requests: Sequence[Request], ledger: Ledger, *, by_finish: bool = False) -> SampleStream:
        """Open a batch; each request goes to its own model, under that model's permits."""
        return LiveStream(self.complete, requests, ledger, by_finish=by_finish)

    async def complete(self, request: Request, ledger: Ledger, is_head: Callable[[], bool]) -> list[Sample]:
        """Answer one request with the model that it names.

        Raises:
            ConfigurationError: the fleet has no such model.
            BudgetExhausted: the ledger refused the call.
        """
        name = self._known(request.model)
        return await self.models[name].complete(replace(request, model=name), ledger, is_head)

    async def count_tokens(self, text: str) -> tuple[int, str]:
        """Ask the first model."""
        return await next(iter(self.models.values())).count_tokens(text)

    def _known(self, name: str) -> str:
        name = name or next(iter(self.models))
        if name not in self.models:
            raise ConfigurationError(f"the fleet has no model '{name}', but {', '.join(self.models)}")
        return name
