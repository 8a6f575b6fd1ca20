"""A wrapped client is the client that it was, except that `chat.completions.create` is solved under a budget."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

import ttc
from ttc.chat_completion import Settings, read_call
from ttc.models.launch import RunningServer
from ttc.testing import FakeServer, Reply, words

pytestmark = pytest.mark.anyio

QUESTION: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]


def answers(body: dict[str, Any], k: int) -> Reply:
    """Every fourth sample is wrong, the first one among them."""
    return Reply(text="so it is 42" if k % 4 else "41")


class Fake(FakeServer):
    """The fake server, which also keeps the headers of completion requests."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply] = answers, **options: Any) -> None:
        super().__init__(reply, model="m", **options)
        self.headers: list[dict[str, str]] = []

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        return await super()._complete(request)


@pytest.fixture
async def fake() -> AsyncGenerator[Fake]:
    async with Fake() as server:
        yield server


def client_of(fake: Fake, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="secret", max_retries=0, **options)


def wrapped(fake: Fake, strategy: str = "majority:n=8", *, answer_type: str = "number", **settings: Any):
    return ttc.wrap(client_of(fake), strategy, answer_type=answer_type, **settings)


# -- what comes back -----------------------------------------------------------------------------------------------


async def test_returns_the_same_type_with_the_chosen_sample_and_the_outcome(fake: Fake):
    async with wrapped(fake) as client:
        completion = await client.chat.completions.create(model="m", messages=QUESTION)
    assert [c.message.content for c in completion.choices] == ["so it is 42"]
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "m"
    assert completion.ttc.answer == "42"
    assert isinstance(completion.ttc, ttc.Outcome)
    assert type(completion) is ChatCompletion


async def test_usage_is_all_that_was_paid():
    thinking = Fake(lambda body, k: Reply(reasoning="let me think", text="so it is 42"))
    async with thinking as fake, wrapped(fake, "majority:n=8,stop=never") as client:
        completion = await client.chat.completions.create(model="m", messages=QUESTION)
    usage = completion.usage
    assert usage is not None
    assert len(fake.requests) == 8
    assert (usage.prompt_tokens, usage.completion_tokens) == (fake.prompt_tokens, fake.generated_tokens)
    assert usage.total_tokens == fake.prompt_tokens + fake.generated_tokens
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 8 * 3
    assert completion.choices[0].message.model_extra == {"reasoning": "let me think"}


async def test_the_outcome_is_no_part_of_what_is_serialised(fake: Fake):
    async with wrapped(fake) as client:
        completion = await client.chat.completions.create(model="m", messages=QUESTION)
    assert "ttc" not in json.loads(completion.model_dump_json())
    assert completion.model_copy().ttc is completion.ttc


async def test_an_answer_can_be_appended_to_the_chat_as_it_came(fake: Fake):
    async with wrapped(fake, "single") as client:
        first = await client.chat.completions.create(model="m", messages=QUESTION)
        chat = [*QUESTION, first.choices[0].message, {"role": "user", "content": "Sure?"}]
        await client.chat.completions.create(model="m", messages=chat)
    assert fake.requests[1]["messages"][1] == {"role": "assistant", "content": "41"}


# -- what goes in --------------------------------------------------------------------------------------------------


