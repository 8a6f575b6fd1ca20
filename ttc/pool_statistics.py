"""What is in a pool: how often samples are right alone and together, what they cost, and what their scores are worth.

Every number is over the pool's own problems, with intervals over problems (those of one group count as one). Estimates
of n samples out of more are unbiased: pass@n over all subsets, majority@n over all of them up to n = 8 and where all
samples vote, else over 200 seeded ones, whose error on a problem is .035 at the most, and less by the root of their
number on the mean over problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from ttc.beta_binomial import BetaFit, fit_beta_binomial
from ttc.majority_at import majority_at
from ttc.pools import CutColumns, Pool, RecordedProblem, Unit
from ttc.statistics import Mean, mean

__all__ = ["CutStatistics", "Lengths", "PoolStatistics", "ScoreStatistics", "pass_at", "pool_statistics"]

SUBSETS = 200
"""Orders of each problem over which a majority of n is averaged, where it takes too long to count all subsets."""
COUNTED = 8
"""Samples up to which all subsets are counted."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lengths:
    """What samples cost, in the pool's unit.

    Attributes:
        mean: of all.
        median: of all.
        p95: what one in twenty exceeds.
        right: mean of the right ones; None where there are none.
        wrong: mean of the wrong ones.
    """

    mean: float
    median: float
    p95: float
    right: float | None
    wrong: float | None


@dataclass(frozen=True, slots=True)
class ScoreStatistics:
    """How well a verifier tells right samples from wrong ones: P(a right one scores higher), ties counting half.

    Attributes:
        auc: over all pairs of a right and a wrong sample; None without any.
        auc_within: over those of the same problem, among which one is chosen.
        scored: samples with a score.
    """

    auc: float | None
    auc_within: float | None
    scored: int


@dataclass(frozen=True, slots=True)
class CutStatistics:
    """Samples that were cut and made to answer: how often they are right, and what they cost on average."""

    accuracy: Mean | None
    cost: float
    without_answer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """What is in a pool.

    Attributes:
        width: samples that every problem has.
        unit: of the lengths.
        groups: problems that are held out together count as one.
        graded: problems with a verdict; accuracies are over them.
        classes: by tag, as in ``level=5``: problems, and how often one sample is right.
        pass_at_1: how often one sample is right; None without verdicts.
        majority_at: by n, how often the most frequent answer of n samples is right; ties by lot.
        pass_at: by n, how often one of n samples at the least is right.
        without_answer: share of samples.
        seconds: lengths in seconds, where all samples have them.
        verifiers: by name.
        cuts: by tokens.
        bins: problems by how often a sample is right, from [0, .2) to [.8, 1].
        beta: the spread of that over problems; None where no finite fit is the best, or verdicts are estimates.
    """

    name: str
    model: str
    thinking: str
    unit: Unit
    problems: int
    groups: int
    graded: int
    samples: int
    width: int
    classes: dict[str, tuple[int, Mean | None]]
    pass_at_1: Mean | None
    majority_at: dict[int, Mean]
    pass_at: dict[int, Mean]
    lengths: Lengths
    seconds: Lengths | None
    without_answer: float
    verifiers: dict[str, ScoreStatistics]
    cuts: dict[int, CutStatistics]
    bins: tuple[int, int, int, int, int]
    beta: BetaFit | None


