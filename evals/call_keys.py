"""What determines the result of a call, as one hash."""

from __future__ import annotations

import hashlib

from ttc.types import Request

__all__ = ["call_key"]


def call_key(model: str, request: Request) -> str:
    """Hash what determines the result of a call. What only observes it (logprobs) and who asks are left out.

    Args:
        model: its name, or whatever else tells it from others.
        request: what is asked, with seed and position.
    """
    parts = [model, request.content(), str(request.seed), str(request.index)]
    if request.watch is not None:
        parts.append(request.watch.key)
    if request.race:
        parts.append("race")  # a call of another strategy, which ran against others or none, says nothing of the race
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
