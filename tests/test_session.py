"""Sessions: issue order, growing leases, waves, seeds, forced answers, nesting, the anytime rule."""

from __future__ import annotations

import random

import anyio
import pytest

from ttc.budget import Budget, Price
from ttc.errors import ConfigurationError
from ttc.models.fleet import Fleet
from ttc.models.scripted import Scripted
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.strategy import Strategy
from ttc.types import Candidate, Query, Request, Sample, Sampling


class Number:
    """The last number is the answer."""

    name = "number"
    cue = " = "

    def extract(self, text: str) -> str | None:
        words = [w for w in text.split() if w.isdigit()]
        return words[-1] if words else None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b


QUERY = Query.of("what is it?", answer_type=Number())


class Draw(Strategy):
    """Draws n samples and keeps what it saw."""

    n: int = 16
    wave: int | None = None
    take: int = 10**6

    async def solve(self, query: Query, session: Session) -> None:
        async with session.sample(n=self.n, wave=self.wave) as samples:
            seen = 0
            async for candidate in samples:
                session.note("saw", sample_index=candidate.sample.index)
                session.propose(candidate)
                seen += 1
                if seen == self.take:
                    break


def words(n: int, answer: str = "7") -> str:
    return " ".join(["thus"] * (n - 1) + [answer])


@pytest.mark.anyio
async def test_samples_come_in_issue_order_whoever_is_first() -> None:
    model = Scripted(lambda r: words(3), latency=lambda r: 0.01 * ((r.index * 7) % 5))
    outcome = await solve(QUERY, Draw(n=12), model)
    assert [e["sample_index"] for e in outcome.trace if e["event"] == "saw"] == list(range(12))


@pytest.mark.anyio
async def test_sixteen_long_samples_start_at_once_under_a_quarter_of_their_caps() -> None:
    starts: list[int] = []

    def reply(request: Request) -> str:
        starts.append(model.running)
        return words(20_000)

    model = Scripted(reply, interval=50, latency=lambda r: 0.01)
    outcome = await solve(
        QUERY, Draw(n=16), model, budget=Budget(generated_tokens=128_000), sampling=Sampling(max_tokens=32_000)
    )
    assert max(starts) == 16
    assert model.generated <= outcome.generated_tokens <= 128_000
    assert outcome.answer == "7"  # the oldest sample is promised its cap, so that one of them comes to its end
    assert any("cut" in w for w in outcome.warnings)


@pytest.mark.anyio
@pytest.mark.parametrize("length", [40, 300, 2000])
async def test_a_small_budget_neither_deadlocks_nor_ends_with_nothing(length: int) -> None:
    model = Scripted(lambda r: words(length))
    with anyio.fail_after(30):
        outcome = await solve(
            QUERY, Draw(n=16), model, budget=Budget(generated_tokens=4000), sampling=Sampling(max_tokens=2048)
        )
    assert outcome.answer == "7"
    assert model.generated <= outcome.generated_tokens <= 4000


@pytest.mark.anyio
async def test_the_server_is_told_the_cap_that_the_budget_leaves() -> None:
    model = Scripted(lambda r: words(500, "thus"))
    outcome = await solve(
        QUERY, "single", model, budget=Budget(generated_tokens=100), sampling=Sampling(force_answer=0)
    )
    assert outcome.generated_tokens == model.generated == 100
    assert not outcome.total_usage.upper_bound  # the server stopped by itself, so the number is exact


@pytest.mark.anyio
async def test_a_wave_is_sent_when_the_one_before_was_consumed() -> None:
    peak: list[int] = []
    model = Scripted(lambda r: peak.append(model.running) or words(3), latency=lambda r: 0.002)
    await solve(QUERY, Draw(n=10, wave=4), model)
    assert max(peak) == 4
    assert len(model.requests) == 10


@pytest.mark.anyio
async def test_leaving_the_block_cancels_and_charges_what_is_in_flight() -> None:
    model = Scripted(lambda r: words(10 if r.index == 0 else 5000))
    outcome = await solve(QUERY, Draw(n=8, take=1), model, sampling=Sampling(max_tokens=8000))
    assert model.running == 0
    assert model.generated <= outcome.generated_tokens < 8 * 5000
    assert outcome.total_usage.upper_bound
    assert outcome.calls == {"generate": 8}


@pytest.mark.anyio
async def test_a_query_of_equal_content_gets_the_next_index_and_its_own_seed() -> None:
    model = Scripted(lambda r: words(2))
    await solve(QUERY, Draw(n=5, wave=2), model)
    assert [r.index for r in model.requests] == [0, 1, 2, 3, 4]
    assert len({r.seed for r in model.requests}) == 5


@pytest.mark.anyio
async def test_a_cut_thought_is_forced_to_answer() -> None:
    def reply(request: Request) -> str | Sample:
        if request.continue_final:
            assert request.messages[-1]["content"].startswith("<think>\nhm hm")
            assert request.messages[-1]["content"].endswith(" = ")
            return "42"
        return Sample(text="", reasoning=" ".join(["hm"] * 5000))

    model = Scripted(reply)
    outcome = await solve(
        QUERY, "single", model, budget=Budget(generated_tokens=400), sampling=Sampling(max_tokens=8000)
    )
    assert outcome.answer == "42"
    assert outcome.candidate is not None
    assert outcome.candidate.sample.forced
    assert outcome.calls == {"generate": 2}
    assert model.generated == outcome.generated_tokens <= 400
    assert outcome.thinking_tokens == outcome.generated_tokens - 1


