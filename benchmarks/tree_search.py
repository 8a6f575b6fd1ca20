"""Tree search on the simulated model: steps a second, exact values, and when a beam is above best-of-N.

The model takes no time, so the first table is what the search itself costs: seeds, leases, the tree, scores, choice and
trace. CPU seconds of this process; the median of some rounds, whose widths take turns. Numbers of the machine at hand.

The other two follow from their seeds and are the same everywhere. Snell et al. 2024 (arXiv 2408.03314): with a good
process reward model a beam is above best-of-N on problems of medium and of high difficulty. Here solutions have ten
steps and 200 tokens, and either strategy has 16 of them: a beam of 16 draws ten waves of 16 tenths. P(right) lies
anywhere within its bin. Wrong answers are spread over fifty, as in mathematics, so that a vote helps; solutions that
share their first wrong step agree. The good scorer ranks a step on a right path above one that is not in 92 of 100
cases, the fair one in 76, and the bad one in 50: it knows nothing.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from statistics import NormalDist, median
from typing import Any

import anyio

from ttc import Outcome, Query, solve
from ttc.models.population import Population
from ttc.models.simulated import Lengths, Simulated
from ttc.seeds import hashed
from ttc.statistics import mean, paired_difference
from ttc.strategies.theory import beam_accuracy
from ttc.verifiers.simulated import SimulatedStepScorer

ROUNDS = 7
BINS = {"easy": (0.5, 0.8), "medium": (0.1, 0.3), "hard": (0.01, 0.05)}
SCORERS: Mapping[str, Mapping[str, float]] = {
    "good": {"signal": 1.0, "scale": 0.5},
    "fair": {"signal": 1.0, "scale": 1.0},
    "bad": {"signal": 0.0, "scale": 1.0},
}
N, DEPTH, TOKENS = 16, 10, 200
BEAM, WEIGHTED, BEST = f"beam:n={N},m=4", f"best_of_n:n={N}", f"best_of_n:n={N},weighted=false"
DVTS = f"dvts:n={N},m=4"


def in_steps(step: float, depth: int, **scorer: Any) -> tuple[Simulated, SimulatedStepScorer]:
    """A model whose steps are right with ``step``, and a scorer of them that is perfect unless it is told to err."""
    population = Population(p=step**depth)
    model = Simulated(population, steps=depth, lengths=Lengths(mean=20.0 * depth))
    return model, SimulatedStepScorer(population=population, n_steps=depth, **scorer)


def outcomes(
    spec: str, model: Simulated, scorer: SimulatedStepScorer, problems: int
) -> Iterator[tuple[Query, Outcome]]:
    """Solve so many problems one after the other."""

    async def all_problems() -> list[tuple[Query, Outcome]]:
        return [(q, await solve(q, spec, model, verifier=scorer)) for q in model.population.queries(problems)]

    yield from anyio.run(all_problems)


# -- the search itself ------------------------------------------------------------------------------------------------


def steps_a_second(n: int, m: int, depth: int) -> float:
    """Run some 4,000 steps; return how many of them a second of the CPU grows, scores and notes."""
    model, scorer = in_steps(0.7, depth, noise="gaussian")
    problems = max(1, 4000 // (n * depth))
    began = time.process_time()
    for _ in outcomes(f"beam:n={n},m={m}", model, scorer, problems):
        pass
    return model.sent / (time.process_time() - began)


def speed() -> None:
    """Print steps a second by width and by depth."""
    cases = [(4, 4, 10), (16, 4, 10), (64, 4, 10), (256, 4, 10), (16, 4, 5), (16, 4, 20), (16, 4, 40)]
    steps_a_second(4, 4, 10)  # imports and caches
    found: dict[tuple[int, int, int], list[float]] = {case: [] for case in cases}
    for _ in range(ROUNDS):
        for case in cases:
            found[case].append(steps_a_second(*case))
    print(f"Python {platform.python_version()}, one core, trace on; median of {ROUNDS} rounds\n")
    print("| beam | depth | steps/s (CPU) | least | most |\n|---|--:|--:|--:|--:|")
    for (n, m, depth), rates in found.items():
        print(f"| n={n}, m={m} | {depth} | {median(rates):,.0f} | {min(rates):,.0f} | {max(rates):,.0f} |")


# -- exact values -----------------------------------------------------------------------------------------------------


def exact_values() -> None:
    """Print what a perfect scorer brings beside what it must bring."""
    print("\n| strategy | a step is right | steps | closed form | found | problems |\n|---|--:|--:|--:|--:|--:|")
    cases = [
        ("single", 0.7, 10, 0.7**10, 4000),
        ("best_of_n:n=4", 0.7, 10, 1 - (1 - 0.7**10) ** 4, 4000),
        ("beam:n=4,m=4", 0.7, 10, beam_accuracy(4, 4, step=0.7, depth=10), 2000),
        ("beam:n=4,m=2", 0.7, 10, beam_accuracy(4, 2, step=0.7, depth=10), 2000),
        ("beam:n=8,m=4", 0.3, 4, beam_accuracy(8, 4, step=0.3, depth=4), 2000),
        ("beam:n=9,m=3", 0.3, 4, beam_accuracy(9, 3, step=0.3, depth=4), 2000),
    ]
    for spec, step, depth, exact, problems in cases:
        model, scorer = in_steps(step, depth)
        right = [model.population.is_right(q, o.answer) for q, o in outcomes(spec, model, scorer, problems)]
        share, se = sum(right) / problems, (exact * (1 - exact) / problems) ** 0.5
        print(
            f"| {spec} | {step} | {depth} | {exact:.4f} | {share:.4f} ({(share - exact) / se:+.1f} se) | {problems} |"
        )


# -- above best-of-N, and below it ------------------------------------------------------------------------------------


def within(low: float, high: float) -> Callable[[str], float]:
    """P(right) by the prompt, anywhere between two numbers."""
    return lambda prompt: low + (high - low) * hashed("difficulty", prompt) / 2**48


@cache
def solved(difficulty: str, scorer: str, spec: str, problems: int) -> Mapping[str, tuple[float]]:
    """Whether each problem of a bin was solved, at N times TOKENS tokens."""
    population = Population(p=within(*BINS[difficulty]), wrong=(1.0,) * 50)
    model = Simulated(population, steps=DEPTH, lengths=Lengths(mean=TOKENS))
    quality: dict[str, Any] = dict(SCORERS[scorer])
    verifier = SimulatedStepScorer(population=population, n_steps=DEPTH, noise="gaussian", **quality)
    found: dict[str, tuple[float]] = {}
    for query, outcome in outcomes(spec, model, verifier, problems):
        assert outcome.generated_tokens == N * TOKENS
        found[query.id] = (float(population.is_right(query, outcome.answer)),)
    return found


def auc(scorer: str) -> float:
    """How often a scorer ranks a step on a right path above one that is not."""
    quality = SCORERS[scorer]
    return NormalDist().cdf(quality["signal"] / (quality["scale"] * 2**0.5))


def ordering(problems: int = 300) -> None:
    """Print a beam beside best-of-N, by difficulty and by scorer, and the paired difference to either choice of it."""
    print(f"\n{problems} problems a bin, {N * TOKENS:,} tokens each; in brackets 99% of the paired difference\n")
    print("| bin | P(right) | scorer | beam | dvts | best-of-N | its best one | beam - best-of-N | beam - its best |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|")
    for difficulty, (low, high) in BINS.items():
        for scorer in SCORERS:
            beam, *others = (solved(difficulty, scorer, spec, problems) for spec in (BEAM, WEIGHTED, BEST))
            dvts = solved(difficulty, scorer, DVTS, problems)
            shares = " | ".join(f"{mean(scores).value:.3f}" for scores in (beam, dvts, *others))
            ds = [paired_difference(beam, scores, level=0.99) for scores in others]
            differences = " | ".join(f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for d in ds)
            print(f"| {difficulty} | {low}-{high} | {scorer} ({auc(scorer):.2f}) | {shares} | {differences} |")


def main() -> None:
    speed()
    exact_values()
    ordering()


if __name__ == "__main__":
    main()
