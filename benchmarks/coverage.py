"""How often nominal 95% intervals hold the truth: the very code that summaries and tables use, on simulated problems.

    python benchmarks/coverage.py [--repetitions 10000]

Problems are drawn from populations whose truth is known, thousands of times, and the share of intervals that hold it is
printed by setting: single accuracies, paired differences, tokens-to-target, and what else is read off curves. The
simulation's own error at 10,000 repetitions is .002. Below each table stands its worst cell; * marks what lies outside
.94 to .96.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ttc.evals.economics.by_problem import by_problem
from ttc.evals.economics.curves import CostCurve, reached_cost
from ttc.evals.economics.target_cost import cost_ratio, target_cost
from ttc.statistics import difference_interval, mean, share_interval

Floats = NDArray[np.float64]
SIZES = (30, 100, 500)
SETTINGS = (1, 2, 4, 8, 16)
AT_A_TIME = 4_000_000
"""Numbers that are drawn at a time."""


def chunks(repetitions: int, each: int) -> Iterator[int]:
    """Split repetitions so that they fit into memory."""
    size = max(1, AT_A_TIME // each)
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def held(low: Floats, high: Floats, truth: float) -> int:
    """Count the intervals that hold the truth."""
    return int(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).sum())


# -- single accuracies and paired differences --------------------------------------------------------------------------


@cache
def _wilson(right: int, n: int) -> tuple[float, float]:
    found = mean({str(i): [float(i < right)] for i in range(n)})
    return found.low, found.high


def accuracy_coverage(
    n: int, p: float, *, epochs: int, spread: float, repetitions: int = 10_000, seed: int = 0
) -> float:
    """Coverage for a share right ``p`` whose difficulty is Beta(p spread, (1 - p) spread) over problems."""
    rng, hits = np.random.default_rng(seed), 0
    for size in chunks(repetitions, n):
        theta = rng.beta(p * spread, (1 - p) * spread, (size, n))
        share = rng.binomial(epochs, theta) / epochs
        if epochs == 1:
            ends = np.array([_wilson(int(k), n) for k in share.sum(axis=1)])
            hits += held(ends[:, 0], ends[:, 1], p)
        else:
            error = share.std(axis=1, ddof=1) / n**0.5
            hits += held(*share_interval(share.mean(axis=1), error, n), p)
    return hits / repetitions


def difference_coverage(
    n: int, p: float, *, correlation: float, epochs: int, gap: float = 0.05, repetitions: int = 10_000, seed: int = 0
) -> float:
    """Coverage for the difference of accuracies ``p`` and ``p - gap`` on the same problems.

    With one epoch the two outcomes of a problem have the correlation, as far as their means allow; with several the two
    share the difficulty of so many problems, which is Beta(2 p, 2 - 2 p).
    """
    rng, hits, q = np.random.default_rng(seed), 0, p - gap
    both = min(q, p * q + correlation * (p * (1 - p) * q * (1 - q)) ** 0.5)
    for size in chunks(repetitions, 2 * n):
        if epochs == 1:
            u = rng.random((size, n))
            d = (u < p).astype(float) - ((u < both) | ((u >= p) & (u < p + q - both)))
        else:
            a, b = rng.beta(2 * p, 2 - 2 * p, (size, n)), rng.beta(2 * q, 2 - 2 * q, (size, n))
            b = np.where(rng.random((size, n)) < correlation, a * q / p, b)
            d = (rng.binomial(epochs, a) - rng.binomial(epochs, b)) / epochs
        hits += held(*difference_interval(d), gap)
    return hits / repetitions


# -- what is read off curves -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Population:
    """Many problems with what two strategies bring and cost at n = 1, 2, 4, 8, 16; shape (strategies, problems, n)."""

    right: Floats
    cost: Floats

    def truth(self, strategy: int = 0) -> tuple[Floats, Floats]:
        """The true curve: costs and accuracies."""
        return self.cost[strategy].mean(axis=0), self.right[strategy].mean(axis=0)

    def curve(self, strategy: int = 0) -> CostCurve:
        """The same as a curve."""
        return CostCurve(tuple(map(str, SETTINGS)), *self.truth(strategy))

    def target(self, part: float) -> float:
        """An accuracy: so far up from the first point of voting to its last."""
        accuracy = self.truth()[1]
        return float(accuracy[0] + part * (accuracy[-1] - accuracy[0]))


@cache
def population(a: float, b: float, epochs: int, *, problems: int = 40_000, seed: int = 1) -> Population:
    """Difficulty is Beta(a, b); wrong answers are spread over three; hard problems get longer samples.

    Strategy 0 votes, strategy 1 takes the sample of the best score, where right ones score a standard deviation more
    and scoring costs a tenth; both have the same samples.
    """
    rng = np.random.default_rng(seed)
    theta = rng.beta(a, b, (problems, 1))
    right, cost = np.zeros((2, problems, len(SETTINGS))), np.zeros((2, problems, len(SETTINGS)))
    for _ in range(epochs):
        is_right = rng.random((problems, SETTINGS[-1])) < theta
        answer = np.where(is_right, 0, rng.integers(1, 4, is_right.shape))
        spent = np.cumsum(rng.lognormal(7, 0.6, is_right.shape) * (2 - theta), axis=1)
        score = rng.normal(size=is_right.shape) + is_right
        lot = 0.5 * rng.random((problems, 4))
        for i, n in enumerate(SETTINGS):
            votes = (answer[:, :n, None] == np.arange(4)).sum(axis=1) + lot
            right[0, :, i] += votes.argmax(axis=1) == 0
            right[1, :, i] += is_right[np.arange(problems), score[:, :n].argmax(axis=1)]
            cost[0, :, i] += spent[:, n - 1]
            cost[1, :, i] += 1.1 * spent[:, n - 1]
    return Population(right / epochs, cost / epochs)


def target_coverage(
    n: int, of: Population, part: float, *, repetitions: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Coverage for what a target costs by voting, and how often the upper end is infinite."""
    rng, hits, endless = np.random.default_rng(seed), 0, 0
    target = of.target(part)
    truth = float(reached_cost(*of.truth(), target))
    for size in chunks(repetitions, 4 * n * len(SETTINGS)):
        drawn = rng.integers(0, of.right.shape[1], (size, n))
        found = target_cost(of.right[0][drawn], of.cost[0][drawn], target)
        hits += held(found.low, found.high, truth)
        endless += int(np.isinf(found.high).sum())
    return hits / repetitions, endless / repetitions


