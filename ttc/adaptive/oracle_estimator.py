"""The oracle: how hard a query was in other samples of it. For analysis alone: what would a perfect estimate bring?"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ttc.adaptive.beliefs import Belief, BinsBy
from ttc.adaptive.beta_regression import BetaRegression, fit_beta_regression
from ttc.adaptive.estimator import Estimator, bins_of, splits, trained_on
from ttc.errors import ConfigurationError
from ttc.pools import Pool, RecordedProblem
from ttc.seeds import hashed
from ttc.types import Candidate, Query

__all__ = ["Known", "OracleEstimator"]


class Known(BaseModel):
    """What the oracle knows of one problem.

    Attributes:
        seen: indices of the samples whose verdicts it knows.
        right: the sum of those.
        total: how many of them have a verdict.
        left: samples that it has not seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seen: tuple[int, ...]
    right: float
    total: int = Field(ge=0)
    left: int


class OracleEstimator(Estimator):
    """Knows the verdicts on half of each problem's samples, and never an answer. Replay it on the other half alone.

    :meth:`rest` is the pool without what it has seen: on the whole pool it would know the very samples that it
    predicts. It cannot be used live, nor saved into a policy.
    """

    live: ClassVar[bool] = False

    kind: Literal["oracle"] = "oracle"
    problems: Mapping[str, Known]
    prior: BetaRegression

    @property
    def by(self) -> str:
        """``oracle``."""
        return self.kind

    def belief(self, query: Query, drawn: Sequence[Candidate] = ()) -> Belief:
        """Believe the population's mean, and what the samples that it has seen say.

        Raises:
            ConfigurationError: the query is not in its pool, or what is replayed is not :meth:`rest`.
        """
        known = self.problems.get(query.id)
        if known is None:
            raise ConfigurationError(
                f"estimator 'oracle' knows recorded problems alone, and '{query.id}' is none of pool "
                f"'{self.trained_on.pool}': use 'prompt', 'probe' or 'verifier'"
            )
        if query.answer_type.name == "recorded" and any(c.sample.seed > known.left for c in drawn):
            raise ConfigurationError("estimator 'oracle' has seen samples of this replay: replay oracle.rest(pool)")
        prior = self.prior.predict({})
        concentration = prior.concentration + known.total
        return Belief((known.right + prior.mean * prior.concentration) / concentration, concentration)

    def rest(self, pool: Pool) -> Pool:
        """Return the pool without the samples that the oracle has seen.

        Raises:
            ConfigurationError: it is another pool.
        """
        if pool.digest() != self.trained_on.digest:
            raise ConfigurationError(
                f"estimator 'oracle' was made of pool '{self.trained_on.pool}', and '{pool.name}' holds other samples"
            )
        return replace(pool, problems=tuple(_without(p, self.problems[p.id].seen) for p in pool.problems))

    @classmethod
    def fit(cls, pool: Pool, *, bins: BinsBy = "quantile", seed: int = 0) -> OracleEstimator:
        """Show it a seeded half of each problem's samples.

        Raises:
            ConfigurationError: too few problems, or a problem with one sample.
            MissingExtra: scikit-learn is not installed.
        """
        if short := next((p.id for p in pool.problems if len(p) < 2), None):
            raise ConfigurationError(f"estimator 'oracle': problem '{short}' has one sample: it takes two, one to know")
        source = trained_on(pool, seed)
        problems: dict[str, Known] = {}
        for p in pool.problems:
            seen = sorted(random.Random(hashed(seed, "oracle", p.id)).sample(range(len(p)), len(p) // 2))
            verdicts = [r for i in seen if (r := p.right[i]) is not None]
            problems[p.id] = Known(seen=tuple(seen), right=sum(verdicts), total=len(verdicts), left=len(p) - len(seen))
        known = [k for k in problems.values() if k.total]
        if not known:
            splits(pool, 0, most=1, seed=seed)  # says so where there are none at all
            raise ConfigurationError(f"estimator 'oracle': too few samples of pool '{pool.name}' have a verdict")
        prior = fit_beta_regression(
            [{} for _ in known], np.array([k.right for k in known]), np.array([k.total for k in known], dtype=float)
        )
        made = cls(trained_on=source, problems=problems, prior=prior)
        predicted = [made.belief(p.query()).mean for p in pool.problems]
        return made.model_copy(update={"bins": bins_of(bins, predicted)})


def _without(problem: RecordedProblem, seen: Sequence[int]) -> RecordedProblem:
    """Take samples out of all columns."""
    kept = [i for i in range(len(problem)) if i not in seen]

    def column(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[i] for i in kept) if values else ()

    changed: dict[str, Any] = {
        f.name: column(getattr(problem, f.name)) for f in fields(problem) if str(f.type).startswith("tuple")
    }
    changed["scores"] = {name: column(values) for name, values in problem.scores.items()}
    changed["cuts"] = {
        cut: replace(at, **{f.name: column(getattr(at, f.name)) for f in fields(at)})
        for cut, at in problem.cuts.items()
    }
    return replace(problem, **changed)
