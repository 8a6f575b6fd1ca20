"""How far a run is: what a display reads while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import anyio

from ttc.evals.recorded_calls import CallCounts
from ttc.evals.records import UnitRecord
from ttc.evals.units import Unit
from ttc.models.in_flight import InFlight

__all__ = ["RunProgress"]


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
        right: by model and strategy spec, the verdicts so far: of each problem one for every epoch. All are there from
            the start.
        by_model: what each model did, by its name.
        retried: units of an earlier process that failed, and are done again.
        limiters: by model, the permits of its calls.
        waiting: whether a model waits for a server that stopped answering.
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
    right: dict[tuple[str, str], dict[str, list[float]]] = field(
        default_factory=dict[tuple[str, str], dict[str, list[float]]]
    )
    by_model: dict[str, CallCounts] = field(default_factory=dict[str, CallCounts])
    retried: int = 0
    limiters: dict[str, anyio.CapacityLimiter | InFlight] = field(
        default_factory=dict[str, "anyio.CapacityLimiter | InFlight"]
    )
    waiting: Callable[[], bool] = lambda: False
    warnings: list[str] = field(default_factory=list[str])

    @property
    def calls(self) -> CallCounts:
        """What the model did; of several their calls together, and no tokens, since those are never added up."""
        counts = list(self.by_model.values())
        if len(counts) == 1:
            return counts[0]
        together = CallCounts(**{f.name: sum(getattr(c, f.name) for c in counts) for f in fields(CallCounts)})
        together.generated = 0
        return together

    def note(self, unit: Unit, record: UnitRecord) -> None:
        """Count a unit that is done."""
        self.done += 1
        self.failed += record.outcome.ended_by == "all_calls_failed"
        of_problem = self.right.setdefault(unit.curve, {}).setdefault("\x1f".join(unit.place[:2]), [])
        of_problem.append(float(record.correct))
