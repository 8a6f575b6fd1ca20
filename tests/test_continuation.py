"""Going on where a thought ended, over HTTP: what is thought and what is answer, in every form that servers send."""

from __future__ import annotations

from typing import Any

import pytest

from ttc.continuation import joined
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.solve import solve
from ttc.strategy import Strategy
from ttc.testing import FakeServer, Reply, words
from ttc.types import FinishReason, Outcome, Query, Sample, Sampling, Usage

pytestmark = pytest.mark.anyio

FIRST = 30
"""Tokens of the first thought."""


class GoesOn(Strategy):
    """Cuts the thoughts, and lets them go on."""

    async def solve(self, query: Query, session: Session) -> None:
        thought = await session.generate(max_tokens=FIRST, force_answer=0)
        session.propose(await session.continue_(thought, cue=" Wait", close_thought=False))


async def go_on(more: Reply, *, stream: bool = True) -> Outcome:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return more if body.get("continue_final_message") else Reply(reasoning=words(500, "hm"), text="unheard")

    async with FakeServer(reply) as server, VLLMServer(server.url) as model:
        outcome = await solve(
            Query.of("6 times 7?"), GoesOn(), model, sampling=Sampling(max_tokens=64 if stream else 16)
        )
    assert server.generated_tokens == outcome.generated_tokens
    return outcome


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("more", "thoughts"),
    [
        (Reply(text=" so so so </think>\n\n42"), 4),  # without a reasoning parser: inline, the tag a token
        (Reply(reasoning=" so so so", text="42"), 3),  # a parser tells the two apart
        (Reply(text="</think>\n\n42"), 1),  # it had nothing to add
    ],
    ids=["inline", "field", "at once"],
)
async def test_what_follows_the_thoughts_is_the_answer_and_is_counted_so(
    more: Reply, thoughts: int, stream: bool
) -> None:
    outcome = await go_on(more, stream=stream)
    assert (outcome.answer, outcome.text) == ("42", "42")
    assert outcome.total_usage.reasoning_tokens == FIRST + thoughts
    assert (outcome.answer_tokens, outcome.thinking_tokens) == (1, FIRST + thoughts)
    assert outcome.candidate is not None
    reasoning = outcome.candidate.sample.reasoning
    assert "Wait" in reasoning
    assert "think>" not in reasoning + outcome.text
    assert "42" not in reasoning


@pytest.mark.parametrize(
    "more", [Reply(text=" so so so"), Reply(reasoning=" so so so", text="")], ids=["plain", "field"]
)
async def test_a_thought_that_does_not_end_is_all_thought(more: Reply) -> None:
    outcome = await go_on(more)
    assert (outcome.answer, outcome.text) == (None, "")
    assert outcome.total_usage.reasoning_tokens == outcome.thinking_tokens == FIRST + 3
    assert outcome.candidate is not None
    assert outcome.candidate.sample.reasoning.endswith("Wait so so so")


@pytest.mark.parametrize("finish", ["stop", "failed"])
async def test_both_usages_are_added_up_whatever_came_of_the_continuation(finish: FinishReason) -> None:
    before = Sample(text="so", usage=Usage(9, 4, 2, 5))
    more = Sample(text=" on", finish=finish, usage=Usage(20, 12, 1, 7, upper_bound=True))
    whole = joined(before, more, "", close_thought=True)
    assert whole.usage == Usage(29, 16, 3, 12, upper_bound=True)
    assert whole.text == ("so on" if finish == "stop" else "so")
