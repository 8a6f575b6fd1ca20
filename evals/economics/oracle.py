"""What knowing the difficulty alone would buy: the best fixed N for each bin of pass@1, chosen on other problems.

Snell et al. 2024 (arXiv 2408.03314), section 3: five quantile bins, the best setting of each bin chosen on one fold and
scored on the other. For analysis: nothing that answers queries knows its bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ttc.errors import ConfigurationError
from ttc.evals.economics.curves import Floats
from ttc.evals.economics.paths import Measured, Paths, measure

__all__ = ["OracleFrontier", "oracle_bin_policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleFrontier:
    """The oracle-bin policy at each going rate.

    Attributes:
        measured: verdicts and costs by problem; a setting is a going rate, in accuracy per mean cost at full N. Last
            comes ``full``, full N in every bin, which an oracle may choose as anybody may.
        source: from what the bins were known.
        bins: how many there were.
        chosen: the mean N of each bin at each rate; shape (bins, rates). The first bin is the hardest.
    """

    measured: Measured
    source: str
    bins: int
    chosen: Floats

    def cost_at(self, accuracy: float) -> float:
        """Return what it costs the oracle to reach an accuracy, interpolated on its frontier; infinite above it."""
        return self.measured.curve().interpolated_cost(accuracy)


def oracle_bin_policy(
    paths: Paths,
    known: Floats | Sequence[float],
    *,
    source: str,
    bins: int = 5,
    splits: int = 8,
    rates: int = 48,
    seed: int = 0,
) -> OracleFrontier:
    """Choose the best fixed N per bin on one half of the groups, score it on the other, swap, and average over splits.

    At a going rate r each bin takes the N with the highest accuracy - r * cost; all bins together then buy their last
    samples at one price, which is what makes the frontier the best one for these bins.

    Args:
        paths: of the strategy.
        known: pass@1 of each problem, shape (problems,), or as each path knows it, shape (paths,). It has to come from
            samples that are not on the path, or from the truth of a simulation; the pool's own pass@1 makes the
            oracle a little too good, and the source should say so.
        source: from what it is known.
        bins: quantile bins; ties may leave fewer.
        splits: random halvings of the groups, each of which is used both ways.
        rates: how many going rates, from one that buys everything to one that buys a single sample.
        seed: of the halvings.

    Raises:
        ConfigurationError: fewer than two groups, or nothing known of some problem.
    """
    names, group = np.unique(np.array(paths.groups, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise ConfigurationError("an oracle chooses on some problems and is scored on others: it needs two groups")
    p = np.asarray(known, dtype=float)
    if p.shape == (len(paths.groups),):
        p = p[paths.problem]
    if p.shape != paths.problem.shape or not np.isfinite(p).all():
        raise ConfigurationError("an oracle needs to know pass@1 of each problem, or of each path")
    weight = 1 / np.bincount(paths.problem)[paths.problem]  # a problem counts once, however many orders it has
    full = float(np.average(paths.cost[:, -1], weights=weight))
    prices = np.concatenate([[0.0], np.geomspace(1e-4, 10, rates - 1)]) / full
    right, cost = (np.zeros((len(p), rates)) for _ in range(2))
    chosen, seen = np.zeros((bins, rates)), np.zeros((bins, 1))
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        half = rng.permutation(np.arange(len(names)) % 2)
        for fold in (0, 1):
            train = half[group[paths.problem]] != fold
            edges = np.quantile(p[train], np.linspace(0, 1, bins + 1)[1:-1])
            home = np.searchsorted(edges, p, side="right")
            for b in range(bins):
                here, there = train & (home == b), ~train & (home == b)
                if not there.any():
                    continue
                source_paths = here if here.any() else train  # a bin that no training problem falls into
                w = weight[source_paths] / weight[source_paths].sum()
                gain = w @ paths.right[source_paths]
                price = w @ paths.cost[source_paths]
                # Of equal ones the cheapest: at price 0 that is the least N with the highest accuracy.
                best = np.argmax(gain[None, :] - prices[:, None] * price[None, :], axis=1)
                right[there] += paths.right[there][:, best]
                cost[there] += paths.cost[there][:, best]
                chosen[b] += best + 1
                seen[b] += 1
    measured = measure(
        np.column_stack([right / splits, paths.right[:, -1]]),
        np.column_stack([cost / splits, paths.cost[:, -1]]),
        problem=paths.problem,
        groups=paths.groups,
        settings=[*(f"{r * full:.4g}" for r in prices), "full"],
        unit=paths.unit,
    )
    return OracleFrontier(measured=measured, source=source, bins=bins, chosen=chosen / np.maximum(seen, 1))
