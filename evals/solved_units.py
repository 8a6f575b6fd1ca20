"""One unit of a run: solved by its strategy, which sees no verdict, and graded then."""

from __future__ import annotations

from ttc.budget import Budget
from ttc.evals.config import EvalConfig
from ttc.evals.grading import Grade
from ttc.evals.recorded_calls import StoredCalls, working_on
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.run_limits import RunLimits
from ttc.evals.tournaments import answers_that_met, judge_meetings
from ttc.evals.units import Unit
from ttc.pacing import Pace
from ttc.seeds import hashed
from ttc.solve import solve
from ttc.types import Outcome

__all__ = ["solved_unit"]


async def solved_unit(
    unit: Unit, config: EvalConfig, model: StoredCalls, *, limits: RunLimits, pace: Pace | None = None
) -> UnitRecord:
    """Solve and grade one unit.

    Raises:
        ServerUnreachable: calls of it failed because nothing answers.
        BudgetExhausted: what is left of the run's limits does not carry it.
    """
    query = unit.problem.query
    working_on.set((query.id, unit.configuration.strategy.spec, unit.key))
    outcome = await solve(
        query,
        unit.configuration.strategy,
        model,
        budget=Budget.parse(config.budget),
        verifier=config.verifier,
        comparator=config.comparator,
        sampling=config.sampling,
        seed=hashed(config.seed, "epoch", unit.epoch) if unit.epoch else config.seed,
        parent=limits.of(unit),
        pace=pace,
    )
    if model.unreachable is not None:
        raise model.unreachable
    limits.refuse_cut(unit, outcome)
    verdict, checkpoints, meetings = await _grade(unit, outcome)
    return UnitRecord(
        key=unit.key,
        suite=unit.suite.name,
        problem=query.id,
        tags=query.tags,
        epoch=unit.epoch,
        strategy=unit.configuration.label,
        spec=unit.configuration.strategy.spec,
        setting=unit.configuration.setting,
        prefix=unit.configuration.prefix,
        outcome=outcome,
        correct=verdict == "right",
        undecided=verdict == "undecided",
        checkpoints_correct=checkpoints,
        meetings=meetings,
        model=unit.model,
    )


async def _grade(unit: Unit, outcome: Outcome) -> tuple[Grade, tuple[bool, ...], Meetings | None]:
    """Grade the answer, those of the checkpoints and those that met, each different one once."""
    answers = (outcome.answer, *(c.answer for c in outcome.checkpoints), *answers_that_met(outcome.trace))
    verdicts: dict[str | None, Grade] = {}
    for answer in dict.fromkeys(answers):
        verdicts[answer] = await unit.suite.grade(unit.problem, answer)

    def right(answer: str | None) -> bool:
        return verdicts[answer] == "right"

    checkpoints = tuple(right(c.answer) for c in outcome.checkpoints)
    return verdicts[outcome.answer], checkpoints, judge_meetings(outcome.trace, right)
