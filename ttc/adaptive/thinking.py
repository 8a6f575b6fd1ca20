"""How much a sample may think, as sampling settings: off, an effort, or a cap in tokens."""

from __future__ import annotations

from dataclasses import replace

from ttc.types import Sampling

__all__ = ["sampling_with"]


def sampling_with(sampling: Sampling, *, model: str = "", thinking: str = "", tokens: int | None = None) -> Sampling:
    """Change how samples are drawn.

    Args:
        sampling: as they are drawn otherwise.
        model: of a fleet; empty: as it is.
        thinking: empty (as it is), ``off`` (the chat template's ``enable_thinking``), ``low``, ``medium`` or ``high``
            (the server's ``reasoning_effort``), or the tokens that a sample may take before its answer is forced.
        tokens: the same cap as a number.
    """
    changes: dict[str, object] = {"model": model} if model else {}
    cap = int(thinking) if thinking.isdigit() else tokens
    if cap is not None:
        changes["max_tokens"] = min(cap, sampling.max_tokens)
    elif thinking == "off":
        template = {**sampling.extra.get("chat_template_kwargs", {}), "enable_thinking": False}
        changes["extra"] = {**sampling.extra, "chat_template_kwargs": template}
    elif thinking:
        changes["extra"] = {**sampling.extra, "reasoning_effort": thinking}
    return replace(sampling, **changes) if changes else sampling
