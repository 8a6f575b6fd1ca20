"""Several models behind one session: who answers, what is counted for whom, and what cannot be limited."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ttc import Budget, ConfigurationError, Outcome, Price, Query, Session, Strategy, solve
from ttc.models.fleet import Fleet
from ttc.models.population import Population
from ttc.models.recorded import Recorded
from ttc.models.simulated import Lengths, Simulated
from ttc.pools import Pool, RecordedProblem, replay_model
from ttc.verifiers.simulated import SimulatedComparator

pytestmark = pytest.mark.anyio

PRICES = {"small": Price(prompt=1.0, generated=2.0), "large": Price(prompt=10.0, generated=20.0)}


def fleet(*, priced: bool = True) -> tuple[Fleet, Simulated, Simulated]:
    """A small model that is always wrong, and a large one that is always right, of the same problems."""
    small, large = (
        Simulated(Population(p=p), name=name, lengths=Lengths(mean=tokens), price=PRICES[name] if priced else None)
        for name, p, tokens in (("small", 0.0, 10), ("large", 1.0, 30))
    )
    return Fleet({"small": small, "large": large}), small, large


async def knocked_out(
    model: Fleet | Simulated, spec: str, population: Population, budget: Budget | None = None
) -> Outcome:
    comparator = SimulatedComparator(population=population, accuracy=1.0)
    return await solve(population.query(0), spec, model, comparator=comparator, budget=budget)


async def test_models_take_the_seats_of_a_tournament_in_turn_and_the_better_one_wins() -> None:
    model, small, large = fleet()
    outcome = await knocked_out(model, "knockout:n=5,k=1,models=small+large", small.population)
    assert (outcome.calls["generate@small"], outcome.calls["generate@large"]) == (3, 2)
    assert small.sent == 3 + outcome.calls["judge@small"]  # the first model judges
    assert outcome.candidate is not None
    assert outcome.candidate.sample.model == "large"
    assert small.population.is_right(small.population.query(0), outcome.answer)
    assert large.sent == 2


async def test_usage_is_kept_by_model_and_never_added_up_and_dollars_are() -> None:
    model, small, _ = fleet()
    outcome = await knocked_out(model, "knockout:n=4,k=1,models=small+large", small.population)
    assert outcome.usage["generate@small"].generated == 2 * 10
    assert outcome.usage["generate@large"].generated == 2 * 30
    dollars = sum(PRICES[kind.partition("@")[2]].of(usage) for kind, usage in outcome.usage.items())
    assert outcome.dollars == pytest.approx(dollars)
    assert outcome.checkpoints[-1].dollars == pytest.approx(dollars)
    assert all((a.dollars or 0) <= (b.dollars or 0) for a, b in pairwise(outcome.checkpoints))
    assert all(c.prefix.total == c.realised.total == 0 for c in outcome.checkpoints)
    assert not any("tokens" in event for event in outcome.trace)
    for read in ("total_usage", "generated_tokens", "thinking_tokens"):
        with pytest.raises(ConfigurationError, match="tokens of large, small are not added up"):
            getattr(outcome, read)


@pytest.mark.parametrize("budget", [Budget(generated_tokens=1000), Budget(total_tokens=1000)], ids=str)
async def test_a_budget_in_tokens_is_refused_before_a_call(budget: Budget) -> None:
    model, small, large = fleet()
    with pytest.raises(ConfigurationError, match="limit dollars, calls or seconds instead"):
        await solve("?", "majority:n=4", model, budget=budget)
    assert small.sent == large.sent == 0
    alone = Fleet({"small": small})
    assert (await solve("?", "majority:n=4", alone, budget=budget)).answer is not None


async def test_budgets_in_calls_and_dollars_span_all_models() -> None:
    model, small, large = fleet()
    spec = "knockout:n=8,k=1,models=small+large"
    few = await knocked_out(model, spec, small.population, Budget(calls=5))
    assert sum(few.calls.values()) == small.sent + large.sent == 5
    assert few.ended_by == "budget"
    cheap = await knocked_out(model, spec, small.population, Budget(dollars=0.002))
    assert cheap.dollars is not None
    assert 0 < cheap.dollars <= 0.002
    assert cheap.ended_by == "budget"


async def test_dollars_need_a_price_on_every_model() -> None:
    model, small, large = fleet(priced=False)
    assert (await solve("?", "majority:n=2", model)).dollars is None
    small.sent = large.sent = 0
    with pytest.raises(ConfigurationError, match="needs a model with a price"):
        await solve("?", "majority:n=2", model, budget=Budget(dollars=1.0))
    assert small.sent == large.sent == 0


class Ask(Strategy):
    """Draws one sample of a named model."""

    whom: str

    async def solve(self, query: Query, session: Session) -> None:
        session.propose(await session.generate(model=self.whom))


async def test_a_request_names_its_model_and_else_the_first_one_answers() -> None:
    model, _, _ = fleet()
    assert set((await solve("?", "majority:n=3", model)).calls) == {"generate@small"}
    assert set((await solve("?", Ask(whom="large"), model)).calls) == {"generate@large"}


async def test_a_model_that_the_fleet_has_not_is_named_with_those_that_it_has() -> None:
    model, small, _ = fleet()
    with pytest.raises(ConfigurationError, match="the fleet has no model 'huge', but small, large"):
        await solve("?", Ask(whom="huge"), model)
    with pytest.raises(ConfigurationError, match="the fleet has no model 'huge', but small, large"):
        await knocked_out(model, "knockout:n=4,models=small+huge", small.population)
    assert small.sent == small.running == small.limiter.borrowed_tokens == 0


def test_names_that_specs_could_not_carry_are_refused() -> None:
    _, small, _ = fleet()
    for name in ("a+b", "a@b", "a,b", "a:b", "(a)", ""):
        with pytest.raises(ConfigurationError, match="may not be called"):
            Fleet({name: small})
    with pytest.raises(ConfigurationError, match="at least one model"):
        Fleet({})


async def test_one_model_is_no_fleet() -> None:
    _, small, _ = fleet()
    with pytest.raises(ConfigurationError, match="make one with Fleet"):
        await knocked_out(small, "knockout:n=4,models=small+large", small.population)
    assert small.sent == 0


# -- recorded samples of several models -------------------------------------------------------------------------------


def recorded(name: str, answers: str, *, tokens: int) -> Recorded:
    problem = RecordedProblem(
        id="p", answers=tuple(answers), right=(0.0,) * len(answers), generated=(tokens,) * len(answers)
    )
    return replay_model(Pool(name=name, model=name, problems=(problem,), price=PRICES[name]))


RECORDED = RecordedProblem(id="p", answers=(), right=()).query()


def replayed() -> Fleet:
    return Fleet({"small": recorded("small", "5555", tokens=10), "large": recorded("large", "7777", tokens=30)})


async def test_recorded_samples_make_a_fleet() -> None:
    small = await solve(RECORDED, "majority:n=4,stop=never", replayed())
    large = await solve(RECORDED, Ask(whom="large"), replayed())
    assert (small.answer, small.calls) == ("5", {"generate@small": 4})
    assert (large.answer, large.calls) == ("7", {"generate@large": 1})
    assert small.dollars == pytest.approx(40 * 2.0 / 1e6)
    assert large.dollars == pytest.approx(30 * 20.0 / 1e6)
    assert large.candidate is not None
    assert large.candidate.sample.model == "large"


async def test_a_replayed_fleet_keeps_its_budget() -> None:
    few = await solve(RECORDED, "majority:n=4,stop=never", replayed(), budget=Budget(calls=2))
    assert (few.calls, few.ended_by) == ({"generate@small": 2}, "budget")
    cheap = await solve(RECORDED, "majority:n=4,stop=never", replayed(), budget=Budget(dollars=50e-6))
    assert cheap.dollars is not None
    assert 40e-6 <= cheap.dollars <= 50e-6
    assert cheap.ended_by == "budget"


async def test_a_replayed_fleet_hands_on_what_each_model_recorded_and_no_more() -> None:
    with pytest.raises(ConfigurationError, match="4 samples were recorded, and 5 are asked for"):
        await solve(RECORDED, "majority:n=5,stop=never", replayed())


async def test_live_and_recorded_models_make_a_fleet_together() -> None:
    live = Simulated(Population(p=1.0), name="large", price=PRICES["large"])
    mixed = Fleet({"small": recorded("small", "5555", tokens=10), "large": live})
    assert (await solve(RECORDED, Ask(whom="small"), mixed)).answer == "5"
    assert live.sent == 0
    await solve(RECORDED, Ask(whom="large"), mixed)
    assert live.sent == 1
