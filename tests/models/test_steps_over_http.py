"""Solutions that grow step by step over HTTP: how a step ends, what it goes on from, and what both of it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ttc.budget import Budget
from ttc.ledger import Ledger
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.solve import solve
from ttc.testing import FakeServer, Reply
from ttc.types import Candidate, Message, Query, Request, Sample, Sampling
from ttc.verifiers.step_checker import StepChecker

pytestmark = pytest.mark.anyio

QUESTION: Message = {"role": "user", "content": "How is tea made?"}
ASK = Request(messages=(QUESTION,), max_tokens=64, seed=7, until=("\n\n",))
STEPS = "Boil the water.\n\nAdd the leaves.\n\nThe answer is tea"


def going_on(text: str, **changes: Any) -> Request:
    return replace(ASK, messages=(QUESTION, {"role": "assistant", "content": text}), continue_final=True, **changes)


async def draw(server: FakeServer, *requests: Request, ledger: Ledger | None = None) -> list[Sample]:
    async with VLLMServer(server.url) as model, model.open(requests, ledger or Ledger()) as stream:
        return [s async for s in stream]


def saying(text: str, **how: Any) -> Callable[[dict[str, Any], int], Reply]:
    return lambda body, k: Reply(text=text, **how)


# -- how a step ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("interval", [1, 16])
@pytest.mark.parametrize("tells", [True, False])
async def test_a_step_ends_at_its_separator_which_is_paid_for_and_left_out(
    stream: bool, interval: int, tells: bool
) -> None:
    async with FakeServer(saying(STEPS, tells_stop=tells), stream_interval=interval) as server:
        (step,) = await draw(server, replace(ASK, stream=stream))
    assert (step.text, step.finish) == ("Boil the water.", "step")
    assert step.usage.generated == server.generated_tokens == 4  # the word that began with the separator is the fourth
    assert not step.usage.upper_bound


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("said", "text", "finish"),
    [
        ("The answer is tea", "The answer is tea", "stop"),  # the model ended it
        ("\n\nThe answer is tea", "", "step"),  # the separator came at once
        ("The answer is tea\n\n", "The answer is tea", "step"),  # the model would have ended it behind the separator
        ("\nThe answer\n is tea", "\nThe answer\n is tea", "stop"),
    ],
)
async def test_what_the_model_ended_is_told_from_a_step(said: str, text: str, finish: str, stream: bool) -> None:
    async with FakeServer(saying(said)) as server:
        (step,) = await draw(server, replace(ASK, stream=stream))
    assert (step.text, step.finish) == (text, finish)
    assert step.usage.generated == server.generated_tokens


@pytest.mark.parametrize("stream", [True, False])
async def test_a_separator_may_span_tokens_and_need_not_be_white_space(stream: bool) -> None:
    async with FakeServer(saying("One two three four")) as server:
        (step,) = await draw(server, replace(ASK, until=("wo thr",), stream=stream))
    assert (step.text, step.finish, step.usage.generated) == ("One t", "step", 3)


async def test_a_step_that_its_cap_ends_is_no_step() -> None:
    async with FakeServer(saying(STEPS)) as server:
        (step,) = await draw(server, replace(ASK, max_tokens=2))
    assert (step.text, step.finish) == ("Boil the", "length")


async def test_a_step_that_the_budget_ends_is_cut() -> None:
    async with FakeServer(saying("Boil " + "the water and " * 40)) as server:
        (step,) = await draw(server, ASK, ledger=Ledger(Budget(generated_tokens=20)))
    assert step.text.startswith("Boil the water")
    assert step.finish == "cut"


async def test_stop_sequences_of_the_users_end_it_for_good() -> None:
    async with FakeServer(saying("All done. END\n\nmore")) as server:
        (step,) = await draw(server, replace(ASK, extra={"stop": "END"}))
        assert server.requests[-1]["stop"] == ["\n\n", "END"]
    assert (step.text, step.finish) == ("All done. ", "stop")


async def test_where_nobody_tells_what_stopped_it_the_text_does() -> None:
    def ends(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="All done.", tells_stop=False)

    async with FakeServer(ends) as server:
        (step,) = await draw(server, ASK)
    # A server that tells nothing may have left the separator out: what goes on from a text that is over says nothing.
    assert (step.text, step.finish) == ("All done.", "step")


@pytest.mark.parametrize("stream", [True, False])
async def test_every_token_has_its_logprobs_those_of_the_separator_too(stream: bool) -> None:
    async with FakeServer(saying(STEPS)) as server:
        (step,) = await draw(server, replace(ASK, logprobs=2, stream=stream))
    assert len(step.logprobs) == len(step.top_logprobs) == step.usage.generated == 4


async def test_several_samples_of_one_request_end_each_at_its_own_separator() -> None:
    def by_seed(body: dict[str, Any], k: int) -> Reply:
        return Reply(text=["One.\n\nMore.", "All of it."][body["seed"] % 2])

    async with FakeServer(by_seed) as server:
        steps = await draw(server, replace(ASK, n=2, seed=8))
    assert [(s.text, s.finish) for s in steps] == [("One.", "step"), ("All of it.", "stop")]
    assert sum(s.usage.generated for s in steps) == server.generated_tokens


# -- what it goes on from ---------------------------------------------------------------------------------------------


def obedient(text: str) -> Callable[[dict[str, Any], int], Reply]:
    """A model that goes on with ``text``, behind whatever a grammar has it write first."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        grammar: dict[str, str] = body.get("structured_outputs") or {}
        regex = grammar.get("regex", "")
        return Reply(text=regex.removesuffix(r"[\s\S]*").replace(r"\n", "\n") + text)

    return reply


