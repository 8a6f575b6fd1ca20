"""What a judge said, as numbers: from the logprobs of its first token, or from its words where there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp

from ttc.types import Sample

__all__ = ["DIGITS", "mean_digit", "p_yes", "probabilities"]

DIGITS = ("1", "2", "3", "4", "5")


def probabilities(sample: Sample, read: Callable[[str], str]) -> dict[str, float]:
    """Return the probabilities of the choices among each other, read from the alternatives of the first token.

    Args:
        sample: the answer of :meth:`~ttc.session.Session.choose`.
        read: which choice a token begins, the empty string for none of them.
    """
    found: dict[str, float] = {}
    # A thought that its cap ended has no first token of an answer: what stands there is a word of the thought.
    for token, logprob in sample.first_choices if sample.ok and sample.text.strip() else ():
        if choice := read(token.strip().casefold()):
            found[choice] = found.get(choice, 0.0) + exp(logprob)
    total = sum(found.values())
    return {choice: p / total for choice, p in found.items()} if total > 0 else {}


def p_yes(sample: Sample) -> float | None:
    """Read P(yes) against P(no) from the first token, 1 or 0 from the text where there are no logprobs.

    None where neither says anything.
    """
    if found := probabilities(sample, lambda word: _begun(word, {"yes": "yes", "no": "no"})):
        return found.get("yes", 0.0)
    word = sample.text.strip().casefold() if sample.ok else ""
    return 1.0 if word.startswith("yes") else 0.0 if word.startswith("no") else None


def mean_digit(sample: Sample) -> float | None:
    """Read a mark from 1 to 5 as a score from 0 to 1: its expectation over the logprobs, or the digit itself.

    None where neither says anything. The expectation tells apart what one digit would call equal (Liu et al. 2023,
    arXiv 2303.16634).
    """
    if found := probabilities(sample, lambda word: word if word in DIGITS else ""):
        return sum(p * (int(digit) - 1) / 4 for digit, p in found.items())
    word = sample.text.strip()[:1] if sample.ok else ""
    return (int(word) - 1) / 4 if word in DIGITS else None


def _begun(word: str, choices: Mapping[str, str]) -> str:
    return next((choice for choice, whole in choices.items() if word and whole.startswith(word)), "")
