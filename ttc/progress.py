"""What has happened to a query so far: shared by a session and its children, kept apart by its branches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ttc.types import Candidate, Sample, Tally, Usage

__all__ = ["Progress", "Proposal"]


class Proposal(NamedTuple):
    """A candidate that was the best by then, and what a checkpoint says of it."""

    candidate: Candidate
    samples: int
    prefix: Usage
    realised: Usage
    dollars: float | None


@dataclass(slots=True)
class Progress:
    """What has happened to a query so far, or to one branch of it.

    Attributes:
        drawn: samples consumed, in issue order.
        consumed: usage of everything consumed: the cost of a run that had ended here.
        dollars: what that cost, at the models' prices.
        models: the models of a fleet that were drawn from.
        proposed: the last one is the answer.
        trace: events as plain data.
        succeeded: calls that brought a completion.
        failures: the calls that did not.
        cut: samples that the budget cut.
        issued: requests issued so far, by branch and content; one count for all branches.
        meetings: comparisons so far, by branch and pair; one count for all branches.
        scored: how often a sample was scored as it arrived, by seed and index.
        branches: branches that were not merged yet, in the order in which they were opened.
    """

    drawn: int = 0
    consumed: Tally = field(default_factory=Tally)
    dollars: float = 0.0
    models: set[str] = field(default_factory=set[str])
    proposed: list[Proposal] = field(default_factory=list[Proposal])
    trace: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warnings: list[str] = field(default_factory=list[str])
    stopped_early: bool = False
    out_of_budget: bool = False
    out_of_time: bool = False
    succeeded: int = 0
    failures: list[Sample] = field(default_factory=list[Sample])
    cut: int = 0
    issued: Counter[str] = field(default_factory=Counter[str])
    meetings: Counter[tuple[str | int, ...]] = field(default_factory=Counter[tuple["str | int", ...]])
    scored: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    branches: dict[tuple[str, ...], Progress] = field(default_factory=dict[tuple[str, ...], "Progress"])

    def note(self, event: str, data: dict[str, Any]) -> None:
        """Add an event to the trace, with the tokens consumed by then."""
        self.trace.append({"event": event, "tokens": self.consumed.generated, **data})

    def merge(self, name: tuple[str, ...], event: str, data: dict[str, Any]) -> None:
        """Take in what happened in a branch, as one event with the branch's own events in it.

        Its proposals stay behind: what they are worth is for the strategy that opened it.
        """
        branch = self.branches.pop(name, None)
        if branch is None:
            return
        branch.merge_rest()
        before = self.consumed.generated
        _shift(branch.trace, before)
        self.consumed.add(branch.consumed.usage())
        self.dollars += branch.dollars
        self.models |= branch.models
        self.drawn += branch.drawn
        self.succeeded += branch.succeeded
        self.cut += branch.cut
        self.failures += branch.failures
        self.warnings += [w for w in branch.warnings if w not in self.warnings]
        self.out_of_budget = self.out_of_budget or branch.out_of_budget
        self.out_of_time = self.out_of_time or branch.out_of_time
        self.note(event, {**data, "events": branch.trace})

    def merge_rest(self) -> None:
        """Take in the branches that are still open: what ended the query ended them."""
        for name in list(self.branches):
            self.merge(name, "branch", {"name": " ".join(name), "unfinished": True})


def _shift(trace: list[dict[str, Any]], by: int) -> None:
    for event in trace:
        event["tokens"] += by
        _shift(event.get("events", []), by)
