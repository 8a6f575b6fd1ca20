"""What tuning tries plans on: every way to answer that recorded samples can show, replayed, with their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttc.adaptive.classes import DEFAULT, AnyClasses
from ttc.adaptive.difficulty import AnyEstimator, cross_fit, fit_estimator
from ttc.adaptive.plans import Way, beta_stops
from ttc.adaptive.policy_rows import is_thinking
from ttc.adaptive.preparing import prepared, score_cost
from ttc.adaptive.trajectories import Floats, Trajectories, replay
from ttc.errors import ConfigurationError
from ttc.pools import Pool, candidate_of
from ttc.strategy import Strategy, make_strategy

__all__ = ["BETAS", "Bench", "Mask", "gather"]

Mask = NDArray[np.bool_]

BETAS = (0.6, 0.8, 0.95)
"""Confidences of the Beta stops that are tried on plain votes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that plans are tried on.

    Attributes:
        ways: aligned: path i of each is of the same problem.
        pools: of each way, what it replays.
        recorded: the pools that were given, as far as they are tuned on.
        classes: the query class of each problem; ``default`` where it is of no known one.
        query_classes: what sorts queries; None: all are ``default``.
        unit: what costs are in: tokens, characters, samples or dollars.
        verifier: whose scores are looked at; empty: none's.
        notes: what was left out, and what else is doubtful.
        seed: of the estimators.
    """

    ways: tuple[Way, ...]
    pools: tuple[Pool, ...]
    recorded: tuple[Pool, ...]
    classes: tuple[str, ...]
    query_classes: AnyClasses | None = None
    unit: str = "tokens"
    verifier: str = ""
    notes: tuple[str, ...] = ()
    seed: int = 0
    _fitted: dict[tuple[str, int, int, bytes], AnyEstimator] = field(
        default_factory=dict[tuple[str, int, int, bytes], AnyEstimator], repr=False, compare=False
    )
    _estimated: dict[tuple[int, int], tuple[AnyEstimator, dict[tuple[int, ...], float]]] = field(
        default_factory=dict[tuple[int, int], tuple[AnyEstimator, dict[tuple[int, ...], float]]],
        repr=False,
        compare=False,
    )

    @property
    def problems(self) -> tuple[str, ...]:
        """Ids of the first way's problems; those of the others are at the same places."""
        return self.ways[0].paths.problems

    @property
    def groups(self) -> tuple[str, ...]:
        """What names each problem itself: problems of one group are held out together."""
        return self.ways[0].paths.groups

    @property
    def problem(self) -> NDArray[np.int64]:
        """Of each path, the index of its problem."""
        return self.ways[0].paths.problem

    @property
    def group(self) -> NDArray[np.int64]:
        """Of each path, the number of its group."""
        return np.unique(np.array(self.groups), return_inverse=True)[1][self.problem]

    @property
    def weights(self) -> Floats:
        """Of each path: every problem counts once."""
        return 1.0 / np.bincount(self.problem)[self.problem]

    def of_path(self, values: Sequence[str]) -> NDArray[np.str_]:
        """Spread a value of each problem over its paths."""
        return np.array(values)[self.problem]

    def fit_estimator(self, kind: str, way: int, paths: Mask, *, probe: int) -> AnyEstimator:
        """Fit an estimator of difficulty on what a way drew of the problems of some paths; each fit is made once."""
        there: list[int] = np.unique(self.problem[paths]).tolist()
        place = (kind, way, probe, np.array(there).tobytes())
        if place not in self._fitted:
            ids = self.ways[way].paths.problems
            pool = self.pools[way].of([ids[i] for i in there])
            self._fitted[place] = fit_estimator(kind, pool, **self._looking(kind, pool, probe))
        return self._fitted[place]

    def calibration(self, kind: str, way: int, *, probe: int) -> dict[str, float]:
        """How good an estimator is on problems that it was not fitted on."""
        pool = self.pools[way]
        found = cross_fit(kind, pool, **self._looking(kind, pool, probe)).calibration
        names = ("brier", "brier_of_mean", "ece", "ece_noise", "rank_correlation")
        return {name: round(value, 4) for name in names if (value := getattr(found, name)) is not None}

    def _looking(self, kind: str, pool: Pool, probe: int) -> dict[str, Any]:
        """What an estimator of this bench looks at."""
        scored = self.verifier if self.verifier in pool.verifiers else "" if kind == "probe" else None
        return {"probe": max(1, probe), "classes": self.query_classes, "verifier": scored, "seed": self.seed}

    def estimates(self, estimator: AnyEstimator, way: int, paths: Mask) -> Floats:
        """P(one sample is correct) of some paths, estimated as it would be live: from what the way drew first."""
        trajectories, pool = self.ways[way].probing.paths, self.pools[way]
        _, known = self._estimated.setdefault((id(estimator), way), (estimator, {}))
        found: list[float] = []
        for path in np.flatnonzero(paths).tolist():
            at = int(trajectories.problem[path])
            drawn: list[int] = trajectories.drawn[path, : estimator.probe].tolist()
            place = (at, *drawn)
            if place not in known:
                problem = pool.problems[at]
                scores = problem.scores.get(estimator.verifier, ())
                candidates = [candidate_of(problem.sample(i)) for i in drawn if i >= 0]
                if scores:
                    candidates = [c if (s := scores[c.sample.index]) is None else c.scored(s) for c in candidates]
                known[place] = estimator.estimate(problem.query(), candidates).p
            found.append(known[place])
        return np.array(found)