def pool_statistics(pool: Pool, *, seed: int = 0) -> PoolStatistics:
    """Work out what is in a pool; the seed is that of the subsets over which majorities are averaged."""
    known = [_Known.of(p) for p in pool.problems]
    known = [k for k in known if len(k.right)]
    width = min((len(k.right) for k in known), default=0)
    sizes = sorted({*takewhile(lambda n: n <= width, (2**i for i in range(20))), width} - {0})
    rng = np.random.default_rng(seed)
    majorities = [_majority(k, sizes, rng) for k in known]
    passes = [pass_at(k.right, sizes) for k in known]
    accuracies = [p.accuracy for p in pool.problems if p.accuracy is not None]
    soft = any(r not in (0, 1) for k in known for r in k.right)
    classes = sorted({(name, value) for p in pool.problems for name, value in p.tags.items()})
    return PoolStatistics(
        name=pool.name,
        model=pool.model,
        thinking=pool.thinking,
        unit=pool.unit,
        problems=len(pool),
        groups=len({p.group for p in pool.problems}),
        graded=len(known),
        samples=sum(map(len, pool.problems)),
        width=pool.width,
        classes={
            f"{name}={value}": _class([p for p in pool.problems if p.tags.get(name) == value])
            for name, value in classes
        },
        pass_at_1=_accuracy(pool.problems),
        majority_at={n: _mean(known, [m[i] for m in majorities]) for i, n in enumerate(sizes)},
        pass_at={n: _mean(known, [p[i] for p in passes]) for i, n in enumerate(sizes)},
        lengths=_lengths(pool.problems, [p.generated or (1.0,) * len(p) for p in pool.problems]),
        seconds=_lengths(pool.problems, [p.seconds for p in pool.problems])
        if all(len(p.seconds) for p in pool.problems)
        else None,
        without_answer=_abstained([p.answers for p in pool.problems]),
        verifiers={v: _score(pool.problems, v) for v in sorted({v for p in pool.problems for v in p.scores})},
        cuts={cut: _cut(pool.problems, cut) for cut in pool.cuts},
        bins=_bins(accuracies),
        beta=None if soft else fit_beta_binomial((round(sum(k.right)), len(k.right)) for k in known),
    )


