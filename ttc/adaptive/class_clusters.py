"""Query classes that are learned: clusters of the texts of recorded prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ttc.adaptive.beta_regression import of_tune
from ttc.adaptive.query_class import DEFAULT, ClassOf, QueryClasses
from ttc.adaptive.terms import Terms
from ttc.errors import ConfigurationError
from ttc.types import Query

__all__ = ["ClusterClasses"]

Floats: TypeAlias = NDArray[np.float64]

_NAMED_BY = 3
_JUDGED = 1000
"""Prompts by which the number of clusters is judged: each one is compared with every other."""


class ClusterClasses(QueryClasses):
    """Clusters of prompts by TF-IDF and k-means, named by their top words. Sorting takes numpy alone."""

    kind: Literal["clusters"] = "clusters"
    terms: Terms
    names: tuple[str, ...] = Field(description="of the clusters")
    centroids: tuple[tuple[tuple[int, float], ...], ...] = Field(description="of each, terms by number with their mean")

    @classmethod
    def learn(
        cls, prompts: Sequence[str], *, fewest: int = 2, most: int = 8, smallest: int = 5, seed: int = 0
    ) -> ClusterClasses:
        """Cluster prompts. Their number is the one with the best silhouette.

        Args:
            prompts: texts of recorded queries.
            fewest: clusters at the least.
            most: clusters at the most.
            smallest: prompts that each cluster holds on average at the least.
            seed: of k-means.

        Raises:
            ConfigurationError: too few prompts, or no words that two of them share.
            MissingExtra: scikit-learn is not installed.
        """
        if not 2 <= fewest <= most:
            raise ConfigurationError(f"clusters: fewest={fewest}, most={most}: 2 <= fewest <= most")
        if len(prompts) < fewest * smallest:
            raise ConfigurationError(
                f"clusters: {len(prompts)} prompts, and it takes {fewest * smallest}: {fewest} clusters of {smallest}"
            )
        cluster: Any = of_tune("sklearn.cluster", "learning query classes")
        metrics: Any = of_tune("sklearn.metrics", "learning query classes")
        terms = Terms.learn(prompts)
        vectors = terms.vectors(prompts)
        different = len(np.unique(vectors, axis=0))
        if different < fewest or not vectors.any():
            raise ConfigurationError("clusters: the prompts share no words that tell them apart: use tags or rules")
        best: tuple[float, Any] | None = None
        for k in range(fewest, min(most, len(prompts) // smallest, different) + 1):
            found = cluster.KMeans(n_clusters=k, n_init=4, random_state=seed).fit(vectors)
            few = min(_JUDGED, len(prompts))
            score = _silhouette(metrics, vectors, found.labels_, few, seed)
            if best is None or score > best[0] + 1e-6:
                best = (score, found)
        assert best is not None
        centres: Floats = best[1].cluster_centers_
        order = np.argsort(-np.bincount(best[1].labels_, minlength=len(centres)), kind="stable")
        centres = centres[order]
        return cls(
            terms=terms,
            names=_names(terms, centres),
            centroids=tuple(
                tuple((int(i), round(float(row[i]), 5)) for i in np.flatnonzero(row > 1e-4)) for row in centres
            ),
        )

    def _sort(self, query: Query) -> ClassOf:
        vector = self.terms.vectors([query.prompt])[0]
        if not vector.any():
            return ClassOf(DEFAULT, False, "its prompt has no word in common with the recorded ones")
        # The nearest centre: |v - c|^2 = 1 - 2 v.c + |c|^2
        away = [sum(weight * (weight - 2 * vector[i]) for i, weight in row) for row in self.centroids]
        return ClassOf(self.names[int(np.argmin(away))])


def _silhouette(metrics: Any, vectors: Floats, labels: NDArray[np.int64], few: int, seed: int) -> float:
    chosen = np.random.default_rng(seed).permutation(len(vectors))[:few]
    if not 2 <= len(np.unique(labels[chosen])) < few:
        return -1.0
    return float(metrics.silhouette_score(vectors[chosen], labels[chosen]))


def _names(terms: Terms, centres: Floats) -> tuple[str, ...]:
    """Name each cluster by the words that stand out in it, against the mean of all."""
    words = [i for i, name in enumerate(terms.names) if name.isalpha() and len(name) > 2]
    names: list[str] = []
    for centre in centres:
        out = centre - centres.mean(axis=0)
        top = sorted((i for i in words if out[i] > 0), key=lambda i: (-out[i], terms.names[i]))[:_NAMED_BY]
        name = "-".join(terms.names[i] for i in top) or "other"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return tuple(names)
