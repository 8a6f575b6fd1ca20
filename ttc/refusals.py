"""Samples that decline to answer, told by how they begin: for counting only, no strategy looks at it.

A heuristic. A sample counts as a refusal where it holds no answer and its text opens with one of a few well-known
phrases, or where the server put the text into its own ``refusal`` field. A refusal in other words is missed; "I cannot
find the root" is none. Phrases after A. Zou et al. 2023, "Universal and Transferable Adversarial Attacks on Aligned
Language Models" (arXiv 2307.15043), with those of models since.
"""

from __future__ import annotations

import re

from ttc.types import Candidate

__all__ = ["declines"]

_OPENING = 200
"""Characters of a text that are looked at: a refusal begins with what it is."""

_REFUSES = re.compile(
    r"(?:(?:(?:i'm|i am)(?: very| so| really| truly)? sorry|my apologies|i apologi[sz]e|sorry|apologies)[,.;]? )?"
    r"(?:but )?"
    r"(?:as an ai(?: language model| assistant)?,? )?"
    r"(?:i (?:can't|cannot|can not|won't|will not|(?:must|have to) decline to)|i(?:'m| am) (?:unable|not able) to)"
    r" (?:assist|help|comply|fulfil|provide|answer|do (?:that|this)|respond|engage|discuss|support|share|offer|continue"
    r"|create|generate|write)\b"
    r"|i must (?:respectfully )?(?:decline|refuse)\b"
    r"|i (?:respectfully )?decline\b",
)


def declines(candidate: Candidate) -> bool:
    """Whether a sample declines to answer: it holds no answer, and opens like a refusal or is one to the server."""
    if candidate.answer is not None:
        return False
    if candidate.sample.refused:
        return True
    words = candidate.sample.text[:_OPENING].lower().replace("\u2019", "'").split()
    return _REFUSES.match(" ".join(words)) is not None
