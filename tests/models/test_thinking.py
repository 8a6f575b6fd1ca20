"""Thinking models: 20,000 tokens of thought in every form that servers send them, counted, cut and forced to answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.testing import FakeServer, Reply, words
from ttc.types import Query, Request, Sample, Sampling

pytestmark = pytest.mark.anyio

N_THOUGHTS = 20_000
THOUGHTS = words(N_THOUGHTS)
ASK = Request(messages=({"role": "user", "content": "6 times 7?"},), max_tokens=32_000, seed=7)


async def draw(server: FakeServer, request: Request, *, ledger: Ledger | None = None) -> Sample:
    async with VLLMServer(server.url) as model, model.open([request], ledger or Ledger()) as stream:
        (sample,) = [s async for s in stream]
        return sample


FORMS = [
    Reply(text="The answer is 42", reasoning=THOUGHTS),
    Reply(text="The answer is 42", reasoning=THOUGHTS, reasoning_field="reasoning_content"),
    Reply(text="The answer is 42", reasoning=THOUGHTS, inline=True),
    Reply(text="The answer is 42", reasoning=THOUGHTS, inline=True, opener=False),
]
FORM_NAMES = ["field", "old_field", "inline", "template_opened"]
INTERVAL = 16


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("details", [True, False])
async def test_thoughts_are_told_from_the_answer_and_counted(form: Reply, stream: bool, details: bool) -> None:
    reply = replace(form, usage_details=details)
    async with FakeServer(lambda b, k: reply, stream_interval=INTERVAL) as server:
        sample = await draw(server, replace(ASK, stream=stream))
    tags = form.inline * (1 + form.opener)
    usage = sample.usage
    assert (sample.text, sample.reasoning) == ("The answer is 42", THOUGHTS)
    assert usage.generated == server.generated_tokens == N_THOUGHTS + tags + 4
    assert usage.reasoning_source == ("server" if details else "stream" if stream else "tokenizer")
    # A stream tells the end of the thoughts to within the chunk in which they end.
    exact = details or not stream
    assert abs(usage.reasoning_tokens - N_THOUGHTS - tags) <= (0 if exact else INTERVAL)
    assert not usage.upper_bound


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
async def test_token_by_token_streams_count_exactly(form: Reply) -> None:
    reply = replace(form, reasoning=words(500), usage_details=False)
    async with FakeServer(lambda b, k: reply) as server:
        sample = await draw(server, ASK)
    assert sample.usage.reasoning_tokens == 500 + form.inline * (1 + form.opener)
    assert sample.usage.answer_tokens == 4


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
async def test_without_running_usage_the_tokenizer_tells_them_apart(form: Reply) -> None:
    reply = replace(form, usage_details=False, running_usage=False)
    async with FakeServer(lambda b, k: reply, stream_interval=INTERVAL) as server:
        sample = await draw(server, ASK)
    assert sample.usage.reasoning_tokens == N_THOUGHTS + form.inline * (1 + form.opener)
    assert sample.usage.answer_tokens == 4
    assert sample.usage.reasoning_source == "tokenizer"


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_thought_that_its_cap_ends_is_all_thought_and_abstains(form: Reply, stream: bool) -> None:
    opens = form.inline and not form.opener
    async with FakeServer(lambda b, k: form, stream_interval=INTERVAL, opens_thought=opens) as server:
        sample = await draw(server, replace(ASK, max_tokens=1000, stream=stream))
    assert (sample.text, sample.finish) == ("", "length")
    assert sample.usage.reasoning_tokens == sample.usage.generated == 1000
    assert sample.reasoning.startswith("so so so")


async def test_where_the_template_opens_no_thought_a_text_without_tags_is_the_answer() -> None:
    async with FakeServer(lambda b, k: Reply(text=words(50))) as server:
        sample = await draw(server, replace(ASK, max_tokens=10))
    assert (sample.text, sample.reasoning) == (words(10), "")
    assert sample.usage.answer_tokens == 10


class Number:
    """Reads the last number after the word answer; forces it where there is none."""

    name = "number"
    cue = "\nThe answer is"

    def extract(self, text: str) -> str | None:
        last = text.rpartition("answer is")
        return last[2].strip() or None if last[1] else None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b


def thinking_for_ever(form: Reply) -> Any:
    def script(body: dict[str, Any], k: int) -> Reply:
        if body.get("continue_final_message"):
            # A reasoning parser that sees no end of a thought in what is new takes all of it for one.
            return Reply(text="", reasoning=" 42") if not form.inline else Reply(text=" 42")
        return form

    return script


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
@pytest.mark.parametrize("budget", [None, 3000])
async def test_cut_thoughts_are_forced_to_answer_within_the_budget(form: Reply, budget: int | None) -> None:
    query = Query.of("6 times 7?", answer_type=Number())
    opens = form.inline and not form.opener
    script = thinking_for_ever(form)
    limit = Budget(generated_tokens=budget) if budget else None
    async with (
        FakeServer(script, stream_interval=INTERVAL, opens_thought=opens) as server,
        VLLMServer(server.url) as model,
    ):
        outcome = await solve(query, "single", model, budget=limit, sampling=Sampling(max_tokens=5000))
    assert outcome.answer == "42"
    assert outcome.candidate is not None
    assert outcome.candidate.sample.forced
    final = server.requests[-1]["messages"][-1]
    assert final["role"] == "assistant"
    assert final["content"].startswith("<think>\nso so")
    assert final["content"].endswith("</think>\n\n\nThe answer is")
    assert server.generated_tokens <= outcome.generated_tokens <= (budget or 5001)
    if budget is None:
        assert outcome.generated_tokens == server.generated_tokens == 5001
        assert outcome.total_usage.reasoning_tokens == 5000


async def test_where_forcing_is_off_a_cut_thought_abstains_and_is_counted() -> None:
    query = Query.of("6 times 7?", answer_type=Number())
    sampling = Sampling(max_tokens=5000, force_answer=0)
    script = thinking_for_ever(FORMS[0])
    async with FakeServer(script, stream_interval=INTERVAL) as server, VLLMServer(server.url) as model:
        outcome = await solve(query, "single", model, sampling=sampling)
    assert outcome.answer is None
    assert outcome.generated_tokens == outcome.thinking_tokens == server.generated_tokens == 5000
