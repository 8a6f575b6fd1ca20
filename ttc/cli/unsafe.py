"""The flag that permits running programs without a jail, the same in every command that may run some."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["UnsafeLocalExec"]


def _permit(value: bool) -> bool:
    if value:
        from ttc.verifiers.code import allow_unsafe

        allow_unsafe()
    return value


UnsafeLocalExec = Annotated[
    bool,
    typer.Option(
        "--unsafe-local-exec",
        callback=_permit,
        help="Run programs without a jail where this machine has none.",
    ),
]
"""Takes effect as it is read; what was run so says so (``isolation: none``)."""
