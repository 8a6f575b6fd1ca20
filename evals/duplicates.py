"""Near-duplicates: the same problem twice in a suite, in its worked examples, or in what a model was tuned on.

Texts are compared by their runs of eight words (shingles), letter case and punctuation aside; numbers and signs are
words, so that a problem with another number in it is another text. The similarity of two texts is the share of the
shorter one's shingles that the other has too (containment), which finds a problem inside a longer prompt. Shingles
that stand in many texts of a collection (an instruction, a template) are left out, and a text that has few others is
compared as a whole. Only texts that share a shingle are compared: the work grows with the texts, not with their pairs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ttc.evals.suite import Suite
from ttc.types import Message

__all__ = [
    "SURE",
    "THRESHOLD",
    "Pair",
    "check_suite",
    "near_duplicates",
    "suite_texts",
    "suite_warnings",
    "worked_examples",
]

WORDS = 8
"""Words of a shingle."""

THRESHOLD = 0.5
"""Similarity from which two texts are shown as near-duplicates. A word changed in the midst of a text is in eight of
its shingles, a quarter of those of forty words."""

SURE = 0.7
"""Similarity from which a run is warned: SVAMP has variants of one story on purpose, and they lie below."""

_FEWEST = 8  # shingles of its own that a text needs to be compared by them
_COMMON = (2, 0.05, 50)  # a shingle in more texts than that share of them, within these bounds, is a template's


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two texts that are nearly the same.

    Attributes:
        first: name of the one.
        second: name of the other.
        similarity: share of the shorter one's shingles that the other has too.
        same_numbers: whether the numbers in the two are the same, in any order, or all in the longer text.
    """

    first: str
    second: str
    similarity: float
    same_numbers: bool


def near_duplicates(
    texts: Mapping[str, str], others: Mapping[str, str] | None = None, *, threshold: float = THRESHOLD
) -> list[Pair]:
    """Find the pairs of texts that are nearly the same: between two collections, or within one.

    Args:
        texts: texts by name.
        others: the other collection; without one, ``texts`` are compared with each other.
        threshold: similarity from 0 to 1 that a pair has to have.

    Returns:
        The pairs, the most similar first.
    """
    left = _shingled(texts)
    right = left if others is None else _shingled(others)
    where: dict[_Key, list[str]] = defaultdict(list)
    for name, two in right.items():
        for mark in two.marks():
            where[mark].append(name)
    order = {name: place for place, name in enumerate(right)}
    found: list[Pair] = []
    for place, (name, one) in enumerate(left.items()):
        shared = Counter(other for mark in one.marks() for other in where.get(mark, ()))
        for other, count in shared.items():
            if others is None and order[other] <= place:
                continue  # each pair once, and none with itself
            two = right[other]
            similarity = 1.0 if one.words == two.words else _contained(one, two, count)
            if similarity >= threshold:
                found.append(Pair(name, other, round(similarity, 3), _same_numbers(one.numbers, two.numbers)))
    return sorted(found, key=lambda pair: (-pair.similarity, not pair.same_numbers, pair.first, pair.second))


def suite_texts(suite: Suite) -> dict[str, str]:
    """The question of each problem, by the query's id: the last user turn."""
    return {problem.query.id: problem.query.prompt for problem in suite.problems}


def worked_examples(suite: Suite) -> dict[str, str]:
    """What a suite shows before it asks: every user turn but the last, each once, named by the first who has it."""
    seen: dict[str, str] = {}
    for problem in suite.problems:
        *before, _ = [m for m in problem.query.messages if m.get("role") == "user"] or [None]
        for number, message in enumerate(before, 1):
            seen.setdefault(_text(message), f"example {number} of {problem.query.id}")
    return {name: text for text, name in seen.items()}


def check_suite(
    suite: Suite, others: Mapping[str, Mapping[str, str]], *, threshold: float = THRESHOLD
) -> dict[str, list[Pair]]:
    """Hold a suite against itself, its own worked examples, and other texts (suites, pools, training data).

    Args:
        suite: the suite.
        others: collections of texts, each by name.
        threshold: as in :func:`near_duplicates`.

    Returns:
        The pairs by what the suite was compared with: ``itself``, ``its examples``, and the names of ``others``.
    """
    texts = suite_texts(suite)
    found = {
        "itself": near_duplicates(texts, threshold=threshold),
        "its examples": near_duplicates(texts, worked_examples(suite), threshold=threshold),
    }
    return found | {name: near_duplicates(texts, other, threshold=threshold) for name, other in others.items()}


def suite_warnings(suite: Suite) -> list[str]:
    """Say before a run what would make a suite count a problem twice, or give one away in its examples."""
    found = check_suite(suite, {}, threshold=SURE)
    warnings: list[str] = []
    if twice := [pair for pair in found["itself"] if pair.same_numbers]:
        warnings.append(f"{suite.name}: {_pairs(twice)} of problems are nearly the same, and count twice")
    if given := found["its examples"]:
        warnings.append(f"{suite.name}: {_pairs(given)} of a problem and a worked example are nearly the same")
    return warnings


_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shingled:
    """A text as words, with the shingles that are not a template's."""

    words: _Key
    shingles: frozenset[_Key]

    def marks(self) -> frozenset[_Key]:
        """By what it is found: its shingles, and itself as a whole."""
        return self.shingles | {("", *self.words)} if self.words else frozenset()

    @property
    def numbers(self) -> _Key:
        return tuple(word for word in self.words if word[0].isdigit())


def _shingled(texts: Mapping[str, str]) -> dict[str, _Shingled]:
    words = {name: _words(text) for name, text in texts.items()}
    runs = {name: frozenset(w[i : i + WORDS] for i in range(len(w) - WORDS + 1)) for name, w in words.items()}
    common = _common(runs.values())
    return {name: _Shingled(words[name], runs[name] - common) for name in texts}


def _words(text: str) -> _Key:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_WORD.findall(_THOUSANDS.sub("", folded)))


_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[-+*/^=<>]")


def _common(texts: Iterable[frozenset[_Key]]) -> frozenset[_Key]:
    texts = list(texts)
    least, share, most = _COMMON
    limit = max(least, min(most, share * len(texts)))
    counts = Counter(shingle for text in texts for shingle in text)
    return frozenset(shingle for shingle, count in counts.items() if count > limit)


def _contained(one: _Shingled, two: _Shingled, count: int) -> float:
    fewest = min(len(one.shingles), len(two.shingles))
    return count / fewest if fewest >= _FEWEST else 0.0


def _same_numbers(a: _Key, b: _Key) -> bool:
    x, y = Counter(a), Counter(b)
    return x <= y or y <= x


def _text(message: Message | None) -> str:
    content = (message or {}).get("content")
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content or ())


def _pairs(pairs: Sequence[Pair]) -> str:
    shown = ", ".join(f"{pair.first} and {pair.second}" for pair in islice(pairs, 3))
    more = f", and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return f"{len(pairs)} pair{'s' * (len(pairs) != 1)} ({shown}{more})"