async def gather(
    pools: Sequence[Pool],
    *,
    strategies: Sequence[str] = ("majority",),
    verifier: str = "",
    classes: AnyClasses | None = None,
    dollars: bool = False,
    orders: int = 8,
    seed: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Bench:
    """Replay every strategy, on every pool, at every cut of it.

    Args:
        pools: one for each model and way of thinking; of the same problems.
        strategies: specs without ``n``, whose prefixes are valid.
        verifier: whose recorded scores are used by strategies that need one (default: the only one of a pool).
        classes: sort queries.
        dollars: count costs in dollars also where there is one model.
        orders: of the samples of each problem.
        seed: of the orders.
        on_progress: called with what is replayed, the problems done and their number.

    Raises:
        ConfigurationError: pools without problems in common; several models without prices, since tokens of different
            models are never added up; a strategy that cannot be replayed.
    """
    ready = [prepared(pool) for pool in pools]
    notes = [note for found in ready for note in found.notes]
    pools = _aligned([found.pool for found in ready])
    models = {p.model for p in pools}
    if verifier and all(verifier not in pool.verifiers for pool in pools):
        there = ", ".join(sorted({name for pool in pools for name in pool.verifiers})) or "none"
        raise ConfigurationError(f"no pool holds scores of verifier '{verifier}'; they hold: {there}")
    for pool in pools:
        if len(pools) > len(models) and not is_thinking(pool.thinking):
            raise ConfigurationError(
                f"pool '{pool.name}': no policy can ask for thinking '{pool.thinking}': off, low, medium, high, or a "
                "cap in tokens (ttc pool import --thinking)"
            )
    per_score, doubt = score_cost(pools)
    unit = "dollars" if dollars or len(models) > 1 else pools[0].unit
    if len(models) == 1 and len({p.unit for p in pools}) > 1:
        raise ConfigurationError("the pools count their costs in different units: record or import them alike")
    if unit == "dollars" and (unpriced := sorted({p.model for p in pools if p.price is None})):
        raise ConfigurationError(
            f"model {unpriced[0]} has no price, and costs are counted in dollars (tokens of different models are never "
            f"added up): give one, as in --price {unpriced[0]}=0.10/0.40"
        )
    ways: list[Way] = []
    sources: list[Pool] = []
    for whole in pools:
        scores = verifier or (whole.verifiers[0] if len(whole.verifiers) == 1 else "")
        for pool in (whole, *map(whole.at_cut, whole.cuts)):
            for spec in strategies:
                needed = "verifier" in _searched(spec).requires()
                if needed and not pool.verifiers and (pool is not whole or len(pools) > 1):
                    continue  # a verifier scored whole samples, or those of another model
                if needed and not scores:
                    there = ", ".join(whole.verifiers) or "none"
                    raise ConfigurationError(
                        f"strategy '{spec}' needs scores: name the verifier (--verifier); pool '{whole.name}' holds "
                        f"those of: {there}"
                    )
                model = whole.model if len(models) > 1 else ""
                name = "@".join(filter(None, (spec, pool.thinking, model)))
                way = await _way(
                    name,
                    spec,
                    pool,
                    verifier=scores if needed else "",
                    dollars=unit == "dollars",
                    per_score=per_score,
                    orders=orders,
                    seed=seed,
                    on_progress=_told(on_progress, name, len(pool)),
                )
                thinks = pool.thinking if pool is not whole or len(pools) > len(models) else ""
                ways.append(replace(way, model=model, thinking=thinks))
                sources.append(pool)
                notes += [doubt] if needed and doubt and doubt not in notes else []
    if not ways:
        raise ConfigurationError("nothing is left to tune: name a strategy that the pools can show, e.g. majority")
    found = [classes.of(p.query()) if classes else DEFAULT for p in pools[0].problems]
    return Bench(
        ways=tuple(ways),
        pools=tuple(sources),
        recorded=tuple(pools),
        classes=tuple(found),
        query_classes=classes,
        unit=unit,
        verifier=next((way.verifier for way in ways if way.verifier), verifier),
        notes=tuple(notes),
        seed=seed,
    )


def _searched(spec: str) -> Strategy:
    """A strategy whose samples and stops are searched.

    Raises:
        ConfigurationError: it names them itself.
    """
    made = make_strategy(spec)
    if named := sorted(made.model_fields_set & {"n", "stop", "wave"}):
        raise ConfigurationError(
            f"strategy '{spec}': tuning searches how many samples are drawn and when to stop: "
            f"leave {', '.join(named)} out"
        )
    return made


async def _way(
    name: str,
    spec: str,
    pool: Pool,
    *,
    verifier: str,
    dollars: bool,
    per_score: float,
    orders: int,
    seed: int,
    on_progress: Callable[[int], None] | None,
) -> Way:
    """Replay one strategy on one pool."""
    made = make_strategy(spec)
    passing = bool(verifier) and verifier in pool.pass_fail
    if passing and "wave" in type(made).model_fields:
        # One sample at a time: what a sibling in flight costs when one passes, no path shows.
        made = make_strategy(made.spec + (",wave=1" if ":" in made.spec else ":wave=1"))

    def cost_of(paths: Trajectories) -> Floats:
        cost = paths.dollars if dollars else paths.cost
        assert cost is not None  # every pool has a price there
        return cost

    paths = await replay(pool, made, orders=orders, seed=seed, verifier=verifier or None, on_progress=on_progress)
    cost = cost_of(paths)
    if verifier:
        price = pool.price.generated / 1e6 if dollars and pool.price else 1.0
        cost = cost + per_score * price * np.arange(1, paths.width + 1)
    plain = made.spec == "majority"
    way = Way(
        name=name,
        strategy=made.spec,
        verifier=verifier,
        model="",
        thinking="",
        paths=paths,
        cost=cost,
        beta_stops={beta: beta_stops(paths, beta) for beta in BETAS} if plain else {},
        decided=beta_stops(paths, 1.0) if plain else None,
    )
    if not passing:
        return way
    voted = await replay(pool, "majority", orders=orders, seed=seed)
    return replace(way, probed=replace(way, paths=voted, cost=cost_of(voted)))


def _told(tell: Callable[[str, int, int], None] | None, what: str, total: int) -> Callable[[int], None] | None:
    return None if tell is None else lambda done: tell(what, done, total)


def _aligned(pools: Sequence[Pool]) -> list[Pool]:
    """The problems that all pools have, in one order."""
    if not pools:
        raise ConfigurationError("there is nothing to tune on: name a pool (ttc record, ttc pool import)")
    if len(pools) == 1:
        return list(pools)
    for pool in pools:
        twice = [name for name, n in Counter(p.group for p in pool.problems).items() if n > 1]
        if twice:
            raise ConfigurationError(
                f"pool '{pool.name}' holds problem {twice[0]} several times: to tune over several pools, import one "
                "run into each (--where)"
            )
    common = {p.group for p in pools[0].problems}
    for pool in pools[1:]:
        common &= {p.group for p in pool.problems}
    if not common:
        raise ConfigurationError(f"pools {', '.join(p.name for p in pools)} have no problem in common")
    return [
        replace(pool, problems=tuple(sorted((p for p in pool.problems if p.group in common), key=lambda p: p.group)))
        for pool in pools
    ]
