"""Verdicts without gold answers: what agreement is worth, learned on the few problems that somebody graded.

How often a model repeats itself says how sure it is, and not how right: on some problems its favourite answer is wrong.
How often that happens is learned from a sample of labelled problems, and every answer of the other ones gets a chance
of being right. Tuning takes those chances for verdicts. What it then expects is as good as they are, and no better.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.calibration import Calibration, Prediction, calibration_of
from ttc.adaptive.evidence import log_odds
from ttc.adaptive.fitting import folds_of
from ttc.errors import ConfigurationError
from ttc.logistic import fit_logistic, sigmoid
from ttc.pools import CutColumns, Pool, RecordedProblem

__all__ = ["GoldFree", "gold_free"]

Floats = NDArray[np.float64]

RIDGE = 0.3
"""How strongly coefficients are drawn toward 0. With 1 and 3, forty labelled problems made easy pools look harder."""

RESAMPLES = 100
"""Of the labelled problems, for the interval."""

FOLDS = 5
"""Of the labelled problems, to hold estimates against verdicts that had no part in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldFree:
    """A pool whose missing verdicts were estimated, and how far those estimates are to be trusted.

    Attributes:
        pool: with a verdict on every sample: the grader's on labelled problems, elsewhere P(right) of its answer.
        labelled: problems whose verdicts were looked at.
        estimated: problems whose verdicts are estimates.
        calibration: of the estimates on the labelled problems, each by a fit on others; a sample without an answer is
            left out, since it is wrong for certain. Per sample: an answer counts as often as it was given.
        agreement: the same of plain agreement: the share of the samples that hold the answer, taken for P(right).
        favourite: P(the most frequent answer is right) as a mean over the estimated problems, with a 95% interval that
            counts in how few labelled ones there are. What a policy says of itself does not count that in.
        weights: of the fit, by feature, in standard deviations of it.
    """

    pool: Pool
    labelled: tuple[str, ...]
    estimated: tuple[str, ...]
    calibration: Calibration
    agreement: Calibration
    favourite: tuple[float, float, float]
    weights: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def told(self) -> str:
        """What a policy that is tuned on it has to say."""
        p, low, high = self.favourite
        return (
            f"tuned on {len(self.estimated)} problems without verdicts: theirs are estimates, from agreement and "
            f"{len(self.labelled)} labelled problems; the most frequent answer is right with {p:.2f} ({low:.2f} to "
            f"{high:.2f}), and what the policy expects is as uncertain"
        )


def gold_free(pool: Pool, *, labelled: Collection[str] | None = None, least: int = 20, seed: int = 0) -> GoldFree:
    """Estimate the missing verdicts of a pool from agreement, as far as it is worth anything on the labelled problems.

    One logistic regression with a ridge, over the different answers of all labelled problems: is this one right? It
    looks at the share of the samples that hold the answer, its lead over the next one, how many answers there are, how
    many samples have none, and the answer's mean score and log-probability where those were recorded. Of the answers of
    a problem one at the most is right: where their probabilities add up to more than 1 they are scaled down to it, and
    what is left up to 1 is the chance that none of them is. (That errs to the low side.) Labelled problems keep their
    verdicts, as does an answer of another problem that has one.

    Label problems drawn at random. Labels of the easy ones alone make the others look easy.

    Args:
        pool: recorded samples, most of them without verdicts.
        labelled: ids of the problems whose verdicts may be looked at; those of others are ignored. By default all
            problems with a verdict on each of their answers.
        least: labelled problems that it takes; those of one group count once.
        seed: of the folds.

    Raises:
        ConfigurationError: too few labelled problems, one that has no verdicts or is not in the pool, or no problem
            without verdicts.
    """
    if least < FOLDS:
        raise ConfigurationError(f"gold_free: least={least}: fewer than {FOLDS} labelled problems say nothing")
    chosen = _labelled(pool, labelled, least=least)
    answers = {p.id: _answers(p, pool.verifiers) for p in pool.problems}
    known = [a for p in chosen for a in answers[p.id]]
    names = ("share", "lead", "answers", "abstained", *(f"score {v}" for v in pool.verifiers), "logprob")
    fitted = _Fit.on(known)
    problems: list[RecordedProblem] = []
    estimated: list[str] = []
    ids = {p.id for p in chosen}
    for p in pool.problems:
        if p.id not in ids:
            estimated.append(p.id)
            p = _estimated(p, fitted, answers[p.id], keep=labelled is None)
        problems.append(p)
    unknown = [a for name in estimated for a in answers[name]]
    agreement = [a.given / a.samples for a in known]
    found = GoldFree(
        pool=replace(pool, problems=tuple(problems)),
        labelled=tuple(p.id for p in chosen),
        estimated=tuple(estimated),
        calibration=_calibration(known, _out_of_fold(known, seed=seed)),
        agreement=_calibration(known, agreement),
        favourite=_favourite(known, unknown, problems=len(estimated), seed=seed),
        weights=dict(zip(names, fitted.weights[1:].tolist(), strict=True)),
    )
    held = found.calibration
    told = {
        "told": found.told,
        "favourite": list(found.favourite),
        "brier": held.brier,
        "brier_of_mean": held.brier_of_mean,
        "ece": held.ece,
    }
    return replace(found, pool=replace(found.pool, info={**pool.info, "gold_free": told}))


