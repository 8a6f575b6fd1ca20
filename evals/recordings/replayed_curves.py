"""Curves from recorded samples: strategies replayed over a pool, summed up as a run is, without a model.

The strategies themselves run, each on several orders of every problem's samples without replacement; an order stands
for an epoch, and is no new evidence. A pool gives the curves of the run that it was taken from within their intervals:
the samples are the same, and what differs is which of them come first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ttc.adaptive.recorded_scores import RecordedScores
from ttc.errors import ConfigurationError
from ttc.evals.config import Configuration, expand
from ttc.evals.records import UnitRecord
from ttc.evals.scaling import RunReadings
from ttc.evals.summary import Summary
from ttc.pools import Pool, RecordedProblem, replay_model
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.types import Outcome

__all__ = ["replayed_curves"]


async def replayed_curves(
    pool: Pool,
    strategies: Sequence[str | Strategy],
    *,
    budgets: Sequence[int] = (1, 2, 4, 8),
    orders: int = 20,
    seed: int = 0,
    verifier: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Summary:
    """Replay strategies over a pool at each of some budgets, and sum up what they answered and paid.

    What a summary of a run shows it shows here too: points with intervals over problems, paired comparisons, what
    targets cost. An answer counts as right where most samples with that answer are.

    Args:
        pool: what was recorded, with verdicts.
        strategies: specs; one with a named ``n`` runs at that alone.
        budgets: values of ``n`` for the others. Strategies whose prefixes are valid run once, at the largest.
        orders: of the samples of each problem.
        seed: of the orders and of lots.
        verifier: of those that the pool has scores of.
        on_progress: called with the number of problems done.

    Raises:
        ConfigurationError: the pool holds no verdicts, or too few samples or no scores for a strategy, or a strategy
            asks for what was not recorded.
    """
    configurations = expand(strategies, budgets)
    _check(pool, configurations, orders=orders, verifier=verifier)
    scores = RecordedScores.of(pool, verifier) if verifier else None
    models = [replay_model(pool, seed=seed + i) for i in range(orders)]
    readings = RunReadings(_described(pool, configurations, orders=orders, seed=seed, verifier=verifier))
    graded = [p for p in pool.problems if p.accuracy is not None]
    for done, problem in enumerate(graded, 1):
        query, verdicts = problem.query(), problem.verdicts()
        for epoch, model in enumerate(models):
            for configuration in configurations:
                outcome = await solve(query, configuration.strategy, model, verifier=scores, seed=seed + epoch)
                readings.add(_unit(pool, problem, configuration, outcome, epoch=epoch, verdicts=verdicts))
        if on_progress is not None:
            on_progress(done)
    return readings.summary()


def _unit(
    pool: Pool,
    problem: RecordedProblem,
    configuration: Configuration,
    outcome: Outcome,
    *,
    epoch: int,
    verdicts: dict[str, float],
) -> UnitRecord:
    def right(answer: str | None) -> bool:
        return answer is not None and verdicts.get(answer, 0.0) > 0.5

    prefix = configuration.prefix
    return UnitRecord(
        key=f"{configuration.strategy.spec} {problem.id} {epoch}",
        suite=pool.name,
        problem=problem.id,
        tags=problem.tags,
        epoch=epoch,
        strategy=configuration.label,
        spec=configuration.strategy.spec,
        setting=configuration.setting,
        prefix=prefix,
        outcome=outcome,
        correct=right(outcome.answer),
        checkpoints_correct=tuple(right(c.answer) for c in outcome.checkpoints) if prefix else (),
        model=pool.model,
    )


def _check(pool: Pool, configurations: Sequence[Configuration], *, orders: int, verifier: str | None) -> None:
    if orders < 1:
        raise ConfigurationError(f"samples are replayed in one order at the least, got {orders}")
    if all(p.accuracy is None for p in pool.problems):
        raise ConfigurationError(f"pool '{pool.name}' holds no verdicts: nothing says what is right")
    for c in configurations:
        if (c.setting or 1) > pool.width:
            raise ConfigurationError(
                f"strategy '{c.strategy.spec}' draws {c.setting} samples, and {pool.width} of every problem were "
                f"recorded: give --budgets up to {pool.width}"
            )
        if "verifier" in c.strategy.requires() and verifier is None:
            known = ", ".join(pool.verifiers) or "none"
            raise ConfigurationError(
                f"strategy '{c.strategy.name}' needs a verifier of which scores were recorded: pass --verifier NAME; "
                f"pool '{pool.name}' holds scores of: {known}"
            )


def _described(
    pool: Pool, configurations: Sequence[Configuration], *, orders: int, seed: int, verifier: str | None
) -> dict[str, Any]:
    """What to say of a replay where a summary speaks of its run."""
    caveats = {"replay": f"recorded samples in {orders} orders, no model was asked"}
    if pool.unit != "tokens":
        caveats["costs"] = f"counted in {pool.unit}: tokens were not recorded"
    return {
        "run_id": pool.name,
        "model": pool.model,
        "pool": pool.name,
        "strategies": [c.strategy.spec for c in configurations],
        "verifier": verifier,
        "orders": orders,
        "seed": seed,
        "price": asdict(pool.price) if pool.price else None,
        "caveats": caveats,
    }
