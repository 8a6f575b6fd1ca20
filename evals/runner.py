"""Run strategies on suites: resumable, each unit of work once, each call paid for once.

A unit is one model, one problem, one strategy, one epoch. Units are ordered problem by problem, so that the strategies
of a problem meet while its calls are fresh and share them. The grader sees outcomes; no strategy sees the grader.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from ttc import errors
from ttc.crowd import Crowd
from ttc.errors import BudgetExhausted, ConfigurationError, ModelError, RunStopped, ServerUnreachable, TTCError
from ttc.evals.config import EvalConfig, check, choose_problems
from ttc.evals.draining import DrainedCalls, Stop
from ttc.evals.model_cards import model_cards
from ttc.evals.readiness import examined
from ttc.evals.records import UnitRecord
from ttc.evals.response_cache import ResponseCache
from ttc.evals.run_card import config_of, keep_card, new_id, write_summary
from ttc.evals.run_directory import resolve
from ttc.evals.run_limits import RunLimits
from ttc.evals.run_progress import RunProgress
from ttc.evals.solved_units import solved_unit
from ttc.evals.store import Store
from ttc.evals.summary import Summary
from ttc.evals.units import Unit, units_of
from ttc.ledger import Ledger
from ttc.models.base import LiveModel
from ttc.pacing import Allotment, Pace, make_allocation
from ttc.types import Outcome

__all__ = ["EvalRun", "RunProgress", "config_of", "run_eval", "write_summary"]

AT_A_TIME = 32
"""Queries that have samples in flight while tokens are allocated, where the settings do not say."""

ALIKE = 20
"""So many units that fail in the same way from the start end the run: the settings are wrong, not the problems."""


@dataclass(frozen=True, slots=True)
class EvalRun:
    """A run that is complete: where it is, what it showed, and what this process did for it."""

    directory: Path
    summary: Summary
    progress: RunProgress


async def run_eval(
    config: EvalConfig,
    model: LiveModel | Mapping[str, LiveModel],
    *,
    on_progress: Callable[[RunProgress], None] | None = None,
    resume_by: str = "ttc eval --resume",
    retry_failed: bool = False,
    stop: Stop | None = None,
) -> EvalRun:
    """Run strategies on suites, or finish a run that was interrupted (its id and settings are the same).

    Writes ``run.json`` (the run card), ``store.sqlite``, ``summary.json`` (a pure function of the store) and
    ``timings.json`` (what depends on the clock) into the run's directory.

    Args:
        config: what to run.
        model: what answers; or several models by name, each of which solves every problem with every strategy. The
            run keeps them apart by these names.
        on_progress: called at the start and after each unit, with the same object.
        resume_by: the command that goes on with a run, for messages.
        retry_failed: do the units again of which a call failed, in a run that is there.
        stop: asks the run to stop, from another task: calls in flight are waited for and kept.

    Raises:
        ConfigurationError: a wrong name, parameter or limit; before any call.
        RunError: the run is being written by another process, was made with other settings, or cannot be written.
        ServerUnreachable: the server stopped answering. Nothing of it is taken for a result; the run can be resumed.
        BudgetExhausted: ``total_tokens`` or ``max_dollars`` are spent; the run can be resumed with more.
        ModelError: every one of the first units failed in the same way; or, with ``fail_fast``, one did.
        RunStopped: it was asked to stop, and something is left to do.
    """
    configurations = check(config)
    chosen = [await anyio.to_thread.run_sync(choose_problems, suite, config) for suite in config.suites]
    models = dict(model) if isinstance(model, Mapping) else {model.name: model}
    if not models:
        raise ConfigurationError("no model was given: a run asks at least one")
    doubts = await examined(config, chosen, models.values())
    cards = await model_cards(models)
    config = config.model_copy(update={"run_id": config.run_id or new_id(chosen[0][0], models)})
    directory = resolve(config.runs, config.run_id)
    units = list(units_of(config, configurations, chosen, list(models)))
    limits = RunLimits(config, {name: one.price for name, one in models.items()}, units)
    with contextlib.ExitStack() as files:
        store = files.enter_context(Store(directory))
        cache = files.enter_context(ResponseCache(config.cache)) if config.cache is not None else None
        notes = keep_card(directory, config, chosen, cards, warnings=doubts)
        await store.set_meta("units", str(len(units)))
        failed = set(store.failed_units()) if retry_failed else set[str]()
        again = [unit.key for unit in units if unit.key in failed]
        await store.forget_units(again)
        cached = {name: await cache.of(one) for name, one in models.items()} if cache is not None else {}
        calls = {name: DrainedCalls(one, store, name=name, cache=cached.get(name)) for name, one in models.items()}
        runner = _Runner(config, calls, store, units, limits, tell=on_progress, by=resume_by, stop=stop or Stop())
        runner.progress.retried = len(again)
        runner.progress.warnings = [*notes, *(warning for found in doubts for warning in found)]
        await runner.run()
    return EvalRun(directory, write_summary(directory), runner.progress)


class _Runner:
    """One process's work on a run."""

    def __init__(
        self,
        config: EvalConfig,
        models: Mapping[str, DrainedCalls],
        store: Store,
        units: list[Unit],
        limits: RunLimits,
        *,
        tell: Callable[[RunProgress], None] | None,
        by: str,
        stop: Stop,
    ) -> None:
        self.config = config
        self.resume_by = by
        self.store = store
        self.limits = limits
        self.models = models
        self.stop = stop
        for model in models.values():
            model.stop = stop
        self.over: Exception | None = None  # what ends the run once the units under way have come to their ends
        self.at_work: dict[str, Unit] = {}
        self.tell: Callable[[RunProgress], None] = tell or (lambda _: None)
        self.open_units = Counter(unit.place for unit in units)
        self.units_of = Counter(unit.model for unit in units)
        #: by model, failures from the start, held back until something of it goes well
        self.alike: dict[str, list[UnitRecord]] = {name: [] for name in models}
        self.progress = RunProgress(config.run_id, store.directory, len(units), problems=len(self.open_units))
        self.progress.right = {curve: {} for curve in sorted({unit.curve for unit in units})}
        self.progress.by_model = {name: model.counts for name, model in self.models.items()}
        self.progress.limiters = {name: model.limiter for name, model in self.models.items()}
        self.progress.waiting = lambda: any(model.waiting for model in self.models.values())
        known = {unit.key: unit for unit in units}
        for record in store.units() if known else ():
            if (unit := known.get(record.key)) is not None:
                self.note(unit, record)
                try:
                    limits.charge(unit, record)
                except BudgetExhausted as error:
                    raise self.explained(error) from None
                self.progress.skipped += 1
                self.alike.pop(unit.model, None)
        self.todo = iter([unit for unit in units if not store.has_unit(unit.key)])

    async def run(self) -> None:
        self.tell(self.progress)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.end_when_drained, group.cancel_scope)
                if self.config.allocate is not None:
                    await self.allocate(self.config.allocate)
                else:
                    await self.work_through()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise self.explained(_first(group)) from None
        if self.over is not None:
            raise self.explained(self.over)
        for model in self.models:
            await self.keep(model)
        if self.progress.done < self.progress.total:
            raise self.explained(RunStopped("the run was stopped"))

    async def end_when_drained(self, scope: anyio.CancelScope) -> None:
        """End what waits for calls that are not sent any more."""
        await self.stop.drained(lambda: set(self.at_work))
        scope.cancel()

    async def work_through(self) -> None:
        """Open unit after unit, as many at a time as there are places for."""
        crowd = Crowd(self.models.values(), fixed=self.config.concurrency)

        async def work(unit: Unit) -> None:
            try:
                await self.work(unit)
            finally:
                crowd.leave(unit.key)

        async with anyio.create_task_group() as group:
            for unit in self.todo:
                await crowd.enter(unit.key)
                if self.stop.requested or self.over is not None:
                    crowd.leave(unit.key)
                    break
                group.start_soon(work, unit)

    async def allocate(self, allocation: str) -> None:
        """Solve what is to do strategy by strategy: each hands out what is left of its own total over its queries."""
        of_strategy: dict[tuple[str, str], list[Unit]] = {}
        for unit in self.todo:
            of_strategy.setdefault(unit.curve, []).append(unit)

        async def work(allotment: Allotment, position: int, unit: Unit) -> None:
            async with allotment.place(position) as pace:
                if not self.stop.requested and self.over is None:
                    await self.work(unit, pace=pace)

        for units in of_strategy.values():
            total = self.limits.of(units[0]) or Ledger()
            allotment = make_allocation(allocation).over(
                len(units), total, concurrency=self.config.concurrency or AT_A_TIME
            )
            async with anyio.create_task_group() as group:
                for position, unit in enumerate(units):
                    group.start_soon(work, allotment, position, unit)

    async def work(self, unit: Unit, *, pace: Pace | None = None) -> None:
        """Solve a unit, keep it and show it. Where a limit of the run ends it, no other is begun."""
        self.at_work[unit.key] = unit
        try:
            record = await solved_unit(unit, self.config, self.models[unit.model], limits=self.limits, pace=pace)
            if not self.stop.held(unit.key):
                await self.finish(unit, record)
        except BudgetExhausted as error:
            self.over = self.over or error
        finally:
            del self.at_work[unit.key]

    async def finish(self, unit: Unit, record: UnitRecord) -> None:
        """Keep a unit that is done, and show it."""
        if record.outcome.ended_by == "all_calls_failed" and self.config.fail_fast:
            self.over = self.over or self.failed_fast(unit, record)
            self.stop.request()
            return
        if unit.model in self.alike and record.outcome.ended_by == "all_calls_failed":
            self.alike[unit.model].append(record)
            self.stop_if_alike(unit.model)
        else:
            await self.keep(unit.model, record)
        self.note(unit, record)
        self.tell(self.progress)

    async def keep(self, model: str, *records: UnitRecord) -> None:
        """Keep units of a model, after its failures that were held back: something went well since."""
        for record in (*self.alike.pop(model, ()), *records):
            await self.store.add_unit(record)

    def note(self, unit: Unit, record: UnitRecord) -> None:
        self.progress.note(unit, record)
        self.open_units[unit.place] -= 1
        self.progress.problems_done += self.open_units[unit.place] == 0

    def stop_if_alike(self, model: str) -> None:
        """Stop where the first units of a model all failed in the same way; nothing of them is kept."""
        failures = self.alike[model]
        first = failures[0].outcome
        alike = all(f.outcome.error_type == first.error_type for f in failures)
        if alike and len(failures) >= min(ALIKE, self.units_of[model]):
            of = f" of model '{model}'" if len(self.models) > 1 else ""
            raise _model_error(first)(
                f"all of the first {len(failures)} units{of} failed, so the run was stopped: {first.error}"
            )

    def failed_fast(self, unit: Unit, record: UnitRecord) -> ModelError:
        """The error that a failed query is with ``fail_fast``; it is not kept, so that it is done again."""
        outcome = record.outcome
        return _model_error(outcome)(
            f"every call of problem '{record.problem}' with strategy '{record.spec}' failed, and --fail-fast was given "
            f"({outcome.error})"
        )

    def explained(self, error: BaseException) -> BaseException:
        """Say how to go on after an error that leaves a run that can be resumed."""
        where = "" if self.config.runs == Path("runs") else f" --runs {self.config.runs}"
        more = f" {self.limits.option}" if isinstance(error, BudgetExhausted) else ""
        resumable = isinstance(error, ServerUnreachable | BudgetExhausted | RunStopped) or error is self.over
        if not resumable or not isinstance(error, TTCError):
            return error
        return type(error)(
            f"{error}; {self.progress.done} of {self.progress.total} units are done, and the run can be resumed: "
            f"{self.resume_by} {self.config.run_id}{where}{more}"
        )


def _model_error(outcome: Outcome) -> type[ModelError]:
    """The kind of the error that an outcome failed with."""
    kind = getattr(errors, outcome.error_type, ModelError)
    return kind if isinstance(kind, type) and issubclass(kind, ModelError) else ModelError


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to show: of several the first one, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore[reportUnknownArgumentType]
