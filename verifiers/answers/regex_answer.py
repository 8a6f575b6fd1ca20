"""The answer type ``regex``: what a pattern finds last."""

from __future__ import annotations

from bisect import bisect
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from ttc.errors import ConfigurationError
from ttc.patterns import compiled
from ttc.thoughts import without_thoughts

__all__ = ["RegexAnswer"]

_MANY = 200
_BACK = 1000
"""Characters before the last place at which a match starts, from where matches are gone through again."""


class RegexAnswer(BaseModel):
    r"""What a pattern matches last: its first group, or all of it. Equal up to letter case and white space.

    google-re2 searches, in time that is linear in the text whatever the pattern; it knows no look-around and no
    back-references. As a spec: ``regex:pattern=(Final answer: (\w+))``. The outer brackets hold the pattern together,
    commas and ``=`` included, and are taken off again. Brackets inside have to balance: write a single one as ``\x28``
    ``\x29`` ``\x5b`` ``\x5d``.

    Raises:
        MissingExtra: google-re2 is not installed.
        ConfigurationError: the pattern is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "regex"

    pattern: str = Field(min_length=1, description="what to look for; its first group, or all of it, is the answer")
    cue: str = Field(default="", description="words that force an answer out of a text that was cut off")

    _compiled: Any = PrivateAttr(None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._compiled = _compiled(self.pattern)

    def extract(self, text: str) -> str | None:
        """Return the last match that is not empty, or None. Linear in the length of the text."""
        text = without_thoughts(text).encode(errors="replace").decode()
        found, end, exhausted = self._last(text, 0)
        if not exhausted:
            # A pattern may have to look at all of the text to end one match. So those in between are skipped.
            start = bisect(range(end, len(text)), False, key=lambda at: self._compiled.search(text, at) is None)
            again, _, _ = self._last(text, max(end, end + start - _BACK))
            found = again or found
        return found

    def _last(self, text: str, start: int) -> tuple[str | None, int, bool]:
        """The last of the next matches, where they end, and whether there are no more."""
        group = 1 if self._compiled.groups else 0
        found: str | None = None
        end = start
        for i, match in enumerate(self._compiled.finditer(text, start)):
            found = (match.group(group) or "").strip() or found
            end = match.end()
            if i >= _MANY + _BACK:
                return found, end, False
        return found, end, True

    def concludes(self, text: str) -> bool:
        """Whether the pattern matches."""
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        """Fold case and white space."""
        return " ".join(answer.split()).casefold()

    def equivalent(self, a: str, b: str) -> bool:
        """Compare keys."""
        return self.key(a) == self.key(b) != ""


def _compiled(pattern: str) -> Any:
    try:
        return compiled(pattern, used_by="answer type 'regex'")
    except ValueError as error:
        raise ConfigurationError(
            f"answer type 'regex': the pattern {pattern!r} cannot be read: {error}. It is RE2 syntax, without "
            "look-around and back-references; in a spec put all of it in brackets: regex:pattern=(...)"
        ) from None
