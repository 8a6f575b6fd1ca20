"""What all estimators of difficulty have in common, and the recorded samples that they are fitted on."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from ttc.adaptive.beliefs import Belief, Bins, BinsBy, Difficulty
from ttc.adaptive.classes import AnyClasses, QueryClasses
from ttc.errors import ConfigurationError
from ttc.pools import Pool, RecordedProblem, Unit
from ttc.seeds import hashed, problem_hash
from ttc.types import Candidate, Query

__all__ = [
    "FEWEST",
    "Estimator",
    "Split",
    "TrainedOn",
    "bins_of",
    "known_classes",
    "marks",
    "splits",
    "trained_on",
]

FEWEST = 5
"""Problems; of fewer nothing can be learned about others."""


class TrainedOn(BaseModel):
    """What an estimator was fitted on.

    Attributes:
        pool: its name.
        digest: of its samples and verdicts.
        model: who answered.
        unit: what lengths are counted in.
        problems: hashes of the ids of the problems, and of their groups.
        samples: with a verdict.
        seed: drew subsets and folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: str
    digest: str
    model: str
    unit: Unit
    problems: frozenset[str]
    samples: int
    seed: int

    @pydantic.field_serializer("problems")
    def _in_order(self, problems: frozenset[str]) -> list[str]:
        return sorted(problems)


