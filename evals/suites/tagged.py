"""Answers of more than a line or a number: what stands between ``<answer>`` and ``</answer>``."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.thoughts import without_thoughts
from ttc.verifiers.maths.extraction import after_cue, last_line

__all__ = ["TaggedAnswer"]

_OPEN, _CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True, slots=True)
class TaggedAnswer:
    """Text between the last ``<answer>`` tags, else what follows 'the answer is' on its line, else the last line.

    Two are the same when their lines are, white space around and within them aside; letter case counts.
    """

    name: str = "tagged"
    cue: str = f"\n{_OPEN}"

    def extract(self, text: str) -> str | None:
        """Return the answer as it was written, or None. Linear in the length of the text."""
        text = without_thoughts(text)
        if stated := self._stated(text):
            return stated
        return next(last_line(text.replace(_OPEN, "").replace(_CLOSE, "")), None)

    def concludes(self, text: str) -> bool:
        """Whether the text marks its answer: the last line of an unfinished one is no answer yet."""
        text = without_thoughts(text)
        return _CLOSE in text[max(0, text.rfind(_OPEN)) :] and self._stated(text) != ""

    def key(self, answer: str) -> str:
        """Return the lines with their white space folded."""
        return "\n".join(filter(None, (" ".join(line.split()) for line in answer.splitlines())))

    def equivalent(self, a: str, b: str) -> bool:
        """Compare by key alone."""
        return self.key(a) == self.key(b) != ""

    def _stated(self, text: str) -> str:
        start = text.rfind(_OPEN)
        if start >= 0 and (inside := text[start + len(_OPEN) :].partition(_CLOSE)[0].strip()):
            return inside
        return next(filter(None, (clause.lstrip(" *`").rstrip(" *`.") for clause in after_cue(text))), "")
