"""Two runs held against each other, paired on the problems that both have solved.

Tokens are compared where both asked the same model: those of two models count different things. FLOPs and dollars are
compared where both are known. Every difference is of the first run less the second.
"""

from __future__ import annotations

from pathlib import Path

from ttc.errors import ConfigurationError, RunError
from ttc.evals.comparison.compared_runs import ComparedRun, card_differences, read_run
from ttc.evals.comparison.differences import RunComparison
from ttc.evals.comparison.pairing import SHARED_COSTS, Pairing

__all__ = ["compare_runs"]


def compare_runs(
    a: Path, b: Path, *, strategy: str | None = None, against: str | None = None, common_problems: bool = False
) -> RunComparison:
    """Compare two runs on the problems that both have solved, as far as they are done.

    Args:
        a: directory of the first run.
        b: of the second; it may be the same one, where two of its strategies are named.
        strategy: of the first run alone (default: every one that both have).
        against: the second run's strategy that it is held against (default: the same).
        common_problems: runs of different suites are compared on the problems that are the same to the letter.

    Raises:
        RunError: a run is missing, damaged or empty, the runs are of different suites, or share no problem.
        UnknownName: a run has no such strategy.
        ConfigurationError: ``against`` without ``strategy``, or a run against itself.
    """
    if against is not None and strategy is None:
        raise ConfigurationError("--against says what a strategy is held against: name that with --strategy")
    if a.resolve() == b.resolve() and (against is None or against == strategy):
        raise ConfigurationError(
            f"run '{a.name}' is compared with itself: name another run, or two of its strategies: "
            "--strategy A --against B"
        )
    one, other = read_run(a), read_run(b)
    if one.digests.keys() != other.digests.keys():
        if not common_problems:
            raise RunError(_different_suites(one, other))
        one, other = read_run(a, by_content=True), read_run(b, by_content=True)
    common = one.problems & other.problems
    if not common:
        raise RunError(
            f"runs '{a.name}' and '{b.name}' have solved no problem in common: nothing can be paired. "
            f"They drew {len(one.problems)} and {len(other.problems)} problems (--limit, --sample-seed)"
        )
    here = Pairing(one.on(common), other.on(common), strategy, against)
    return RunComparison(
        a=a.name,
        b=b.name,
        problems=len(common),
        only_a=len(one.problems - common),
        only_b=len(other.problems - common),
        differing=tuple(card_differences(one, other)),
        notes=tuple(_notes(one, other, common, here)),
        differences=tuple(here.differences()),
        equal_cost=tuple(here.at_equal_cost()),
        equal_axis=here.axis or "",
        targets=tuple(here.targets()),
    )


def _different_suites(one: ComparedRun, other: ComparedRun) -> str:
    mine, its = one.digests, other.digests
    only = [f"{spec} ({digest})" for digest, spec in mine.items() if digest not in its]
    also = [f"{spec} ({digest})" for digest, spec in its.items() if digest not in mine]
    parts = [f"'{run.name}' alone has {', '.join(found)}" for run, found in ((one, only), (other, also)) if found]
    return (
        f"the runs are of different suites: {'; '.join(parts)}. Accuracies on different problems are not compared; "
        "--common-problems compares those that are the same to the letter"
    )


def _notes(one: ComparedRun, other: ComparedRun, common: frozenset[str], pairing: Pairing) -> list[str]:
    notes: list[str] = []
    for run in (one, other):
        if run.missing:
            notes.append(
                f"run '{run.name}' is not finished: {run.missing:,} queries are missing; what is done is compared"
            )
        if left := len(run.problems - common):
            notes.append(f"{left:,} problems of run '{run.name}' are not in the other, and are left out")
    if not all(same for _, _, same in pairing.pairs):
        shared = " or ".join(SHARED_COSTS)
        notes.append(
            "the runs asked different models: their tokens count different things and are not compared"
            + (f"; cost is compared in {pairing.axis}" if pairing.axis else f", and {shared} are not known of both")
        )
    elif one.card["config"].get("seed") == other.card["config"].get("seed") and one.name != other.name:
        notes.append("the same seed: equal requests drew equal samples, as far as the server repeats itself")
    return notes
