"""Numbers that follow from names: the same on every machine, in every process, and in every order of events."""

from __future__ import annotations

import hashlib

__all__ = ["hashed"]


def hashed(*parts: str | int, bits: int = 48) -> int:
    """Hash parts to a number; the same on every machine and in every process."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - bits)
