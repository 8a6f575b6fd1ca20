"""How hard a query is for a model: estimators of P(one sample is correct), fitted on recorded samples and calibrated.

- ``prompt`` looks at the prompt alone, before any token;
- ``probe`` looks at a few samples that are drawn first, and handed on;
- ``verifier`` looks at what a verifier makes of those;
- ``oracle`` knows the verdicts on other recorded samples: for analysis, never live.

Fitting takes the extra ``tune``; estimating takes numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import pydantic
from pydantic import Field, TypeAdapter

from ttc.adaptive.beliefs import Belief, Bins, BinsBy, Difficulty
from ttc.adaptive.calibration import Calibration, Prediction, calibration_of
from ttc.adaptive.classes import AnyClasses
from ttc.adaptive.estimator import FEWEST, Estimator, TrainedOn, splits
from ttc.adaptive.oracle_estimator import OracleEstimator
from ttc.adaptive.probe_estimator import ProbeEstimator, VerifierEstimator
from ttc.adaptive.prompt_estimator import PromptEstimator
from ttc.errors import ConfigurationError, UnknownName
from ttc.folds import folds_of
from ttc.pools import Pool, candidate_of
from ttc.seeds import hashed
from ttc.types import Candidate

__all__ = [
    "AnyEstimator",
    "Belief",
    "Bins",
    "Calibration",
    "CrossFit",
    "Difficulty",
    "Estimator",
    "EstimatorKind",
    "OracleEstimator",
    "Prediction",
    "ProbeEstimator",
    "PromptEstimator",
    "TrainedOn",
    "VerifierEstimator",
    "cross_fit",
    "fit_estimator",
    "read_estimator",
]

EstimatorKind = Literal["prompt", "probe", "verifier", "oracle"]

AnyEstimator: TypeAlias = Annotated[
    PromptEstimator | ProbeEstimator | VerifierEstimator | OracleEstimator, Field(discriminator="kind")
]
"""For fields of pydantic models that hold an estimator."""

_ANY: TypeAdapter[AnyEstimator] = TypeAdapter(AnyEstimator)
_REPEATS = 4
"""Estimates of each held-out problem, each from other samples."""


def fit_estimator(
    kind: str,
    pool: Pool,
    *,
    probe: int = 4,
    classes: AnyClasses | None = None,
    verifier: str | None = None,
    bins: BinsBy = "quantile",
    seed: int = 0,
) -> AnyEstimator:
    """Fit an estimator on recorded samples.

    Args:
        kind: ``prompt``, ``probe``, ``verifier`` or ``oracle``.
        pool: recorded samples; those without a verdict are left out of what is learned.
        probe: samples that ``probe`` and ``verifier`` look at.
        classes: query classes; those of three problems or more get a level of their own. The oracle needs none.
        verifier: whose scores ``probe`` and ``verifier`` look at; the pool's only one by default. For ``probe``, an
            empty name means none.
        bins: which five bins it reports: fifths of what it predicts for the pool, or fixed bounds.
        seed: draws subsets and folds.

    Raises:
        UnknownName: no such kind.
        ConfigurationError: too few problems or samples, or the scores were not recorded; says the least that would do.
        MissingExtra: scikit-learn is not installed.
    """
    match kind:
        case "prompt":
            return PromptEstimator.fit(pool, classes=classes, bins=bins, seed=seed)
        case "probe":
            return ProbeEstimator.fit(pool, probe=probe, classes=classes, verifier=verifier, bins=bins, seed=seed)
        case "verifier":
            return VerifierEstimator.fit(pool, probe=probe, classes=classes, verifier=verifier, bins=bins, seed=seed)
        case "oracle":
            return OracleEstimator.fit(pool, bins=bins, seed=seed)
        case _:
            raise UnknownName("estimator", kind, ("prompt", "probe", "verifier", "oracle"))


def read_estimator(text: str | bytes, *, where: str = "estimator", analysis: bool = False) -> AnyEstimator:
    """Read what :meth:`Estimator.to_json` returned.

    Args:
        text: JSON.
        where: the file, for messages.
        analysis: permits one that cannot be used live.

    Raises:
        ConfigurationError: it is something else, or cannot be used live; names ``where`` and the field.
    """
    try:
        estimator = _ANY.validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{where}: {field + ': ' if field else ''}{said}; fit one with 'ttc tune'") from None
    if not estimator.live and not analysis:
        raise ConfigurationError(
            f"{where}: estimator '{estimator.by}' knows verdicts of recorded samples: it is for analysis, never live"
        )
    return estimator


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Estimators that were fitted on all folds but one, and what each said of the fold that it had not seen.

    Attributes:
        estimators: by the fold that was held out.
        fold: of each problem, by its id.
        predictions: of the held-out problems, several of each where samples are looked at.
        calibration: how good those were.
    """

    estimators: tuple[AnyEstimator, ...]
    fold: Mapping[str, int]
    predictions: tuple[Prediction, ...]
    calibration: Calibration

    def estimator_of(self, problem: str) -> AnyEstimator:
        """Return the estimator that was not fitted on a problem: what may be replayed on it."""
        return self.estimators[self.fold[problem]]


