"""The answer type ``free_text``: words, equal up to how they are written, or by what a judge says of their meaning."""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ttc.answer_type import Equality
from ttc.session import Session
from ttc.thoughts import without_thoughts
from ttc.verifiers.judge.same_meaning import same_meaning
from ttc.verifiers.maths.extraction import after_cue, after_hashes, last_boxed

__all__ = ["FreeTextAnswer", "plain_words"]

_ARTICLES = frozenset({"a", "an", "the"})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def plain_words(text: str) -> str:
    """Reduce a text to its words: Unicode forms (NFKC), letter case, punctuation, articles and space are folded.

    After SQuAD's official evaluation (Rajpurkar et al. 2016, arXiv 1606.05250), which knows ASCII alone. Here a point
    or a minus that belongs to a number stays (3.5 is not 35), and so does every symbol that means something (+, <, $,
    %, and the # of C#). What has no words left is what it was, so that ``?`` and ``!`` are told apart.
    """
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold()).replace("\N{MINUS SIGN}", "-")
    kept = "".join(c if _stays(folded, i) else _instead(c) for i, c in enumerate(folded))
    words = kept.split()
    bare = [word for word in words if word not in _ARTICLES]
    return " ".join(bare or words or folded.split())


def _stays(text: str, i: int) -> bool:
    c = text[i]
    if not unicodedata.category(c).startswith(("P", "C")):
        return c != "`"
    if c in ".-":
        before = text[i - 1] if i else " "
        return text[i + 1 : i + 2].isdigit() and not (before.isalpha() if c == "." else before.isalnum())
    return c in "%#&@"


def _instead(c: str) -> str:
    """Dashes and slashes part words, line ends do; apostrophes and points do not."""
    return " " if unicodedata.category(c) in ("Pd", "Cc") or c in "/_" else ""


class FreeTextAnswer(BaseModel):
    """A few words: what is boxed or follows 'the answer is', else the whole text. Equal up to how they are written.

    With ``judge`` a model decides about two answers that are written differently: two calls, one in each order, charged
    as ``judge``; where the orders disagree it is undecided and counts as different. Each new answer is compared with
    the earlier ones, so answers should be few and short. Where no model may be asked (in grading) it is undecided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "free_text"
    cue: ClassVar[str] = "\nThe answer is"

    judge: bool = Field(default=False, description="let a model decide whether two answers mean the same")
    model: str = Field(default="", description="which model of a fleet decides; by default the first")

    @property
    def asks_model(self) -> bool:
        """Whether a model decides which answers are the same."""
        return self.judge

    def extract(self, text: str) -> str | None:
        """Return the words as they were written, or None. Linear in the length of the text."""
        text = without_thoughts(text)
        return self._stated(text) or text.strip() or None

    def concludes(self, text: str) -> bool:
        """Whether the text marks its answer."""
        return bool(self._stated(without_thoughts(text)))

    def _stated(self, text: str) -> str:
        found = last_boxed(text) or after_hashes(text) or next(after_cue(text), "")
        return found.strip().partition("\n")[0].strip()

    def key(self, answer: str) -> str:
        """Reduce to plain words."""
        return plain_words(answer)

    def equivalent(self, a: str, b: str) -> bool:
        """Compare plain words."""
        return self.key(a) == self.key(b) != ""

    async def decide(self, a: str, b: str, session: Session | None) -> Equality:
        """Ask whether two answers mean the same, where ``judge`` is set.

        Raises:
            BudgetExhausted: no tokens for a call.
        """
        if not self.judge:
            return "different"
        return "undecided" if session is None else await same_meaning(a, b, session, model=self.model)
