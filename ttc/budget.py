"""Hard budgets as plain data: what may be spent, and what tokens cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

from ttc.errors import ConfigurationError
from ttc.types import Usage

__all__ = ["Budget", "Price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits for one query (or for whatever a ledger spans). All optional, all hard.

    Attributes:
        generated_tokens: generated tokens of all calls: samples, thoughts, judges, probes, discarded ones.
        total_tokens: generated and prompt tokens.
        calls: calls to the model.
        seconds: wall time; running calls are cancelled when it is over.
        dollars: at the model's :class:`Price`.
    """

    generated_tokens: int | None = None
    total_tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    dollars: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not (value > 0 and isfinite(value)):
                raise ConfigurationError(f"budget {f.name}={value}: a limit must be a positive number (or left out)")
            if value is not None and f.name not in ("seconds", "dollars") and value != int(value):
                raise ConfigurationError(f"budget {f.name}={value}: tokens and calls are whole numbers")

    @property
    def counts_tokens(self) -> bool:
        """Whether tokens are limited."""
        return self.generated_tokens is not None or self.total_tokens is not None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``generated_tokens=4000,seconds=20``; a bare number limits the generated tokens."""
        known = {f.name for f in fields(cls)}
        limits: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, value = part.rpartition("=")
            name = name.strip() or "generated_tokens"
            if name not in known:
                raise ConfigurationError(f"budget '{part}': unknown limit '{name}'. Known: {', '.join(sorted(known))}.")
            try:
                number = float(value)
                limits[name] = number if name in ("seconds", "dollars") else int(number)
            except (ValueError, OverflowError):  # an infinite number of tokens is no whole number either
                raise ConfigurationError(f"budget '{part}': '{value}' is not a number that limits") from None
        return cls(**limits)  # pyright: ignore[reportArgumentType]  # whole numbers above


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens."""

    prompt: float
    generated: float
    cached: float | None = None

    def of(self, usage: Usage) -> float:
        """Return the dollars of a usage; cached prompt tokens at their own price where it has one."""
        cached = self.prompt if self.cached is None else self.cached
        plain = (usage.prompt_tokens - usage.cached_tokens) * self.prompt + usage.cached_tokens * cached
        return (plain + usage.generated * self.generated) / 1e6
