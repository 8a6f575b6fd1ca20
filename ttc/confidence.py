"""How sure a model was of one token, read from the logprobs: what verifiers and strategies build on."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["FLOOR", "token_confidence"]

FLOOR = -30.0
"""Servers say -inf or -9999 of a token that a constraint forbids; one such would outweigh all others."""


def token_confidence(row: Sequence[float]) -> float:
    """Return the negative mean of the log-probabilities of a token's likeliest alternatives (nats).

    The more peaked the distribution the higher (Fu et al. 2025, arXiv 2508.15260).
    """
    return -sum([x if x > FLOOR else FLOOR for x in row]) / len(row)
