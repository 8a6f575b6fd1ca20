"""What the trace keeps of a sample: plain data that curves are read off later, without the text."""

from __future__ import annotations

from typing import Any

from ttc.refusals import declines
from ttc.types import Candidate

__all__ = ["sample_event", "stopped_in_thought"]


def sample_event(event: str, tokens: int, candidate: Candidate, *, cue: str = "") -> dict[str, Any]:
    """Return the event of a sample.

    ``event``, ``tokens``, ``kind``, ``index``, ``answer``, ``finish``, ``forced`` and ``generated`` are always there.
    Only where they say something: ``error``; ``refused``, it declines to answer (:mod:`ttc.refusals`); ``in_thought``,
    it was cut while still thinking.

    Args:
        event: its name.
        tokens: generated up to here, this sample's among them.
        candidate: the sample with what was read out of it.
        cue: the words behind which answers are forced out.
    """
    sample = candidate.sample
    facts: dict[str, Any] = {
        "event": event,
        "tokens": tokens,
        "kind": sample.kind,
        "index": sample.index,
        "answer": candidate.answer,
        "finish": sample.finish,
        "forced": sample.forced,
        "generated": sample.usage.generated,
    }
    if sample.error:
        facts["error"] = sample.error
    if declines(candidate):
        facts["refused"] = True
    if stopped_in_thought(candidate, cue=cue):
        facts["in_thought"] = True
    return facts


def stopped_in_thought(candidate: Candidate, *, cue: str = "") -> bool:
    """Whether a sample was cut while the model was still thinking, before any visible text.

    Args:
        candidate: the sample.
        cue: the words behind which answers are forced out: where one was, the text of such a sample begins with them.
    """
    sample = candidate.sample
    if not sample.usage.reasoning_tokens:
        return False
    if sample.forced:
        return bool(cue) and sample.text.startswith(cue)
    return sample.finish in ("length", "cut") and not sample.text.strip()
