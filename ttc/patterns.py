"""Patterns whose time is linear in the text: texts come from models and from anybody, patterns from users."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ttc.errors import MissingExtra

__all__ = ["compiled"]


def compiled(pattern: str, *, used_by: str) -> Any:
    """Compile a pattern of RE2, which has no look-around and no back-references.

    Args:
        pattern: in RE2 syntax.
        used_by: what it is for, said where the extra is missing.

    Raises:
        MissingExtra: google-re2 is not installed.
        ValueError: the pattern cannot be read; says why.
    """
    try:
        re2: Any = import_module("re2")
    except ImportError:
        raise MissingExtra("google-re2", "regex", used_by) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raw = error.args[0] if error.args else ""
        raise ValueError(raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)) from None
