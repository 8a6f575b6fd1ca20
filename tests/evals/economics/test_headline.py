"""What the project is for, on populations that are small enough to tune in seconds: the same accuracy at far less cost.

At most a quarter of full N, at most half of the cheapest fixed N of the policy's accuracy, no worse by two points; all
of it cross-validated. Seeds are fixed, so this fails only if something changes what a policy does. Other draws of
these populations differ: docs/efficiency.md shows one on which the second ratio is missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest

from tests.data import recorded

Modules = Callable[[str], ModuleType]


@pytest.mark.anyio
@pytest.mark.parametrize(("population", "problems", "width"), [("gsm8k_like", 1000, 30), ("short_answers", 800, 40)])
async def test_a_quarter_of_full_n_and_half_of_the_cheapest_n_at_no_worse_accuracy(
    benchmark_module: Modules, population: str, problems: int, width: int
) -> None:
    efficiency, populations = benchmark_module("efficiency"), benchmark_module("populations")
    case = efficiency.simulated(getattr(populations, population)(problems, width), orders=4)
    found = (await efficiency.solve_case(case, repetitions=20)).verdicts[-1]
    assert (found.policy, found.full, found.problems) == ("adaptive", str(width), problems)
    assert found.ratio_full.value >= 4
    assert found.ratio_cheapest.value >= 2
    assert found.non_inferior.margin == 0.02
    assert found.non_inferior.shown
    assert found.claim


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [0, 1])
async def test_where_most_compute_goes_to_hopeless_problems_the_cost_is_near_that_of_an_oracle(
    benchmark_module: Modules, seed: int
) -> None:
    efficiency, populations = benchmark_module("efficiency"), benchmark_module("populations")
    case = efficiency.simulated(populations.aime_like(600, 16, seed=seed), orders=4)
    found = (await efficiency.solve_case(case, repetitions=20)).verdicts[-1]
    assert found.ratio_full.value >= 2
    assert found.ratio_oracle.value <= 1.5
    assert found.near_oracle
    assert found.non_inferior.shown


@pytest.mark.anyio
@pytest.mark.parametrize("pool", ["otis-8-tokens", "otis-16-half"])
async def test_on_recorded_competition_problems_too(benchmark_module: Modules, pool: str) -> None:
    efficiency, folder = benchmark_module("efficiency"), recorded("otis_aime.jsonl.gz").parent
    case = replace(dict(efficiency.cases(folder, []))[pool](), orders=2)
    found = (await efficiency.solve_case(case, estimators=("none",), repetitions=20)).verdicts[-1]
    assert found.ratio_oracle.value <= 1.5  # known from other samples, or nearly: see docs/efficiency.md
    assert found.non_inferior.shown


@pytest.mark.anyio
async def test_a_probe_costs_at_most_a_tenth_of_what_it_saves_against_all_samples(benchmark_module: Modules) -> None:
    efficiency, populations = benchmark_module("efficiency"), benchmark_module("populations")
    case = efficiency.simulated(populations.short_answers(500, 40), orders=2)
    (probe,) = (await efficiency.solve_case(case, estimators=("probe",), repetitions=20)).probes
    assert probe.extra > 0
    assert probe.extra <= probe.saved_full / 10