class Estimator(BaseModel, ABC):
    """Estimates P(one sample is correct) of a query. Frozen data, which goes into JSON and back.

    Attributes:
        live: whether it can be used where the answer is not known.
        classes: query classes, where it uses them.
        bins: bounds of the bins that it reports.
        trained_on: the pool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    live: ClassVar[bool] = True

    classes: AnyClasses | None = Field(default=None, description="query classes that it looks at")
    bins: Bins = Field(default=Bins(), description="bounds of the bins that it reports")
    trained_on: TrainedOn

    @property
    @abstractmethod
    def by(self) -> str:
        """The kind: ``prompt``, ``probe``, ``verifier`` or ``oracle``."""

    @property
    def probe(self) -> int:
        """Samples that it wants drawn first; 0: it needs none. They are charged like all others, and handed on."""
        return 0

    @property
    def verifier(self) -> str:
        """The verifier by which drawn samples have to be scored; empty: none."""
        return ""

    @abstractmethod
    def belief(self, query: Query, drawn: Sequence[Candidate] = ()) -> Belief:
        """Return what it believes of P(one sample is correct). Never looks at more than the first ``probe`` samples."""

    def estimate(self, query: Query, drawn: Sequence[Candidate] = ()) -> Difficulty:
        """Estimate a query's difficulty.

        Args:
            query: what is asked.
            drawn: its samples so far, in issue order; failed calls are left out.
        """
        belief = self.belief(query, drawn)
        low, high = belief.interval()
        seen = [c for c in drawn if c.sample.ok][: self.probe]
        return Difficulty(
            p=belief.mean,
            low=low,
            high=high,
            bin=self.bins.of(belief.mean),
            by=self.by,
            bins=self.bins.by,
            concentration=belief.concentration,
            samples=len(seen),
            generated=sum(c.sample.usage.generated for c in seen),
        )

    def was_trained_on(self, query: Query) -> bool:
        """Whether it knows the query from its pool: what it says of such a query is no evidence of how good it is."""
        return problem_hash(query.id) in self.trained_on.problems

    def to_json(self, *, analysis: bool = False) -> str:
        """Return it as JSON, which :func:`~ttc.adaptive.difficulty.read_estimator` reads.

        Args:
            analysis: permits one that cannot be used live.

        Raises:
            ConfigurationError: it cannot be used live, or holds a function, which is no data.
        """
        if not self.live and not analysis:
            raise ConfigurationError(
                f"estimator '{self.by}' knows verdicts of recorded samples, and cannot stand in a policy that is used "
                "live: fit 'prompt', 'probe' or 'verifier' for that; for analysis: to_json(analysis=True)"
            )
        return self.model_dump_json()


@dataclass(frozen=True, slots=True)
class Split:
    """Samples of one problem that are looked at, and verdicts on others of it.

    Attributes:
        problem: whose they are.
        seen: indices of the samples that are looked at.
        right: the sum of the verdicts on the others.
        total: how many of those have a verdict.
        weight: 1 over the number of splits of the problem: a problem counts once.
    """

    problem: RecordedProblem
    seen: tuple[int, ...]
    right: float
    total: int
    weight: float

    @property
    def squares(self) -> float:
        """The sum of the squared verdicts, which is that of the verdicts where each is 0 or 1."""
        return sum(r * r for i, r in enumerate(self.problem.right) if r is not None and i not in self.seen)


def splits(pool: Pool, size: int, *, most: int, seed: int) -> list[Split]:
    """Draw seeded subsets of each problem's samples, each with the verdicts on the samples outside of it.

    Args:
        pool: recorded samples; those without a verdict may be looked at and say nothing.
        size: samples of a subset; 0: none is looked at, and there is one split a problem.
        most: subsets of a problem.
        seed: draws them; problems that were recorded alike do not depend on each other.

    Raises:
        ConfigurationError: no problem has a verdict outside of so many samples.
    """
    found = [s for problem in pool.problems for s in _splits(problem, size, most, seed)]
    if not found:
        most_known = max(sum(r is not None for r in p.right) for p in pool.problems)
        if most_known <= 1 or not size:
            raise ConfigurationError(
                f"pool '{pool.name}': no sample has a verdict to learn from: import it with a column of verdicts"
                if not most_known
                else f"pool '{pool.name}' has one sample with a verdict a problem: a probe takes two at the least"
            )
        raise ConfigurationError(
            f"a probe of {size} leaves no verdict to learn from: pool '{pool.name}' has {most_known} samples with a "
            f"verdict a problem at the most; a probe of {most_known - 1} would do"
        )
    return found


def _splits(problem: RecordedProblem, size: int, most: int, seed: int) -> Iterator[Split]:
    rng = random.Random(hashed(seed, "split", problem.id, size))
    drawn: list[tuple[int, ...]] = []
    for _ in range(most if size else 1):
        if len(problem) < size:
            return
        seen = tuple(sorted(rng.sample(range(len(problem)), size)))
        if seen not in drawn and any(r is not None for i, r in enumerate(problem.right) if i not in seen):
            drawn.append(seen)
    for seen in drawn:
        others = [r for i, r in enumerate(problem.right) if r is not None and i not in seen]
        yield Split(problem, seen, sum(others), len(others), 1 / len(drawn))


def trained_on(pool: Pool, seed: int) -> TrainedOn:
    """Describe what an estimator is fitted on.

    Raises:
        ConfigurationError: too few problems.
    """
    groups = {p.group for p in pool.problems}
    if len(groups) < FEWEST:
        raise ConfigurationError(
            f"pool '{pool.name}' has {len(groups)} problem{'s' if len(groups) > 1 else ''}: an estimator is fitted on "
            f"{FEWEST} at the least"
        )
    return TrainedOn(
        pool=pool.name,
        digest=pool.digest(),
        model=pool.model,
        unit=pool.unit,
        problems=frozenset(problem_hash(name) for p in pool.problems for name in (p.id, p.group)),
        samples=sum(r is not None for p in pool.problems for r in p.right),
        seed=seed,
    )


def known_classes(classes: QueryClasses | None, pool: Pool) -> tuple[str, ...]:
    """Return the query classes of three problems or more: those that can have a level of their own."""
    groups: dict[str, set[str]] = {}
    for problem in pool.problems if classes else ():
        if classes and (found := classes.look_up(problem.query())).known:
            groups.setdefault(found.name, set()).add(problem.group)
    return tuple(sorted(name for name, members in groups.items() if len(members) >= 3))


def marks(classes: QueryClasses | None, known: Sequence[str], query: Query) -> dict[str, float | None]:
    """Return an indicator of each known query class; all are 0 for a query of none."""
    name = classes.of(query) if classes and known else ""
    return {f"class {one}": float(one == name) for one in known}


def bins_of(by: BinsBy, predictions: Sequence[float]) -> Bins:
    """Return bins of the kind that is asked for."""
    return Bins.quantiles(predictions) if by == "quantile" else Bins()
