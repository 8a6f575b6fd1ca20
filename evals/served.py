"""The models of a run: how each is reached, what its tokens cost, and how large it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ttc.budget import Price

__all__ = ["PriceField", "ServedModel", "parse_price", "refuse_twice"]


def parse_price(text: str) -> Price:
    """Read ``0.1/0.4``, or ``0.1/0.4/0.05`` where cached prompt tokens have a price of their own.

    Args:
        text: dollars per million prompt and per million generated tokens.

    Raises:
        ValueError: it is no price.
    """
    parts = text.split("/")
    try:
        dollars = [float(part) for part in parts]
    except ValueError:
        dollars = []
    if len(dollars) not in (2, 3) or not all(d >= 0 and math.isfinite(d) for d in dollars):
        raise ValueError("a price is dollars per million prompt and generated tokens, e.g. 0.1/0.4")
    return Price(prompt=dollars[0], generated=dollars[1], cached=dollars[2] if len(dollars) == 3 else None)


def _price(value: Any) -> Any:
    if isinstance(value, str):
        return parse_price(value)
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        given = [table.get(name) for name in ("prompt", "generated", "cached") if table.get(name) is not None]
        if set(table) <= {"prompt", "generated", "cached"} and {"prompt", "generated"} <= set(table):
            return parse_price("/".join(map(str, given)))
        raise ValueError("a price has 'prompt' and 'generated' (and 'cached'), dollars per million tokens")
    return value


def _written(price: Price | None) -> str | None:
    if price is None:
        return None
    dollars = [price.prompt, price.generated, *([] if price.cached is None else [price.cached])]
    return "/".join(f"{d!r}" for d in dollars)


PriceField = Annotated[Price | None, BeforeValidator(_price), PlainSerializer(_written)]
"""A :class:`~ttc.budget.Price` in settings: as text (``"0.1/0.4"``), or as a table of ``prompt`` and ``generated``."""


class ServedModel(BaseModel):
    """One of the models that a run asks."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: str | None = Field(default=None, description="the served name; of a server of one model it may be left out")
    name: str = Field(default="", description="what the run calls it: the served name, where none is given")
    base_url: str = Field(default="", description="its server")
    up: str | None = Field(default=None, description="the model to start a server for")
    price: PriceField = Field(default=None, description="dollars per million prompt and generated tokens: 0.1/0.4")
    parameters: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="active parameters, for FLOPs, e.g. 1.7e9"
    )

    @property
    def known_as(self) -> str:
        """What the run calls it; empty while only its server knows."""
        return self.name or self.model or ""


def refuse_twice(names: Sequence[str]) -> None:
    """Make sure that the models of a run can be told apart.

    Raises:
        ValueError: two have the same name, or one of several has none.
    """
    if len(names) > 1 and "" in names:
        raise ValueError("of several models each has a name: say which with 'model' (--model)")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"model '{name}' is given {times} times: give each of them a 'name' of its own, or leave one")
