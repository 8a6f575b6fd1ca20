"""The samples of an eval, out of its calls: those that are no selection, with the scores that its traces hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from ttc.equality import Deciding, SettledAnswers
from ttc.evals.problem import Problem
from ttc.evals.recorded_calls import call_key
from ttc.evals.recordings.rows import SampleRow, first_forms, row_of
from ttc.evals.records import UnitRecord, request_from_json
from ttc.evals.store import read_calls, read_requests
from ttc.evals.suite import Suite
from ttc.evals.tournaments import events
from ttc.request import Numbered
from ttc.seeds import hashed
from ttc.types import Candidate, Request, Sample

__all__ = ["DrawnRows", "Problems", "rows_of_calls"]

Problems = Mapping[str, tuple[Suite, Problem]]
"""Problems by id, each with the suite that grades it."""


@dataclass(slots=True)
class DrawnRows:
    """Samples of a run.

    Attributes:
        rows: by problem, in issue order.
        warnings: what a reader of the pool should know.
    """

    rows: dict[str, list[SampleRow]]
    warnings: list[str] = field(default_factory=list[str])


async def rows_of_calls(
    directory: Path, card: Mapping[str, Any], units: Sequence[UnitRecord], problems: Problems
) -> DrawnRows:
    """Find the samples of the queries' own prompts among the calls of a run, as its sessions would ask for them again.

    Args:
        directory: the run's.
        card: its card.
        units: what was made of the samples; their traces hold scores.
        problems: with their suites, by id.
    """
    calls = await anyio.to_thread.run_sync(lambda: read_calls(directory, kind="generate"))
    requests = await anyio.to_thread.run_sync(read_requests, directory)
    by_key = {call.key: call.sample for call in calls}
    asked = {c.content: r for c in calls if (r := _own_request(requests[c.content], c.query, problems)) is not None}
    places = {(call.query, call.content) for call in calls if call.content in asked}
    ways: defaultdict[str, dict[str, list[tuple[int, Sample]]]] = defaultdict(dict)
    seed = card["config"]["seed"]
    for query, content in places:
        ways[_sampling(asked[content])][query] = [
            (epoch, sample)
            for epoch in range(card["config"]["epochs"])
            for sample in _in_issue_order(
                card["model"], by_key, asked[content], hashed(seed, "epoch", epoch) if epoch else seed, query
            )
        ]
    sizes = {way: sum(map(len, drawn.values())) for way, drawn in ways.items()}
    if not any(sizes.values()):
        return DrawnRows({})
    most, scores = max(sizes, key=lambda way: (sizes[way], way)), _scores(units)
    rows = {name: await _rows(name, problems[name][1], drawn, scores) for name, drawn in ways[most].items()}
    warnings: list[str] = []
    if early := {unit.problem for unit in units if unit.outcome.ended_by == "stopped_early"}:
        warnings.append(
            f"{len(early)} problems ended early in some strategy: how many samples there are depends on what they say"
        )
    if others := sum(sizes.values()) - sizes[most]:
        warnings.append(f"{others} samples were drawn in other ways, and are left out")
    return DrawnRows(rows, warnings)


def _own_request(raw: Mapping[str, Any], query: str, problems: Problems) -> Request | None:
    """The request behind a call where it asks for whole samples of the query's own prompt."""
    if query not in problems or raw["messages"] != [dict(m) for m in problems[query][1].query.messages]:
        return None
    if raw["n"] != 1 or raw["continue_final"] or raw["choices"] or raw.get("until"):
        return None
    return request_from_json(raw)


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
