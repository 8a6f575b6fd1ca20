"""What ``--max-tokens`` and ``--budget`` say together: the hard limits of a query."""

from __future__ import annotations

from dataclasses import asdict, replace

from ttc.budget import Budget
from ttc.errors import ConfigurationError

__all__ = ["limits", "with_max_tokens"]


def limits(budget: str, max_tokens: int | None) -> Budget:
    """Put the limits of a query together.

    Raises:
        ConfigurationError: a limit is unknown or not positive, or the generated tokens are limited twice.
    """
    given = Budget.parse(budget)
    if max_tokens is None:
        return given
    if given.generated_tokens is not None:
        raise ConfigurationError(
            f"--max-tokens {max_tokens} and --budget {budget} both limit the generated tokens of a query: leave one out"
        )
    if max_tokens < 1:
        raise ConfigurationError(f"--max-tokens {max_tokens}: a limit must be a positive number (or left out)")
    return replace(given, generated_tokens=max_tokens)


def with_max_tokens(max_tokens: int, *, of_option: str | None, of_file: str) -> str:
    """Return the budget of a run's settings with a limit on the generated tokens; it overrides that of a file.

    Raises:
        ConfigurationError: as :func:`limits`.
    """
    others = of_option if of_option is not None else _as_text(replace(Budget.parse(of_file), generated_tokens=None))
    return _as_text(limits(others, max_tokens))


def _as_text(budget: Budget) -> str:
    """Write a budget as :meth:`~ttc.budget.Budget.parse` reads it."""
    return ",".join(f"{name}={value}" for name, value in asdict(budget).items() if value is not None)
