"""The trap of completion order: right answers made short, or long, must not make them count for more or for less.

Whoever takes first finishers selects for length: right where right answers are short, wrong where they are long. The
same strategies are run both ways here, on calls whose seconds follow from their tokens, against what must come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from ttc import Budget, Outcome, Query, Sampling, Session, Strategy, solve
from ttc.models.population import Population
from ttc.models.simulated import Latency, Lengths, Simulated
from ttc.models.virtual_clock import run
from ttc.strategies.theory import majority_accuracy
from ttc.strategies.vote import Vote, leads_beyond_doubt

T = TypeVar("T")

UNCAPPED = Sampling(max_tokens=100_000)


class Setting(NamedTuple):
    """A population, and how long its answers are: log-normal, with a factor for right and for wrong ones."""

    p: float
    right: float
    wrong: float
    mean: float
    sigma: float

    def model(self, *, seed: int = 0, interval: int = 100_000) -> Simulated:
        """Return the model; its calls take as long as their tokens say."""
        lengths = Lengths(mean=self.mean, sigma=self.sigma, right=self.right, wrong=self.wrong)
        latency = Latency(first=0.0, per_token=0.01)
        return Simulated(Population(p=self.p, seed=seed), lengths=lengths, latency=latency, interval=interval)

    def draw(self, n: int, repeats: int = 4000) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Draw which of n samples are right, and how long they are; a row is a problem."""
        rng = np.random.default_rng(0)
        right = rng.random((repeats, n)) < self.p
        spread = np.exp(self.sigma * rng.standard_normal((repeats, n)) - self.sigma**2 / 2)
        return right, np.maximum(1.0, np.round(self.mean * spread * np.where(right, self.right, self.wrong)))


def each(
    read: Callable[[Query, Outcome], T],
    spec: str | Strategy,
    model: Simulated,
    problems: int,
    *,
    sampling: Sampling = UNCAPPED,
    **settings: Any,
) -> list[T]:
    """Solve so many problems, and return what is read of each outcome."""

    async def all_problems() -> list[T]:
        queries = model.population.queries(problems)
        return [read(query, await solve(query, spec, model, sampling=sampling, **settings)) for query in queries]

    return run(all_problems)


def is_right(model: Simulated, query: Query, outcome: Outcome) -> bool:
    return model.population.is_right(query, outcome.answer)


def share_right(spec: str | Strategy, model: Simulated, problems: int, **settings: Any) -> float:
    return fmean(each(partial(is_right, model), spec, model, problems, **settings))


def allowed(exact: float, n: int) -> float:
    """Four standard errors of a share of n."""
    return 4 * (exact * (1 - exact) / n) ** 0.5


def lengths_differ(mean: float) -> list[Setting]:
    """Right answers a third as long as wrong ones, and three times as long."""
    return [Setting(0.4, 0.5, 1.5, mean, 0.3), Setting(0.4, 1.5, 0.5, mean, 0.3)]


WAYS = ["right ones short", "right ones long"]


# -- the curve of one run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", lengths_differ(200), ids=WAYS)
def test_a_checkpoint_after_k_samples_is_as_good_as_a_run_of_k(setting: Setting) -> None:
    problems, ks = 150, [1, 2, 4, 8, 16, 32, 64]
    model = setting.model()

    def curve(query: Query, outcome: Outcome) -> list[bool]:
        assert [c.samples for c in outcome.checkpoints] == list(range(1, 65))
        return [model.population.is_right(query, outcome.checkpoints[k - 1].answer) for k in ks]

    curves = each(curve, "majority:n=64,stop=never", model, problems)
    for i, k in enumerate(ks):
        at_k = fmean(right[i] for right in curves)
        exact = majority_accuracy(k, setting.p)
        of_itself = share_right(f"majority:n={k},stop=never", setting.model(seed=k), problems, seed=k)
        assert abs(at_k - exact) <= allowed(exact, problems), k
        assert abs(of_itself - exact) <= allowed(exact, problems), k
        assert abs(at_k - of_itself) <= 2**0.5 * allowed(exact, problems), k


# -- caps on tokens ---------------------------------------------------------------------------------------------------


