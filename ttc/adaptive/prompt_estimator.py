"""Difficulty from the prompt alone, before a single token: class, tags, length, words, and recorded prompts like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import log
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ttc.adaptive.beliefs import Belief, BinsBy
from ttc.adaptive.beta_regression import BetaRegression, fit_beta_regression, of_tune
from ttc.adaptive.classes import AnyClasses
from ttc.adaptive.estimator import Estimator, bins_of, known_classes, marks, splits, trained_on
from ttc.adaptive.terms import Terms, words_of
from ttc.folds import folds_of
from ttc.pools import Pool
from ttc.strategies.vote import log_odds
from ttc.types import Candidate, Query

__all__ = ["Neighbours", "PromptEstimator"]

Floats: TypeAlias = NDArray[np.float64]

_NEAREST = 8
_PULL = 0.5
"""Similarity that the mean of all counts for among the neighbours."""
_MOST_KEPT = 2000
_FOLDS = 5
_PREDICTIONS = ("words", "neighbours")
"""Features that are predictions themselves: they count for what they say, or not at all."""
_STRENGTHS = (0.03, 0.3, 3.0)


class Neighbours(BaseModel):
    """Recorded prompts as TF-IDF vectors, with their pass rates.

    Attributes:
        places: of each, the numbers of its terms.
        values: of each, their weights.
        rates: of each, the share of right samples, shrunk toward the mean.
        mean: of all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    places: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    rates: tuple[float, ...]
    mean: float

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        width = 1 + max((i for row in self.places for i in row), default=-1)
        matrix = np.zeros((len(self.places), width), dtype=np.float32)
        for row, places, values in zip(matrix, self.places, self.values, strict=True):
            row[list(places)] = values
        return matrix

    @classmethod
    def of(cls, vectors: Floats, rates: Floats, mean: float) -> Neighbours:
        """Keep what :meth:`rate` takes."""
        kept = [np.flatnonzero(row) for row in vectors]
        return cls(
            places=tuple(tuple(int(i) for i in places) for places in kept),
            values=tuple(tuple(round(float(v), 4) for v in row[p]) for row, p in zip(vectors, kept, strict=True)),
            rates=tuple(round(float(r), 4) for r in rates),
            mean=mean,
        )

    def rate(self, vector: Floats) -> float:
        """Return the mean pass rate of the nearest prompts, weighted by similarity and shrunk toward the mean."""
        matrix = self._matrix
        return _near(matrix @ vector[: matrix.shape[1]].astype(np.float32), np.array(self.rates), self.mean)


class PromptEstimator(Estimator):
    """A stack: what words, neighbours, length, tags and class say each is one feature of a beta-binomial regression.

    Words and neighbours are learned from the very verdicts that the regression is fitted to, so what they say of a
    recorded prompt is learned from the others: words that say nothing get no weight.

    Attributes:
        terms: the vocabulary.
        words: what each term counts, on the log-odds.
        neighbours: recorded prompts.
        tags: tags, with a value that three problems or more have.
        known: query classes of three problems or more.
        regression: what the features say.
    """

    kind: Literal["prompt"] = "prompt"
    terms: Terms
    words: tuple[float, ...]
    neighbours: Neighbours
    tags: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()
    regression: BetaRegression

    @property
    def by(self) -> str:
        """``prompt``."""
        return self.kind

    def belief(self, query: Query, drawn: Sequence[Candidate] = ()) -> Belief:
        """Believe what the prompt says; samples are not looked at."""
        text = text_of(query)
        vector = self.terms.vectors([text])[0]
        features = {
            **marks(self.classes, self.known, query),
            **_tag_features(self.tags, query.tags),
            **_text_features(text),
            "words": float(vector @ np.array(self.words)) if self.words else 0.0,
            "neighbours": log_odds(self.neighbours.rate(vector)),
        }
        return self.regression.predict(features)

    @classmethod
    def fit(
        cls, pool: Pool, *, classes: AnyClasses | None = None, bins: BinsBy = "quantile", seed: int = 0
    ) -> PromptEstimator:
        """Fit it to the verdicts of a pool; a problem counts once, however many samples it has.

        Raises:
            ConfigurationError: too few problems, or none with a verdict.
            MissingExtra: scikit-learn is not installed.
        """
        source = trained_on(pool, seed)
        found = splits(pool, 0, most=1, seed=seed)
        problems = [s.problem for s in found]
        queries = [p.query() for p in problems]
        texts = [text_of(q) for q in queries]
        right, total = np.array([s.right for s in found]), np.array([s.total for s in found], dtype=float)
        groups = [p.group for p in problems]
        fold = folds_of(groups, _FOLDS)
        terms = Terms.learn(texts)
        vectors = terms.vectors(texts)
        said, words = _learn_words(vectors, right / total, fold)
        neighbours, near = _learn_neighbours(vectors, right, total, groups)
        known, tags = known_classes(classes, pool), _frequent_tags([p.tags for p in problems], groups)
        rows = [
            {
                **marks(classes, known, query),
                **_tag_features(tags, query.tags),
                **_text_features(text),
                "words": float(said[i]),
                "neighbours": log_odds(float(near[i])),
            }
            for i, (query, text) in enumerate(zip(queries, texts, strict=True))
        ]
        natural = [n for n in rows[0] if n.startswith(("class ", "tag ")) or n in _PREDICTIONS]
        regression = fit_beta_regression(rows, right, total, scales=dict.fromkeys(natural, 1.0), upward=_PREDICTIONS)
        return cls(
            classes=classes,
            bins=bins_of(bins, [regression.predict(row).mean for row in rows]),
            trained_on=source,
            terms=terms,
            words=tuple(round(float(w), 5) for w in words),
            neighbours=neighbours,
            tags=tags,
            known=known,
            regression=regression,
        )


