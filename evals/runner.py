"""Run strategies on suites: resumable, each unit of work once, each call paid for once.

A unit is one problem, one strategy, one epoch. Units are ordered problem by problem, so that the strategies of a
problem meet while its calls are fresh and share them. The grader sees outcomes; no strategy sees the grader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import orjson

from ttc import errors
from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ModelError, ServerUnreachable
from ttc.evals.config import Configuration, EvalConfig, check, choose_problems, total_of
from ttc.evals.grading import Grade
from ttc.evals.nested_strategies import content_of
from ttc.evals.readiness import examined
from ttc.evals.recorded_calls import CallCounts, StoredCalls, working_on
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.run_card import config_of, keep_card, new_id, write_summary
from ttc.evals.run_directory import resolve
from ttc.evals.store import Store
from ttc.evals.suite import Problem, Suite
from ttc.evals.summary import Summary
from ttc.evals.tournaments import answers_that_met, events, judge_meetings
from ttc.ledger import Ledger
from ttc.models.base import LiveModel
from ttc.pacing import Allotment, Pace, make_allocation
from ttc.seeds import hashed
from ttc.solve import solve
from ttc.types import Outcome

__all__ = ["EvalRun", "RunProgress", "config_of", "run_eval", "write_summary"]

ALIKE = 20
"""So many units that fail in the same way from the start end the run: the settings are wrong, not the problems."""


@dataclass(slots=True)
class RunProgress:
    """How far a run is; the same object throughout, for a display to read.

    Attributes:
        run_id: name of the run.
        directory: where it is kept.
        total: units.
        skipped: units that an earlier process had done.
        done: units done, skipped ones among them.
        problems: problems, epochs counted apart.
        problems_done: those of which every unit is done.
        failed: units of which every call failed.
        right: by strategy spec, the verdicts so far.
        calls: what the model did.
        waiting: whether the model waits for a server that stopped answering.
        warnings: what is doubtful about the suites, such as problems that are nearly the same.
    """

    run_id: str = ""
    directory: Path = field(default_factory=Path)
    total: int = 0
    skipped: int = 0
    done: int = 0
    problems: int = 0
    problems_done: int = 0
    failed: int = 0
    right: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    calls: CallCounts = field(default_factory=CallCounts)
    waiting: Callable[[], bool] = lambda: False
    warnings: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class EvalRun:
    """A run that is complete: where it is, what it showed, and what this process did for it."""

    directory: Path
    summary: Summary
    progress: RunProgress


@dataclass(frozen=True, slots=True)
class _Unit:
    key: str
    suite: Suite
    problem: Problem
    configuration: Configuration
    epoch: int


async def run_eval(
    config: EvalConfig,
    model: LiveModel,
    *,
    on_progress: Callable[[RunProgress], None] | None = None,
    resume_by: str = "ttc eval --resume",
) -> EvalRun:
    """Run strategies on suites, or finish a run that was interrupted (its id and settings are the same).

    Writes ``run.json`` (the run card), ``store.sqlite``, ``summary.json`` (a pure function of the store) and
    ``timings.json`` (what depends on the clock) into the run's directory.

    Args:
        config: what to run.
        model: what answers.
        on_progress: called at the start and after each unit, with the same object.
        resume_by: the command that goes on with a run, for messages.

    Raises:
        ConfigurationError: a wrong name, parameter or limit; before any call.
        RunError: the run is being written by another process, was made with other settings, or cannot be written.
        ServerUnreachable: the server stopped answering. Nothing of it is taken for a result; the run can be resumed.
        BudgetExhausted: ``total_tokens`` are spent; the run can be resumed with more.
        ModelError: every one of the first units failed in the same way.
    """
    configurations = check(config)
    chosen = [await anyio.to_thread.run_sync(choose_problems, suite, config) for suite in config.suites]
    doubts = await examined(config, chosen, model)
    config = config.model_copy(update={"run_id": config.run_id or new_id(chosen[0][0], model)})
    directory = resolve(config.runs, config.run_id)
    units = list(_units(config, configurations, chosen, model))
    with Store(directory) as store:
        keep_card(directory, config, chosen, model, warnings=doubts)
        runner = _Runner(config, model, store, units, on_progress or (lambda _: None), resume_by)
        runner.progress.warnings = [warning for found in doubts for warning in found]
        await runner.run()
    return EvalRun(directory, write_summary(directory), runner.progress)


class _Runner:
    """One process's work on a run."""

    def __init__(
        self,
        config: EvalConfig,
        model: LiveModel,
        store: Store,
        units: list[_Unit],
        tell: Callable[[RunProgress], None],
        resume_by: str,
    ) -> None:
        self.config = config
        self.resume_by = resume_by
        self.store = store
        self.model = StoredCalls(model, store)
        self.tell = tell
        self.open_units: dict[tuple[str, str, int], int] = {}
        self.alike: list[UnitRecord] | None = []  # failures from the start, held back; None: something went well
        for unit in units:
            place = _place(unit)
            self.open_units[place] = self.open_units.get(place, 0) + 1
        self.progress = RunProgress(
            config.run_id, store.directory, len(units), problems=len(self.open_units), calls=self.model.counts
        )
        self.progress.waiting = lambda: self.model.waiting
        self.parent: Ledger | None = None
        self.totals: dict[str, Ledger] = {}  # where they are allocated: of each strategy, as if it ran alone
        if config.allocate is not None:
            self.totals = {unit.configuration.strategy.spec: total_of(config, model.price) for unit in units}
        elif config.total_tokens is not None:
            self.parent = total_of(config, model.price)
        known = {unit.key: unit for unit in units}
        for record in store.units() if known else ():
            if record.key in known:
                self.note(known[record.key], record)
                self.charge(record.outcome, self.totals.get(record.spec, self.parent))
                self.progress.skipped += 1
                self.alike = None
        self.todo = iter([unit for unit in units if not store.has_unit(unit.key)])

    async def run(self) -> None:
        self.tell(self.progress)
        left = self.progress.total - self.progress.done
        try:
            if self.config.allocate is not None:
                await self.allocate(self.config.allocate)
            else:
                async with anyio.create_task_group() as group:
                    for _ in range(min(self.config.concurrency, left)):
                        group.start_soon(self.work)
        except BaseExceptionGroup as group:
            raise self.explained(_first(group)) from None
        await self.keep()

    async def allocate(self, allocation: str) -> None:
        """Solve what is to do strategy by strategy: each hands out what is left of its own total over its queries."""
        of_strategy: dict[str, list[_Unit]] = {}
        for unit in self.todo:
            of_strategy.setdefault(unit.configuration.strategy.spec, []).append(unit)

        async def work(allotment: Allotment, position: int, unit: _Unit) -> None:
            async with allotment.place(position) as pace:
                await self.finish(unit, await self.solve(unit, pace=pace))

        for spec, units in of_strategy.items():
            allotment = make_allocation(allocation).over(
                len(units), self.totals[spec], concurrency=self.config.concurrency
            )
            async with anyio.create_task_group() as group:
                for position, unit in enumerate(units):
                    group.start_soon(work, allotment, position, unit)

    async def work(self) -> None:
        for unit in self.todo:
            await self.finish(unit, await self.solve(unit))

    async def finish(self, unit: _Unit, record: UnitRecord) -> None:
        """Keep a unit that is done, and show it."""
        if self.alike is not None and record.outcome.ended_by == "all_calls_failed":
            self.alike.append(record)
            self.stop_if_alike(self.alike)
        else:
            await self.keep(record)
        self.note(unit, record)
        self.tell(self.progress)

    async def solve(self, unit: _Unit, *, pace: Pace | None = None) -> UnitRecord:
        """Solve and grade one unit.

        Raises:
            ServerUnreachable: calls of it failed because nothing answers.
            BudgetExhausted: what is left of the total does not carry it.
        """
        config, query = self.config, unit.problem.query
        working_on.set((query.id, unit.configuration.strategy.spec))
        outcome = await solve(
            query,
            unit.configuration.strategy,
            self.model,
            budget=Budget.parse(config.budget),
            verifier=config.verifier,
            comparator=config.comparator,
            sampling=config.sampling,
            seed=hashed(config.seed, "epoch", unit.epoch) if unit.epoch else config.seed,
            parent=self.totals.get(unit.configuration.strategy.spec, self.parent),
            pace=pace,
        )
        if self.model.unreachable is not None:
            raise self.model.unreachable
        if self.parent is not None and self.short(outcome, self.parent):
            raise BudgetExhausted(f"the {config.total_tokens} tokens of the run are spent")
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
            model=self.model.name,
        )

    async def keep(self, *records: UnitRecord) -> None:
        """Keep units, after the failures that were held back: something went well since."""
        held, self.alike = self.alike or [], None
        for record in (*held, *records):
            await self.store.add_unit(record)

    def note(self, unit: _Unit, record: UnitRecord) -> None:
        p = self.progress
        p.done += 1
        p.failed += record.outcome.ended_by == "all_calls_failed"
        p.right.setdefault(record.spec, []).append(record.correct)
        self.open_units[_place(unit)] -= 1
        p.problems_done += self.open_units[_place(unit)] == 0

    def charge(self, outcome: Outcome, total: Ledger | None) -> None:
        """Count what an earlier process spent on a unit toward the total."""
        if total is None:
            return
        for kind, usage in outcome.usage.items():
            lease = total.lease_now(kind, want=usage.generated, prompt=usage.prompt_tokens)
            if lease is None:
                raise self.explained(BudgetExhausted(f"the {self.config.total_tokens} tokens of the run are spent"))
            lease.settle(usage)

    def short(self, outcome: Outcome, parent: Ledger) -> bool:
        """Whether it was the run's total that cut a unit, rather than the unit's own budget."""
        cut = outcome.ended_by == "budget" or any(e.get("finish") == "cut" for e in events(outcome.trace, "sample"))
        left = parent.left()
        return cut and (not self.config.budget or left is None or left < self.config.sampling.max_tokens)

    def stop_if_alike(self, failures: list[UnitRecord]) -> None:
        """Stop where the first units all failed in the same way; nothing of them is kept."""
        first = failures[0].outcome
        alike = all(f.outcome.error_type == first.error_type for f in failures)
        if alike and len(failures) >= min(ALIKE, self.progress.total):
            kind = getattr(errors, first.error_type, ModelError)
            kind = kind if isinstance(kind, type) and issubclass(kind, ModelError) else ModelError
            raise kind(f"all of the first {len(failures)} units failed, so the run was stopped: {first.error}")

    def explained(self, error: BaseException) -> BaseException:
        """Say how to go on after an error that leaves a run that can be resumed."""
        where = "" if self.config.runs == Path("runs") else f" --runs {self.config.runs}"
        more = " --total-tokens N" if isinstance(error, BudgetExhausted) else ""
        if not isinstance(error, ServerUnreachable | BudgetExhausted):
            return error
        return type(error)(
            f"{error}; {self.progress.done} of {self.progress.total} units are done, and the run can be resumed: "
            f"{self.resume_by} {self.config.run_id}{where}{more}"
        )