@pytest.mark.parametrize("stream", [True, False])
async def test_a_template_that_trims_has_the_separator_written_again_and_it_is_taken_off(stream: bool) -> None:
    step = going_on("Boil the water.\n\n", stream=stream, logprobs=1)
    async with FakeServer(obedient("Add the leaves.\n\nDrink."), trims=True) as server:
        (more,) = await draw(server, step)
    body = server.requests[-1]
    assert body["min_tokens"] == 2
    assert body["structured_outputs"] == {"regex": r"\n\n[\s\S]*"}
    assert (more.text, more.finish) == ("Add the leaves.", "step")
    assert more.usage.generated == server.generated_tokens == 4


async def test_what_was_written_again_is_paid_for_and_has_no_logprobs() -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(text="\n\n", inline=True)  # all white space: a token of its own

    async with FakeServer(reply, trims=True) as server:
        (more,) = await draw(server, going_on("Boil.\n\n", logprobs=1))
    assert (more.text, more.logprobs, more.usage.generated) == ("", (), 1)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("\n\nAdd the leaves.", "Add the leaves."),
        ("\nAdd the leaves.", "Add the leaves."),
        (" Add the leaves.", " Add the leaves."),
        ("\n\n    indented", "    indented"),
    ],
)
async def test_a_server_without_grammars_is_read_as_it_goes_on(said: str, text: str) -> None:
    async with FakeServer(saying(said), trims=True) as server:
        (more,) = await draw(server, going_on("Boil the water.\n\n"))
    assert (more.text, more.finish) == (text, "stop")


async def test_a_template_that_keeps_white_space_is_sent_nothing_of_the_kind() -> None:
    async with FakeServer(saying("\nAdd the leaves.")) as server:
        (more,) = await draw(server, going_on("Boil the water.\n\n"))
    assert not {"min_tokens", "structured_outputs"} & set(server.requests[-1])
    assert more.text == "\nAdd the leaves."


async def test_text_without_white_space_at_its_end_loses_nothing() -> None:
    async with FakeServer(saying("\n\nAdd."), trims=True) as server:
        (more,) = await draw(server, going_on("Boil the water."))
    assert not {"min_tokens", "structured_outputs"} & set(server.requests[-1])
    assert (more.text, more.finish) == ("", "step")


