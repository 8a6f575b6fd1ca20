"""Going on where a sample ended: the partial message to send, and the two texts joined. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ttc.request import Message
from ttc.types import Sample

__all__ = ["UNBEGUN", "goes_on_thinking", "joined", "partial_message"]

UNBEGUN = "\n\n"
"""The text of a sample whose step ended with its thoughts, before its answer began: what stands between the two."""


def goes_on_thinking(sample: Sample, *, close_thought: bool) -> bool:
    """Whether a continuation of this sample goes on inside its thoughts."""
    return bool(sample.reasoning) and not sample.text and not close_thought


def partial_message(messages: Sequence[Message], sample: Sample, cue: str, *, close_thought: bool) -> list[Message]:
    """Return the prompt whose last message is the assistant's unfinished one, ending in ``cue``."""
    if goes_on_thinking(sample, close_thought=close_thought):
        text = f"<think>\n{sample.reasoning.lstrip()}{cue}"
    else:
        thought = f"<think>\n{sample.reasoning.strip()}\n</think>\n\n" if sample.reasoning else ""
        text = thought + _said(sample, cue)
    # A lone surrogate, which a server may write, cannot be sent back.
    return [*messages, {"role": "assistant", "content": text.encode("utf-8", "replace").decode()}]


def joined(sample: Sample, more: Sample, cue: str, *, close_thought: bool) -> Sample:
    """Return the longer sample: both texts with the cue between them, both usages, why the continuation ended.

    A continuation that failed leaves the text as it was; what it cost counts.
    """
    usage = sample.usage + more.usage
    if not more.ok:
        return replace(sample, usage=usage)
    reasoning, text = sample.reasoning, _said(sample, cue) + more.text
    if goes_on_thinking(sample, close_thought=close_thought):
        thought, closed, rest = (more.reasoning or more.text).partition("</think>")
        reasoning = sample.reasoning + cue + thought
        text = more.text if more.reasoning else rest.lstrip() if closed else ""
        if closed and not text and more.finish == "step":
            text = UNBEGUN
    return replace(
        more,
        text=text,
        reasoning=reasoning,
        index=sample.index,
        seed=sample.seed,
        usage=usage,
        logprobs=sample.logprobs + more.logprobs,
        top_logprobs=sample.top_logprobs + more.top_logprobs,
        latency=sample.latency + more.latency,
    )


def _said(sample: Sample, cue: str) -> str:
    """What stands behind the thoughts, up to the cue's end; no blank line stands before an answer that begins."""
    begun = sample.text + cue
    return begun.lstrip() if sample.reasoning and sample.text == UNBEGUN else begun