def expected_within(setting: Setting, cap: int) -> float:
    """How often the majority is right of as many samples, in issue order, as fit into a cap whole."""
    right, lengths = setting.draw(100)
    fits = lengths.cumsum(axis=1) <= cap
    lead = np.where(right, 1, -1) * fits
    margin = lead.sum(axis=1)
    return float(np.where(fits.any(axis=1), (margin > 0) + (margin == 0) / 2, 0.0).mean())


def anytime(setting: Setting, caps: Sequence[int], problems: int) -> list[float]:
    """Accuracy of the answer that one run without a budget had at each cap, by what it had consumed."""
    model = setting.model()

    def at_cap(query: Query, outcome: Outcome, cap: int) -> bool:
        answers = [c.answer for c in outcome.checkpoints if c.prefix.generated <= cap]
        return bool(answers) and model.population.is_right(query, answers[-1])

    def at_caps(query: Query, outcome: Outcome) -> list[bool]:
        return [at_cap(query, outcome, cap) for cap in caps]

    return [fmean(right) for right in zip(*each(at_caps, "majority:n=64,stop=never", model, problems), strict=True)]


def budgeted(setting: Setting, spec: str, cap: int, problems: int) -> float:
    """Accuracy of runs on other problems that really had a budget of that cap."""
    model = setting.model(seed=cap, interval=16)

    def read(query: Query, outcome: Outcome) -> bool:
        assert outcome.generated_tokens <= cap
        return is_right(model, query, outcome)

    # 1024 is what the oldest sample is promised: enough for each of them
    return fmean(each(read, spec, model, problems, sampling=Sampling(), budget=Budget(generated_tokens=cap), seed=cap))


@pytest.mark.parametrize("setting", lengths_differ(100), ids=WAYS)
def test_accuracy_at_a_cap_is_that_of_runs_with_that_budget(setting: Setting) -> None:
    """All 64 samples at once: they fit into the lease that each begins with, so they take the budget in issue order."""
    problems, caps = 150, [300, 1000, 3000]
    for cap, found in zip(caps, anytime(setting, caps, problems), strict=True):
        expected = expected_within(setting, cap)
        with_budget = budgeted(setting, "majority:n=64,stop=never", cap, problems)
        assert abs(found - expected) <= allowed(expected, problems), cap
        assert abs(with_budget - expected) <= allowed(expected, problems), cap
        assert abs(found - with_budget) <= 2**0.5 * allowed(expected, problems), cap


@pytest.mark.parametrize("setting", lengths_differ(400), ids=WAYS)
@pytest.mark.parametrize("wave", [None, 1, 8])
def test_accuracy_at_a_cap_where_samples_outgrow_their_first_lease(setting: Setting, wave: int | None) -> None:
    """A vote sends no more at a time than the budget carries to their end, so what is cut is the last few."""
    problems, caps = 150, [4000, 12_000]
    spec = "majority:n=64,stop=never" + (f",wave={wave}" if wave else "")
    for cap, found in zip(caps, anytime(setting, caps, problems), strict=True):
        expected = expected_within(setting, cap)
        with_budget = budgeted(setting, spec, cap, problems)
        assert abs(found - expected) <= allowed(expected, problems), cap
        assert abs(with_budget - expected) <= allowed(expected, problems), cap
        assert abs(found - with_budget) <= 2**0.5 * allowed(expected, problems), cap


class AllAtOnce(Strategy):
    """Draws 64 samples at once, whatever the budget carries, and lets the whole ones vote."""

    async def solve(self, query: Query, session: Session) -> None:
        vote = Vote(query.answer_type, session.rng)
        async with session.sample(n=64) as samples:
            async for candidate in samples:
                vote.add(candidate)
                leader = vote.leader()
                session.propose(leader.best if leader else candidate)


