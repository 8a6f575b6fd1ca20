"""Difficulty from a few samples that are drawn first, and handed on.

``probe`` looks at all that is seen of them, ``verifier`` at what a verifier makes of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from ttc.adaptive.beliefs import Belief, BinsBy
from ttc.adaptive.beta_regression import BetaRegression, fit_beta_regression
from ttc.adaptive.classes import AnyClasses
from ttc.adaptive.estimator import Estimator, bins_of, known_classes, marks, splits, trained_on
from ttc.adaptive.probe_features import Look, looks_at_drawn, looks_at_recorded, probe_features, score_features
from ttc.errors import ConfigurationError
from ttc.pools import Pool
from ttc.types import Candidate, Query

__all__ = ["BySize", "ProbeEstimator", "SampledEstimator", "VerifierEstimator"]

SPLITS = 8
"""Subsets of each problem's samples to fit on."""


class BySize(BaseModel):
    """What was fitted on so many samples.

    Attributes:
        size: samples.
        regression: what their features say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    regression: BetaRegression


class SampledEstimator(Estimator):
    """Looks at the first samples of a query.

    There is a regression for each number of them, so that it says something after every sample, and loses little where
    a call fails. Before the first one it believes what it does of the query's class.

    Attributes:
        sizes: ascending, from 0 to the size of the probe.
        known: query classes that it was fitted on, of three problems or more.
        scored_by: the verifier whose scores it looks at; empty: none.
    """

    sizes: tuple[BySize, ...]
    known: tuple[str, ...] = ()
    scored_by: str = ""

    @property
    def probe(self) -> int:
        """Samples that it wants drawn first."""
        return self.sizes[-1].size

    @property
    def verifier(self) -> str:
        """The verifier by which they have to be scored."""
        return self.scored_by

    def belief(self, query: Query, drawn: Sequence[Candidate] = ()) -> Belief:
        """Believe what the first samples say; failed calls are left out."""
        usable = [c for c in drawn if c.sample.ok][: self.probe]
        best = max((s for s in self.sizes if s.size <= len(usable)), key=lambda s: s.size)
        looks = looks_at_drawn(query, usable[: best.size], self.trained_on.unit)
        return best.regression.predict({**marks(self.classes, self.known, query), **self.features(looks)})

    @classmethod
    @abstractmethod
    def features(cls, looks: Sequence[Look]) -> Mapping[str, float | None]:
        """Return what it sees of some samples; nothing where there are none."""

    @classmethod
    def fit(
        cls,
        pool: Pool,
        *,
        probe: int = 4,
        classes: AnyClasses | None = None,
        verifier: str | None = None,
        bins: BinsBy = "quantile",
        seed: int = 0,
    ) -> Self:
        """Fit it on many seeded subsets of each problem's samples, to the verdicts on the samples outside of them.

        A problem counts once, however many samples and subsets it has.

        Args:
            pool: recorded samples.
            probe: samples that are drawn first.
            classes: query classes; one with three problems or more has a level of its own.
            verifier: whose scores are looked at; the pool's only one by default.
            bins: which bins it reports.
            seed: draws the subsets.

        Raises:
            ConfigurationError: too few problems or samples, or the verifier's scores were not recorded.
            MissingExtra: scikit-learn is not installed.
        """
        if probe < 1:
            raise ConfigurationError(f"probe={probe}: a probe draws one sample at the least")
        source = trained_on(pool, seed)
        splits(pool, probe, most=1, seed=seed)  # says so where there are too few samples
        scored_by = cls.scores_of(pool, verifier)
        looks = {p.id: looks_at_recorded(p, pool.unit, scored_by) for p in pool.problems}
        known = known_classes(classes, pool)
        mark = {p.id: marks(classes, known, p.query()) for p in pool.problems}
        sizes: list[BySize] = []
        predicted: list[float] = []
        for size in _sizes(probe):
            found = splits(pool, size, most=SPLITS, seed=seed)
            rows = [{**mark[s.problem.id], **cls.features([looks[s.problem.id][i] for i in s.seen])} for s in found]
            regression = fit_beta_regression(
                rows,
                np.array([s.right for s in found]),
                np.array([s.total for s in found], dtype=float),
                weights=np.array([s.weight for s in found]),
                scales={f"class {name}": 1.0 for name in known},
            )
            sizes.append(BySize(size=size, regression=regression))
            if size == probe:
                predicted = [regression.predict(row).mean for row in rows]
        return cls(
            classes=classes,
            bins=bins_of(bins, predicted),
            trained_on=source,
            sizes=tuple(sizes),
            known=known,
            scored_by=scored_by,
        )

    @classmethod
    def scores_of(cls, pool: Pool, verifier: str | None) -> str:
        """Return the verifier whose scores are looked at; empty where there is none.

        Raises:
            ConfigurationError: its scores were not recorded.
        """
        if verifier is None:
            return pool.verifiers[0] if len(pool.verifiers) == 1 else ""
        if verifier and verifier not in pool.verifiers:
            raise ConfigurationError(
                f"pool '{pool.name}' holds no scores of verifier '{verifier}'; it holds: "
                f"{', '.join(pool.verifiers) or 'none'}"
            )
        return verifier


class ProbeEstimator(SampledEstimator):
    """Agreement, number and entropy of answers, abstentions, lengths, log-probabilities and scores of m samples."""

    kind: Literal["probe"] = "probe"

    @property
    def by(self) -> str:
        """``probe``."""
        return self.kind

    @classmethod
    def features(cls, looks: Sequence[Look]) -> Mapping[str, float | None]:
        """Return :data:`~ttc.adaptive.probe_features.PROBE_FEATURES`."""
        return probe_features(looks) if looks else {}


class VerifierEstimator(SampledEstimator):
    """The mean final-answer score of m samples, calibrated: the predicted bins of arXiv 2408.03314.

    The calibration is Platt's, in its beta-binomial form: log-odds that are linear in the mean score.
    """

    kind: Literal["verifier"] = "verifier"

    @property
    def by(self) -> str:
        """``verifier``."""
        return self.kind

    @classmethod
    def features(cls, looks: Sequence[Look]) -> Mapping[str, float | None]:
        """Return the mean score."""
        return score_features(looks) if looks else {}

    @classmethod
    def scores_of(cls, pool: Pool, verifier: str | None) -> str:
        """Return the verifier; the pool's only one by default.

        Raises:
            ConfigurationError: its scores were not recorded, or it is not clear whose are meant.
        """
        if found := super().scores_of(pool, verifier):
            return found
        known = ", ".join(pool.verifiers)
        raise ConfigurationError(
            f"estimator 'verifier': say which verifier: pool '{pool.name}' holds scores of {known}"
            if known
            else f"estimator 'verifier': pool '{pool.name}' holds no scores; record it with a verifier, or use 'probe'"
        )


def _sizes(probe: int) -> list[int]:
    """Return the numbers of samples to fit on: each one up to four, then doubled."""
    return sorted({0, probe, *(s for s in (1, 2, 3, 4, 8, 16, 32, 64) if s < probe)})