async def test_parameters_reach_every_request(fake: Fake):
    async with wrapped(fake, "majority:n=3,stop=never") as client:
        await client.chat.completions.create(
            model="m",
            messages=QUESTION,
            max_completion_tokens=77,
            temperature=0.3,
            top_p=0.9,
            stop=["\n\n"],
            extra_body={"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}},
            presence_penalty=None,
            frequency_penalty=openai.NOT_GIVEN,
        )
    assert len(fake.requests) == 3
    for body in fake.requests:
        assert (body["max_tokens"], body["temperature"], body["top_p"]) == (77, 0.3, 0.9)
        assert (body["stop"], body["top_k"]) == (["\n\n"], 20)
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
        assert not {"presence_penalty", "frequency_penalty", "ttc", "extra_body"} & body.keys()


async def test_key_and_headers_of_the_client_are_sent(fake: Fake):
    plain = client_of(fake, default_headers={"X-Team": "maths"})
    async with ttc.wrap(plain, "single") as client:
        await client.chat.completions.create(model="m", messages=QUESTION)
    assert fake.headers[0]["Authorization"] == "Bearer secret"
    assert fake.headers[0]["X-Team"] == "maths"


async def test_a_key_that_comes_from_a_function_is_asked_for(fake: Fake):
    async def key() -> str:
        return "fresh"

    plain = AsyncOpenAI(base_url=f"{fake.url}/v1", api_key=key)
    async with ttc.wrap(plain, "single") as client:
        await client.chat.completions.create(model="m", messages=QUESTION)
    assert fake.headers[0]["Authorization"] == "Bearer fresh"


async def test_a_seed_repeats_a_call_and_without_one_it_is_drawn_afresh(fake: Fake):
    async with wrapped(fake, "majority:n=2,stop=never") as client:
        for seed in (7, 7, None, None):
            await client.chat.completions.create(model="m", messages=QUESTION, seed=seed)
    seeds = [{body["seed"] for body in fake.requests[i : i + 2]} for i in range(0, 8, 2)]
    assert all(len(pair) == 2 for pair in seeds)
    assert seeds[0] == seeds[1]
    assert not seeds[2] & seeds[3]


async def test_settings_change_for_one_call(fake: Fake):
    async with wrapped(fake, "single") as client:
        for how in (
            {"ttc": {"strategy": "majority:n=3,stop=never"}},
            {"ttc": "majority:n=3,stop=never"},
            {"extra_body": {"ttc": {"strategy": "majority:n=3,stop=never"}}},
        ):
            before = len(fake.requests)
            completion = await client.chat.completions.create(model="m", messages=QUESTION, **how)
            assert len(fake.requests) - before == 3
            assert completion.ttc.calls == {"generate": 3}
        before = len(fake.requests)
        await client.chat.completions.create(model="m", messages=QUESTION)
        assert len(fake.requests) - before == 1


async def test_a_format_of_answers_does_not_bind_the_judge(fake: Fake):
    async with wrapped(fake, "knockout:n=2", comparator="judge") as client:
        await client.chat.completions.create(
            model="m", messages=QUESTION, response_format={"type": "json_object"}, stop=["}"], extra_body={"top_k": 5}
        )
    judged = [body for body in fake.requests if "structured_outputs" in body]
    drawn = [body for body in fake.requests if "structured_outputs" not in body]
    assert len(drawn) == 2
    assert all(body["response_format"] == {"type": "json_object"} and body["stop"] == ["}"] for body in drawn)
    assert judged
    assert all(not {"response_format", "stop"} & body.keys() and body["top_k"] == 5 for body in judged)


async def test_a_failed_call_is_never_preferred_to_a_text_without_an_answer():
    async with (
        Fake(lambda body, k: Reply(text="no idea", status=400 if k % 2 else 200)) as fake,
        wrapped(fake, "majority:n=2") as client,
    ):
        completion = await client.chat.completions.create(
            model="m", messages=QUESTION, ttc={"sampling": ttc.Sampling(force_answer=0)}
        )
    assert completion.choices[0].message.content == "no idea"
    assert completion.ttc.answer is None


async def test_the_budget_holds():
    async with (
        Fake(lambda body, k: Reply(text=words(50))) as fake,
        wrapped(fake, "majority:n=8", budget=60, answer_type="text") as client,
    ):
        completion = await client.chat.completions.create(model="m", messages=QUESTION, max_tokens=100)
    assert completion.ttc.generated_tokens <= 60
    assert completion.usage is not None
    assert completion.usage.completion_tokens <= 60
    assert fake.generated_tokens <= 60


async def test_temperature_zero_is_remarked_on(fake: Fake):
    async with wrapped(fake, "majority:n=2,stop=never") as client:
        cold = await client.chat.completions.create(model="m", messages=QUESTION, temperature=0)
        warm = await client.chat.completions.create(model="m", messages=QUESTION)
    assert [w for w in cold.ttc.warnings if "temperature 0" in w]
    assert not [w for w in warm.ttc.warnings if "temperature 0" in w]


# -- what is left alone --------------------------------------------------------------------------------------------


async def test_everything_else_passes_through(fake: Fake):
    plain = client_of(fake)
    async with ttc.wrap(plain) as client:
        assert isinstance(client, AsyncOpenAI)
        assert client.unwrapped is plain
        assert client.base_url == plain.base_url
        assert [m.id for m in (await client.models.list()).data] == ["m"]
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
        assert raw.parse().choices[0].message.content == "41"
    assert len(fake.requests) == 1


async def test_opting_out_makes_an_ordinary_call(fake: Fake):
    async with wrapped(fake) as client:
        completion = await client.chat.completions.create(model="m", messages=QUESTION, ttc=False)
        assert not hasattr(completion, "ttc")
        stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True, ttc=False)
        pieces = [chunk.choices[0].delta.content async for chunk in stream]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        await client.unwrapped.chat.completions.create(model="m", messages=QUESTION, extra_body={"max_tokens": 5})
    assert "".join(filter(None, pieces)) == "so it is 42"  # pyright: ignore[reportUnknownArgumentType]
    assert len(fake.requests) == 3


async def test_a_derived_class_stays_itself(fake: Fake):
    class Ours(AsyncOpenAI):
        def greeting(self) -> str:
            return f"hello from {self.base_url.host}"

    async with ttc.wrap(Ours(base_url=f"{fake.url}/v1", api_key="secret"), "single") as client:
        assert isinstance(client, Ours)
        assert client.greeting() == "hello from 127.0.0.1"
        assert (await client.chat.completions.create(model="m", messages=QUESTION)).ttc.calls == {"generate": 1}