def cross_fit(
    kind: str,
    pool: Pool,
    *,
    folds: int = 5,
    probe: int = 4,
    classes: AnyClasses | None = None,
    verifier: str | None = None,
    bins: BinsBy = "quantile",
    seed: int = 0,
) -> CrossFit:
    """Fit an estimator without each fold in turn, and let it estimate that fold; groups are held out together.

    Estimates are held against the verdicts on samples that they did not look at. The oracle is fitted once: it knows
    samples of the very problems, and is held against others of them.

    Args:
        folds: parts into which problems are split, by the hash of their group.
        kind, pool, probe, classes, verifier, bins, seed: see :func:`fit_estimator`.

    Raises:
        UnknownName: no such kind.
        ConfigurationError: too few problems or samples, or the scores were not recorded; says the least that would do.
        MissingExtra: scikit-learn is not installed.
    """

    def fit(part: Pool) -> AnyEstimator:
        return fit_estimator(kind, part, probe=probe, classes=classes, verifier=verifier, bins=bins, seed=seed)

    if kind == "oracle":
        oracle = OracleEstimator.fit(pool, bins=bins, seed=seed)
        found = tuple(_predict(oracle, oracle.rest(pool), seed))
        fold = dict.fromkeys((p.id for p in pool.problems), 0)
        return CrossFit((oracle,), fold, found, calibration_of(found, out_of_fold=False))
    n_groups = len({p.group for p in pool.problems})
    if folds < 2 or n_groups < max(2 * folds, 2 * FEWEST):
        raise ConfigurationError(
            f"pool '{pool.name}' has {n_groups} problems: to learn from some and look at others in {folds} folds it "
            f"takes {max(2 * folds, 2 * FEWEST)}, and 2 folds at the least"
        )
    held = folds_of([p.group for p in pool.problems], folds)
    estimators: list[AnyEstimator] = []
    predictions: list[Prediction] = []
    for number in range(folds):
        estimator = fit(pool.of(p.id for p, f in zip(pool.problems, held, strict=True) if f != number))
        estimators.append(estimator)
        there = pool.of(p.id for p, f in zip(pool.problems, held, strict=True) if f == number)
        predictions += _predict(estimator, there, seed)
    if not predictions:
        splits(pool, estimators[0].probe, most=1, seed=seed)  # says what is missing
    fold = {p.id: int(f) for p, f in zip(pool.problems, held, strict=True)}
    return CrossFit(tuple(estimators), fold, tuple(predictions), calibration_of(predictions))


def _predict(estimator: Estimator, pool: Pool, seed: int) -> list[Prediction]:
    """Estimate problems as they would be live: from their queries, and candidates with their scores."""
    found: list[Prediction] = []
    repeat: dict[str, int] = {}
    for split in splits(pool, estimator.probe, most=_REPEATS, seed=hashed(seed, "held out")):
        problem = split.problem
        scores = problem.scores.get(estimator.verifier, ())
        samples = problem.samples() if split.seen else ()
        drawn = [_scored(candidate_of(samples[i]), scores[i] if scores else None) for i in split.seen]
        belief = estimator.belief(problem.query(), drawn)
        low, high = belief.interval()
        found.append(
            Prediction(
                problem=problem.id,
                group=problem.group,
                p=belief.mean,
                low=low,
                high=high,
                right=split.right,
                squares=split.squares,
                total=split.total,
                repeat=(number := repeat.get(problem.id, 0)),
                weight=split.weight,
            )
        )
        repeat[problem.id] = number + 1
    return found


def _scored(candidate: Candidate, score: float | None) -> Candidate:
    return candidate if score is None else candidate.scored(score)