async def test_grammars_of_the_users_stay_and_the_separator_may_still_come_first() -> None:
    form = {"response_format": {"type": "json_object"}, "min_tokens": 5}
    async with FakeServer(saying("\n\nAdd the leaves of tea."), trims=True) as server:
        (more,) = await draw(server, going_on("Boil the water.\n\n", extra=form))
    assert "structured_outputs" not in server.requests[-1]
    assert server.requests[-1]["min_tokens"] == 5
    assert more.text == "Add the leaves of tea."


async def test_where_nobody_can_tell_what_the_template_does_it_is_taken_to_keep_white_space() -> None:
    async with FakeServer(saying("Add."), trims=True, tokenize=False) as server:
        (more,) = await draw(server, going_on("Boil the water.\n\n"))
    assert "min_tokens" not in server.requests[-1]
    assert more.text == "Add."


@pytest.mark.parametrize("trims", [True, False])
async def test_a_solution_grows_to_its_end_whatever_the_template_does(trims: bool) -> None:
    """Each step is what the model says behind the text so far, however the prompt was put together."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        so_far = "" if not body.get("continue_final_message") else body["messages"][-1]["content"]
        assert STEPS.startswith(so_far)
        return Reply(text=STEPS.removeprefix(so_far.rstrip() if trims else so_far))

    async with FakeServer(reply, trims=trims) as server, VLLMServer(server.url) as model:
        session = Session(Query.of("How is tea made?"), model, Ledger(), sampling=Sampling(max_tokens=32))
        solution: Candidate | None = None
        steps: list[str] = []
        while solution is None or solution.sample.finish == "step":
            cues = ["\n\n" if solution else ""]
            async with session.grow([solution], until="\n\n", cues=cues) as grown:
                (found,) = [g async for g in grown]
            solution = found.candidate
            steps.append(found.added.text)
        assert steps == STEPS.split("\n\n")
        assert solution.sample.text == STEPS
        assert solution.sample.usage.generated == server.generated_tokens == session._ledger.spent.generated


# -- steps of thoughts ------------------------------------------------------------------------------------------------

THOUGHTS = ["Tea is a drink.", "So it has water.", "That is all."]
WHOLE = "<think>\n" + "\n\n".join(THOUGHTS) + "\n</think>\n\nThe answer is tea\n\nIt is good."


def thinking(*, parser: bool) -> Callable[[dict[str, Any], int], Reply]:
    """A model that thinks, behind a server with a reasoning parser or without one."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        so_far = body["messages"][-1]["content"] if body.get("continue_final_message") else ""
        assert WHOLE.startswith(so_far)
        rest = WHOLE.removeprefix(so_far)
        if not parser or "</think>" in so_far:
            return Reply(text=rest)
        thought, _, text = rest.removeprefix("<think>\n").partition("</think>")
        return Reply(reasoning=thought, text=text)

    return reply


@pytest.mark.parametrize("parser", [True, False], ids=["parser", "inline"])
@pytest.mark.parametrize("interval", [1, 16])
@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_grow_step_by_step_and_the_answer_behind_them(parser: bool, interval: int, stream: bool) -> None:
    async with (
        FakeServer(thinking(parser=parser), stream_interval=interval) as server,
        VLLMServer(server.url) as model,
    ):
        session = Session(Query.of("How is tea made?"), model, Ledger(), sampling=Sampling(max_tokens=64))
        cap = 32 if stream else 16
        solution: Candidate | None = None
        grew: list[tuple[str, str]] = []
        while solution is None or solution.sample.finish == "step":
            cues = ["\n\n" if solution else ""]
            async with session.grow([solution], until="\n\n", cues=cues, max_tokens=cap) as grown:
                (found,) = [g async for g in grown]
            solution = found.candidate
            grew.append((found.added.reasoning.strip(), found.added.text.strip()))
        sample = solution.sample
        assert grew == [*((thought, "") for thought in THOUGHTS), ("", "The answer is tea"), ("", "It is good.")]
        assert sample.reasoning.strip() == "\n\n".join(THOUGHTS)
        assert sample.text == "The answer is tea\n\nIt is good."
        assert sample.usage.generated == server.generated_tokens
        exact = interval == 1 or not stream  # else a chunk is shared out by length
        spaces = 2  # a word was generated for each separator that was met behind the thoughts
        assert abs(sample.usage.answer_tokens - (4 + 3 + spaces)) <= (0 if exact else 2)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("parser", [True, False], ids=["parser", "inline"])