async def _grade(unit: _Unit, outcome: Outcome) -> tuple[Grade, tuple[bool, ...], Meetings | None]:
    """Grade the answer, those of the checkpoints and those that met, each different one once."""
    answers = (outcome.answer, *(c.answer for c in outcome.checkpoints), *answers_that_met(outcome.trace))
    verdicts: dict[str | None, Grade] = {}
    for answer in dict.fromkeys(answers):
        verdicts[answer] = await unit.suite.grade(unit.problem, answer)

    def right(answer: str | None) -> bool:
        return verdicts[answer] == "right"

    checkpoints = tuple(right(c.answer) for c in outcome.checkpoints)
    return verdicts[outcome.answer], checkpoints, judge_meetings(outcome.trace, right)


def _place(unit: _Unit) -> tuple[str, str, int]:
    return unit.suite.name, unit.problem.query.id, unit.epoch


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to show: of several the first one, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore[reportUnknownArgumentType]


def _units(
    config: EvalConfig, configurations: list[Configuration], chosen: list[tuple[Suite, list[Problem]]], model: LiveModel
) -> Iterator[_Unit]:
    """All units, problem by problem; of a problem the largest first, since the others then find its calls."""
    by_size = sorted(configurations, key=lambda c: -(c.setting or 0))
    sampling = {**config.model_dump(mode="json")["sampling"]}
    contents = {c.strategy.spec: content_of(c.strategy) for c in configurations}
    for epoch in range(config.epochs):
        for suite, problems in chosen:
            digest = suite.digest()
            for problem in problems:
                for c in by_size:
                    parts = [digest, problem.query.id, c.strategy.spec, config.verifier, config.comparator]
                    parts += [config.budget, sampling, model.name, config.seed, epoch]
                    parts += [{"files": contents[c.strategy.spec]}] if contents[c.strategy.spec] else []
                    if config.allocate is not None:
                        parts += [config.allocate, config.total_tokens]
                    raw = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
                    yield _Unit(hashlib.blake2b(raw, digest_size=16).hexdigest(), suite, problem, c, epoch)
