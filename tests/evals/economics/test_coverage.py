"""Nominal 95% intervals hold the truth in 94 to 96% of 10,000 seeded repetitions: the code that summaries show.

All cells are in the table of benchmarks/coverage.py. With one answer to each of few problems no interval can hold that
everywhere, since shares come in steps: there the bounds are wider, and for differences and costs on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from ttc.statistics import mean, paired_difference, share_interval

Benchmark = Callable[[str], ModuleType]
NOMINAL = (0.94, 0.96)


@pytest.fixture(scope="module")
def coverage(benchmark_module: Benchmark) -> ModuleType:
    return benchmark_module("coverage")


def held(found: float, bounds: tuple[float, float] = NOMINAL) -> bool:
    return bounds[0] <= round(found, 3) <= bounds[1]


@pytest.mark.parametrize("spread", [1.0, 4.0])
@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.8, 0.95])
def test_accuracies_over_epochs(coverage: ModuleType, p: float, spread: float) -> None:
    assert held(coverage.accuracy_coverage(100, p, epochs=4, spread=spread))


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_accuracies_over_epochs_of_few_problems(coverage: ModuleType, p: float) -> None:
    assert held(coverage.accuracy_coverage(30, p, epochs=4, spread=1.0))


@pytest.mark.parametrize("p", [0.05, 0.5, 0.8])
def test_accuracies_of_one_answer_each(coverage: ModuleType, p: float) -> None:
    assert held(coverage.accuracy_coverage(500, p, epochs=1, spread=1.0))
    assert held(coverage.accuracy_coverage(100, p, epochs=1, spread=1.0), (0.93, 0.97))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.7, 0.95])
def test_paired_differences(coverage: ModuleType, p: float, correlation: float) -> None:
    assert held(coverage.difference_coverage(100, p, correlation=correlation, epochs=4))
    assert held(coverage.difference_coverage(100, p, correlation=correlation, epochs=1), (0.94, 0.97))


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_paired_differences_of_many_problems(coverage: ModuleType, correlation: float) -> None:
    assert held(coverage.difference_coverage(500, 0.7, correlation=correlation, epochs=1))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("p", [0.1, 0.7, 0.95])
def test_paired_differences_of_few_problems_err_on_the_safe_side(
    coverage: ModuleType, p: float, correlation: float
) -> None:
    assert held(coverage.difference_coverage(30, p, correlation=correlation, epochs=1), (0.94, 1.0))
    assert held(coverage.difference_coverage(30, p, correlation=correlation, epochs=4))


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75, 0.9])
def test_tokens_to_target(coverage: ModuleType, part: float) -> None:
    of = coverage.population(4.0, 1.5, 4)
    found, _ = coverage.target_coverage(100, of, part)
    assert held(found)


@pytest.mark.parametrize("n", [30, 100])
def test_tokens_to_target_err_on_the_safe_side_with_one_answer_each(coverage: ModuleType, n: int) -> None:
    found, endless = coverage.target_coverage(n, coverage.population(2.0, 1.3, 1), 0.5)
    assert held(found, (0.94, 0.98))
    assert 0.1 < endless < 1  # the upper end is infinite where the band never reaches the target


def test_tokens_to_target_of_many_problems(coverage: ModuleType) -> None:
    found, endless = coverage.target_coverage(500, coverage.population(2.0, 1.3, 1), 0.5, repetitions=4000)
    assert held(found)
    assert endless < 0.01


def test_what_was_simulated_is_what_a_summary_calls(coverage: ModuleType) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.binomial(4, 0.7, 50) / 4, rng.binomial(4, 0.5, 50) / 4
    scores = [{str(i): [1.0] * round(4 * x) + [0.0] * round(4 - 4 * x) for i, x in enumerate(side)} for side in (a, b)]
    found = mean(scores[0])
    assert (found.low, found.high) == pytest.approx(
        tuple(map(float, share_interval(a.mean(), a.std(ddof=1) / 50**0.5, 50)))
    )
    difference = paired_difference(*scores)
    assert (difference.low, difference.high) == pytest.approx(tuple(map(float, coverage.difference_interval(a - b))))
