"""How much a sample may think, as sampling settings: off, an effort, or a cap in tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ttc.types import Sampling

__all__ = ["sampling_with"]

_SWITCH = "enable_thinking"


def sampling_with(sampling: Sampling, *, model: str = "", thinking: str = "", tokens: int | None = None) -> Sampling:
    """Change how samples are drawn.

    What the settings say of thinking themselves gives way to what is asked for: no sample has its thoughts switched off
    and an effort as well.

    Args:
        sampling: as they are drawn otherwise.
        model: of a fleet; empty: as it is.
        thinking: empty (as it is), ``off`` (the chat template's ``enable_thinking``), ``low``, ``medium`` or ``high``
            (the server's ``reasoning_effort``), or the tokens that a sample may take before its answer is forced.
        tokens: the same cap as a number, beside what ``thinking`` says.
    """
    changes: dict[str, Any] = {"model": model} if model else {}
    caps = [cap for cap in (tokens, int(thinking) if thinking.isdigit() else None) if cap is not None]
    if caps:
        changes["max_tokens"] = min(*caps, sampling.max_tokens)
    if thinking and not thinking.isdigit():
        extra = {name: value for name, value in sampling.extra.items() if name != "reasoning_effort"}
        template = {k: v for k, v in extra.pop("chat_template_kwargs", {}).items() if k != _SWITCH}
        if thinking == "off":
            template[_SWITCH] = False
        else:
            extra["reasoning_effort"] = thinking
        changes["extra"] = {**extra, **({"chat_template_kwargs": template} if template else {})}
    return replace(sampling, **changes) if changes else sampling