@pytest.mark.anyio
async def test_a_cut_thought_abstains_where_forcing_is_off() -> None:
    model = Scripted(lambda r: Sample(text="", reasoning=" ".join(["hm"] * 5000)))
    outcome = await solve(
        QUERY, "majority:n=3", model, sampling=Sampling(max_tokens=300, force_answer=0), budget=Budget(calls=3)
    )
    assert outcome.answer is None
    assert outcome.total_usage.reasoning_tokens == 900


@pytest.mark.anyio
async def test_an_exception_of_the_body_leaves_unwrapped() -> None:
    class Breaks(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            async with session.sample(n=4) as samples:
                async for _ in samples:
                    raise KeyError("mine")

    model = Scripted(lambda r: words(2))
    with pytest.raises(KeyError, match="mine"):
        await solve(QUERY, Breaks(), model)
    assert model.running == 0


@pytest.mark.anyio
async def test_a_deadline_returns_the_last_proposal() -> None:
    model = Scripted(lambda r: words(3), latency=lambda r: 0.0 if r.index < 3 else 60.0)
    with anyio.fail_after(30):
        outcome = await solve(QUERY, Draw(n=8), model, budget=Budget(seconds=0.2))
    assert (outcome.answer, outcome.ended_by) == ("7", "deadline")
    assert len(outcome.checkpoints) == 3
    assert model.running == 0


@pytest.mark.anyio
async def test_a_child_session_spends_from_its_parent_and_draws_what_was_handed_on() -> None:
    class Nested(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            first: list[Candidate] = []
            async with session.sample(n=3, kind="probe") as samples:
                async for candidate in samples:
                    first.append(candidate)
            async with (
                session.within(Budget(generated_tokens=9), hand_on=first) as child,
                child.sample(n=8) as samples,
            ):
                async for candidate in samples:
                    session.note("saw", sample_index=candidate.sample.index)
                    child.propose(candidate)

    model = Scripted(lambda r: words(3))
    outcome = await solve(QUERY, Nested(), model, sampling=Sampling(max_tokens=3))
    assert [e["sample_index"] for e in outcome.trace if e["event"] == "saw"] == [0, 1, 2, 3, 4, 5]
    assert {k: u.generated for k, u in outcome.usage.items()} == {"probe": 9, "generate": 9}
    assert (outcome.ended_by, outcome.answer) == ("budget", "7")


@pytest.mark.anyio
async def test_many_queries_share_one_total_and_come_back_in_order() -> None:
    model = Scripted(lambda r: words(5, str(random.Random(str(r.messages)).randint(0, 99))))
    queries = [Query.of(f"q{i}", answer_type=Number()) for i in range(60)]
    outcomes = await solve_many(queries, "majority:n=4,stop=never", model, total=Budget(generated_tokens=1100))
    assert [o.query_id for o in outcomes] == [q.id for q in queries]
    assert model.generated <= sum(o.generated_tokens for o in outcomes) <= 1100
    assert {o.ended_by for o in outcomes} == {"finished", "budget"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("majorty", "Did you mean 'majority'"),
        ("majority:m=4", "Did you mean 'n'|Known: confidence"),
        ("majority:n=0", "n=0: must be 1 to 4096"),
        ("majority:n", "parameter=value"),
        ("knockout", "comparator"),
        ("best_of_n", "verifier"),
        ("adaptive:hard=(knockout:n=4)", "comparator"),
        ("adaptive:hard=nonsense", "unknown strategy 'nonsense'"),
    ],
)
async def test_a_mistake_is_one_clear_error_before_any_call(strategy: str, says: str) -> None:
    model = Scripted(lambda r: words(2))
    with pytest.raises(ConfigurationError, match=says):
        await solve(QUERY, strategy, model)
    assert model.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("length", [40, 300, 2000])
async def test_whole_samples_are_sent_as_many_at_a_time_as_the_budget_carries(length: int) -> None:
    class Whole(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            async with session.sample(n=16, whole=True) as samples:
                async for candidate in samples:
                    session.propose(candidate)

    running: list[int] = []
    model = Scripted(lambda r: running.append(model.running) or words(length), latency=lambda r: 0.001)
    outcome = await solve(
        QUERY, Whole(), model, budget=Budget(generated_tokens=4200), sampling=Sampling(max_tokens=2048)
    )
    cut = sum(event.get("finish") == "cut" for event in outcome.trace)
    whole = sum(event.get("finish") == "stop" for event in outcome.trace)
    assert running[0] <= 2  # their caps are all that is known at first
    assert whole >= min(16, 4200 // (length + 2)) - 1
    assert cut <= 2


@pytest.mark.anyio
@pytest.mark.parametrize("budget", [Budget(total_tokens=6000), Budget(dollars=0.006)])
async def test_whole_samples_are_carried_with_their_prompts_at_their_own_price(budget: Budget) -> None:
    class Whole(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            async with session.sample(n=16, whole=True, model="large") as samples:
                async for candidate in samples:
                    session.propose(candidate)

    models = {
        name: Scripted(lambda r: words(400), latency=lambda r: 0.001, price=Price(prompt=dollars, generated=dollars))
        for name, dollars in (("cheap", 0.01), ("large", 1.0))
        if budget.dollars or name == "large"  # tokens of several models are not added up
    }
    question, sampling = Query.of(words(500)), Sampling(max_tokens=402, force_answer=0)
    outcome = await solve(question, Whole(), Fleet(models), budget=budget, sampling=sampling)
    finished = [event["finish"] for event in outcome.trace if event["event"] == "sample"]
    assert finished[:6] == ["stop"] * 6
    assert len(finished) <= 7
