"""Prompt tokens are counted whenever the server read them: again for a retry, and for calls that were cancelled."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel
import pytest

from ttc.budget import Budget, Price
from ttc.ledger import Ledger
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply, words
from ttc.types import Query, Request, Sampling

pytestmark = pytest.mark.anyio

QUERY = Query.of("How many?", answer_type="number")


async def no_wait(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("budget", [None, Budget(total_tokens=200)])
async def test_a_call_that_is_sent_again_pays_for_its_prompt_again(budget: Budget | None) -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="so it is 7", fault="" if k else "reset_mid_body", fault_after=2)

    async with FakeServer(reply) as server, VLLMServer(server.url, sleep=no_wait) as model:
        outcome = await solve(QUERY, "single", model, budget=budget)
    assert outcome.answer == "7"
    assert len(server.requests) == 2
    assert outcome.total_usage.prompt_tokens == server.prompt_tokens


@pytest.mark.parametrize(("total", "sends"), [(24, 2), (60, 4)])
async def test_retries_are_made_while_their_prompts_fit(total: int, sends: int) -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=words(30), fault="reset_mid_body", fault_after=2)

    async with FakeServer(reply) as server, VLLMServer(server.url, sleep=no_wait) as model:
        sampling = Sampling(max_tokens=32, force_answer=0)
        outcome = await solve(QUERY, "single", model, budget=Budget(total_tokens=total), sampling=sampling)
    assert len(server.requests) == sends  # each has 6 tokens of prompt
    assert server.prompt_tokens + server.generated_tokens <= outcome.total_usage.total <= total


async def test_calls_that_are_cancelled_in_the_middle_pay_for_their_prompts() -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=f"{words(3)} 7" if k < 5 else words(5000))

    async with FakeServer(reply, token_delay=0.001) as server, VLLMServer(server.url) as model:
        outcome = await solve(QUERY, "majority:n=8", model, sampling=Sampling(max_tokens=8000))
    assert outcome.ended_by == "stopped_early"
    assert outcome.total_usage.prompt_tokens == server.prompt_tokens


@pytest.mark.parametrize("total", range(90, 125))
async def test_forcing_an_answer_reads_the_prompt_the_text_and_the_cue(total: int) -> None:
    model = Scripted(
        lambda r: " ".join(["7"] * 16 if r.continue_final else ["hm"] * 999), price=Price(prompt=1e6, generated=1e6)
    )
    for budget in (Budget(total_tokens=total), Budget(dollars=total)):
        outcome = await solve(QUERY, "single", model, budget=budget, sampling=Sampling(max_tokens=40))
        assert outcome.total_usage.total <= total


async def test_arguments_of_the_chat_template_are_counted_with_the_prompt() -> None:
    request = Request(
        messages=QUERY.messages, max_tokens=30, extra={"chat_template_kwargs": {"enable_thinking": False}}
    )
    async with FakeServer(lambda body, k: Reply(text=words(99))) as server, VLLMServer(server.url) as model:
        ledger = Ledger(Budget(total_tokens=30))
        async with model.open([request], ledger) as stream:
            (sample,) = [s async for s in stream]
    assert sample.usage.prompt_tokens == server.prompt_tokens == 10
    assert ledger.spent.total <= 30
