"""What tournaments live by: how often a comparison picks the right one of a right and a wrong candidate.

The estimate of q comes after grading: the candidates that met are graded, and each comparison of a right and a wrong
one counts. Intervals are clustered on problems. A knockout beats voting only where q is above 1/2 (Chen et al. 2024,
arXiv 2411.19477), so q is shown beside every tournament, and plans are made on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, cast

from ttc.errors import ConfigurationError, RunError
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.run_directory import STORE, find_run
from ttc.evals.store import read_units
from ttc.evals.summary import Judging
from ttc.statistics import mean
from ttc.strategies.plan import MeasuredPlan, Terms, plan_from_counts, spread

__all__ = ["answers_that_met", "events", "judge_meetings", "judging_of", "plan_from", "problem_key"]

Event = Mapping[str, Any]

_HOW = "run a knockout first, e.g. 'ttc eval {suite} -s single -s knockout:n=8,k=2'"


def events(trace: Iterable[Event], name: str) -> Iterator[Event]:
    """Yield the events of a name, in the order of the trace; events may hold others under ``events``."""
    for event in trace:
        if event.get("event") == name:
            yield event
        yield from events(event.get("events", ()), name)


def judge_meetings(trace: Sequence[Event], right: Callable[[str | None], bool]) -> Meetings | None:
    """Count how the comparisons of an outcome went.

    Args:
        trace: the outcome's.
        right: the grader's verdict on an answer. It is asked only where there was a tournament.

    Returns:
        The counts, all zero but the samples where all candidates agreed, so that none had to meet; None where there was
        no tournament, or one of a version that did not note who met.
    """
    met, ends = _met(trace), list(events(trace, "tournament"))
    if not met and not ends:
        return None
    decisive, right_points, first_points = 0, 0.0, 0.0
    for event in met:
        won = float(event["won"])
        first_points += won if event["first"] == "a" else 1 - won
        a, b = (right(answer) for answer in event["answers"])
        if a != b:
            decisive += 1
            right_points += won if a else 1 - won
    drawn = [right(answer) for answer in _drawn(trace)]
    return Meetings(
        compared=len(met),
        decisive=decisive,
        right_points=right_points,
        first_points=first_points,
        swap_pairs=sum(int(end["swap_pairs"]) for end in ends),
        swap_consistent=sum(int(end["swap_consistent"]) for end in ends),
        samples=len(drawn),
        samples_right=sum(drawn),
    )


def answers_that_met(trace: Sequence[Event]) -> list[str | None]:
    """The answers whose verdicts :func:`judge_meetings` asks for: none where there was no tournament."""
    met = _met(trace)
    if not met and not any(True for _ in events(trace, "tournament")):
        return []
    return [*(answer for event in met for answer in event["answers"]), *_drawn(trace)]


def _met(trace: Sequence[Event]) -> list[Event]:
    return [event for event in events(trace, "compare") if "answers" in event]


def _drawn(trace: Sequence[Event]) -> list[str | None]:
    return [event["answer"] for event in events(trace, "sample") if event.get("kind") in ("generate", "probe")]


def judging_of(units: Iterable[UnitRecord]) -> Iterator[Judging]:
    """Sum up by model and configuration how well comparisons told right from wrong."""
    by_configuration: dict[tuple[str, str, int | None, str], list[UnitRecord]] = {}
    for unit in units:
        if unit.meetings is not None:
            by_configuration.setdefault((unit.model, unit.strategy, unit.setting, unit.spec), []).append(unit)
    for key in sorted(by_configuration, key=lambda key: (key[0], key[1], key[2] or 0, key[3])):
        model, strategy, setting, spec = key
        its = by_configuration[key]
        all_met = [u.meetings for u in its if u.meetings is not None]
        scores = {problem: spread(*counts) for problem, counts in comparisons_of(its).items()}
        q = mean(scores) if scores else None
        pairs, compared = sum(m.swap_pairs for m in all_met), sum(m.compared for m in all_met)
        yield Judging(
            model=model,
            strategy=strategy,
            spec=spec,
            setting="" if setting is None else f"n={setting}",
            comparisons=sum(m.decisive for m in all_met),
            problems=len(scores),
            q=q.value if q else None,
            low=q.low if q else 0.0,
            high=q.high if q else 1.0,
            swap_consistency=sum(m.swap_consistent for m in all_met) / pairs if pairs else None,
            first_slot=sum(m.first_points for m in all_met) / compared if compared else None,
        )


def comparisons_of(units: Iterable[UnitRecord]) -> dict[str, tuple[float, int]]:
    """Return by problem what the right candidates won of how many comparisons with wrong ones."""
    counts: dict[str, tuple[float, int]] = {}
    for unit in units:
        if unit.meetings is not None and unit.meetings.decisive:
            points, n = counts.get(problem_key(unit), (0.0, 0))
            counts[problem_key(unit)] = (points + unit.meetings.right_points, n + unit.meetings.decisive)
    return counts


def problem_key(unit: UnitRecord) -> str:
    """Name a problem across suites."""
    return f"{unit.suite}\x1f{unit.problem}"


def plan_from(
    source: str | Path | Mapping[str, Sequence[bool]],
    *,
    failure: float,
    comparisons: Mapping[str, Sequence[float]] | None = None,
    runs: Path = Path("runs"),
    **terms: Unpack[Terms],
) -> MeasuredPlan:
    """Estimate p and q of what was measured, with intervals, and plan the cheapest tournament that fails so seldom.

    Of a run every comparison counts, whatever tournament made it. Its samples are those of its tournaments, each once:
    strategies of a run share them.

    Args:
        source: a run's directory or its name, or by problem which of its samples were right.
        failure: how often the tournament may fail.
        comparisons: by problem, what the right candidate won of each comparison with a wrong one (1, 0 or 1/2); goes
            with a mapping and not with a run, which has its own.
        runs: where runs are looked for by name.
        terms: as in :func:`ttc.plan`.

    Raises:
        ConfigurationError: there are no comparisons to estimate q from, or a term is out of its range.
        RunError: there is no such run.
    """
    if isinstance(source, Mapping):
        if not comparisons:
            raise ConfigurationError(
                "a pool of samples alone says nothing of q: pass comparisons={problem: [1, 0, ...]}, "
                "or take ttc.plan(p_gen=, q=, failure=)"
            )
        samples = {name: (float(sum(flags)), len(flags)) for name, flags in source.items()}
        met = {name: (float(sum(points)), len(points)) for name, points in comparisons.items()}
        return plan_from_counts(samples, met, failure=failure, **terms)
    if comparisons is not None:
        raise ConfigurationError("comparisons= goes with a mapping of samples: a run has its own")
    named = isinstance(source, str) and not (Path(source) / STORE).is_file()
    directory = find_run(runs, str(source)) if named else Path(source)
    return plan_from_counts(*_counts(directory), failure=failure, **terms)


def _counts(directory: Path) -> tuple[dict[str, tuple[float, int]], dict[str, tuple[float, int]]]:
    """Read a run's samples and comparisons, by problem.

    Raises:
        RunError: there is no run.
        ConfigurationError: it holds no comparison of a right and a wrong candidate.
    """
    units = read_units(directory)
    if not units:
        raise RunError(f"no query of the run in {directory} is done yet")
    played = [u for u in units if u.meetings is not None]
    met, how = comparisons_of(played), _HOW.format(suite=units[0].suite)
    if not played:
        old = any(True for u in units for _ in events(u.outcome.trace, "compare"))
        why = "was made before comparisons were graded" if old else "holds no comparisons"
        raise ConfigurationError(f"run '{directory.name}' {why}: {how}")
    if not met:
        raise ConfigurationError(
            f"in run '{directory.name}' no right candidate met a wrong one, so it says nothing of q: "
            "take more problems or samples, or problems that are right some of the time"
        )
    largest: dict[tuple[str, int], Meetings] = {}
    for unit in played:
        place, mine = (problem_key(unit), unit.epoch), cast(Meetings, unit.meetings)
        if place not in largest or mine.samples > largest[place].samples:
            largest[place] = mine
    samples: dict[str, tuple[float, int]] = {}
    for (name, _), mine in largest.items():
        right, n = samples.get(name, (0.0, 0))
        samples[name] = (right + mine.samples_right, n + mine.samples)
    return samples, met
