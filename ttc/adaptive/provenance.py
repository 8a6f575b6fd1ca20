"""Where a policy comes from: what it was tuned on and how, what that cost, and what it showed on other problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from ttc.adaptive.policy_rows import Expected, PolicyPart
from ttc.pools import RecordedProblem
from ttc.seeds import problem_hash, prompt_hash

__all__ = ["Provenance", "SourcePool", "hashes_of"]


class SourcePool(PolicyPart):
    """A pool that a policy was tuned on.

    Attributes:
        name: of the file or the run.
        model: the served name.
        digest: of its samples and verdicts.
        problems: in it.
        thinking: how its samples were drawn.
        info: its own provenance.
    """

    name: str
    model: str
    digest: str
    problems: int = Field(ge=0)
    thinking: str = ""
    info: dict[str, Any] = Field(default_factory=dict)


class Provenance(PolicyPart):
    """Where a policy comes from, and what it showed on problems that had no part in its choice.

    Attributes:
        pools: that it was tuned on.
        problems: of all pools, each once.
        folds: into which they were split.
        seeds: of the folds and the replays.
        aim: what was asked for, e.g. ``budget=2000``.
        search: the space that was searched, by name.
        expected: accuracy and cost of the whole policy, cross-validated.
        against: the fixed strategy that it is held against.
        expected_against: accuracy and cost of that on the same problems.
        calibration: how good the estimator of difficulty was out of fold: ``brier``, ``brier_of_mean``, ``ece``,
            ``ece_noise``, ``rank_correlation``.
        recording: what recording cost, in tokens by kind of call and in seconds.
        tuning: what tuning cost, the same way.
        earned_back: queries after which recording is earned back; None where it never is, or is not known.
        warnings: what is doubtful, e.g. classes with too few problems.
    """

    pools: tuple[SourcePool, ...] = ()
    problems: int = Field(default=0, ge=0)
    folds: int = Field(default=0, ge=0)
    seeds: tuple[int, ...] = ()
    aim: str = ""
    search: dict[str, Any] = Field(default_factory=dict)
    expected: Expected | None = None
    against: str = ""
    expected_against: Expected | None = None
    calibration: dict[str, float] = Field(default_factory=dict)
    recording: dict[str, float] = Field(default_factory=dict)
    tuning: dict[str, float] = Field(default_factory=dict)
    earned_back: float | None = Field(default=None, ge=0)
    warnings: tuple[str, ...] = ()


def hashes_of(problems: Iterable[RecordedProblem]) -> frozenset[str]:
    """Hash what names each problem: its id, its group where several records are of the same one, and what it asks."""
    found = list(problems)
    names = {problem_hash(name) for p in found for name in (p.id, p.group)}
    return frozenset(names | {prompt_hash(p.prompt) for p in found if p.prompt.strip()})
