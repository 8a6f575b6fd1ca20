"""Numbers that follow from names: the same on every machine, in every process, and in every order of events."""

from __future__ import annotations

import hashlib

__all__ = ["hashed", "problem_hash", "prompt_hash"]


def hashed(*parts: str | int, bits: int = 48) -> int:
    """Hash parts to a number; the same on every machine and in every process."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - bits)


def problem_hash(problem: str) -> str:
    """Hash a query's id: enough to say whether it was tuned or trained on, too little to say what it was."""
    return f"{hashed('problem', problem):012x}"


def prompt_hash(prompt: str) -> str:
    """Hash what a query asks, however its whitespace is folded: the same problem under another id is known by it."""
    return problem_hash("prompt\x1f" + " ".join(prompt.split()))
