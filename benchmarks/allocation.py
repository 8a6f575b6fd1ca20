"""What a batch gains by allocation: equal shares, stop rules and greedy allocation at equal total tokens, simulated.

Every row of a table had the same total of generated tokens for the same problems, with the same seeds. Uniform: equal
shares, and what a query leaves unused goes to later ones; beside it the usual stop rule of each kind, in equal shares
as well. Greedy: each wave to the query that gains most by it per token. Differences to uniform are paired on problems.

The numbers follow from the seeds and are the same everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import pi, sin

import anyio
from rich.console import Console
from rich.table import Table

from ttc import Budget, Outcome, Population, Simulated, solve_many
from ttc.adaptive.allocation import coverage, greedy, marginal_gains
from ttc.models import virtual_clock
from ttc.models.simulated import Latency, Lengths
from ttc.statistics import mean, paired_difference
from ttc.verifiers.simulated import SimulatedVerifier

TOKENS = 400
"""Mean of a right sample."""

LENGTHS = Lengths(mean=TOKENS, sigma=1.0, wrong=1.5)
ZIPF = tuple(1 / (i + 1) for i in range(50))
EVEN = (1.0,) * 50


@dataclass(frozen=True)
class Case:
    """One way to spend the total."""

    name: str
    strategy: str
    allocate: str


PASSES = (
    Case("uniform, all drawn at once", "best_of_n:n=64", "uniform:wave=64"),
    Case("uniform, stop at success", "best_of_n:n=64", "uniform"),
    Case("greedy", "best_of_n:n=64", "greedy"),
)
VOTES = (
    Case("uniform", "majority:n=64", "uniform"),
    Case("uniform, beta stop", "majority:n=64,stop=beta", "uniform:wave=4"),
    Case("greedy", "majority:n=64", "greedy"),
)


async def solved(population: Population, case: Case, problems: int, total: int, *, verified: bool) -> list[Outcome]:
    """Spend a total."""
    return await solve_many(
        population.queries(problems),
        case.strategy,
        Simulated(population, lengths=LENGTHS),
        verifier=SimulatedVerifier(population=population) if verified else None,
        total=Budget(generated_tokens=total),
        allocate=case.allocate,
    )


def scores(population: Population, outcomes: Sequence[Outcome]) -> Mapping[str, list[float]]:
    """1 for each right answer, by problem."""
    return {o.query_id: [float(population.is_right(population.query(i), o.answer))] for i, o in enumerate(outcomes)}


def row(
    case: Case, found: Mapping[str, list[float]], base: Mapping[str, list[float]], outcomes: list[Outcome]
) -> list[str]:
    """Accuracy with its standard error, the difference to uniform with its interval, and the cost of a query."""
    accuracy = mean(found)
    against = None if found is base else paired_difference(found, base)
    tokens = sum(o.generated_tokens for o in outcomes) / len(outcomes)
    return [
        case.name,
        f"{100 * accuracy.value:.1f} ± {100 * accuracy.se:.1f}",
        "" if against is None else f"{100 * against.value:+.1f} [{100 * against.low:+.1f}, {100 * against.high:+.1f}]",
        f"{tokens:,.0f}",
        f"{sum(sum(o.calls.values()) for o in outcomes) / len(outcomes):.1f}",
    ]


def compare(
    title: str, population: Population, cases: Sequence[Case], *, problems: int, each: int, verified: bool
) -> None:
    """Print the table of one population at one total: ``each`` right samples' tokens per query, in the mean."""
    table = Table(
        "", "accuracy ± SE", "against the first", "tokens a query", "samples", title=title, title_justify="left"
    )
    base: Mapping[str, list[float]] | None = None
    for case in cases:
        outcomes = anyio.run(partial(solved, population, case, problems, problems * each * TOKENS, verified=verified))
        found = scores(population, outcomes)
        base = base or found
        table.add_row(*row(case, found, base, outcomes))
    Console(width=110).print(table)


def waiting(problems: int = 300, each: int = 8) -> None:
    """Print how long a batch takes where calls take time, by the queries that may have samples in flight."""
    population = Population(p=(2.0, 1.0), wrong=EVEN)
    title = f"votes, easy, {each} samples a query, {problems} queries, .01 s a token, 64 calls at a time"
    table = Table("", "queries at a time", "accuracy ± SE", "seconds", "mean calls in flight", title=title)

    async def run(case: Case, concurrency: int) -> tuple[list[Outcome], float]:
        model = Simulated(population, lengths=LENGTHS, latency=Latency(), in_flight=64)
        outcomes = await solve_many(
            population.queries(problems),
            case.strategy,
            model,
            total=Budget(generated_tokens=problems * each * TOKENS),
            allocate=case.allocate,
            concurrency=concurrency,
        )
        return outcomes, anyio.current_time()

    for case in (VOTES[0], VOTES[2]):
        for concurrency in (16, 64):
            outcomes, seconds = virtual_clock.run(run, case, concurrency)
            accuracy = mean(scores(population, outcomes))
            busy = sum(o.generated_tokens for o in outcomes) * 0.01 / seconds
            figures = [f"{100 * accuracy.value:.1f} ± {100 * accuracy.se:.1f}", f"{seconds:,.0f}", f"{busy:.1f}"]
            table.add_row(case.name, str(concurrency), *figures)
    Console(width=110).print(table)


def known() -> None:
    """Print what theory says of gains that are known: 1,000 quantiles of Beta(1/2, 1/2), eight samples each."""
    p = [sin(pi / 2 * (i + 0.5) / 1000) ** 2 for i in range(1000)]
    given = greedy([marginal_gains(x, 500) for x in p], 8000)
    uniform = sum(coverage(x, 8) for x in p) / 1000
    best = sum(coverage(x, b) for x, b in zip(p, given, strict=True)) / 1000
    needs = next(n for n in range(8, 100) if sum(coverage(x, n) for x in p) / 1000 >= best)
    stop, cost = sum(coverage(x, 50) for x in p) / 1000, sum(coverage(x, 50) / x for x in p) / 1000
    print("known gains, Beta(.5,.5), mean budget 8:")
    print(f"  uniform {uniform:.4f}, greedy {best:.4f} (uniform needs {needs})")
    print(f"  stop at the first success, at most 50: {stop:.4f} at {cost:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1000)
    problems = parser.parse_args().problems
    known()
    for each in (2, 4, 8):
        title = f"pass/fail verifier, Beta(.5,.5), {each} samples a query"
        compare(title, Population(p=(0.5, 0.5)), PASSES, problems=problems, each=each, verified=True)
    waiting()
    populations = {
        "easy: Beta(2,1), wrong answers spread evenly over 50": Population(p=(2.0, 1.0), wrong=EVEN),
        "mixed: Beta(.5,.5), some wrong answers frequent": Population(p=(0.5, 0.5), wrong=ZIPF),
        "hard: Beta(.5,1.5), some wrong answers frequent": Population(p=(0.5, 1.5), wrong=ZIPF),
    }
    for name, population in populations.items():
        for each in (6, 16):
            title = f"votes, {name}, {each} samples a query"
            compare(title, population, VOTES, problems=problems, each=each, verified=False)


if __name__ == "__main__":
    main()
