"""What the shell completes: names are read off the entry points and off folders, nothing is loaded for that."""

from __future__ import annotations

from pathlib import Path

import typer

from ttc import registry

__all__ = ["answer_type_names", "comparator_names", "run_names", "strategy_names", "suite_names", "verifier_names"]


def strategy_names(incomplete: str) -> list[str]:
    """Return the strategies whose name begins so."""
    return [name for name in registry.names("strategy") if name.startswith(incomplete)]


def suite_names(incomplete: str) -> list[str]:
    """Return the suites whose name begins so."""
    return [name for name in registry.names("suite") if name.startswith(incomplete)]


def answer_type_names(incomplete: str) -> list[str]:
    """Return the answer types whose name begins so."""
    return [name for name in registry.names("answer type") if name.startswith(incomplete)]


def verifier_names(incomplete: str) -> list[str]:
    """Return the verifiers whose name begins so."""
    return [name for name in registry.names("verifier") if name.startswith(incomplete)]


def comparator_names(incomplete: str) -> list[str]:
    """Return the comparators whose name begins so."""
    return [name for name in registry.names("comparator") if name.startswith(incomplete)]


def run_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the runs whose name begins so: in ``runs``, or where ``--runs`` of the same command line says."""
    runs = Path(ctx.params.get("runs") or "runs")
    try:
        found = [p.parent.name for p in runs.glob("*/store.sqlite")]
    except OSError:
        return []
    return sorted(name for name in found if name.startswith(incomplete))
