"""What the shell completes: names are read off the entry points, nothing is loaded for that."""

from __future__ import annotations

from ttc import registry

__all__ = ["strategy_names"]


def strategy_names(incomplete: str) -> list[str]:
    """Return the strategies whose name begins so."""
    return [name for name in registry.names("strategy") if name.startswith(incomplete)]
