"""The pool of a run: what it drew, graded anew. A pure function of its store, its card and its suites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ttc.budget import Price
from ttc.errors import ConfigurationError, RunError
from ttc.evals.recordings.rows import SampleRow, graded_problem, row_from_json
from ttc.evals.recordings.rows_of_calls import DrawnRows, Problems, rows_of_calls
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import read_card
from ttc.evals.store import read_times, read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.pools import Pool, RecordedProblem
from ttc.verifier import make_verifier

__all__ = ["pool_of_run"]

AT_A_TIME = 8
"""Problems that are graded at a time."""


async def pool_of_run(
    directory: Path,
    *,
    n: int | None = None,
    model: str = "",
    suites: Sequence[Suite] = (),
    on_graded: Callable[[int, int], None] | None = None,
) -> Pool:
    """Make the pool of a recording, or of any other run.

    Of an eval it takes whole samples of the queries' own prompts, in the sampling that most were drawn in, without gaps
    in issue order: what a race, a watcher or a budget let through is a selection. Parts of solutions and revisions are
    left out. Several epochs are more samples. Scores are those that traces hold, of strategies that drew nothing else.

    Args:
        directory: of the run.
        n: take so many samples of a problem, the first ones (default: all).
        model: whose samples, of a run that asked several.
        suites: those of the run that cannot be loaded by their name.
        on_graded: called with the problems whose samples are graded, and how many there are.

    Raises:
        RunError: there is no run, it drew no such sample, its suites cannot be loaded, or their data is another now; or
            it asked several models and none of them was named; or two of its suites have problems of one name.
        ConfigurationError: ``n`` below one, or a grader cannot work here.
    """
    if n is not None and n < 1:
        raise ConfigurationError(f"n={n}: take one sample of a problem at the least")
    card = await anyio.to_thread.run_sync(read_card, directory)
    units = await anyio.to_thread.run_sync(read_units, directory)
    if model or len(card.get("models", {})) > 1:
        card = _of_model(directory, card, model)
        units = [unit for unit in units if unit.model in ("", model)]
    _refuse_names_of_two_suites(directory, units)
    problems = await _problems(card, directory, suites)
    drawn = _noted(units)
    if not drawn.rows:
        drawn = await rows_of_calls(directory, card, units, problems)
    drawn.rows = {name: rows[:n] for name, rows in drawn.rows.items() if rows and name in problems}
    if not drawn.rows:
        raise RunError(
            f"run '{directory.name}' holds no whole sample of a problem's own prompt that could be replayed: record "
            "some with 'ttc record'"
        )
    graded = await _graded(drawn.rows, problems, on_graded)
    widths = Counter(len(problem) for problem in graded)
    if len(widths) > 1:
        few = sum(times for width, times in widths.items() if width < max(widths))
        drawn.warnings.append(f"{few} of {len(graded)} problems have fewer than {max(widths)} samples")
    alone = len(card.get("models", {})) < 2  # else its seconds are those of others as well
    times = await anyio.to_thread.run_sync(read_times, directory) if alone else None
    return _pool(
        directory.name, card, graded, cost=_cost(units, times), passing=_passing(card, units), notes=drawn.warnings
    )


def _refuse_names_of_two_suites(directory: Path, units: Sequence[UnitRecord]) -> None:
    """Calls tell their problem by its name alone: of two suites with one name, samples would be graded by the other."""
    homes: dict[str, str] = {}
    for unit in units:
        if (other := homes.setdefault(unit.problem, unit.suite)) != unit.suite:
            raise RunError(
                f"run '{directory.name}' has a problem '{unit.problem}' in suite '{other}' and one in '{unit.suite}', "
                "and a pool tells problems by their names: run these suites apart"
            )


def _passing(card: Mapping[str, Any], units: Sequence[UnitRecord]) -> frozenset[str]:
    """The verifiers of a run that pass or fail."""
    verifier = make_verifier(card["config"]["verifier"])
    passing = {verifier.name} if verifier is not None and getattr(verifier, "pass_fail", False) else set[str]()
    for unit in units:
        passing.update(*(event["pass_fail"] for event in unit.outcome.trace if event["event"] == "recording"))
    return frozenset(passing)


def _pool(
    name: str,
    card: Mapping[str, Any],
    graded: Sequence[RecordedProblem],
    *,
    cost: Mapping[str, float],
    passing: frozenset[str],
    notes: Sequence[str],
) -> Pool:
    config = card["config"]
    answer_tokens = all(p.answer_tokens for p in graded)
    if any(p.answer_tokens for p in graded) and not answer_tokens:
        graded = [replace(p, answer_tokens=()) for p in graded]
    return Pool(
        name=name,
        model=card["model"],
        problems=tuple(graded),
        thinking=_thinking(config["sampling"]),
        price=Price(**card["price"]) if card["price"] else None,
        pass_fail=passing,
        cost=cost,
        info={
            "run": card["run_id"],
            "date": card["started"],
            "suites": [{k: s[k] for k in ("spec", "digest", "problems", "info")} for s in card["suites"]],
            "strategies": config["strategies"],
            "sampling": config["sampling"],
            "seed": config["seed"],
            **({"concurrency": config["concurrency"]} if config.get("concurrency") else {}),
            "server": card["server"],
            "ttc": card["ttc"],
            "warnings": list(notes),
        },
    )


def _of_model(directory: Path, card: dict[str, Any], model: str) -> dict[str, Any]:
    """A run's card as if it had asked one of its models alone, the others aside."""
    models: dict[str, dict[str, Any]] = card.get("models") or {card["model"]: card}
    if model not in models:
        named = f"no model '{model}'" if model else f"{len(models)} models, and a pool is of one"
        raise RunError(f"run '{directory.name}' asked {named}: say which with --model, of {', '.join(models)}")
    return {**card, "model": model, "price": models[model]["price"], "server": models[model]["server"]}


