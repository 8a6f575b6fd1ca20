"""The cheapest tournament that fails seldom enough: planned on exact values, with the paper's bound beside them.

The bound of arXiv 2411.19477 is loose (at p = .2, q = .7, n = 64, k = 25 it is .812 where the true failure is .00012),
so a plan made on it would cost many times what is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import ceil, log, log1p
from typing import Literal, TypedDict, Unpack

from ttc.errors import ConfigurationError
from ttc.statistics import Mean, mean
from ttc.strategies import theory

__all__ = ["MeasuredPlan", "Plan", "Tournament", "plan", "plan_from_counts", "spread"]

Tournament = Literal["knockout", "league"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A tournament of ``n`` candidates, and what it is worth.

    Attributes:
        tournament: ``knockout`` or ``league``.
        n: candidates.
        k: comparisons a pair (knockout), or opponents that each candidate draws (league).
        p_gen: the P(one sample is correct) that it was made for.
        q: the P(the correct one of a pair wins a comparison) that it was made for.
        target: the failure that was asked for.
        failure: the exact failure, at most ``target``.
        bound: the paper's bound on it.
        calls: samples and comparisons at the most; early decisions and pairs of one answer save some.
        cost: of all calls, in tokens where tokens a call were given, else in calls.
        voting: the failure of a majority vote of ``calls`` samples, if all wrong samples gave one and the same answer.
    """

    tournament: Tournament
    n: int
    k: int
    p_gen: float
    q: float
    target: float
    failure: float
    bound: float
    calls: int
    cost: float
    voting: float

    @property
    def spec(self) -> str:
        """The strategy to run, e.g. ``knockout:n=16,k=3``."""
        return f"{self.tournament}:n={self.n},k={self.k}"

    def lines(self) -> list[str]:
        """Return the plan for people, a line each."""
        return [
            f"{self.spec} fails {self.failure:.3g} (asked for {self.target:g}) at p={self.p_gen:.3g}, q={self.q:.3g}",
            f"the paper's bound says {self.bound:.3g}",
            f"{self.calls:,} calls at the most: {self.n:,} samples and {self.calls - self.n:,} comparisons",
            f"a majority vote of {self.calls:,} samples would fail {self.voting:.3g} if all wrong ones agreed",
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """Plans made for a measured p and q.

    Attributes:
        p_gen: the share of correct samples, clustered on problems.
        q: the share of comparisons of a correct and a wrong candidate that the correct one won, likewise.
        plan: at the two estimates, or None where that is impossible.
        safe: at the lower ends of both intervals, or None where that is impossible.
        why_no_plan: the reason where ``plan`` is None.
        why_not_safe: the reason where ``safe`` is None.
    """

    p_gen: Mean
    q: Mean
    plan: Plan | None
    safe: Plan | None
    why_no_plan: str = ""
    why_not_safe: str = ""

    def lines(self) -> list[str]:
        """Return estimates and plans for people, a line each."""
        return [
            *(
                f"{name} = {m.value:.3f} (95%: {m.low:.3f} to {m.high:.3f}, {m.n} problems)"
                for name, m in (("p", self.p_gen), ("q", self.q))
            ),
            "at the estimates:",
            *(f"  {line}" for line in (self.plan.lines() if self.plan else [self.why_no_plan])),
            "at the lower ends of both intervals:",
            *(f"  {line}" for line in (self.safe.lines() if self.safe else [self.why_not_safe])),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is known of a tournament in closed form, each a function of (n, k)."""

    fewest: int
    calls: Callable[[int, int], int]
    failure: Callable[[int, int, float, float], float]
    bound: Callable[[int, int, float, float], float]


_RULES: dict[Tournament, _Rules] = {
    "knockout": _Rules(
        fewest=1,
        calls=lambda n, k: n + k * (n - 1),
        failure=lambda n, k, p, q: theory.knockout_failure(n, k, p=p, q=q),
        bound=lambda n, k, p, q: theory.knockout_bound(n, k, p=p, q=q),
    ),
    "league": _Rules(
        fewest=2,
        calls=lambda n, k: n + k * n,
        failure=lambda n, k, p, q: theory.league_failure(n, k, p=p, q=q),
        bound=lambda n, k, p, q: theory.league_bound(n, k, p=p, gap=q - 0.5),
    ),
}


def plan(
    *,
    p_gen: float,
    q: float,
    failure: float,
    tournament: Tournament | Literal["cheapest"] = "knockout",
    tokens_per_sample: float = 1.0,
    tokens_per_comparison: float = 1.0,
    n_max: int = 256,
    k_max: int = 64,
) -> Plan:
    """Plan the cheapest tournament that ends with a wrong answer at most ``failure`` of the time.

    Every query is taken to have this ``p_gen`` and this ``q``. A knockout's failure is convex in p, so where p differs
    between queries the average failure is above that at the average p: plan per class of queries.

    Args:
        p_gen: how often a sample is correct.
        q: how often the correct one of a pair wins a comparison.
        failure: how often the tournament may fail.
        tournament: which one, or ``cheapest`` for the cheaper of both.
        tokens_per_sample: what a sample costs; only its ratio to the next one matters for the choice.
        tokens_per_comparison: what a comparison costs.
        n_max: candidates at the most.
        k_max: comparisons a pair, or opponents a candidate, at the most.

    Raises:
        ConfigurationError: a value is out of its range, q is at most 1/2, or no (n, k) within the limits fails so
            seldom; the message says what the least failure there is.
    """
    _check(p_gen, q, failure, (tokens_per_sample, tokens_per_comparison), (n_max, k_max))
    kinds: tuple[Tournament, ...] = ("knockout", "league") if tournament == "cheapest" else (tournament,)
    if kinds[0] not in ("knockout", "league"):
        raise ConfigurationError(f"tournament={tournament}: what can be planned is knockout, league or cheapest")
    if tournament == "league" and n_max < 2:
        raise ConfigurationError(f"n_max={n_max}: a league needs at least two candidates")

    @cache
    def fails(kind: Tournament, n: int, k: int) -> float:
        return _RULES[kind].failure(n, k, p_gen, q)

    def cost(kind: Tournament, n: int, k: int) -> float:
        return n * tokens_per_sample + (_RULES[kind].calls(n, k) - n) * tokens_per_comparison

    best: tuple[float, Tournament, int, int] | None = None
    for kind in kinds:
        for n in range(max(_RULES[kind].fewest, _fewest(p_gen, failure)), n_max + 1):
            # Only what is cheaper than the best so far is looked at. More meetings never do harm, so k is bisected.
            meetings = range(1, k_max + 1)
            if best is not None:
                meetings = meetings[: bisect_left(meetings, best[0], key=partial(cost, kind, n))]
            if meetings and fails(kind, n, meetings[-1]) <= failure:
                k = meetings[bisect_left(meetings, -failure, key=lambda k, n=n, kind=kind: -fails(kind, n, k))]
                best = (cost(kind, n, k), kind, n, k)
    if best is None:
        least, kind, n = min(
            (fails(kind, n, k_max), kind, n) for kind in kinds for n in range(_RULES[kind].fewest, n_max + 1)
        )
        raise ConfigurationError(
            f"no {' or '.join(kinds)} with n <= {n_max} and k <= {k_max} fails at most {failure:g} at p={p_gen:g}, "
            f"q={q:g}: the least is {least:.3g}, with {kind}:n={n},k={k_max}; allow more failure, or raise the limits"
        )
    spent, kind, n, k = best
    calls = _RULES[kind].calls(n, k)
    return Plan(
        tournament=kind,
        n=n,
        k=k,
        p_gen=p_gen,
        q=q,
        target=failure,
        failure=fails(kind, n, k),
        bound=_RULES[kind].bound(n, k, p_gen, q),
        calls=calls,
        cost=spent,
        voting=1 - theory.majority_accuracy(calls, p_gen),
    )


class Terms(TypedDict, total=False):
    """What :func:`plan` takes besides p, q and the failure."""

    tournament: Tournament | Literal["cheapest"]
    tokens_per_sample: float
    tokens_per_comparison: float
    n_max: int
    k_max: int


def plan_from_counts(
    samples: Mapping[str, tuple[float, int]],
    comparisons: Mapping[str, tuple[float, int]],
    *,
    failure: float,
    **terms: Unpack[Terms],
) -> MeasuredPlan:
    """Estimate p and q with intervals clustered on problems, and plan at the estimates and at their lower ends.

    Args:
        samples: of each problem, how many samples were right and how many there were.
        comparisons: of each problem, how many comparisons of a right and a wrong candidate the right one won (a
            verdict that could not be read is half a win) and how many there were.
        failure: how often the tournament may fail.
        terms: as in :func:`plan`.

    Raises:
        ConfigurationError: no samples or no comparisons, more won than there were, or a term is out of its range.
    """
    p, q = (mean(_scores(counts, what)) for counts, what in ((samples, "samples"), (comparisons, "comparisons")))
    _check(
        0.5,
        1.0,
        failure,
        (terms.get("tokens_per_sample", 1), terms.get("tokens_per_comparison", 1)),
        (terms.get("n_max", 1), terms.get("k_max", 1)),
    )
    plans: list[Plan | None] = []
    reasons: list[str] = []
    for p_gen, win in ((p.value, q.value), (p.low, q.low)):
        try:
            plans.append(plan(p_gen=p_gen, q=win, failure=failure, **terms))
            reasons.append("")
        except ConfigurationError as error:
            plans.append(None)
            reasons.append(str(error))
    return MeasuredPlan(p, q, plans[0], plans[1], reasons[0], reasons[1])


def _fewest(p: float, failure: float) -> int:
    """Return the least n for which (1-p)^n <= failure: below it no candidate may be correct too often."""
    return 1 if p == 1 else max(1, ceil(log(failure) / log1p(-p) - 1e-9))


def spread(points: float, n: int) -> list[float]:
    """Spread points over ``n`` scores: 1, 0, and a half where there is one."""
    scores = [1.0] * int(points) + ([points % 1] if points % 1 else [])
    return scores + [0.0] * (n - len(scores))


def _scores(counts: Mapping[str, tuple[float, int]], what: str) -> dict[str, list[float]]:
    """Spread the counts of each problem into scores."""
    scores: dict[str, list[float]] = {}
    for problem, (won, total) in counts.items():
        if not 0 <= won <= total:
            raise ConfigurationError(f"{what} of '{problem}': {won:g} of {total} is no share")
        scores[problem] = spread(won, total)
    if not any(scores.values()):
        raise ConfigurationError(f"a plan needs {what}: none were counted")
    return scores


def _check(p: float, q: float, failure: float, tokens: tuple[float, float], limits: tuple[int, int]) -> None:
    if not 0 < p <= 1:
        raise ConfigurationError(f"p_gen={p:g}: a tournament needs some correct candidates, 0 < p_gen <= 1")
    if not 0 <= q <= 1:
        raise ConfigurationError(f"q={q:g} is no probability")
    if q <= 0.5:
        raise ConfigurationError(
            f"q={q:g}: where the correct one wins at most half of its comparisons a tournament does not beat voting; "
            "use majority, or a comparator that is right more often"
        )
    if not 0 < failure < 1:
        raise ConfigurationError(f"failure={failure:g} must lie between 0 and 1")
    if min(tokens) < 0 or not max(tokens) > 0:
        raise ConfigurationError(f"tokens per sample and per comparison are {tokens}: both >= 0, and one of them > 0")
    if min(limits) < 1:
        raise ConfigurationError(f"n_max and k_max are {limits}: both must be at least 1")
