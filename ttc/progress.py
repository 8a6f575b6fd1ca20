"""What has happened to a query so far: shared by a session and its children."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ttc.types import Candidate, Checkpoint, Sample, Usage

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """What has happened to a query so far.

    Attributes:
        drawn: samples consumed, in issue order.
        consumed: usage of everything consumed: the cost of a run that had ended here.
        proposed: the checkpoints with their candidates; the last one is the answer.
        trace: events as plain data.
        succeeded: calls that brought a completion.
        failures: the calls that did not.
    """

    drawn: int = 0
    consumed: Usage = field(default_factory=Usage)
    proposed: list[tuple[Checkpoint, Candidate]] = field(default_factory=list[tuple[Checkpoint, Candidate]])
    trace: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warnings: list[str] = field(default_factory=list[str])
    stopped_early: bool = False
    out_of_budget: bool = False
    succeeded: int = 0
    failures: list[Sample] = field(default_factory=list[Sample])
    issued: Counter[str] = field(default_factory=Counter[str])
    meetings: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