def pass_at(right: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """P(one of n samples at the least is right), over all subsets of n of those given; for each n.

    The unbiased estimate 1 - C(n - c, k) / C(n, k) of Chen et al. 2021 (arXiv 2107.03374), also for verdicts between
    0 and 1: then it is one minus the mean product of what each sample lacks.
    """
    wrong = np.ones(len(right) + 1)
    wrong[1:] = 0  # by size, the mean product over all subsets of what was taken in so far
    size = np.arange(1, len(right) + 1)
    for m, r in enumerate(right, 1):
        with_this = size / m * wrong[:-1] * (1 - r)
        wrong[1:] = np.maximum(m - size, 0) / m * wrong[1:] + np.where(size <= m, with_this, 0)
    return [float(1 - wrong[n]) for n in sizes]


@dataclass(frozen=True, slots=True)
class _Known:
    """The samples of a problem that have a verdict, and the verdict on each class of answers."""

    group: str
    right: tuple[float, ...]
    classes: NDArray[np.int64]
    verdicts: Floats

    @classmethod
    def of(cls, problem: RecordedProblem) -> _Known:
        pairs = [(a, r) for a, r in zip(problem.answers, problem.right, strict=True) if r is not None]
        names = {answer: i for i, answer in enumerate(dict.fromkeys(a for a, _ in pairs if a is not None))}
        verdicts = [float(np.mean([r for a, r in pairs if a == answer])) for answer in names]
        classes = np.array([-1 if a is None else names[a] for a, _ in pairs], dtype=np.int64)
        return cls(problem.group, tuple(r for _, r in pairs), classes, np.array(verdicts))


def _majority(known: _Known, sizes: Sequence[int], rng: np.random.Generator) -> list[float]:
    """How often the most frequent answer of n samples is right, ties by lot; for each n."""
    n, k = len(known.classes), len(known.verdicts)
    if not k:
        return [0.0] * len(sizes)
    drawn = [s for s in sizes if COUNTED < s < n]
    sampled = dict(zip(drawn, _majority_of_some(known, drawn, rng), strict=True)) if drawn else {}
    members = np.bincount(known.classes[known.classes >= 0], minlength=k).tolist()
    classes = tuple(sorted(zip(members, known.verdicts.tolist(), strict=True)))
    return [sampled[s] if s in sampled else majority_at(classes, n - sum(members), min(s, n)) for s in sizes]


def _majority_of_some(known: _Known, sizes: Sequence[int], rng: np.random.Generator) -> list[float]:
    """The same over seeded subsets."""
    k = len(known.verdicts)
    orders = rng.permuted(np.tile(known.classes, (SUBSETS, 1)), axis=1)
    counts = np.cumsum(orders[:, :, None] == np.arange(k), axis=1, dtype=np.int32)[:, [s - 1 for s in sizes]]
    most = counts.max(axis=2, keepdims=True)
    leads = (counts == most) & (most > 0)  # nobody leads where all abstained
    value = (leads @ known.verdicts) / np.maximum(leads.sum(axis=2), 1)
    return value.mean(axis=0).tolist()


def _mean(known: Sequence[_Known], values: Sequence[float]) -> Mean:
    groups: dict[str, list[float]] = {}
    for k, value in zip(known, values, strict=True):
        groups.setdefault(k.group, []).append(value)
    return mean(groups)


def _accuracy(problems: Sequence[RecordedProblem] | Sequence[CutColumns], groups: Sequence[str] = ()) -> Mean | None:
    """How often one sample is right, each problem counting once."""
    found: dict[str, list[float]] = {}
    for i, p in enumerate(problems):
        known = [r for r in p.right if r is not None]
        if known:
            group = p.group if isinstance(p, RecordedProblem) else groups[i]
            found.setdefault(group, []).append(sum(known) / len(known))
    return mean(found) if found else None


def _class(problems: Sequence[RecordedProblem]) -> tuple[int, Mean | None]:
    return len(problems), _accuracy(problems)


def _lengths(problems: Sequence[RecordedProblem], columns: Sequence[Sequence[float]]) -> Lengths:
    values = np.array([x for column in columns for x in column], dtype=float)
    right = [r for p in problems for r in p.right]
    by_verdict = [[x for x, r in zip(values, right, strict=True) if r == verdict] for verdict in (1, 0)]
    return Lengths(
        float(values.mean()),
        float(np.median(values)),
        float(np.quantile(values, 0.95)),
        *(float(np.mean(some)) if some else None for some in by_verdict),
    )


def _abstained(columns: Sequence[Sequence[str | None]]) -> float:
    answers = [answer for column in columns for answer in column]
    return answers.count(None) / len(answers) if answers else 0.0


def _score(problems: Sequence[RecordedProblem], verifier: str) -> ScoreStatistics:
    right, wrong, scored = list[float](), list[float](), 0
    won, met = 0.0, 0
    for p in problems:
        column = p.scores.get(verifier, ())
        scored += sum(s is not None for s in column)
        pairs = [(s, r) for s, r in zip(column, p.right, strict=False) if s is not None and r is not None]
        ours, theirs = [s for s, r in pairs if r > 0.5], [s for s, r in pairs if r < 0.5]
        won += _wins(ours, theirs)
        met += len(ours) * len(theirs)
        right += ours
        wrong += theirs
    every = len(right) * len(wrong)
    return ScoreStatistics(_wins(right, wrong) / every if every else None, won / met if met else None, scored)


def _wins(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Pairs in which the right one scores higher, ties counting half."""
    if not right or not wrong:
        return 0.0
    other = np.sort(wrong)
    below = np.searchsorted(other, right, side="left").sum()
    return float(below + np.searchsorted(other, right, side="right").sum()) / 2


def _cut(problems: Sequence[RecordedProblem], cut: int) -> CutStatistics:
    columns = [p.cuts[cut] for p in problems]
    costs = [x for c in columns for x in c.generated]
    accuracy = _accuracy(columns, [p.group for p in problems])
    return CutStatistics(accuracy, float(np.mean(costs)) if costs else 0.0, _abstained([c.answers for c in columns]))


def _bins(accuracies: Sequence[float]) -> tuple[int, int, int, int, int]:
    counts = [0] * 5
    for accuracy in accuracies:
        counts[min(4, int(accuracy * 5 + 1e-9))] += 1
    return (counts[0], counts[1], counts[2], counts[3], counts[4])