async def test_a_client_with_other_options_is_wrapped_too(fake: Fake):
    async with (
        wrapped(fake, "majority:n=2,stop=never") as client,
        client.with_options(api_key="other") as other,
    ):
        completion = await other.chat.completions.create(model="m", messages=QUESTION)
    assert completion.ttc.calls == {"generate": 2}
    assert {h["Authorization"] for h in fake.headers} == {"Bearer other"}


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"stream": True}, "stream=True: .*ttc=False"),
        ({"tools": [{"type": "function"}]}, "tools=.*not voted on.*ttc=False"),
        ({"n": 4}, "n=4: .*majority:n=4"),
        ({"logprobs": True}, "logprobs=True"),
        ({"extra_headers": {"X": "1"}}, "extra_headers="),
        ({"timeout": object()}, "timeout=.*give seconds"),
        ({"ttc": {"stratgy": "single"}}, "unknown setting 'stratgy'. Did you mean 'strategy'"),
        ({"ttc": {"strategy": "majorty"}}, "Did you mean 'majority'"),
        ({"ttc": 5}, "ttc=5"),
        ({"ttc": {"budget": "tokens=5"}}, "unknown limit 'tokens'"),
        ({"ttc": {"strategy": "knockout"}}, "needs a comparator"),
    ],
)
async def test_what_a_strategy_cannot_honour_is_said_before_any_call(fake: Fake, parameters: dict[str, Any], said: str):
    async with wrapped(fake) as client:
        with pytest.raises(ttc.ConfigurationError, match=said):
            await client.chat.completions.create(model="m", messages=QUESTION, **parameters)
    assert fake.requests == []


async def test_harmless_values_of_refused_parameters_are_taken(fake: Fake):
    async with wrapped(fake, "single") as client:
        await client.chat.completions.create(
            model="m", messages=QUESTION, stream=False, n=1, tools=None, logprobs=False, extra_headers=None, timeout=60
        )
    assert not {"n", "tools", "logprobs", "extra_headers", "timeout"} & fake.requests[0].keys()


def test_wrong_settings_are_said_when_the_client_is_wrapped():
    plain = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="x")
    with pytest.raises(ttc.UnknownName, match="Did you mean 'majority'"):
        ttc.wrap(plain, "majorty")
    with pytest.raises(ttc.UnknownName, match="answer type 'numbr'"):
        ttc.wrap(plain, answer_type="numbr")


def test_what_is_no_asynchronous_client_is_refused():
    with pytest.raises(ttc.ConfigurationError, match="synchronous"):
        ttc.wrap(openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x"))
    with pytest.raises(ttc.ConfigurationError, match="not a SimpleNamespace"):
        ttc.wrap(SimpleNamespace(base_url="x"))


def test_a_missing_openai_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(ttc.MissingExtra, match=r"ttc-compute\[openai\]"):
        ttc.wrap(SimpleNamespace())


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
async def test_refused_calls_raise_what_the_client_would(status: int, error: type[openai.APIStatusError]):
    now = {"Retry-After": "0"}
    refusing = Fake(lambda body, k: Reply(status=status, message=f"refused with {status}", headers=now))
    async with refusing as fake, wrapped(fake, "majority:n=3") as client:
        with pytest.raises(error, match=f"refused with {status}") as caught:
            await client.chat.completions.create(model="m", messages=QUESTION)
    assert caught.value.status_code == status
    assert isinstance(caught.value.__cause__, ttc.ModelError)


async def test_an_unknown_model_is_not_found(fake: Fake):
    async with wrapped(fake, "single") as client:
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await client.chat.completions.create(model="nobody", messages=QUESTION)


async def test_a_prompt_that_does_not_fit_is_a_bad_request():
    async with Fake(context=20) as fake, wrapped(fake, "single") as client:
        with pytest.raises(openai.BadRequestError, match="do not fit the context") as caught:
            await client.chat.completions.create(model="m", messages=QUESTION, max_tokens=50)
    assert isinstance(caught.value.__cause__, ttc.ContextOverflow)


async def test_an_answer_that_cannot_be_read():
    async with Fake(lambda body, k: Reply(fault="html")) as fake, wrapped(fake, "single") as client:
        with pytest.raises(openai.APIResponseValidationError):
            await client.chat.completions.create(model="m", messages=QUESTION)


async def test_a_server_that_is_not_there():
    plain = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="x")
    async with ttc.wrap(plain, "single") as client:
        with pytest.raises(openai.APIConnectionError, match=r"127\.0\.0\.1:9"):
            await client.chat.completions.create(model="m", messages=QUESTION)