# -- inside ----------------------------------------------------------------------------------------------------------


def _labelled(pool: Pool, wanted: Collection[str] | None, *, least: int) -> list[RecordedProblem]:
    if wanted is None:
        found = [p for p in pool.problems if _is_labelled(p)]
    else:
        there = {p.id: p for p in pool.problems}
        if missing := sorted(set(wanted) - there.keys()):
            raise ConfigurationError(f"pool '{pool.name}' has no problem {missing[0]}, a labelled one")
        found = [p for name, p in there.items() if name in set(wanted)]
        if bare := [p.id for p in found if not _is_labelled(p)]:
            raise ConfigurationError(f"pool '{pool.name}': problem {bare[0]}, a labelled one, has no verdicts")
    if (n := len({p.group for p in found})) < least:
        raise ConfigurationError(
            f"pool '{pool.name}': {n} problem{'' if n == 1 else 's'} with verdicts, and it takes {least} to learn what "
            f"agreement is worth: label {least - n} more, drawn at random"
        )
    if len(found) == len(pool):
        raise ConfigurationError(f"pool '{pool.name}' has verdicts on all problems: tune on them as they are")
    return found


def _is_labelled(problem: RecordedProblem) -> bool:
    """Whether each answer has a verdict. Where nothing was answered there is nothing to learn from."""
    given = _given(problem)
    return bool(given) and given.keys() <= problem.verdicts().keys()


def _given(problem: RecordedProblem) -> dict[str, list[int]]:
    """The different answers, with the samples that hold them: none of those that were answered at a cut alone."""
    found: dict[str, list[int]] = {}
    for i, answer in enumerate(problem.answers):
        if answer is not None:
            found.setdefault(answer, []).append(i)
    for cut in problem.cuts.values():
        for answer in cut.answers:
            if answer is not None:
                found.setdefault(answer, [])
    return found


@dataclass(frozen=True, slots=True)
class _Answer:
    """One of the different answers to a problem: how many of its samples gave it, what is seen of it, the verdict."""

    problem: str
    group: str
    text: str
    given: int
    samples: int
    features: tuple[float, ...]
    right: float | None


def _answers(problem: RecordedProblem, verifiers: Sequence[str]) -> list[_Answer]:
    given, verdicts, n = _given(problem), problem.verdicts(), max(1, len(problem))
    counts = sorted((len(samples) for samples in given.values()), reverse=True)
    abstained = sum(answer is None for answer in problem.answers)
    found: list[_Answer] = []
    for text, samples in given.items():
        k = len(samples)
        rival = next(iter(counts[1:] if k == counts[0] else counts), 0)
        means = [
            _mean([float(log_odds(np.array(s))) for i in samples if (s := problem.scores[v][i]) is not None])
            for v in verifiers
        ]
        logprob = _mean([s for i in samples if problem.logprobs and (s := problem.logprobs[i]) is not None])
        share = float(log_odds(np.array((k + 0.5) / (n + 1))))
        features = (share, (k - rival) / n, log(len(given)), abstained / n, *means, logprob)
        found.append(_Answer(problem.id, problem.group, text, k, n, features, verdicts.get(text)))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


