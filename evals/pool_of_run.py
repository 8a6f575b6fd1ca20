"""The pool of a run: what it drew, graded anew. A pure function of its store, its card and its suites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ttc.budget import Price
from ttc.equality import Deciding, SettledAnswers
from ttc.errors import ConfigurationError, RunError
from ttc.evals.recorded_calls import call_key
from ttc.evals.recorded_rows import SampleRow, first_forms, graded_problem, row_from_json, row_of
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import read_card
from ttc.evals.store import read_calls, read_requests, read_units
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.tournaments import events
from ttc.pools import Pool, RecordedProblem
from ttc.request import Numbered
from ttc.seeds import hashed
from ttc.types import Candidate, ForcedAnswer, Request, Sample
from ttc.verifier import make_verifier

__all__ = ["pool_of_run"]

AT_A_TIME = 8
"""Problems that are graded at a time."""

Problems = Mapping[str, tuple[Suite, Problem]]


@dataclass(slots=True)
class _Drawn:
    """Rows by problem, with what a reader of the pool should know."""

    rows: dict[str, list[SampleRow]]
    warnings: list[str] = field(default_factory=list[str])


async def pool_of_run(
    directory: Path,
    *,
    n: int | None = None,
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
        suites: those of the run that cannot be loaded by their name.
        on_graded: called with the problems whose samples are graded, and how many there are.

    Raises:
        RunError: there is no run, it drew no such sample, its suites cannot be loaded, or their data is another now.
        ConfigurationError: ``n`` below one, or a grader cannot work here.
    """
    if n is not None and n < 1:
        raise ConfigurationError(f"n={n}: take one sample of a problem at the least")
    card = await anyio.to_thread.run_sync(read_card, directory)
    units = await anyio.to_thread.run_sync(read_units, directory)
    problems = await _problems(card, directory, suites)
    drawn = _noted(units)
    if not drawn.rows:
        drawn = await _of_calls(directory, card, units, problems)
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
    return _pool(directory.name, card, units, graded, drawn.warnings)


def _pool(
    name: str, card: Mapping[str, Any], units: Sequence[UnitRecord], graded: Sequence[RecordedProblem], notes: list[str]
) -> Pool:
    config = card["config"]
    verifier = make_verifier(config["verifier"])
    passing = {verifier.name} if verifier is not None and getattr(verifier, "pass_fail", False) else set[str]()
    for unit in units:
        passing.update(*(event["pass_fail"] for event in unit.outcome.trace if event["event"] == "recording"))
    answer_tokens = all(p.answer_tokens for p in graded)
    if any(p.answer_tokens for p in graded) and not answer_tokens:
        graded = [replace(p, answer_tokens=()) for p in graded]
    return Pool(
        name=name,
        model=card["model"],
        problems=tuple(graded),
        thinking=_thinking(config["sampling"]),
        price=Price(**card["price"]) if card["price"] else None,
        pass_fail=frozenset(passing),
        cost=_cost(units),
        info={
            "run": card["run_id"],
            "date": card["started"],
            "suites": [{k: s[k] for k in ("spec", "digest", "problems", "info")} for s in card["suites"]],
            "strategies": config["strategies"],
            "sampling": config["sampling"],
            "seed": config["seed"],
            "server": card["server"],
            "ttc": card["ttc"],
            "warnings": notes,
        },
    )


def _cost(units: Sequence[UnitRecord]) -> dict[str, float]:
    """What the run charged: generated tokens by kind of call, prompt tokens, calls, and seconds of its queries."""
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
        cost["seconds"] += outcome.seconds
    return dict(cost)


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


def _noted(units: Sequence[UnitRecord]) -> _Drawn:
    """What a recording noted of its samples; nothing for other runs."""
    rows: dict[str, list[SampleRow]] = {}
    empty = 0
    for unit in units:
        found = [row_from_json(event["row"]) for event in unit.outcome.trace if event["event"] == "recorded"]
        rows.setdefault(unit.problem, []).extend(found)
        empty += not found
    if not any(rows.values()):
        return _Drawn({})
    left_out = f"{empty} problems without a sample were left out: every call of theirs failed"
    return _Drawn(rows, [left_out] if empty else [])


# -- of an eval -------------------------------------------------------------------------------------------------------