def _cost(units: Sequence[UnitRecord], times: Sequence[tuple[float, float]] | None) -> dict[str, float]:
    """What the run charged: generated tokens by kind of call, prompt tokens, calls; and its seconds, where known."""
    cost: defaultdict[str, float] = defaultdict(float)
    for unit in units:
        outcome = unit.outcome
        for kind, usage in outcome.usage.items():
            cost[kind] += usage.generated
            cost["prompt_tokens"] += usage.prompt_tokens
            cost["cached_tokens"] += usage.cached_tokens
        for kind, usage in outcome.foreign.items():
            cost[kind] += usage.total
        cost["calls"] += sum(outcome.calls.values())
    if times is not None:
        cost["seconds"] = _under_way(times)
    return dict(cost)


def _under_way(times: Sequence[tuple[float, float]]) -> float:
    """How long calls were under way; those that were so at once count once."""
    total, until = 0.0, -inf
    for began, ended in sorted(times):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def _thinking(sampling: Mapping[str, Any]) -> str:
    extra: Mapping[str, Any] = sampling.get("extra") or {}
    template: Mapping[str, Any] = extra.get("chat_template_kwargs") or {}
    if template.get("enable_thinking") is False:
        return "off"
    effort = extra.get("reasoning_effort") or template.get("reasoning_effort")
    return str(effort or sampling.get("thinking_tokens") or "")


async def _problems(
    card: Mapping[str, Any], directory: Path, suites: Sequence[Suite]
) -> dict[str, tuple[Suite, Problem]]:
    """The problems of a run by id, with the suites that grade them.

    Raises:
        RunError: a suite cannot be loaded, or its data has changed, so that verdicts would be of other problems.
    """
    given = {suite.name: suite for suite in suites}
    problems: dict[str, tuple[Suite, Problem]] = {}
    for entry in card["suites"]:
        suite = given.get(entry["spec"])
        try:
            suite = suite or await anyio.to_thread.run_sync(load_suite, entry["spec"])
        except ConfigurationError as error:
            raise RunError(
                f"the suite of run '{directory.name}' cannot be loaded to grade its samples: {error}"
            ) from None
        if suite.digest() != entry["digest"]:
            raise RunError(
                f"suite '{entry['spec']}' of run '{directory.name}' holds other data now: its samples cannot be graded"
            )
        await suite.grader.prepare()
        problems |= {p.query.id: (suite, p) for p in suite.problems}
    return problems


async def _graded(
    rows: Mapping[str, Sequence[SampleRow]], problems: Problems, tell: Callable[[int, int], None] | None
) -> list[RecordedProblem]:
    """Grade problem by problem, several at a time; in the order of the suites."""
    names = [name for name in problems if name in rows]
    found: dict[str, RecordedProblem] = {}
    limiter = anyio.CapacityLimiter(AT_A_TIME)

    async def one(name: str) -> None:
        async with limiter:
            found[name] = await graded_problem(*problems[name], rows[name])
        if tell is not None:
            tell(len(found), len(names))

    try:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(one, name)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [found[name] for name in names]


def _noted(units: Sequence[UnitRecord]) -> DrawnRows:
    """What a recording noted of its samples; nothing for other runs."""
    rows: dict[str, list[SampleRow]] = {}
    empty = 0
    for unit in units:
        found = [row_from_json(event["row"]) for event in unit.outcome.trace if event["event"] == "recorded"]
        rows.setdefault(unit.problem, []).extend(found)
        empty += not found
    if not any(rows.values()):
        return DrawnRows({})
    left_out = f"{empty} problems without a sample were left out: every call of theirs failed"
    return DrawnRows(rows, [left_out] if empty else [])
