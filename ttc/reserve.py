"""Keeping something back from a budget: what a search leaves for the answer that it must give at its end."""

from __future__ import annotations

from math import inf

from ttc.budget import Budget, Price
from ttc.ledger import Ledger
from ttc.types import Usage

__all__ = ["budget_but"]


def budget_but(ledger: Ledger, *, generated: int, prompt: int, seconds: float, price: Price | None) -> Budget | None:
    """Return what is left of a ledger and its ancestors beside one more call, or None where nothing would be.

    Args:
        ledger: what is spent from.
        generated: tokens that the call may generate.
        prompt: tokens that it reads.
        seconds: that it takes.
        price: of its model.
    """
    left: dict[str, float] = {"generated_tokens": inf, "total_tokens": inf, "calls": inf, "dollars": inf}
    for x in ledger.chain():
        tokens = x._spent_generated + x._leased_generated
        spent: dict[str, float] = {
            "generated_tokens": tokens + generated,
            "total_tokens": tokens + x._spent_prompt + x._leased_prompt + generated + prompt,
            "calls": x._spent_calls + x._leased_calls + 1,
            "dollars": x.dollars + x._promised() + (price.of(Usage(prompt, 0, 0, generated)) if price else 0),
        }
        for name, much in spent.items():
            if (limit := getattr(x.budget, name)) is not None:
                left[name] = min(left[name], limit - much)
    left["seconds"] = ledger.seconds_left - seconds
    if min(left.values()) <= 0:
        return None
    return Budget(**{name: much for name, much in left.items() if much < inf})  # pyright: ignore[reportArgumentType]
