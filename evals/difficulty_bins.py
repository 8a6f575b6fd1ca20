"""Bins of difficulty from samples that are not the run's own: quantiles of pass@1 in a pool of other samples.

Binning problems by the very samples that a curve shows makes easy bins look easier and hard ones harder than they are,
and curves within them bend by selection alone. So bins come from a pool that was drawn apart, and one that holds the
run's own samples is refused. Five quantile bins after C. Snell et al. 2024 (arXiv 2408.03314), section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ttc.errors import ConfigurationError
from ttc.pools import Pool

__all__ = ["DifficultyBins", "bins_of_pool", "by_rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifficultyBins:
    """Bins of the problems of a run.

    Attributes:
        of: by problem (:func:`~ttc.evals.tournaments.problem_key`) its bin: ``1 of 5`` is the easiest.
        source: from what they are known, in words.
        unknown: problems of the run that the pool says nothing of; they are in no bin.
    """

    of: Mapping[str, str]
    source: str
    unknown: int = 0

    @property
    def note(self) -> str:
        """Say in a line where the bins come from."""
        left = f"; {self.unknown} of {len(self.of) + self.unknown} problems are not in it" if self.unknown else ""
        return f"difficulty: pass@1 of {self.source}{left}"


def bins_of_pool(
    pool: Pool, problems: Iterable[tuple[str, str]], *, card: Mapping[str, Any] | None = None, bins: int = 5
) -> DifficultyBins:
    """Sort problems into quantile bins of their pass@1 in a pool, the hardest last.

    Problems that are equally hard share a bin, so that there may be fewer bins than were asked for, and they need not
    be of one size.

    Args:
        pool: graded samples of the same problems, told by their ids and, where the pool names its suites,
            by those (``rg:chain_sum``, whatever its parameters).
        problems: of the run, each as its suite's spec and the query's id.
        card: of the run, to see that the pool's samples are not its own.
        bins: how many.

    Raises:
        ConfigurationError: the pool holds the run's own samples, or graded samples of none of its problems.
    """
    _refuse_own_samples(pool, card or {})
    of_pool = {_data_of(str(suite["spec"])) for suite in pool.info.get("suites") or ()}
    known: dict[str, list[float]] = {}
    for problem in pool.problems:
        rights = [r for r in problem.right if r is not None]
        for name in {problem.id, problem.group}:
            known.setdefault(name, []).extend(rights)
    wanted = sorted(set(problems))
    hardness = {
        f"{suite}\x1f{name}": 1 - sum(known[name]) / len(known[name])
        for suite, name in wanted
        if known.get(name) and (not of_pool or _data_of(suite) in of_pool)
    }
    if not hardness:
        raise ConfigurationError(
            f"pool '{pool.name}' holds graded samples of none of this run's problems, so it says nothing of their "
            "difficulty: take one that was recorded on the same suites"
        )
    most = max(len(rights) for name, rights in known.items() if any(name == one for _, one in wanted))
    samples = f"up to {most} sample{'s' * (most != 1)}"
    return DifficultyBins(
        of=by_rank(hardness, bins=bins),
        source=f"pool '{pool.name}' ({samples} of {pool.model} per problem)",
        unknown=len(wanted) - len(hardness),
    )


def _data_of(spec: str) -> str:
    """What a suite draws from: its spec without parameters that have a name, such as how many problems are taken."""
    first = spec.partition(",")[0]
    return first.partition(":")[0] if "=" in first else first


def by_rank(hardness: Mapping[str, float], *, bins: int = 5) -> dict[str, str]:
    """Sort names into quantile bins by a number that rises with difficulty; equal numbers share a bin.

    Returns:
        By name ``1 of 5`` and so on; bins that nobody falls into are not counted.
    """
    home: dict[float, int] = {}
    before = 0
    for value, times in sorted(Counter(hardness.values()).items()):
        home[value] = int((before + times / 2) / len(hardness) * bins)  # the middle of the ranks that they share
        before += times
    used = {b: i for i, b in enumerate(sorted(set(home.values())), start=1)}
    return {name: f"{used[home[value]]} of {len(used)}" for name, value in hardness.items()}


def _refuse_own_samples(pool: Pool, card: Mapping[str, Any]) -> None:
    """A pool of this run, or of the same draws (model, sampling and seed), bins problems by what the curve shows."""
    run = str(card.get("run_id", ""))
    config: Mapping[str, Any] = card.get("config") or {}
    seed = config.get("seed")
    same_run = bool(run) and pool.info.get("run") == run
    names = {str(card.get("model", "")), *map(str, card.get("models") or {})}
    same_draws = (
        pool.model in names
        and seed is not None
        and pool.info.get("seed") == seed
        and pool.info.get("sampling") == config.get("sampling")
    )
    if same_run or same_draws:
        whose = "was made of this run" if same_run else "has this run's model, sampling and seed, and so its samples"
        raise ConfigurationError(
            f"pool '{pool.name}' {whose}: problems binned by the very samples that a curve shows make the curve bend. "
            f"Record other samples: ttc record ... --seed {int(seed or 0) + 1}"
        )