async def _of_calls(
    directory: Path, card: Mapping[str, Any], units: Sequence[UnitRecord], problems: Problems
) -> _Drawn:
    """Find the samples of the queries' own prompts among the calls of a run."""
    calls = await anyio.to_thread.run_sync(lambda: read_calls(directory, kind="generate"))
    requests = await anyio.to_thread.run_sync(read_requests, directory)
    by_key = {call.key: call.sample for call in calls}
    asked = {c.content: r for c in calls if (r := _own_request(requests[c.content], c.query, problems)) is not None}
    times = Counter(_sampling(asked[call.content]) for call in calls if call.content in asked)
    if not times:
        return _Drawn({})
    most = max(times, key=lambda sampling: times[sampling])
    contents: dict[str, str] = {}
    for call in calls:
        if call.content in asked and _sampling(asked[call.content]) == most:
            contents.setdefault(call.query, call.content)
    scores = _scores(units)
    seed, rows = card["config"]["seed"], dict[str, list[SampleRow]]()
    for name, content in contents.items():
        drawn: list[tuple[int, Sample]] = []
        for epoch in range(card["config"]["epochs"]):
            of_epoch = hashed(seed, "epoch", epoch) if epoch else seed
            found = _in_issue_order(card["model"], by_key, asked[content], of_epoch, name)
            drawn += [(epoch, sample) for sample in found]
        rows[name] = await _rows(name, problems[name][1], drawn, scores)
    warnings = [
        f"{len(problems_short)} problems ended early in some strategy: how many samples there are depends on what they "
        "say"
        for problems_short in [{u.problem for u in units if u.outcome.ended_by == "stopped_early"}]
        if problems_short
    ]
    if len(times) > 1:
        warnings.append(f"{sum(times.values()) - times[most]} samples were drawn in other ways, and are left out")
    return _Drawn(rows, warnings)


def _own_request(raw: Mapping[str, Any], query: str, problems: Problems) -> Request | None:
    """The request behind a call where it asks for whole samples of the query's own prompt."""
    if query not in problems or raw["messages"] != [dict(m) for m in problems[query][1].query.messages]:
        return None
    if raw["n"] != 1 or raw["continue_final"] or raw["choices"] or raw.get("until"):
        return None
    force = raw["force"]
    return Request(
        messages=tuple(raw["messages"]),
        max_tokens=raw["max_tokens"],
        temperature=raw["temperature"],
        top_p=raw["top_p"],
        thinking_tokens=raw["thinking_tokens"],
        force=ForcedAnswer(force["cue"], force["max_tokens"], lambda _: False) if force else None,
        extra=raw["extra"],
    )


def _sampling(request: Request) -> str:
    """What a request asks for, whatever its prompt and its answer type."""
    force = request.force
    return replace(request, messages=(), force=replace(force, cue="") if force else None).content()


def _in_issue_order(
    model: str, by_key: Mapping[str, Sample], request: Request, seed: int, query: str
) -> Iterator[Sample]:
    """The samples of a query from the first one on, up to the first that is not there whole.

    Calls that ran in a race or under a watch have other keys.
    """
    root = Numbered.root(seed, query, request.content())
    for i in range(len(by_key)):
        (numbered,) = Numbered(request, root, range(i, i + 1))
        sample = by_key.get(call_key(model, numbered))
        if sample is None:
            return
        yield sample


async def _rows(
    name: str,
    problem: Problem,
    drawn: Sequence[tuple[int, Sample]],
    scores: Mapping[tuple[str, int, int, int], Mapping[str, float]],
) -> list[SampleRow]:
    kind = problem.query.answer_type
    settled = SettledAnswers(kind) if isinstance(kind, Deciding) else None
    read = [Candidate(kind.extract(sample.text), sample) for _, sample in drawn]
    answers = [c.answer if c.answer is not None and kind.key(c.answer) else None for c in read]
    if settled is not None:
        for answer in answers:
            if answer is not None:
                await settled.settle(answer)
    forms = first_forms(settled or kind, answers)
    rows: list[SampleRow] = []
    for (epoch, sample), answer in zip(drawn, answers, strict=True):
        found = scores.get((name, epoch, sample.index, sample.usage.generated), {})
        rows.append(row_of(sample, None if answer is None else forms[answer], scores=found))
    return rows


def _scores(units: Sequence[UnitRecord]) -> dict[tuple[str, int, int, int], dict[str, float]]:
    """Scores by problem, epoch, position and length, of the samples that stand for themselves in their unit.

    Where a position comes twice, or other kinds of samples were drawn beside, a score may be another's.
    """
    scores: defaultdict[tuple[str, int, int, int], dict[str, float]] = defaultdict(dict)
    for unit in units:
        samples = list(events(unit.outcome.trace, "sample"))
        lengths = {event["index"]: event["generated"] for event in samples}
        if len(lengths) < len(samples) or any(event["kind"] != "generate" for event in samples):
            continue
        for event in events(unit.outcome.trace, "score"):
            if "by" in event and event["index"] in lengths:
                place = (unit.problem, unit.epoch, event["index"], lengths[event["index"]])
                scores[place].setdefault(event["by"], event["score"])
    return scores
