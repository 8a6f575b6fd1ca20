"""Budget forcing over real HTTP, for thoughts in every form that servers send them and for plain models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ttc.budget import Budget
from ttc.models.scripted import Scripted
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply, words
from ttc.types import Outcome, Query, Sample

pytestmark = pytest.mark.anyio

QUERY = Query.of("6 times 7?", answer_type="number")
CUE = QUERY.answer_type.cue
ANSWER = "The answer is 42"
FIELD, INLINE, OPENED, PLAIN = "field", "inline", "template_opened", "plain"
FORMS = [FIELD, INLINE, OPENED, PLAIN]

Model = Callable[[dict[str, Any], int], Reply]


def says(form: str, thoughts: int, answer: str) -> Reply:
    """So many tokens of thought and then the answer, in the form that a server sends them."""
    if form == PLAIN:
        return Reply(text=f"{words(thoughts)} {answer}")
    return Reply(text=answer, reasoning=words(thoughts), inline=form != FIELD, opener=form == INLINE)


def thinker(form: str, thoughts: int = 50, more: int = 20) -> Model:
    """A model that thinks for so long, and for some more each time that it is told to wait."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        if not body.get("continue_final_message"):
            return says(form, thoughts, ANSWER)
        so_far = body["messages"][-1]["content"]
        if so_far.endswith(CUE):
            return Reply(text=" 42")
        if "</think>" in so_far or not so_far.endswith("Wait"):
            return Reply(text=" and so on")  # nobody should have asked
        if form == FIELD:  # a reasoning parser tells the two apart in a continuation as well
            return Reply(text=ANSWER, reasoning=" " + words(more))
        return Reply(text=f" {words(more)}{' </think> ' if form != PLAIN else ' '}{ANSWER}")

    return reply


async def force(form: str, model: Model, spec: str, **settings: Any) -> tuple[Outcome, FakeServer]:
    async with (
        FakeServer(model, opens_thought=form == OPENED) as server,
        VLLMServer(server.url) as client,
    ):
        outcome = await solve(QUERY, f"budget_forcing:{spec}", client, **settings)
    assert server.generated_tokens <= outcome.generated_tokens
    return outcome, server


def last_message(server: FakeServer) -> str:
    return server.requests[-1]["messages"][-1]["content"]


def thought_of(outcome: Outcome) -> str:
    assert outcome.candidate is not None
    sample = outcome.candidate.sample
    return sample.reasoning or sample.text.partition("The answer")[0]


@pytest.mark.parametrize("form", FORMS)
async def test_thoughts_are_cut_at_the_budget_and_the_answer_is_forced_once(form: str) -> None:
    outcome, server = await force(form, thinker(form, thoughts=500), "thinking=16,answer_tokens=8")
    assert outcome.answer == "42"
    assert outcome.calls == {"generate": 2}  # the model's own way of forcing an answer keeps out of it
    assert 10 <= len(thought_of(outcome).split()) <= 16
    assert last_message(server).endswith(("</think>\n\n" if form != PLAIN else "so") + CUE)
    assert server.generated_tokens < 16 + 8 + 8  # the disconnect takes a few tokens to be noticed


@pytest.mark.parametrize("form", FORMS)
async def test_thoughts_that_end_by_themselves_are_left_alone(form: str) -> None:
    outcome, server = await force(form, thinker(form), "thinking=60")
    assert (outcome.answer, outcome.calls) == ("42", {"generate": 1})
    assert server.generated_tokens == outcome.generated_tokens
    assert outcome.candidate is not None
    assert outcome.candidate.sample.finish == "stop"


@pytest.mark.parametrize("form", [FIELD, INLINE, OPENED])
async def test_the_answer_behind_the_thoughts_is_no_thought(form: str) -> None:
    # 15 thoughts, up to 2 tags and 4 tokens of an answer: with it the sample is beyond the budget.
    outcome, _ = await force(form, thinker(form, thoughts=15), "thinking=18")
    assert (outcome.answer, outcome.calls) == ("42", {"generate": 1})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("waits", [1, 2, 3])
async def test_an_early_end_is_suppressed_so_often_as_asked(form: str, waits: int) -> None:
    outcome, server = await force(form, thinker(form), f"thinking=400,waits={waits}")
    assert outcome.answer == "42"
    told = [r["messages"][-1]["content"] for r in server.requests[1:]]
    assert [t.count("Wait") for t in told if t.endswith("Wait")] == list(range(1, waits + 1))
    whole = outcome.candidate.sample.reasoning + outcome.text if outcome.candidate else ""
    assert whole.count("Wait") == waits
    assert outcome.text.endswith(ANSWER)


@pytest.mark.parametrize("form", FORMS)
async def test_nothing_is_extended_beyond_the_budget(form: str) -> None:
    outcome, server = await force(form, thinker(form, thoughts=50, more=20), "thinking=100,waits=50,answer_tokens=8")
    assert outcome.answer == "42"
    told = [r["messages"][-1]["content"] for r in server.requests[1:]]
    assert 1 <= sum(t.endswith("Wait") for t in told) <= 3
    assert len(thought_of(outcome).split()) <= 100 + 8