def test_who_draws_all_at_once_keeps_the_short_ones_and_is_warned() -> None:
    setting, problems, cap = lengths_differ(1000)[0], 60, 16_000
    model = setting.model(interval=64)
    settings: dict[str, Any] = {"budget": Budget(generated_tokens=cap), "sampling": Sampling(max_tokens=4096)}

    def read(query: Query, outcome: Outcome) -> tuple[bool, int, bool]:
        cut = sum(event.get("finish") == "cut" for event in outcome.trace)
        assert (f"{cut} samples were cut by the budget" in outcome.warnings) == (cut > 0)
        warned = any("which favours short ones" in warning for warning in outcome.warnings)
        return is_right(model, query, outcome), cut, warned

    at_once = each(read, AllAtOnce(), model, problems, **settings)
    in_turn = each(read, "majority:n=64,stop=never", model, problems, **settings)
    assert all(warned for _, _, warned in at_once)
    assert not any(warned for _, _, warned in in_turn)
    assert fmean(cut for _, cut, _ in at_once) > 8
    assert fmean(cut for _, cut, _ in in_turn) < 4
    expected = expected_within(setting, cap)
    assert abs(fmean(right for right, _, _ in in_turn) - expected) <= allowed(expected, problems)
    assert fmean(right for right, _, _ in at_once) - expected > allowed(expected, problems)


# -- first finishers --------------------------------------------------------------------------------------------------


class FirstOf(Strategy):
    """Start k samples and return the first that comes: in issue order, or whichever finishes first."""

    k: int = 8
    by_finish: bool = False

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=self.k, by_finish=self.by_finish) as samples:
            session.propose(await anext(samples))


@pytest.mark.parametrize(
    ("setting", "by_finish"),
    [(Setting(0.46, 1.0, 2.4, 500, 0.5), 0.91), (Setting(0.37, 1.5, 1.0, 500, 0.5), 0.15)],
    ids=WAYS,
)
def test_first_finishers_are_selected_for_length_and_issue_order_is_not(setting: Setting, by_finish: float) -> None:
    right, lengths = setting.draw(8, 50_000)
    expected = float(right[np.arange(len(right)), lengths.argmin(axis=1)].mean())
    assert abs(expected - by_finish) < 0.01
    problems = 500
    finishers = share_right(FirstOf(by_finish=True), setting.model(), problems)
    in_order = share_right(FirstOf(), setting.model(), problems)
    short_1_at_8 = share_right("short_m_at_k:m=1,k=8", setting.model(), problems)
    assert abs(finishers - expected) <= allowed(expected, problems)
    assert finishers == short_1_at_8  # which is what that strategy means to do
    assert abs(in_order - setting.p) <= allowed(setting.p, problems)


class BetaByFinish(Strategy):
    """The Beta rule as it must not be: over 40 samples as they finish."""

    async def solve(self, query: Query, session: Session) -> None:
        vote = Vote(query.answer_type, session.rng)
        async with session.sample(n=40, by_finish=True) as samples:
            async for candidate in samples:
                vote.add(candidate)
                leader = vote.leader()
                session.propose(leader.best if leader else candidate)
                first, second = (*vote.counts(), 0, 0)[:2]
                if leads_beyond_doubt(first, second, 0.95):
                    break


@pytest.mark.parametrize(
    ("setting", "by_finish"),
    [(Setting(0.6, 1.0, 1.5, 500, 0.5), 0.967), (Setting(0.6, 1.5, 1.0, 500, 0.5), 0.486)],
    ids=WAYS,
)
def test_a_stop_rule_sees_samples_in_issue_order(setting: Setting, by_finish: float) -> None:
    """Over finishers the Beta rule is right with .967 or .486, depending only on who is short; else with .876."""
    expected = beta_by_finish(setting)
    assert abs(expected - by_finish) < 0.03
    problems = 300
    finishers = share_right(BetaByFinish(), setting.model(), problems)
    in_order = share_right("majority:n=40,stop=beta,certain=false,wave=40", setting.model(), problems)
    assert abs(finishers - expected) <= allowed(expected, problems)
    assert abs(in_order - 0.8756) <= allowed(0.8756, problems)


def beta_by_finish(setting: Setting) -> float:
    right, lengths = setting.draw(40)
    votes = np.take_along_axis(right, lengths.argsort(axis=1), axis=1).cumsum(axis=1)
    good = 0.0
    for row in votes.tolist():
        for n, a in enumerate(row, start=1):
            b = n - a
            if leads_beyond_doubt(max(a, b), min(a, b), 0.95) or n == 40:
                good += (a > b) + (a == b) / 2
                break
    return good / len(votes)