def text_of(query: Query) -> str:
    """Return the text of a query; the name of a record that kept none is no text."""
    prompt = query.prompt
    return "" if prompt == query.id else prompt


def _text_features(text: str) -> dict[str, float | None]:
    words = words_of(text)
    numbers = sum(word[0] == "#" and len(word) == 2 for word in words)
    letters = sum(word.strip("\\").isalpha() for word in words)
    return {
        "length": log(1 + letters),
        "numbers": log(1 + numbers),
        "signs": log(1 + len(words) - numbers - letters),
        "lines": log(1 + text.count("\n")),
    }


def _tag_features(known: Sequence[tuple[str, str]], tags: Mapping[str, str]) -> dict[str, float | None]:
    return {f"tag {name}={value}": float(tags.get(name) == value) for name, value in known}


def _frequent_tags(tags: Sequence[Mapping[str, str]], groups: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the tags and values that tell some problems from others; the fifty most frequent ones."""
    members: dict[tuple[str, str], set[str]] = {}
    for group, here in zip(groups, tags, strict=True):
        for tag in here.items():
            members.setdefault(tag, set()).add(group)
    telling = [tag for tag, found in members.items() if len(found) >= 3]
    return tuple(sorted(telling, key=lambda t: (-len(members[t]), t))[:50])


def _learn_words(vectors: Floats, rates: Floats, fold: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Learn what words say: of each prompt by a fit on the other folds, and the weights of a fit on all.

    Returns:
        log-odds without the intercept, (prompts,); weights, (terms,).
    """
    if not vectors.any() or len(set(rates.tolist())) < 2:
        silent: Floats = np.zeros(len(vectors.T))
        return np.zeros(len(rates)), silent
    linear: Any = of_tune("sklearn.linear_model", "learning from the text of prompts")
    twice, labels = np.vstack([vectors, vectors]), np.repeat([1, 0], len(rates))

    def learn(rows: NDArray[np.bool_], strength: float) -> tuple[Floats, float]:
        kept = np.concatenate([rows, rows])
        shares = np.concatenate([rates, 1 - rates])[kept]
        model = linear.LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        model.fit(twice[kept], labels[kept], sample_weight=shares)
        weights: Floats = model.coef_[0]
        return weights, float(model.intercept_[0])

    best = np.inf
    said: Floats = np.zeros(len(rates))
    chosen = _STRENGTHS[0]
    for strength in _STRENGTHS:
        found, loss = np.zeros(len(rates)), 0.0
        for held in np.unique(fold):
            here = fold == held
            weights, intercept = learn(~here, strength)
            found[here] = vectors[here] @ weights
            z = found[here] + intercept
            loss += float(np.sum(np.logaddexp(0.0, z) - rates[here] * z))
        if loss < best:
            best, said, chosen = loss, found, strength
    final, _ = learn(np.ones(len(rates), dtype=bool), chosen)
    return said, final


def _learn_neighbours(
    vectors: Floats, right: Floats, total: Floats, groups: Sequence[str]
) -> tuple[Neighbours, Floats]:
    """Keep one prompt of each group, and say of each prompt what those of other groups say."""
    names = list(dict.fromkeys(groups))
    place = {name: i for i, name in enumerate(names)}
    number = np.array([place[g] for g in groups])
    mean = float(np.mean(right / total))
    shrunk = (right + 2 * mean) / (total + 2)
    counts = np.bincount(number, minlength=len(names))
    rates = np.bincount(number, weights=shrunk, minlength=len(names)) / counts
    kept = np.unique(number, return_index=True)[1][:_MOST_KEPT]
    alike = vectors @ vectors[kept].T
    alike[number[:, None] == number[kept][None, :]] = -1.0  # its own
    near = np.array([_near(row, rates[number[kept]], mean) for row in alike], dtype=np.float64)
    return Neighbours.of(vectors[kept], rates[number[kept]], mean), near


def _near(alike: NDArray[Any], rates: Floats, mean: float) -> float:
    bar = np.partition(alike, -_NEAREST)[-_NEAREST] if len(alike) > _NEAREST else -1.0
    top = np.flatnonzero(alike >= max(bar, 0.0))  # all that are as near as the last one
    weights = np.maximum(alike[top], 0.0).astype(float)
    return float((weights @ rates[top] + _PULL * mean) / (weights.sum() + _PULL))
