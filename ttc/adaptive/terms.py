"""Texts as TF-IDF vectors: learned with scikit-learn, kept as plain lists, and used with numpy alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ttc.adaptive.beta_regression import of_tune

__all__ = ["Terms", "words_of"]

Floats: TypeAlias = NDArray[np.float64]

_WORD = re.compile(r"\\?[^\W\d_]+|\d+|[^\w\s]")
_LONGEST = 20_000
"""Characters of a prompt that are read."""


def words_of(text: str) -> list[str]:
    """Return words, TeX commands and signs in lower case; numbers as their count of digits: ``#3``."""
    found = _WORD.findall(text[:_LONGEST].lower())
    return [f"#{min(len(word), 9)}" if word[0].isdigit() else word for word in found]


def _terms_of(text: str) -> list[str]:
    words = words_of(text)
    return words + [f"{a} {b}" for a, b in pairwise(words)]


class Terms(BaseModel):
    """A vocabulary of words and pairs of words, each with what it weighs.

    Attributes:
        names: the terms.
        weights: their inverse document frequency.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    names: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def learn(cls, texts: Sequence[str], *, most: int = 2000) -> Terms:
        """Take the most frequent terms that at least two texts have, and not nine tenths of them.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        extraction: Any = of_tune("sklearn.feature_extraction.text", "learning from the text of prompts")
        fewest, share = (2, 0.9) if len(texts) >= 5 else (1, 1.0)
        learner = extraction.TfidfVectorizer(analyzer=_terms_of, min_df=fewest, max_df=share, max_features=most)
        try:
            learner.fit(texts)
        except ValueError:  # no term is left
            return cls(names=(), weights=())
        return cls(
            names=tuple(str(n) for n in learner.get_feature_names_out()),
            weights=tuple(round(float(w), 4) for w in learner.idf_),
        )

    def place(self) -> Mapping[str, int]:
        """Where each term stands in a vector."""
        return {name: i for i, name in enumerate(self.names)}

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return (texts, terms): counts times weights, of length 1; zeros where no term is known."""
        place, weights = self.place(), np.array(self.weights)
        found = np.zeros((len(texts), len(self.names)))
        for row, text in zip(found, texts, strict=True):
            for term, count in Counter(_terms_of(text)).items():
                if (i := place.get(term)) is not None:
                    row[i] = count
        found *= weights
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(length > 0, length, 1.0)