async def test_thoughts_that_end_at_once_are_over(parser: bool, stream: bool) -> None:
    """Where thoughts grow by tokens, a step may begin with their end; a parser leaves nothing of it."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        if not body.get("continue_final_message"):
            return Reply(reasoning="So it is.", inline=not parser, text="\n\nUnheard.")
        if "</think>" in body["messages"][-1]["content"]:
            return Reply(text="The answer is tea")
        return Reply(text="\n\n" if parser else "</think>\n\n")

    async with FakeServer(reply) as server, VLLMServer(server.url) as model:
        session = Session(Query.of("How is tea made?"), model, Ledger(), sampling=Sampling(max_tokens=64))
        cap = 32 if stream else 16
        thought = await session.generate(max_tokens=3 if parser else 4, force_answer=0)
        assert (thought.sample.reasoning.strip(), thought.sample.text) == ("So it is.", "")
        closed = await session.continue_(thought, close_thought=False, until="\n\n", max_tokens=cap)
        assert (closed.sample.reasoning.strip(), closed.sample.finish) == ("So it is.", "step")
        whole = await session.continue_(closed, close_thought=False, until="\n\n", max_tokens=cap)
    assert server.requests[-1]["messages"][-1]["content"] == "<think>\nSo it is.\n</think>\n\n"
    assert whole.sample.text == "The answer is tea"
    assert whole.sample.usage.generated == server.generated_tokens


@pytest.mark.parametrize("opening", ["", "\n", "<think>\n"])
async def test_what_a_parser_leaves_before_a_thought_is_not_said_twice(opening: str) -> None:
    def reply(body: dict[str, Any], k: int) -> Reply:
        return Reply(reasoning=("" if k else opening) + "Tea is.\n\nSo it is.", text="")

    async with FakeServer(reply) as server, VLLMServer(server.url) as model:
        session = Session(Query.of("How is tea made?"), model, Ledger(), sampling=Sampling(max_tokens=64))
        async with session.sample(n=1, until="\n\n") as samples:
            (thought,) = [c async for c in samples]
        await session.continue_(thought, cue="\n\n", close_thought=False, until="\n\n")
    assert server.requests[-1]["messages"][-1]["content"] == "<think>\nTea is.\n\n"


async def test_what_the_prefix_cache_answered_is_added_up_over_the_steps() -> None:
    """In the bill of all calls, and in the usage of the solution that the steps came to."""

    def reply(body: dict[str, Any], k: int) -> Reply:
        depth = str(body["messages"][-1]["content"]).count("leaf") if body.get("continue_final_message") else 0
        return Reply(text=f"leaf {depth} {k}\n\n" if depth < 2 else "The answer is 42", cached_tokens=3)

    query = Query.of("How many?", answer_type="number")
    async with FakeServer(reply) as server, VLLMServer(server.url) as model:
        outcome = await solve(query, "beam:n=2,m=2", model, verifier=StepChecker(lambda query, steps, over: 0.5))
    assert outcome.answer == "42"
    assert outcome.usage["generate"].cached_tokens == 3 * len(server.requests)
    assert outcome.candidate is not None
    assert outcome.candidate.sample.usage.cached_tokens == 3 * 3
