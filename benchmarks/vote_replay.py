"""Votes replayed in numpy from answer classes: a cross-check of the strategies' own replay, hundreds of times as fast.

Nothing here is a strategy: a benchmark's figures come from the strategies themselves, and are compared with these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttc.evals.economics import Paths, PolicyResult
from ttc.pools import Pool, RecordedProblem
from ttc.seeds import hashed
from ttc.strategies.vote import leads_beyond_doubt

__all__ = ["Votes", "beta_stop", "replay_votes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Votes after each sample of each path; arrays of shape (paths, K)."""

    paths: Paths
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def replay_votes(
    pool: Pool, *, orders: int = 8, seed: int = 0, weights: str = "", width: int | None = None, recorded: bool = False
) -> Votes:
    """Vote over the samples of each problem, in so many seeded orders.

    Ties are broken by a lot per class and path, as the strategies do. A sample without an answer is paid and votes for
    nothing. Verdicts are means over a class, as in a replay.

    Args:
        pool: what was recorded.
        orders: of the samples of each problem.
        seed: of orders and lots.
        weights: a verifier whose scores the votes weigh; best-of-N where it is named, majority where not.
        width: samples of a path; the pool's by default.
        recorded: one path, in the order recorded.
    """
    k = width or pool.width
    rows = [_problem(p, 1 if recorded else orders, k, seed, weights, recorded) for p in pool.problems]
    right, cost, first, second = (np.concatenate([row[i] for row in rows]) for i in range(4))
    problem = np.repeat(np.arange(len(pool)), 1 if recorded else orders)
    groups = tuple(p.group for p in pool.problems)
    paths = Paths(right=right, cost=cost, problem=problem, groups=groups, unit=str(pool.unit))
    return Votes(paths=paths, first=first.astype(np.int64), second=second.astype(np.int64))


def _problem(
    p: RecordedProblem, orders: int, k: int, seed: int, weights: str, recorded: bool
) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(hashed(seed, "votes", p.id))
    verdicts = p.verdicts()
    names = sorted({a for a in p.answers if a is not None})
    place = {name: i for i, name in enumerate(names)}
    home = np.array([place.get(a, -1) if a is not None else -1 for a in p.answers])
    paid = np.array(p.generated) if p.generated else np.ones(len(p))
    worth = np.array([s or 0.0 for s in p.scores[weights]]) if weights else np.ones(len(p))
    order = np.arange(len(p))[None, :] if recorded else rng.permuted(np.tile(np.arange(len(p)), (orders, 1)), axis=1)
    order = order[:, :k]
    cost = np.cumsum(paid[order], axis=1)
    if not names:
        zeros = np.zeros((len(order), k))
        return zeros, cost, zeros, zeros
    votes = home[order][:, :, None] == np.arange(len(names))  # (orders, k, classes)
    counts = np.cumsum(votes, axis=1)
    standing = np.cumsum(votes * worth[order][:, :, None], axis=1) + 1e-9 * rng.random((len(order), 1, len(names)))
    # a class that nobody has voted for leads nothing, whatever its lot
    leader = np.argmax(np.where(counts > 0, standing, -1.0), axis=2)
    given = np.array([verdicts.get(name, 0.0) for name in names])
    right = np.where(counts.max(axis=2) > 0, given[leader], 0.0)
    top = np.sort(counts, axis=2)
    second = top[:, :, -2] if len(names) > 1 else np.zeros_like(top[:, :, -1])
    return right, cost, top[:, :, -1].astype(float), second.astype(float)


def beta_stop(votes: Votes, *, confidence: float = 0.95, wave: int = 1) -> tuple[PolicyResult, Floats]:
    """End each path where the leader is the likelier one of the top two; also return the samples paid for.

    What is in flight then is paid as well: the rest of the wave.
    """
    k = votes.first.shape[1]
    known = np.array([[leads_beyond_doubt(a, b, confidence) for b in range(k + 1)] for a in range(k + 1)])
    fires = known[votes.first, votes.second]
    fires[:, -1] = True
    last = np.argmax(fires, axis=1)  # index of the sample that decided
    paid = np.minimum((last // wave + 1) * wave, k) - 1
    rows = np.arange(len(last))
    paths = votes.paths
    result = PolicyResult(
        right=paths.right[rows, last], cost=paths.cost[rows, paid], problem=paths.problem, name=f"beta {confidence:g}"
    )
    return result, (paid + 1).astype(float)
