"""Solving: errors that leave alone, deadlines that are kept, checkpoints that say what was paid by then."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from ttc.budget import Budget
from ttc.errors import BudgetExhausted, ConfigurationError, ModelError
from ttc.models.base import Meter, Model
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.strategy import Strategy
from ttc.testing import FakeServer, Reply, words
from ttc.types import Candidate, Outcome, Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

QUERY = Query.of("How many?", answer_type="number")


def says(*numbers: int | str) -> Scripted:
    """A model whose k-th sample of a query ends with the k-th number."""
    return Scripted(lambda r: f"so it is {numbers[r.index % len(numbers)]}")


class AtOnce(Strategy):
    """Draws one sample, then three in tasks of its own."""

    async def solve(self, query: Query, session: Session) -> None:
        async def one() -> None:
            session.propose(await session.generate())

        await one()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)


class Broken:
    """A comparator with a bug."""

    name = "broken"

    async def compare(self, query: Query, first: Candidate, second: Candidate, session: Session) -> float:
        raise KeyError("mine")


async def test_an_error_in_a_strategys_own_tasks_leaves_alone() -> None:
    with pytest.raises(KeyError, match="mine"):
        await solve(QUERY, "knockout:n=4", says(1, 2, 3, 4), comparator=Broken())


async def test_a_refusal_in_a_strategys_own_tasks_ends_the_query_like_any_other() -> None:
    outcome = await solve(QUERY, AtOnce(), says(7), budget=Budget(calls=2))
    assert (outcome.answer, outcome.ended_by, outcome.calls) == ("7", "budget", {"generate": 2})


async def test_a_request_that_cannot_be_written_is_one_clear_error_and_leaves_nothing_open() -> None:
    model = says(7)
    for budget in (None, Budget(seconds=10)):
        with pytest.raises(ConfigurationError, match="not JSON serializable"):
            await solve(QUERY, "majority:n=2", model, sampling=Sampling(extra={"stop": {"a set"}}), budget=budget)
    assert model.requests == []
    assert (await solve(QUERY, "single", model, budget=Budget(seconds=10))).answer == "7"


async def test_an_answer_with_the_empty_key_is_none() -> None:
    class Unreadable:
        name, cue = "unreadable", ""

        def extract(self, text: str) -> str | None:
            return text.split()[-1]

        def concludes(self, text: str) -> bool:
            return False

        def key(self, answer: str) -> str:
            return answer if answer.isdigit() else ""

        def equivalent(self, a: str, b: str) -> bool:
            return False

    query = Query.of("How many?", answer_type=Unreadable())
    outcome = await solve(query, "majority:n=4,stop=never", says("dunno", "7", "none", "huh"))
    assert outcome.answer == "7"


# -- deadlines --------------------------------------------------------------------------------------------------------


async def test_queries_that_had_not_started_when_the_time_was_over_send_nothing() -> None:
    model = Scripted(lambda r: "so it is 7", latency=lambda r: 0.05)
    outcomes = await solve_many(map(str, range(40)), "single", model, total=Budget(seconds=0.12), concurrency=1)
    assert len(outcomes) == 40
    assert len(model.requests) <= 4
    assert {o.ended_by for o in outcomes[4:]} == {"deadline"}
    assert sum(o.generated_tokens for o in outcomes[4:]) == 0


async def test_counting_the_answers_of_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs(Scripted):
        async def count_tokens(self, text: str) -> tuple[int, str]:
            await anyio.sleep_forever()
            raise AssertionError

    monkeypatch.setattr(sys.modules[solve.__module__], "COUNTING", 0.05)
    with anyio.fail_after(10):
        outcome = await solve(QUERY, "majority:n=3,stop=never", Hangs(lambda r: f"so it is {r.index}"))
    assert outcome.answer is not None
    assert any("estimated" in w for w in outcome.warnings)


async def test_an_estimated_answer_is_said_to_be_one() -> None:
    async with FakeServer(lambda body, k: Reply(text="so it is 7"), tokenize=False) as server:
        outcome = await _ask(server, lambda model: solve(QUERY, "single", model))
    assert any("estimated" in w for w in outcome.warnings)


# -- costs ------------------------------------------------------------------------------------------------------------


async def _ask(server: FakeServer, ask: Callable[[Model], Awaitable[Outcome]]) -> Outcome:
    async with VLLMServer(server.url, sleep=lambda seconds: anyio.lowlevel.checkpoint()) as model:
        return await ask(model)


async def test_a_failed_sample_has_a_checkpoint_of_its_own() -> None:
    class Fails(Scripted):
        async def call(self, request: Request, meter: Meter) -> list[Sample]:
            if request.index == 2:
                raise ModelError("scripted")
            return await super().call(request, meter)

    outcome = await solve(QUERY, "majority:n=4,stop=never", Fails(lambda r: f"so it is {min(r.index, 1)}"))
    assert [(c.samples, c.prefix.generated) for c in outcome.checkpoints] == [(1, 4), (2, 8), (3, 8), (4, 12)]


async def test_a_sample_that_abstains_is_in_the_cost_of_its_checkpoint() -> None:
    model = Scripted(
        lambda r: Sample(text="no idea" if r.index == 1 else f"so it is {r.index}", top_logprobs=((-0.1, -2.0),))
    )
    outcome = await solve(QUERY, "best_of_n:n=2", model, verifier="self_certainty")
    last = outcome.checkpoints[-1]
    assert (last.answer, last.samples, last.prefix) == ("0", 2, outcome.total_usage)


async def test_checkpoints_of_a_child_session_count_what_the_query_spent_before() -> None:
    outcome = await solve(QUERY, "adaptive", says(1, 2, 3))
    assert len(outcome.checkpoints) == 8
    assert all(c.realised.generated >= c.prefix.generated for c in outcome.checkpoints)


async def test_what_a_broken_attempt_generated_is_no_part_of_the_answer() -> None:
    def reply(body: object, k: int) -> Reply:
        return Reply(text=words(30), fault="" if k else "reset_mid_body", fault_after=20)

    async with FakeServer(reply) as server:
        outcome = await _ask(server, lambda model: solve("How?", "single", model))
    assert outcome.answer_tokens == 30
    assert outcome.thinking_tokens == outcome.generated_tokens - 30 >= 20


async def test_a_refusal_alone_still_ends_the_query() -> None:
    class Refused(Strategy):
        async def solve(self, query: Query, session: Session) -> None:
            raise BudgetExhausted("nothing left")

    assert (await solve(QUERY, Refused(), says(7))).ended_by == "budget"


@pytest.mark.anyio
async def test_a_budget_may_be_text_and_a_wrong_one_is_an_error_before_any_call() -> None:
    model = Scripted(lambda request: "4")
    outcome = await solve("2+2?", "majority:n=8,stop=never", model, budget="calls=3")
    assert (outcome.calls, outcome.ended_by) == ({"generate": 3}, "budget")
    with pytest.raises(ConfigurationError, match="unknown limit 'coins'"):
        await solve("2+2?", "single", model, budget="coins=3")
    assert len(model.requests) == 3
