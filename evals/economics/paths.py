"""Replayed paths as arrays, and what they come to per problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ttc.errors import ConfigurationError
from ttc.evals.economics.curves import CostCurve, Floats

__all__ = ["Measured", "Paths", "PolicyResult", "fixed_curve", "measure"]


class Replayed(Protocol):
    """What :class:`ttc.adaptive.trajectories.Trajectories` is, as far as it is read here."""

    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> Any: ...
    @property
    def problem(self) -> NDArray[np.int64]: ...
    @property
    def right(self) -> Floats: ...
    @property
    def cost(self) -> Floats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """One strategy on recorded problems, each in several orders of its samples.

    Attributes:
        right: the verdict on the answer that stands after 1 to K samples, soft or not; shape (paths, K).
        cost: what was paid by then; shape (paths, K).
        problem: of each path the index of its problem; shape (paths,).
        groups: of each problem what is held out and resampled together; shape (problems,).
        unit: of the cost.
        settings: what each column is called: ``1`` to ``K``, if nothing else. The last one is full N.
    """

    right: Floats
    cost: Floats
    problem: NDArray[np.int64]
    groups: tuple[str, ...]
    unit: str
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.right.ndim != 2 or self.right.shape != self.cost.shape or len(self.problem) != len(self.right):
            raise ConfigurationError(
                f"paths need verdicts and costs of one shape, (paths, samples), and a problem each: got "
                f"{self.right.shape}, {self.cost.shape} and {len(self.problem)} problems"
            )
        if not self.settings:
            object.__setattr__(self, "settings", tuple(str(n + 1) for n in range(self.right.shape[1])))
        if len(self.settings) != self.right.shape[1]:
            raise ConfigurationError(f"{self.right.shape[1]} settings were replayed, {len(self.settings)} are named")

    @classmethod
    def of(cls, trajectories: Replayed) -> Paths:
        """Take the arrays of a replay."""
        t = trajectories
        return cls(right=t.right, cost=t.cost, problem=t.problem, groups=t.groups, unit=str(t.unit))

    def beside(self, other: Paths, *, names: tuple[str, str]) -> Paths:
        """Return settings of two models, or of two strategies, on the same paths side by side; those of ``other`` last.

        Args:
            other: on the same problems in as many orders.
            names: that set the settings of both apart.

        Raises:
            ConfigurationError: other problems, or costs in another unit.
        """
        if self.unit != other.unit:
            raise ConfigurationError(f"costs in {self.unit} and in {other.unit} are not compared")
        if self.groups != other.groups or not np.array_equal(self.problem, other.problem):
            raise ConfigurationError("strategies are set side by side on the same problems, in as many orders")
        return Paths(
            right=np.hstack([self.right, other.right]),
            cost=np.hstack([self.cost, other.cost]),
            problem=self.problem,
            groups=self.groups,
            unit=self.unit,
            settings=tuple(f"{name} {s}" for name, p in zip(names, (self, other), strict=True) for s in p.settings),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """What a policy answered and paid on each of its paths. They need not be those of the fixed curve.

    Attributes:
        right: the verdict on its answer; shape (paths,), or (paths, settings) of a policy at several going rates.
        cost: what it paid, probes and what was in flight included; of the same shape.
        problem: of each path the index of its problem; shape (paths,).
        name: what it is called.
        settings: what each setting is called.
    """

    right: Floats
    cost: Floats
    problem: NDArray[np.int64]
    name: str = "adaptive"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Verdicts and costs by problem, averaged over its orders, at each of some settings.

    Attributes:
        settings: what each column is called.
        right: shape (problems, settings).
        cost: shape (problems, settings).
        groups: of each problem; shape (problems,).
        unit: of the cost.
    """

    settings: tuple[str, ...]
    right: Floats
    cost: Floats
    groups: tuple[str, ...]
    unit: str

    def curve(self, weights: Floats | None = None) -> CostCurve:
        """Average over problems: all alike, or as often as each was drawn (weights of shape (problems,))."""
        return CostCurve(
            self.settings,
            np.average(self.cost, axis=0, weights=weights),
            np.average(self.right, axis=0, weights=weights),
            self.unit,
        )

    def scores(self, setting: str) -> dict[str, list[float]]:
        """Return the verdicts at a setting by group, one for each problem of it: what paired tests read."""
        if setting not in self.settings:
            raise ConfigurationError(f"nothing was measured at '{setting}': {', '.join(self.settings)}")
        found: dict[str, list[float]] = {}
        for group, value in zip(self.groups, self.right[:, self.settings.index(setting)].tolist(), strict=True):
            found.setdefault(group, []).append(value)
        return found


def measure(
    right: Floats,
    cost: Floats,
    *,
    problem: NDArray[np.int64],
    groups: Sequence[str],
    settings: Sequence[str],
    unit: str,
) -> Measured:
    """Average paths over the orders of each problem.

    Args:
        right: shape (paths, settings).
        cost: shape (paths, settings).
        problem: of each path the index of its problem.
        groups: of each problem.
        settings: what each column is called.
        unit: of the cost.

    Raises:
        ConfigurationError: a problem without a path, whose accuracy nobody knows.
    """
    paths = np.bincount(problem, minlength=len(groups))
    if len(paths) > len(groups) or not paths.all():
        missing = int((paths == 0).sum())
        raise ConfigurationError(f"{missing} of {len(groups)} problems have no path, or a path names none of them")
    summed = [np.zeros((len(groups), right.shape[1])) for _ in range(2)]
    for total, values in zip(summed, (right, cost), strict=True):
        np.add.at(total, problem, values)
    return Measured(
        settings=tuple(settings),
        right=summed[0] / paths[:, None],
        cost=summed[1] / paths[:, None],
        groups=tuple(groups),
        unit=unit,
    )


def fixed_curve(paths: Paths) -> Measured:
    """Return accuracy and realised cost at each fixed N = 1 to K, by problem."""
    return measure(
        paths.right, paths.cost, problem=paths.problem, groups=paths.groups, settings=paths.settings, unit=paths.unit
    )