@dataclass(frozen=True, slots=True)
class _Fit:
    """A logistic regression on standardised features. What is not known of an answer is taken for the mean."""

    centre: Floats
    spread: Floats
    weights: Floats

    @classmethod
    def on(cls, known: Sequence[_Answer]) -> _Fit:
        x = np.array([a.features for a in known])
        there = np.isfinite(x)
        n = np.maximum(1, there.sum(axis=0))
        centre = np.where(there, x, 0.0).sum(axis=0) / n
        spread = np.sqrt(np.square(np.where(there, x - centre, 0.0)).sum(axis=0) / n)
        fit = cls(centre, np.where(spread > 1e-9, spread, np.inf), np.zeros(0))
        y = np.array([a.right for a in known], dtype=float)
        return replace(fit, weights=fit_logistic(fit._standard(known), y, ridge=RIDGE))

    def right(self, answers: Sequence[_Answer], *, left: float = 1.0) -> Floats:
        """P(right) of different answers to one problem, which add up to ``left`` at the most."""
        if not answers:
            return np.zeros(0)
        p = self.each(answers)
        return p * min(1.0, left / float(p.sum()))

    def each(self, answers: Sequence[_Answer]) -> Floats:
        """P(right) of each answer, whatever the others are."""
        return sigmoid(self.weights[0] + self._standard(answers) @ self.weights[1:])

    def _standard(self, answers: Sequence[_Answer]) -> Floats:
        return np.nan_to_num((np.array([a.features for a in answers]) - self.centre) / self.spread)


def _estimated(problem: RecordedProblem, fitted: _Fit, answers: Sequence[_Answer], *, keep: bool) -> RecordedProblem:
    """The problem with a verdict on every sample; those that it has are kept, or ignored."""
    right = {a.text: a.right for a in answers if keep and a.right is not None}
    rest = [a for a in answers if a.text not in right]
    chances = fitted.right(rest, left=max(0.0, 1.0 - sum(right.values())))
    right |= dict(zip((a.text for a in rest), chances.tolist(), strict=True))

    def column(texts: Sequence[str | None]) -> tuple[float, ...]:
        return tuple(0.0 if text is None else right[text] for text in texts)

    cuts: dict[int, CutColumns] = {n: replace(cut, right=column(cut.answers)) for n, cut in problem.cuts.items()}
    return replace(problem, right=column(problem.answers), cuts=cuts)


def _favourite(
    known: Sequence[_Answer], unknown: Sequence[_Answer], *, problems: int, seed: int
) -> tuple[float, float, float]:
    """P(the most frequent answer is right), over problems, by fits on the labelled ones as they might have been."""
    by_group: dict[str, list[_Answer]] = {}
    for a in known:
        by_group.setdefault(a.group, []).append(a)
    most: dict[str, tuple[int, int]] = {}
    for i, a in enumerate(unknown):
        most[a.problem] = max(most.get(a.problem, (-1, 0)), (a.given, -i))
    places = [-i for _, i in most.values()]
    number = {name: i for i, name in enumerate(most)}
    owner = np.array([number[a.problem] for a in unknown], dtype=np.int64)

    def mean(fitted: _Fit) -> float:
        if not unknown:
            return 0.0
        p = fitted.each(unknown)
        return float((p / np.maximum(1.0, np.bincount(owner, weights=p)[owner]))[places].sum()) / problems

    rng, groups = np.random.default_rng(seed), list(by_group.values())
    draws: list[float] = []
    for _ in range(RESAMPLES):
        chosen: list[int] = rng.integers(len(groups), size=len(groups)).tolist()
        draws.append(mean(_Fit.on([a for i in chosen for a in groups[i]])))
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    p = mean(_Fit.on(known))
    return p, min(low, p), max(high, p)


def _out_of_fold(known: Sequence[_Answer], *, seed: int) -> list[float]:
    """P(right) of each labelled answer by a fit on other folds."""
    dealt = folds_of([a.group for a in known], FOLDS, seed=seed)
    found = np.zeros(len(known))
    for fold in range(FOLDS):
        fitted = _Fit.on([a for a, f in zip(known, dealt, strict=True) if f != fold])
        for held in _by_problem(known, dealt == fold):
            found[held] = fitted.right([known[i] for i in held])
    return found.tolist()


def _by_problem(known: Sequence[_Answer], there: NDArray[np.bool_]) -> Iterator[list[int]]:
    places: dict[str, list[int]] = {}
    indices: list[int] = np.flatnonzero(there).tolist()
    for i in indices:
        places.setdefault(known[i].problem, []).append(i)
    yield from places.values()


def _calibration(known: Sequence[_Answer], p: Sequence[float]) -> Calibration:
    answered: dict[str, int] = {}
    for a in known:
        answered[a.problem] = answered.get(a.problem, 0) + a.given
    predictions: list[Prediction] = []
    for a, estimate in zip(known, p, strict=True):
        if a.given:
            r = a.right or 0.0
            predictions.append(
                Prediction(
                    problem=a.problem,
                    group=a.group,
                    p=estimate,
                    low=estimate,
                    high=estimate,
                    right=r * a.given,
                    squares=r * r * a.given,
                    total=a.given,
                    weight=a.given / answered[a.problem],
                )
            )
    return calibration_of(predictions)
