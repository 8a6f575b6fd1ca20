"""Convergence exit: when a trace ends, what it costs, and that probes leave no mark in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.models.population import Population
from ttc.models.scripted import Scripted
from ttc.models.simulated import Simulated
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply
from ttc.types import Query, Request, Sample

pytestmark = pytest.mark.anyio

QUERY = Query.of("6 times 7?", answer_type="number")
CUE = QUERY.answer_type.cue


def probes(request: Request) -> bool:
    return request.kind == "probe"


def thinker(answers: Sequence[str | Sample], length: int = 1000) -> Callable[[Request], str | Sample]:
    """A trace of the words 0, 1, 2 and so on; it is asked for its answer after each step, and gives these in turn."""
    asked = iter(answers)

    def reply(request: Request) -> str | Sample:
        if probes(request):
            return next(asked)
        done = str(request.messages[-1]["content"]).count("w") if request.continue_final else 0
        return " ".join(f"w{i}" for i in range(done, length)) + (" The answer is 7" if length < 1000 else "")

    return reply


SPEC = "converge:step=10,thinking=100,patience=3"


async def test_it_ends_when_enough_probes_in_a_row_agree() -> None:
    model = Scripted(thinker(["1", "42", "42", "5", "42", "42.0", "42"]))
    outcome = await solve(QUERY, SPEC, model)
    # Equal answers may be written in other ways, and agreement counts in a row.
    assert (outcome.answer, outcome.ended_by) == ("42", "stopped_early")
    assert outcome.calls == {"generate": 7, "probe": 7}
    assert outcome.usage["generate"].generated == 70
    assert outcome.usage["probe"].generated == 7


async def test_probes_leave_no_mark_in_the_trace() -> None:
    model = Scripted(thinker(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]))
    await solve(QUERY, SPEC, model)
    for i, request in enumerate(r for r in model.requests if not probes(r)):
        trace = request.messages[-1]["content"] if i else ""
        assert trace == "".join(" " * (j % 10 > 0) + f"w{j}" for j in range(10 * i))
    for request in filter(probes, model.requests):
        assert request.messages[-1]["content"].endswith(CUE)


async def test_a_trace_that_never_settles_ends_at_its_limit_with_the_last_probe() -> None:
    model = Scripted(thinker([str(i) for i in range(20)]))
    outcome = await solve(QUERY, "converge:step=30,thinking=100,patience=2", model)
    assert (outcome.answer, outcome.ended_by) == ("3", "finished")
    assert outcome.usage["generate"].generated == 100
    assert [c.answer for c in outcome.checkpoints] == ["0", "1", "2", "3"]


async def test_a_trace_that_comes_to_its_end_answers_by_itself() -> None:
    model = Scripted(thinker(["1", "2"], length=25))
    outcome = await solve(QUERY, SPEC, model)
    assert (outcome.answer, outcome.calls) == ("7", {"generate": 3, "probe": 2})
    assert outcome.text.endswith("w24 The answer is 7")


async def test_a_trace_that_ends_without_an_answer_is_asked_once_more() -> None:
    model = Scripted(lambda r: "13" if probes(r) else "let me think")
    outcome = await solve(QUERY, SPEC, model)
    assert (outcome.answer, outcome.ended_by, outcome.calls) == ("13", "finished", {"generate": 1, "probe": 1})


async def test_a_probe_that_fails_or_holds_no_answer_agrees_with_nothing() -> None:
    for nothing in (Sample(text="who knows"), Sample(finish="failed")):
        model = Scripted(thinker(["42", nothing, "42", "42"]))
        outcome = await solve(QUERY, "converge:step=10,thinking=100,patience=2", model)
        assert (outcome.answer, outcome.calls["probe"]) == ("42", 4)


async def test_a_budget_pays_for_a_probe_before_it_pays_for_a_step() -> None:
    model = Scripted(thinker([str(i) for i in range(20)]))
    spec = "converge:step=20,thinking=1000,answer_tokens=4"
    outcome = await solve(QUERY, spec, model, budget=Budget(generated_tokens=50))
    assert (outcome.answer, outcome.ended_by) == ("2", "budget")
    assert outcome.usage["generate"].generated == 44
    assert outcome.generated_tokens <= 50
    tiny = await solve(QUERY, spec, Scripted(thinker(["5", "6"])), budget=Budget(generated_tokens=10))
    assert tiny.answer is not None


async def test_a_deadline_leaves_the_last_probe() -> None:
    model = Scripted(thinker(["5", "6"]), latency=lambda r: 100.0 if len(r.messages[-1]["content"]) > 100 else 0.0)
    outcome = await solve(QUERY, SPEC, model, budget=Budget(seconds=0.05))
    assert (outcome.answer, outcome.ended_by, model.running) == ("6", "deadline", 0)


async def test_when_all_calls_fail_it_says_why() -> None:
    outcome = await solve(QUERY, SPEC, Simulated(Population(), failures=1.0))
    assert (outcome.answer, outcome.ended_by, outcome.error) == (None, "all_calls_failed", "a simulated failure")
    assert outcome.calls == {"generate": 1}


async def test_an_answer_that_cannot_be_asked_for_is_a_mistake_before_any_call() -> None:
    model = Scripted(lambda r: "so")
    with pytest.raises(ConfigurationError, match="answer type with a cue"):
        await solve("talk", SPEC, model)
    assert model.requests == []


@pytest.mark.parametrize("inline", [False, True])
async def test_the_thoughts_of_a_thinking_model_are_closed_for_probes_alone(inline: bool) -> None:
    thoughts = [f"w{i}" for i in range(100)]

    def reply(body: dict[str, Any], k: int) -> Reply:
        so_far: str = body["messages"][-1]["content"]
        if so_far.endswith(CUE):
            return Reply(text=" 42" if so_far.count("w") > 25 else " 41")
        left = " ".join(thoughts[so_far.count("w") :])
        if body.get("continue_final_message"):
            return Reply(text=" " + left) if inline else Reply(text="", reasoning=" " + left)
        return Reply(text="unheard", reasoning=left, inline=inline)

    async with FakeServer(reply) as server, VLLMServer(server.url) as client:
        outcome = await solve(QUERY, "converge:step=10,thinking=90", client)
    assert (outcome.answer, outcome.ended_by) == ("42", "stopped_early")
    assert outcome.calls == {"generate": 5, "probe": 5}
    assert server.generated_tokens == outcome.generated_tokens == 55
    said = [r["messages"][-1]["content"] for r in server.requests]
    assert [("</think>" in s) for s in said] == [False, True] * 5
    assert outcome.candidate is not None
    assert outcome.candidate.sample.reasoning.split() == thoughts[: 50 - inline]
