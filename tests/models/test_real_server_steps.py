"""Steps on a real vLLM server: how they end, what they cost, and that a search asks for a whole wave at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ttc.ledger import Ledger
from ttc.models.launch import RunningServer
from ttc.models.meter import Meter
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.types import Message, Query, Request, Sample, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]

QUESTION: Message = {"role": "user", "content": "How is tea made?"}
ASK = Request(messages=(QUESTION,), max_tokens=48, seed=7, until=("\n\n",))
BATCH = 64
"""What a server of the bundled model holds at once: its ``--max-num-seqs``."""

COUNTERS = ("generation_tokens_total", "prompt_tokens_total", "prefix_cache_hits_total", "iteration_tokens_total_count")
EXAMPLES = "".join(
    f"Q: What is {i} plus {i + 1}?\nA: We add {i} and {i + 1}. That is {2 * i + 1}.\n" for i in range(12)
)


class Watched(VLLMServer):
    """Counts its calls in flight, and how many of each wave were so before the first of them was done."""

    in_flight_now = 0
    calls_made = 0

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if not self.in_flight_now:
            self.waves: list[list[int]] = [*getattr(self, "waves", []), [0, 0]]
        wave = self.waves[-1]
        self.in_flight_now += 1
        self.calls_made += 1
        wave[0] += 1
        wave[1] = max(wave[1], self.in_flight_now)
        try:
            return await super().call(request, meter)
        finally:
            self.in_flight_now -= 1


@pytest.fixture
async def model(vllm_server: RunningServer) -> AsyncIterator[Watched]:
    async with Watched(vllm_server.base_url, vllm_server.model, in_flight=BATCH) as connected:
        yield connected


async def draw(model: VLLMServer, *requests: Request) -> list[Sample]:
    async with model.open(requests, Ledger()) as stream:
        return [s async for s in stream]


async def counted(model: VLLMServer) -> dict[str, int]:
    """The server's own counters, once nothing runs and they stand still."""
    before: dict[str, float] = {}
    for _ in range(500):
        metrics = await model.metrics()
        now = {name: metrics.get(f"vllm:{name}", 0.0) for name in COUNTERS}
        if not metrics["vllm:num_requests_running"] and now == before:
            return {name.removesuffix("_total"): int(count) for name, count in now.items()}
        before = now
        await anyio.sleep(0.05)
    raise AssertionError("the server does not come to rest")


def saying(regex: str) -> dict[str, Any]:
    """Have the model say this."""
    return {"structured_outputs": {"regex": regex}}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("regex", "text", "finish"),
    [
        (r"Boil the water\.\n\nAdd the leaves\.", "Boil the water.", "step"),
        (r"\n\nAdd the leaves\.", "", "step"),  # the separator comes at once
        (r"Add the leaves\.\n\n", "Add the leaves.", "step"),  # the model would end it behind the separator
        (r"Add the\nleaves\.", "Add the\nleaves.", "stop"),
    ],
)
async def test_a_step_ends_at_its_separator_which_is_paid_for_and_left_out(
    model: VLLMServer, regex: str, text: str, finish: str, stream: bool
) -> None:
    before = await counted(model)
    (step,) = await draw(model, replace(ASK, stream=stream, logprobs=2, extra=saying(regex)))
    assert (step.text, step.finish) == (text, finish)
    assert step.usage.generated == (await counted(model))["generation_tokens"] - before["generation_tokens"]
    assert len(step.logprobs) == len(step.top_logprobs) == step.usage.generated
    assert step.usage.generated > (await model.count_tokens(text))[0]  # the separator, or the token of the end


@pytest.mark.parametrize("stream", [True, False])
async def test_a_separator_may_span_tokens(model: VLLMServer, stream: bool) -> None:
    (step,) = await draw(model, replace(ASK, until=("wo thr",), stream=stream, extra=saying("One two three four")))
    assert (step.text, step.finish) == ("One t", "step")


@pytest.mark.parametrize("stream", [True, False])
async def test_stop_sequences_of_the_users_end_it_for_good(model: VLLMServer, stream: bool) -> None:
    (step,) = await draw(model, replace(ASK, stream=stream, extra={"stop": ["END"], **saying(r"Done END\n\nmore")}))
    assert (step.text, step.finish) == ("Done ", "stop")


async def test_this_template_keeps_white_space(model: VLLMServer) -> None:
    assert not await model._tokenizer.trims({})


async def test_a_beam_sends_each_step_in_one_wave_that_fills_the_servers_batch(
    model: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await counted(model)
    outcome = await solve(
        Query.of("Tell me about the sea."),
        f"beam:n={BATCH},m=4,separator=none,step_tokens=8,max_steps=2",
        model,
        verifier="mean_logprob",
        sampling=Sampling(max_tokens=200, force_answer=0, extra={"ignore_eos": True}),
    )
    after = await counted(model)
    grown = [event for event in outcome.trace if event["event"] == "grow"]
    assert len(grown) == 2
    assert model.waves == [[BATCH, BATCH]] * 2
    assert outcome.generated_tokens == after["generation_tokens"] - before["generation_tokens"] == 2 * BATCH * 8
    # Each pass of the engine makes one token of each solution that it holds: one, were they asked for one by one.
    passes = after["iteration_tokens_total_count"] - before["iteration_tokens_total_count"]
    with capsys.disabled():
        print(f"\na beam of {BATCH}: {outcome.generated_tokens} tokens in {passes} passes of the engine")
    assert outcome.generated_tokens / passes > BATCH / 2


async def test_a_beam_over_a_long_prompt_reads_it_from_the_cache_and_says_so(model: Watched) -> None:
    query = Query.of(EXAMPLES + "Q: What is 17 plus 25?\nA:")
    assert await model.count_prompt(query.messages) > 256
    before = await counted(model)
    outcome = await solve(
        query,
        "beam:n=8,m=4,separator=.,step_tokens=16,max_steps=3",
        model,
        verifier="mean_logprob",
        sampling=Sampling(max_tokens=64),
    )
    after = await counted(model)
    used = outcome.total_usage
    assert len(model.waves) > 1
    assert not used.upper_bound
    assert used.generated == after["generation_tokens"] - before["generation_tokens"]
    assert used.prompt_tokens == after["prompt_tokens"] - before["prompt_tokens"]
    assert used.cached_tokens == after["prefix_cache_hits"] - before["prefix_cache_hits"] > 0
    assert outcome.calls["generate"] == model.calls_made