async def test_a_deadline_without_an_answer_is_a_timeout(fake: Fake):
    async with wrapped(fake, "single") as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="m", messages=QUESTION, timeout=1e-9)


async def test_a_budget_without_an_answer_says_so(fake: Fake):
    async with wrapped(fake, "single", budget="total_tokens=20") as client:
        with pytest.raises(ttc.BudgetExhausted, match="before there was an answer"):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x" * 500}])
    assert fake.requests == []


async def test_one_failed_call_leaves_its_siblings_alone():
    async with (
        Fake(lambda body, k: Reply(text="42", status=400 if k == 1 else 200)) as fake,
        wrapped(fake, "majority:n=4,stop=never") as client,
    ):
        completion = await client.chat.completions.create(model="m", messages=QUESTION)
    assert completion.ttc.answer == "42"
    assert any("1 calls failed" in warning for warning in completion.ttc.warnings)


# -- connections ---------------------------------------------------------------------------------------------------


async def test_many_calls_at_once_share_a_server_and_leave_no_connection(fake: Fake):
    async with wrapped(fake, "majority:n=4,stop=never", in_flight=16) as client:
        completions: list[Any] = []

        async def one(i: int) -> None:
            chat: Any = [{"role": "user", "content": f"What is {i} + 1?"}]
            completions.append(await client.chat.completions.create(model="m", messages=chat))

        async with anyio.create_task_group() as group:
            for i in range(50):
                group.start_soon(one, i)
    assert len(fake.requests) == 200
    assert 1 < fake.peak <= 16
    assert sum(c.usage.completion_tokens for c in completions) == fake.generated_tokens
    with anyio.fail_after(5):
        while fake.open_connections or fake.running:  # noqa: ASYNC110  # what is waited for is in the server's sockets
            await anyio.sleep(0.01)


async def test_cancelling_a_call_stops_its_samples():
    async with Fake(lambda body, k: Reply(text=words(100_000))) as fake, wrapped(fake) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.chat.completions.create(model="m", messages=QUESTION, max_tokens=50_000))
            with anyio.fail_after(30):
                while fake.running < 8:  # noqa: ASYNC110  # counted by the server
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            while fake.running:  # noqa: ASYNC110  # counted by the server
                await anyio.sleep(0.01)


async def test_a_closed_client_stays_closed(fake: Fake):
    client = wrapped(fake)
    await client.close()
    assert client.unwrapped.is_closed()
    with pytest.raises(ttc.ConfigurationError, match="closed"):
        await client.chat.completions.create(model="m", messages=QUESTION)


# -- a real server -------------------------------------------------------------------------------------------------


@pytest.mark.server
async def test_on_a_real_server_usage_is_what_the_server_generated(vllm_server: RunningServer):
    plain = AsyncOpenAI(base_url=vllm_server.base_url, api_key="none")
    async with (
        ttc.VLLMServer(vllm_server.base_url, vllm_server.model) as watched,
        ttc.wrap(plain, "majority:n=8,stop=never", answer_type="number", budget=4000) as client,
    ):
        before = await watched.metrics()
        completions: list[Any] = []

        async def one(i: int) -> None:
            chat: Any = [{"role": "user", "content": f"What is {i} + 5? End with: The answer is N."}]
            completions.append(
                await client.chat.completions.create(model=vllm_server.model, messages=chat, max_tokens=32)
            )

        async with anyio.create_task_group() as group:
            for i in range(6):
                group.start_soon(one, i)
        after = await watched.metrics()
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="nobody", messages=QUESTION)
        with pytest.raises(openai.BadRequestError, match="do not fit the context"):
            await client.chat.completions.create(model=vllm_server.model, messages=QUESTION, max_tokens=10**6)
    name = "vllm:generation_tokens_total"
    assert sum(c.usage.completion_tokens for c in completions) == after[name] - before[name] > 0
    # Eight samples each, and one more call for each of them that had to be forced to an answer.
    forced = [sum(e["event"] == "sample" and e["forced"] for e in c.ttc.trace) for c in completions]
    assert [c.ttc.calls for c in completions] == [{"generate": 8 + n} for n in forced]
    assert all(c.choices[0].message.content for c in completions)


# -- reading parameters --------------------------------------------------------------------------------------------


def test_a_call_is_read_over_the_settings():
    settings = Settings.of(
        strategy="single", budget={"seconds": 5}, sampling=ttc.Sampling(max_tokens=9, extra={"a": 1})
    )
    call = read_call({"timeout": 60, "seed": 3, "extra_body": {"thinking_token_budget": 7, "b": 2}}, settings)
    assert call.budget == ttc.Budget(seconds=5)
    assert call.seed == 3
    assert call.sampling == ttc.Sampling(max_tokens=9, thinking_tokens=7, extra={"a": 1, "b": 2})
