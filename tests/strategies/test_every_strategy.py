"""What holds for every strategy, whatever the server's speed, its failures, the budget and who gives up when."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc import registry
from ttc.budget import Budget
from ttc.errors import BadResponse
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.strategy import make_strategy
from ttc.types import Outcome, Query, Request, Sample, Sampling

SPECS = [
    "single",
    "majority:n=7",
    "majority:n=9,stop=beta,wave=3",
    "majority:n=9,stop=window,window=2,certain=false",
    "majority:n=7,weights=log_odds",
    "majority:n=7,weights=score,stop=confidence,window=2,wave=2",
    "best_of_n:n=5",
    "best_of_n:n=5,weighted=false",
    "best_of_n:n=5,wave=2",
    "short_m_at_k:k=6,m=2",
    "deep_conf:n=9,warmup=3,eta=50,window=2,wave=2",
    "knockout:n=6,k=3",
    "league:n=5,k=3",
    "swiss:n=5,rounds=3,k=1",
    "knockout:n=3,k=1,each=(majority:n=3)",
    "revision:chains=3,length=3",
    "revision:length=2,each=(knockout:n=2,k=1)",
    "budget_forcing:thinking=16,answer_tokens=48",
    "budget_forcing:thinking=30,waits=2,answer_tokens=48,server=true",
    "converge:step=8,patience=2,thinking=40,answer_tokens=48",
    "adaptive:probe=3",
    "adaptive:probe=3,hard=(knockout:n=6)",
]

#: takes the first finishers, by definition; tests/strategies/test_short_m_at_k.py shows what that selects for
RACES = "short_m_at_k"


def test_every_registered_strategy_is_among_them() -> None:
    assert {spec.partition(":")[0] for spec in SPECS} == set(registry.names("strategy"))


class Flaky(Scripted):
    """Fails some calls, chosen by their seed."""

    share = 0.0

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if random.Random(request.seed ^ 1).random() < self.share:
            meter.start()
            await anyio.lowlevel.checkpoint()
            meter.broke(generated=False)
            raise BadResponse("scripted failure")
        return await super().call(request, meter)


def reply(request: Request) -> Sample:
    draw = random.Random(request.seed)
    if request.choices:
        pick = draw.choice(request.choices)
        return Sample(text=pick, first_choices=((pick, -0.1),))
    words = " ".join(["so"] * draw.randint(1, 40) + [draw.choice("77735")])
    return Sample(text=words, top_logprobs=tuple((-draw.random(), -3.0) for _ in range(3)))


class LastWord:
    """The last word is the answer."""

    name = "last_word"
    cue = " answer:"

    def extract(self, text: str) -> str | None:
        word = (text.split() or [""])[-1]
        return word if word.isdigit() else None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b


async def run(
    spec: str, model: Scripted, *, budget: Budget | None = None, seed: int = 0, max_tokens: int = 64
) -> Outcome:
    return await solve(
        Query.of("2+5?", answer_type=LastWord()),
        spec,
        model,
        budget=budget,
        verifier="judge" if "k=" in spec else "self_certainty",
        comparator="judge",
        sampling=Sampling(max_tokens=max_tokens),
        seed=seed,
    )


def latency(seed: int) -> Callable[[Request], float]:
    return lambda request: random.Random(request.seed + seed).choice((0.0, 0.0, 0.001, 0.002))


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    generated=st.none() | st.integers(1, 600),
    calls=st.none() | st.integers(1, 20),
    failing=st.sampled_from((0.0, 0.0, 0.3, 1.0)),
    in_flight=st.integers(1, 8),
    interval=st.sampled_from((1, 4)),
    seconds=st.none() | st.floats(0.001, 0.01),
)
def test_no_limit_is_exceeded_and_nothing_is_left_behind(
    spec: str,
    seed: int,
    generated: int | None,
    calls: int | None,
    failing: float,
    in_flight: int,
    interval: int,
    seconds: float | None,
) -> None:
    async def check() -> None:
        model = Flaky(reply, latency=latency(seed), in_flight=in_flight, interval=interval)
        model.chunk, model.share = 16, failing
        budget = Budget(generated_tokens=generated, calls=calls, seconds=seconds)
        outcome = await run(spec, model, budget=budget, seed=seed)
        # The ledger never exceeds a limit, and it counts at least what was generated.
        assert generated is None or outcome.generated_tokens <= generated
        assert calls is None or sum(outcome.calls.values()) <= calls
        assert model.generated <= outcome.generated_tokens
        if not outcome.total_usage.upper_bound:
            assert model.generated == outcome.generated_tokens
        # No call and no permit is left.
        assert model.running == 0
        assert model.limiter.borrowed_tokens == 0
        # The outcome is the last proposal.
        if outcome.checkpoints:
            assert outcome.answer == outcome.checkpoints[-1].answer
        else:
            assert outcome.answer is None
        if failing == 1.0 and outcome.ended_by not in ("deadline", "budget"):
            assert (outcome.ended_by, outcome.error) == ("all_calls_failed", "scripted failure")

    anyio.run(check)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith(RACES)])
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), other=st.integers(1, 100))
def test_the_outcome_does_not_depend_on_who_finishes_first(spec: str, seed: int, other: int) -> None:
    async def check() -> None:
        seen: list[tuple[object, ...]] = []
        for speed in (0, other):
            model = Scripted(reply, latency=latency(speed))
            outcome = await run(spec, model, seed=seed)
            drawn = {(r.index, r.seed, r.content()) for r in model.requests if not r.choices}
            stops_early = make_strategy(spec).prefix_valid or spec.startswith("adaptive")
            points = [(c.answer, c.samples, c.prefix) for c in outcome.checkpoints]
            seen.append((outcome.answer, outcome.ended_by, points, () if stops_early else drawn))
        assert seen[0] == seen[1]

    anyio.run(check)


@pytest.mark.anyio
@pytest.mark.parametrize("spec", SPECS)
async def test_one_seed_asks_the_same_questions(spec: str) -> None:
    sent: list[set[tuple[int, int]]] = []
    for _ in range(2):
        model = Scripted(reply)
        await run(spec, model, seed=5)
        sent.append({(r.index, r.seed) for r in model.requests})
    other = Scripted(reply)
    await run(spec, other, seed=6)
    assert sent[0] == sent[1]
    assert not {seed for _, seed in sent[0]} & {r.seed for r in other.requests}


@pytest.mark.anyio
@pytest.mark.parametrize("spec", SPECS)
async def test_a_hundred_rounds_of_giving_up_leave_every_permit(spec: str) -> None:
    model = Scripted(reply, latency=latency(3), in_flight=2)
    draw = random.Random(spec)
    for round_ in range(100):
        with anyio.move_on_after(draw.random() * 0.004):
            await run(spec, model, seed=round_)
        assert model.running == 0
        assert model.limiter.borrowed_tokens == 0
    with anyio.fail_after(30):
        assert (await run(spec, model)).answer is not None
