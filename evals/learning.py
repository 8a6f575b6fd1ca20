"""Learning a verifier from samples that were graded: those of runs, or recorded ones. Evaluated on other problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError, RunError
from ttc.evals.run_card import read_card
from ttc.evals.store import read_calls
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.folds import folds_of
from ttc.logistic import fit_logistic
from ttc.seeds import problem_hash
from ttc.types import Candidate
from ttc.verifiers.learned import (
    FEATURES,
    Coefficient,
    HeldOut,
    LearnedModel,
    LearnedVerifier,
    Training,
    features,
    observe,
)
from ttc.verifiers.learned.features import Features

__all__ = ["Row", "auc", "auc_in_folds", "held_out", "refuse_trained_problems", "rows_of_run", "train_learned"]

FOLDS = 5
FEWEST = 10
"""Problems; of fewer nothing can be held out that says anything."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample with an answer, graded.

    Attributes:
        problem: the query's id; what is held out together.
        query: names the samples that were drawn together.
        features: what the verifier sees of it.
        right: the grader's verdict.
    """

    problem: str
    query: str
    features: Features
    right: bool


async def rows_of_run(directory: Path) -> list[Row]:
    """Grade the samples of a run, whatever strategy drew them, and make a row of each that holds an answer.

    What is undecided is left out, and so are samples of calls other than ``generate``, and parts of solutions.

    Raises:
        RunError: there is no run, or its suites were objects that cannot be loaded by name.
        ConfigurationError: the data of its suites cannot be had.
    """
    problems: dict[str, tuple[Suite, Problem]] = {}
    for entry in read_card(directory)["suites"]:
        try:
            suite = load_suite(entry["spec"])
        except ConfigurationError as error:
            raise RunError(
                f"the suite of run '{directory.name}' cannot be loaded to grade its samples: {error}"
            ) from None
        await suite.grader.prepare()
        problems |= {p.query.id: (suite, p) for p in suite.problems}
    drawn: defaultdict[tuple[str, str, int], list[Candidate]] = defaultdict(list)
    times: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for call in read_calls(directory, kind="generate"):
        if call.part or call.query not in problems or call.sample.finish not in ("stop", "length"):
            continue
        place = (call.query, call.content, call.sample.index)
        answer = problems[call.query][1].query.answer_type.extract(call.sample.text)
        # A position that comes again is that of another epoch.
        drawn[call.query, call.content, times[place]].append(Candidate(answer, call.sample))
        times[place] += 1
    rows: list[Row] = []
    for (name, content, epoch), candidates in drawn.items():
        suite, problem = problems[name]
        verdicts = {a: await suite.grade(problem, a) for a in dict.fromkeys(c.answer for c in candidates)}
        graded = [verdicts[c.answer] for c in candidates]
        found = features(problem.query.answer_type, [observe(c) for c in candidates])
        rows += [
            Row(name, f"{directory.name}/{name}/{content}/{epoch}", f, grade == "right")
            for f, grade in zip(found, graded, strict=True)
            if f is not None and grade != "undecided"
        ]
    return rows


def train_learned(
    rows: Sequence[Row], *, sources: Iterable[str] = (), ridge: float = 1.0, folds: int = FOLDS
) -> LearnedModel:
    """Fit a verifier to all rows, with its figures on problems that a fit was not trained on.

    Args:
        rows: graded samples, of :func:`rows_of_run` or :func:`~ttc.evals.recordings.samples.rows_of_records`.
        sources: names of where they come from.
        ridge: shrinks the coefficients; on standardised features 1 is little against hundreds of samples.
        folds: parts into which problems are split, by the hash of their id.

    Raises:
        ConfigurationError: fewer than ten problems, or all samples right, or all wrong.
    """
    predictions = held_out(rows, ridge=ridge, folds=folds)
    intercept, coefficients = _fit(rows, ridge)
    right = np.array([row.right for row in rows], dtype=float)
    return LearnedModel(
        intercept=intercept,
        coefficients=coefficients,
        training=Training(
            samples=len(rows),
            right=int(right.sum()),
            sources=tuple(sources),
            problems=frozenset(problem_hash(row.problem) for row in rows),
            ridge=ridge,
            held_out=_judged(rows, predictions, folds),
        ),
    )


def held_out(rows: Sequence[Row], *, ridge: float = 1.0, folds: int = FOLDS) -> NDArray[np.float64]:
    """Predict each row by a fit on the problems of the other folds.

    Raises:
        ConfigurationError: fewer than ten problems, or all samples right, or all wrong.
    """
    n_problems = len({row.problem for row in rows})
    n_right = sum(row.right for row in rows)
    if n_problems < max(FEWEST, folds):
        raise ConfigurationError(
            f"{n_problems} problems with graded answers: it takes {max(FEWEST, folds)} to learn from some and to "
            "look at others"
        )
    if n_right in (0, len(rows)):
        raise ConfigurationError(f"all {len(rows)} answers are {'right' if n_right else 'wrong'}: nothing to learn")
    fold = folds_of([row.problem for row in rows], folds)
    predictions = np.empty(len(rows))
    for held in range(folds):
        intercept, coefficients = _fit([row for row, f in zip(rows, fold, strict=True) if f != held], ridge)
        model = LearnedModel.model_construct(intercept=intercept, coefficients=coefficients)
        there: list[int] = np.flatnonzero(fold == held).tolist()
        predictions[there] = model.probabilities([rows[i].features for i in there])
    return predictions


def auc(scores: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """P(a right one scores above a wrong one), ties counting half; 1/2 where there are not both."""
    n_right, n_wrong = int(right.sum()), int(len(right) - right.sum())
    if not (n_right and n_wrong):
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share the mean of their ranks
    return float((rank[right > 0].sum() - n_right * (n_right + 1) / 2) / (n_right * n_wrong))


def auc_in_folds(scores: NDArray[np.float64], right: NDArray[np.float64], fold: NDArray[np.int64]) -> float:
    """P(a right one scores above a wrong one of the same fold), ties counting half; 1/2 where no fold has both.

    Pairs over folds would bias it: a fold with many right ones leaves few to fit on, whose lower intercept puts it
    below the others, so that scores without any signal would seem worse than a lot (Airola et al. 2011, "An
    experimental comparison of cross-validation techniques for estimating the area under the ROC curve").
    """
    won = pairs = 0.0
    for held in np.unique(fold):
        here = fold == held
        n = float(right[here].sum() * (1 - right[here]).sum())
        won, pairs = won + n * auc(scores[here], right[here]), pairs + n
    return won / pairs if pairs else 0.5


def refuse_trained_problems(verifier: object, problems: Iterable[str]) -> None:
    """Refuse to evaluate a learned verifier on problems that it was trained on.

    Args:
        verifier: any verifier, or None; only learned ones are looked at.
        problems: ids of the queries.

    Raises:
        ConfigurationError: says how many of them there are.
    """
    if not isinstance(verifier, LearnedVerifier):
        return
    asked = list(problems)
    if known := [p for p in asked if verifier.was_trained_on(p)]:
        raise ConfigurationError(
            f"verifier 'learned' was trained on {len(known)} of these {len(asked)} problems ({known[0]}, ...): "
            "evaluate it on others, or learn it from others"
        )


def _fit(rows: Sequence[Row], ridge: float) -> tuple[float, tuple[Coefficient, ...]]:
    """Standardise each feature that varies, with an indicator of its own where it is missing, and fit."""
    columns: list[NDArray[np.float64]] = []
    shapes: list[tuple[str, float, float, bool]] = []
    for name in FEATURES:
        raw = np.array([np.nan if (v := row.features.get(name)) is None else v for row in rows], dtype=float)
        missing = np.isnan(raw)
        there = raw[~missing]
        sd = float(there.std()) if len(there) else 0.0
        if sd < 1e-9:
            continue
        mean = float(there.mean())
        columns.append(np.where(missing, 0.0, (raw - mean) / sd))
        if missing.any():
            columns.append(missing.astype(float))
        shapes.append((name, mean, sd, bool(missing.any())))
    y = np.array([row.right for row in rows], dtype=float)
    x = np.column_stack(columns) if columns else np.empty((len(rows), 0))
    intercept, *weights = (float(w) for w in fit_logistic(x, y, ridge=ridge))
    left = iter(weights)
    coefficients = tuple(
        Coefficient(name=name, mean=mean, sd=sd, weight=next(left), missing=next(left) if gaps else 0.0)
        for name, mean, sd, gaps in shapes
    )
    return intercept, coefficients


def _judged(rows: Sequence[Row], predictions: NDArray[np.float64], folds: int) -> HeldOut:
    right = np.array([row.right for row in rows], dtype=float)
    fold = folds_of([row.problem for row in rows], folds)
    together: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        together[row.query].append(i)
    within = [auc(predictions[q], right[q]) for q in map(np.array, together.values()) if 0 < right[q].mean() < 1]
    tenths = np.array_split(np.argsort(predictions, kind="stable"), 10)
    return HeldOut(
        folds=folds,
        samples=len(rows),
        auc=auc_in_folds(predictions, right, fold),
        auc_se=_clustered_se(rows, predictions, right, fold),
        auc_within=float(np.mean(within)) if within else None,
        brier=float(np.mean((predictions - right) ** 2)),
        brier_base=float(right.mean() * (1 - right.mean())),
        calibration=tuple((float(predictions[t].mean()), float(right[t].mean()), len(t)) for t in tenths if len(t)),
    )


def _clustered_se(
    rows: Sequence[Row], predictions: NDArray[np.float64], right: NDArray[np.float64], fold: NDArray[np.int64]
) -> float:
    """Jackknife: leave out one problem at a time, or one of 200 groups of them."""
    names = sorted({row.problem for row in rows})
    number = {name: i % 200 for i, name in enumerate(names)}
    group = np.array([number[row.problem] for row in rows])
    m = min(200, len(names))
    kept = [group != g for g in range(m)]
    left = np.array([auc_in_folds(predictions[k], right[k], fold[k]) for k in kept])
    return float(np.sqrt((m - 1) / m * np.sum((left - left.mean()) ** 2)))
