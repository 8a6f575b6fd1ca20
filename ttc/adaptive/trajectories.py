"""What a strategy would have answered, and paid, after each of its samples: recorded samples replayed through it.

The strategy itself runs, on a model that hands on what was recorded; no second implementation of it is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.evidence import EVIDENCE, Evidence, log_odds
from ttc.adaptive.recorded_scores import RecordedScores
from ttc.errors import ConfigurationError
from ttc.pools import Pool, Unit, replay_model
from ttc.session import Session
from ttc.solve import solve
from ttc.strategy import Strategy, make_strategy
from ttc.types import Candidate, Outcome, Query

__all__ = ["Floats", "Trajectories", "replay"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """One strategy on the problems of a pool, each in several orders of its samples. A path is one (problem, order).

    Attributes:
        spec: the strategy's.
        model: who answered.
        thinking: how samples were drawn.
        unit: what costs are counted in.
        problems: ids.
        groups: of each problem: those of one group are held out together.
        problem: of each path its index in ``problems``; shape (paths,).
        order: of each path the number of its order; shape (paths,).
        drawn: the index in the pool of each sample; -1 behind the end of a strategy that drew no more; shape
            (paths, samples).
        features: after each sample, see :data:`~ttc.adaptive.evidence.EVIDENCE`; shape (paths, samples, features).
        right: the verdict on the answer that stands then; shape (paths, samples).
        cost: thinking tokens (or what else is the unit) by then; shape (paths, samples).
        dollars: by then, at the pool's price; None without one.
        seconds: that each sample took by itself; None where that was not recorded; shape (paths, samples).
    """

    spec: str
    model: str
    thinking: str
    unit: Unit
    problems: tuple[str, ...]
    groups: tuple[str, ...]
    problem: NDArray[np.int64]
    order: NDArray[np.int64]
    drawn: NDArray[np.int64]
    features: Floats
    right: Floats
    cost: Floats
    dollars: Floats | None = None
    seconds: Floats | None = None

    @property
    def width(self) -> int:
        """Samples of a path."""
        return self.right.shape[1]

    def with_prior(self, p: Floats) -> Trajectories:
        """The same with an estimate of P(one sample is correct) made before the first sample, one for each path."""
        features = self.features.copy()
        features[:, :, EVIDENCE.index("prior")] = log_odds(p)[:, None]
        return replace(self, features=features)

    def of(self, kept: NDArray[np.bool_]) -> Trajectories:
        """The same with these paths alone."""
        return replace(
            self,
            problem=self.problem[kept],
            order=self.order[kept],
            drawn=self.drawn[kept],
            features=self.features[kept],
            right=self.right[kept],
            cost=self.cost[kept],
            dollars=None if self.dollars is None else self.dollars[kept],
            seconds=None if self.seconds is None else self.seconds[kept],
        )

    def by_problem(self, values: Floats) -> Floats:
        """Average a value of each path over the paths of each problem that has any; shape (problems there, ...)."""
        there, place = np.unique(self.problem, return_inverse=True)
        sums = np.zeros((len(there), *values.shape[1:]))
        np.add.at(sums, place, values)
        return sums / np.bincount(place).reshape(-1, *[1] * (values.ndim - 1))


class _Watched:
    """A pace that slows nobody down: it keeps the samples that a strategy consumed."""

    def __init__(self) -> None:
        self.drawn: Sequence[Candidate] = ()

    async def next_wave(self, session: Session, drawn: Sequence[Candidate], left: int) -> int:
        self.drawn = drawn  # the draw's own list: it goes on growing
        return left


async def replay(
    pool: Pool,
    strategy: str | Strategy,
    *,
    orders: int = 8,
    seed: int = 0,
    verifier: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Trajectories:
    """Replay a strategy whose prefixes are valid over all samples of each problem.

    Args:
        pool: what was recorded.
        strategy: one with an ``n``, which is set to the pool's width where none is named; its stops are turned off.
        orders: of the samples of each problem, seeded.
        seed: of the orders.
        verifier: of those that the pool has scores of.
        on_progress: called with the number of problems done.

    Raises:
        ConfigurationError: the strategy's prefixes are not valid, or it wants what was not recorded, or
            the pool holds no verdicts.
    """
    width = pool.width
    made = _whole(strategy, width)
    if all(p.accuracy is None for p in pool.problems):
        raise ConfigurationError(f"pool '{pool.name}' holds no verdicts: nothing says what is right")
    scores = RecordedScores.of(pool, verifier) if verifier else None
    models = [replay_model(pool, seed=seed + i) for i in range(orders)]
    paths: list[tuple[int, int]] = []
    rows: list[_Path] = []
    for at, problem in enumerate(pool.problems):
        verdicts = problem.verdicts()
        query = problem.query()
        for order, model in enumerate(models):
            watched = _Watched()
            outcome = await solve(query, made, model, verifier=scores, seed=seed, pace=watched)
            rows.append(_path(query, outcome, watched.drawn, verdicts, width=width))
            paths.append((at, order))
        if on_progress is not None:
            on_progress(at + 1)
    drawn, features, right, cost, dollars, seconds = (np.array(column) for column in zip(*rows, strict=True))
    return Trajectories(
        spec=made.spec,
        model=pool.model,
        thinking=pool.thinking,
        unit=pool.unit,
        problems=tuple(p.id for p in pool.problems),
        groups=tuple(p.group for p in pool.problems),
        problem=np.array([p for p, _ in paths]),
        order=np.array([o for _, o in paths]),
        drawn=drawn,
        features=features,
        right=right,
        cost=cost,
        dollars=dollars if pool.price is not None else None,
        seconds=seconds if all(p.seconds for p in pool.problems) else None,
    )


def _whole(strategy: str | Strategy, width: int) -> Strategy:
    """The strategy as it draws all samples of a pool, whatever they say."""
    made = make_strategy(strategy)
    if not made.prefix_valid or "n" not in type(made).model_fields:
        raise ConfigurationError(
            f"strategy '{made.spec}' cannot be replayed sample by sample: its prefixes are not what smaller runs would "
            "return, so it cannot be tuned. majority and best_of_n can; 'ttc eval' compares any with a policy"
        )
    changes: dict[str, Any] = {} if "n" in made.model_fields_set else {"n": width}
    if "stop" in type(made).model_fields:
        changes["stop"] = "never"
    whole = type(made)(**{**{name: getattr(made, name) for name in made.model_fields_set}, **changes})
    if (n := getattr(whole, "n", 0)) > width:
        raise ConfigurationError(f"strategy '{made.spec}' draws {n} samples: of every problem {width} were recorded")
    return whole


_Path = tuple[list[int], list[tuple[float, ...]], list[float], list[float], list[float], list[float]]


def _path(
    query: Query,
    outcome: Outcome,
    drawn: Sequence[Candidate],
    verdicts: dict[str, float],
    *,
    width: int,
) -> _Path:
    """Read one solved query at each number of samples; behind its end it stays as it was."""
    evidence = Evidence(query.answer_type)
    checkpoints = {c.samples: c for c in outcome.checkpoints}
    indices: list[int] = []
    features: list[tuple[float, ...]] = []
    right: list[float] = []
    cost: list[float] = []
    dollars: list[float] = []
    seconds: list[float] = []
    answer: str | None = None
    spent = paid = 0.0
    for k in range(1, width + 1):
        if k <= len(drawn):
            candidate = drawn[k - 1]
            evidence.add(candidate)
            checkpoint = checkpoints.get(k)
            if checkpoint is not None:
                answer, spent = checkpoint.answer, float(checkpoint.thinking_tokens)
                paid = checkpoint.dollars or 0.0
            features.append(evidence.features(answer))
            indices.append(candidate.sample.index)
            seconds.append(candidate.sample.latency)
        else:
            features.append(features[-1] if features else (0.0,) * len(EVIDENCE))
            indices.append(-1)
            seconds.append(0.0)
        right.append(0.0 if answer is None else verdicts.get(answer, 0.0))
        cost.append(spent)
        dollars.append(paid)
    return indices, features, right, cost, dollars, seconds