def reading_coverage(
    n: int, of: Population, number: Callable[[CostCurve], float], *, repetitions: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Coverage for a number read off the curve of voting, and for its paired difference to best-of-n."""
    rng, alone, paired = np.random.default_rng(seed), 0, 0
    truths = [number(of.curve(s)) for s in (0, 1)]
    for _ in range(repetitions):
        drawn = rng.integers(0, of.right.shape[1], n)
        vote, best = (by_problem(number, of.right[s][drawn], of.cost[s][drawn]) for s in (0, 1))
        alone += held(*share_interval(vote.mean(), vote.std(ddof=1) / n**0.5, n), truths[0])
        paired += held(*difference_interval(best - vote), truths[1] - truths[0])
    return alone / repetitions, paired / repetitions


def ratio_coverage(n: int, of: Population, part: float, *, repetitions: int = 1000, seed: int = 0) -> float:
    """Coverage for what a target costs by best-of-n over what it costs by voting."""
    rng, hits, target = np.random.default_rng(seed), 0, of.target(part)
    truth = float(reached_cost(*of.truth(1), target) / reached_cost(*of.truth(0), target))
    for _ in range(repetitions):
        drawn = rng.integers(0, of.right.shape[1], n)
        low, high = cost_ratio(*((of.right[s][drawn], of.cost[s][drawn]) for s in (1, 0)), target)
        hits += low <= truth <= high
    return hits / repetitions


# -- tables ------------------------------------------------------------------------------------------------------------


def table(heading: str, rows: dict[str, list[float]], notes: dict[str, str] | None = None) -> None:
    """Print a table, a column for each number of problems, and its worst cell."""
    print(f"\n{heading}\n")
    print("| setting |" + "".join(f" n = {n} |" for n in SIZES) + (" |" if notes else ""))
    print("|---|" + "--:|" * len(SIZES) + ("---|" if notes else ""))
    for name, values in rows.items():
        cells = "".join(f" {v:.3f}{'' if 0.94 <= round(v, 3) <= 0.96 else '*'} |" for v in values)
        print(f"| {name} |{cells}" + (f" {notes[name]} |" if notes else ""))
    cells = [(v, name, n) for name, values in rows.items() for v, n in zip(values, SIZES, strict=True)]
    inside = sum(0.94 <= round(v, 3) <= 0.96 for v, _, _ in cells)
    lowest, highest = min(cells), max(cells)
    print(
        f"\n{inside} of {len(cells)} lie in .94 to .96; lowest {lowest[0]:.3f} ({lowest[1]}, n = {lowest[2]}), ", end=""
    )
    print(f"highest {highest[0]:.3f} ({highest[1]}, n = {highest[2]})", flush=True)


POPULATIONS = {"Beta(.8, .8)": (0.8, 0.8), "Beta(2, 1.3)": (2.0, 1.3), "Beta(4, 1.5)": (4.0, 1.5)}


def main(repetitions: int) -> None:
    """Print the tables of accuracies, differences and tokens-to-target."""
    table(
        f"Single accuracies, {repetitions:,} repetitions (difficulty Beta(p s, (1 - p) s))",
        {
            f"p {p:g}, " + ("1 epoch" if epochs == 1 else f"4 epochs, s {spread:g}"): [
                accuracy_coverage(n, p, epochs=epochs, spread=spread, repetitions=repetitions) for n in SIZES
            ]
            for epochs, spread in ((1, 1.0), (4, 1.0), (4, 4.0))
            for p in (0.05, 0.2, 0.5, 0.8, 0.95)
        },
    )
    table(
        f"Paired differences of 5 points, {repetitions:,} repetitions",
        {
            f"p {p:g}, correlation {rho:g}, {epochs} epoch{'s' * (epochs > 1)}": [
                difference_coverage(n, p, correlation=rho, epochs=epochs, repetitions=repetitions) for n in SIZES
            ]
            for epochs in (1, 4)
            for p in (0.1, 0.5, 0.7, 0.95)
            for rho in (0.0, 0.4, 0.6, 0.8)
        },
    )
    rows, notes = dict[str, list[float]](), dict[str, str]()
    for name, (a, b) in POPULATIONS.items():
        for epochs in (1, 4):
            for part in (0.25, 0.5, 0.75, 0.9):
                found = [target_coverage(n, population(a, b, epochs), part, repetitions=repetitions) for n in SIZES]
                setting = f"{name}, {epochs} epoch{'s' * (epochs > 1)}, {part:g} of the way"
                rows[setting] = [f[0] for f in found]
                notes[setting] = "upper end infinite in " + ", ".join(f"{f[1]:.2f}" for f in found)
    table(f"Tokens-to-target of majority, {repetitions:,} repetitions", rows, notes)


def read_off_curves(few: int) -> None:
    """Print the table of what is read off curves besides."""
    rows: dict[str, list[float]] = {}
    for name, (a, b) in POPULATIONS.items():
        of = population(a, b, 1)
        span = (float(of.truth()[0][1]), float(of.truth()[0][3]))  # that of two to that of eight samples
        middle = (span[0] * span[1]) ** 0.5
        numbers: dict[str, Callable[[CostCurve], float]] = {
            "area": lambda c, span=span: c.area_under(*span),
            "accuracy at a cost": lambda c, middle=middle: c.accuracy_at(middle),
        }
        for what, number in numbers.items():
            found = [reading_coverage(n, of, number, repetitions=few) for n in SIZES]
            rows[f"{name}, {what}"] = [f[0] for f in found]
            rows[f"{name}, {what}, paired difference"] = [f[1] for f in found]
        for part in (0.25, 0.5):
            rows[f"{name}, ratio of costs, {part:g} of the way"] = [
                ratio_coverage(n, of, part, repetitions=few) for n in SIZES
            ]
    table(f"Read off curves, {few:,} repetitions (error .011)", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10_000, help="of each cell")
    parser.add_argument("--curves-only", action="store_true", help="print the last table alone")
    given = parser.parse_args()
    if not given.curves_only:
        main(given.repetitions)
    read_off_curves(max(100, given.repetitions // 25))
