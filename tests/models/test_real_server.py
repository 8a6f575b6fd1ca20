"""The client against a real vLLM server: what it counts has to be what the server counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import anyio
import pytest

from ttc.budget import Budget
from ttc.errors import ConfigurationError
from ttc.ledger import Ledger
from ttc.models.launch import RunningServer
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve_many
from ttc.types import Outcome, Query, Request, Sample, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]

ASK = Request(messages=({"role": "user", "content": "Tell me about the sea."},), max_tokens=40, seed=7)


@pytest.fixture
async def model(vllm_server: RunningServer) -> AsyncIterator[VLLMServer]:
    async with VLLMServer(vllm_server.base_url, vllm_server.model) as connected:
        yield connected


async def draw(model: VLLMServer, *requests: Request, ledger: Ledger | None = None) -> list[Sample]:
    async with model.open(requests, ledger or Ledger()) as stream:
        return [s async for s in stream]


async def generated(model: VLLMServer) -> int:
    """The server's own count of generated tokens, once nothing runs and the count stands still."""
    before = -1.0
    for _ in range(500):
        metrics = await model.metrics()
        total = metrics["vllm:generation_tokens_total"]
        if not metrics["vllm:num_requests_running"] and total == before:
            return int(total)
        before = total
        await anyio.sleep(0.05)
    raise AssertionError("the server does not come to rest")


def seeded(n: int, **changes: object) -> list[Request]:
    return [replace(ASK, seed=1000 + i, index=i, **changes) for i in range(n)]  # pyright: ignore[reportArgumentType]


async def test_the_server_tells_its_model_and_context(model: VLLMServer, vllm_server: RunningServer) -> None:
    assert model.name == vllm_server.model
    assert model.context is not None
    assert model.context >= 1024


async def test_a_wrong_model_is_told_before_any_call(vllm_server: RunningServer) -> None:
    with pytest.raises(ConfigurationError, match=f"does not serve 'nobody': it serves {vllm_server.model}"):
        async with VLLMServer(vllm_server.base_url, "nobody"):
            pass


@pytest.mark.parametrize("stream", [True, False])
async def test_usage_is_what_the_servers_counter_says(model: VLLMServer, stream: bool) -> None:
    before = await generated(model)
    ledger = Ledger()
    samples = await draw(model, *seeded(16, stream=stream), ledger=ledger)
    assert all(s.text and s.finish in ("stop", "length") for s in samples)
    assert ledger.spent.generated == await generated(model) - before > 0
    assert not ledger.spent.upper_bound
    assert samples[0].usage.prompt_tokens == await model.count_prompt(ASK.messages)


async def test_seeds_repeat(vllm_server: RunningServer) -> None:
    async with VLLMServer(vllm_server.base_url, vllm_server.model, in_flight=1) as alone:
        first = await draw(alone, *seeded(4))
        again = await draw(alone, *seeded(4, stream=False))
        assert [s.text for s in first] == [s.text for s in again]
        assert len({s.text for s in first}) == 4


@pytest.mark.parametrize("stream", [True, False])
async def test_logprobs_come_for_every_token(model: VLLMServer, stream: bool) -> None:
    (sample,) = await draw(model, replace(ASK, logprobs=5, stream=stream))
    assert len(sample.logprobs) == len(sample.top_logprobs) == sample.usage.generated
    assert all(p <= 0 for p in sample.logprobs)
    assert all(len(top) >= 5 and list(top) == sorted(top, reverse=True) for top in sample.top_logprobs)
    assert sample.first_choices[0][1] == sample.top_logprobs[0][0]


async def test_a_fixed_batch_sums_to_the_servers_count(model: VLLMServer) -> None:
    before = await generated(model)
    samples = await draw(model, replace(ASK, n=4))
    assert len(samples) == len({s.text for s in samples}) == 4
    assert sum(s.usage.generated for s in samples) == await generated(model) - before
    assert all(0 < s.usage.generated <= 40 for s in samples)


async def test_a_choice_is_one_of_those_offered(model: VLLMServer) -> None:
    request = replace(ASK, choices=("Alpha", "Omega"), max_tokens=8, stream=False, logprobs=20)
    (sample,) = await draw(model, request)
    assert sample.text in ("Alpha", "Omega")
    assert sample.first_choices


async def test_a_final_message_is_continued(model: VLLMServer) -> None:
    started = ({"role": "user", "content": "Count to five."}, {"role": "assistant", "content": "1, 2, 3, 4,"})
    (sample,) = await draw(model, replace(ASK, messages=started, continue_final=True, temperature=0.0, max_tokens=4))
    assert sample.text.strip().startswith("5")


async def test_tokens_are_counted_by_the_servers_tokenizer(model: VLLMServer) -> None:
    count, by = await model.count_tokens("The sea is deep and blue.")
    assert by == "tokenizer"
    assert 4 < count < 12


async def test_a_context_overflow_is_told_apart(model: VLLMServer) -> None:
    ledger = Ledger()
    (sample,) = await draw(model, replace(ASK, max_tokens=10_000_000), ledger=ledger)
    assert sample.error_type == "ContextOverflow"
    assert "--sample-tokens" in sample.error
    assert ledger.spent.generated == 0


async def test_leaving_the_block_stops_the_server_within_a_second(model: VLLMServer) -> None:
    before = await generated(model)
    ledger = Ledger()
    short, *long = seeded(16, max_tokens=1000, extra={"ignore_eos": True})
    async with model.open([replace(short, max_tokens=24), *long], ledger) as stream:
        await anext(stream)
        assert (await model.metrics())["vllm:num_requests_running"] == 15
    for _ in range(20):
        if not (await model.metrics())["vllm:num_requests_running"]:
            break
        await anyio.sleep(0.05)
    else:
        pytest.fail("calls go on running after they were cancelled")
    measured = await generated(model) - before
    spent = ledger.spent
    assert spent.upper_bound
    assert measured <= spent.generated <= measured + 15 * 2 * model.overrun


class FirstLetter:
    """An answer type under which votes are soon decided."""

    name = "first_letter"
    cue = ""

    def extract(self, text: str) -> str | None:
        return text.strip()[:1] or None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return "same"

    def equivalent(self, a: str, b: str) -> bool:
        return True


def sums(n: int) -> Sequence[Query]:
    ask = "Write one digit, then explain at length: what is {} plus {}?"
    return [Query.of(ask.format(2 + i % 7, 3 + i // 7), answer_type=FirstLetter()) for i in range(n)]


@pytest.mark.parametrize(
    ("strategy", "n", "budget"),
    [
        ("majority:n=4,stop=never", 200, 120),  # each is short of tokens, so its last samples are cut
        ("majority:n=4,wave=4", 40, 500),  # decided votes cancel what is in flight
    ],
)
async def test_queries_stay_within_their_budgets_by_the_servers_own_count(
    model: VLLMServer, strategy: str, n: int, budget: int
) -> None:
    before = await generated(model)
    outcomes: list[Outcome] = await solve_many(
        sums(n),
        strategy,
        model,
        budget=Budget(generated_tokens=budget),
        concurrency=n,
        sampling=Sampling(max_tokens=64),
    )
    measured = await generated(model) - before
    assert len(outcomes) == n
    assert max(o.generated_tokens for o in outcomes) <= budget
    assert all(o.answer is not None for o in outcomes)
    ledger = sum(o.generated_tokens for o in outcomes)
    bounded = sum(o.calls["generate"] for o in outcomes if o.total_usage.upper_bound)
    assert measured <= ledger <= measured + bounded * 2 * model.overrun
    if not bounded:
        assert measured == ledger