def obeying(form: str) -> Model:
    """A server that ends the thoughts itself."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        if (budget := body.get("thinking_token_budget")) is not None:
            return says(form, budget, ANSWER)
        return thinker(form)(body, k)

    return reply


async def test_a_server_that_enforces_the_budget_is_not_cut() -> None:
    outcome, server = await force(FIELD, obeying(FIELD), "thinking=128,server=true")
    assert (outcome.answer, outcome.calls, outcome.warnings) == ("42", {"generate": 1}, ())
    assert server.requests[0]["thinking_token_budget"] < 128
    assert outcome.total_usage.reasoning_tokens == server.requests[0]["thinking_token_budget"]
    assert not outcome.total_usage.upper_bound


async def test_a_server_that_ignores_the_budget_is_caught_while_it_streams() -> None:
    outcome, server = await force(FIELD, thinker(FIELD, thoughts=500), "thinking=32,answer_tokens=8,server=true")
    assert (outcome.answer, outcome.calls) == ("42", {"generate": 2})
    assert server.generated_tokens < 32 + 8 + 8


async def test_a_server_that_rejects_the_budget_is_asked_again_without() -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        if "thinking_token_budget" in body:
            return Reply(status=400, message="thinking_token_budget requires --reasoning-parser")
        return thinker(INLINE, thoughts=500)(body, k)

    outcome, server = await force(INLINE, reply, "thinking=32,answer_tokens=8,server=true")
    assert outcome.answer == "42"
    assert len(server.requests) == 3
    assert any("rejects a thinking budget" in w for w in outcome.warnings)


@pytest.mark.parametrize("form", FORMS)
async def test_the_tokens_of_the_answer_are_kept_back_from_a_small_budget(form: str) -> None:
    for form in FORMS:
        budget = Budget(generated_tokens=60)
        outcome, server = await force(
            form, thinker(form, thoughts=500), "thinking=1000,answer_tokens=16", budget=budget
        )
        assert outcome.answer == "42"
        assert outcome.generated_tokens <= 60
        assert server.generated_tokens > 16


async def test_a_thinker_without_a_cue_is_told_to_answer_by_the_end_of_its_thoughts() -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="forty-two") if body.get("continue_final_message") else says(FIELD, 500, "unheard")

    async with FakeServer(reply) as server, VLLMServer(server.url) as client:
        outcome = await solve("6 times 7?", "budget_forcing:thinking=16", client)
    assert (outcome.answer, outcome.calls) == ("forty-two", {"generate": 2})
    assert last_message(server).endswith("</think>\n\n")


async def test_a_text_is_its_own_answer() -> None:
    outcome = await solve("talk", "budget_forcing:thinking=16", Scripted(lambda r: words(100)))
    assert outcome.calls == {"generate": 1}
    assert outcome.answer == words(16)


async def test_when_all_calls_fail_it_says_why() -> None:
    failed = Reply(status=400, message="no such thing")
    outcome, server = await force(FIELD, lambda b, k: failed, "thinking=16,waits=2")
    assert outcome.ended_by == "all_calls_failed"
    assert "no such thing" in outcome.error
    assert len(server.requests) == 1


async def test_a_continuation_that_fails_leaves_the_answer_that_there_was() -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return says(PLAIN, 10, ANSWER) if k == 0 else Reply(status=400)

    outcome, server = await force(PLAIN, reply, "thinking=400,waits=2")
    assert (outcome.answer, outcome.ended_by) == ("42", "finished")
    assert len(server.requests) == 3


async def test_a_deadline_in_the_middle_leaves_what_was_said_before() -> None:
    model = Scripted(lambda r: f"so {ANSWER}", latency=lambda r: 100.0 if r.continue_final else 0.0)
    outcome = await solve(QUERY, "budget_forcing:thinking=64,waits=1", model, budget=Budget(seconds=0.05))
    assert (outcome.answer, outcome.ended_by, model.running) == ("42", "deadline", 0)


async def test_half_a_thought_after_a_wait_is_no_answer() -> None:
    texts = [f"so {ANSWER}", words(100, "9"), " 43"]
    model = Scripted(lambda r: Sample(text=texts[len(model.requests) - 1]))
    outcome = await solve(QUERY, "budget_forcing:thinking=32,waits=1", model)
    assert [c.answer for c in outcome.checkpoints] == ["42", "43"]


async def test_an_answer_that_was_marked_before_the_budget_is_not_asked_for_again() -> None:
    model = Scripted(lambda r: f"{ANSWER}. {words(100)}")
    outcome = await solve(QUERY, "budget_forcing:thinking=16", model)
    assert (outcome.answer, outcome.calls) == ("42", {"generate": 1})
