"""Pools drawn from simulated populations: problems whose difficulty is known, to hold estimators and tuning against."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import numpy as np

from ttc.models.population import Population
from ttc.pools import Pool, RecordedProblem
from ttc.seeds import hashed
from ttc.types import Query

__all__ = ["simulated_pool"]


def simulated_pool(
    population: Population,
    *,
    problems: int = 300,
    width: int = 16,
    mean_length: float = 400.0,
    hard_length: float = 3.0,
    sigma: float = 0.6,
    verifier: float = 1.0,
    query: Callable[[int], Query] | None = None,
    name: str = "simulated",
    seed: int = 0,
) -> Pool:
    """Draw samples of the first problems of a population.

    Args:
        population: the problems.
        problems: how many of them.
        width: samples of each.
        mean_length: generated tokens of an easy problem's right sample; lengths are log-normal.
        hard_length: how many times as long samples of hopeless problems are; between, in proportion to its power.
        sigma: spread of the log of the length: .6 and above has a long tail.
        verifier: how far apart right and wrong samples lie for the verifier ``simulated``, in standard deviations of
            its log-odds; 0: it cannot tell them apart.
        query: the i-th query, with its own prompt and tags; the population's by default.
        name: the pool's.
        seed: draws the samples.
    """
    found: list[RecordedProblem] = []
    for i in range(problems):
        asked = (query or population.query)(i)
        problem = population.problem(asked.prompt)
        rng = np.random.default_rng(hashed(seed, "pool", asked.id))
        right = rng.random(width) < problem.p
        answers = [problem.right if r else problem.slip(u) for r, u in zip(right, rng.random(width), strict=True)]
        log_mean = log(mean_length) + log(hard_length) * (1 - problem.p) - sigma**2 / 2
        longer = np.where(right, 0.0, 0.1)  # a wrong sample of the same problem
        tokens = np.maximum(1, np.round(np.exp(log_mean + longer + sigma * rng.standard_normal(width))))
        noise = rng.standard_normal(width)
        scores = [1 / (1 + exp(-verifier * (r - 0.5) - e)) for r, e in zip(right, noise, strict=True)]
        found.append(
            RecordedProblem(
                id=asked.id,
                prompt=asked.prompt,
                tags=asked.tags,
                answers=tuple(answers),
                right=tuple(right.astype(float).tolist()),
                generated=tuple(tokens.tolist()),
                scores={"simulated": tuple(scores)},
            )
        )
    return Pool(name=name, model="simulated", problems=tuple(found), info={"seed": seed})
