"""Program of thought: programs are run, what they print is voted on, and one that failed is shown its error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ttc import Query, Sampling, registry, solve
from ttc.budget import Budget
from ttc.errors import ConfigurationError, SandboxUnavailable
from ttc.models.scripted import Scripted
from ttc.strategies.program_of_thought import ASK, with_request
from ttc.strategy import make_strategy
from ttc.tool import ToolResult, make_tool
from ttc.types import Outcome, Request
from ttc.verifiers.code import Execution, Limits, python_tool, shared_sandbox
from ttc.verifiers.code.python_tool import LONGEST_OUTPUT, PythonTool, with_call

QUERY = Query.of("What is the sum of the squares of the numbers from 1 to 100?", answer_type="number")
LOOP = "```python\ntotal = 0\nfor i in range(1, 101):\n    total += i * i\nprint(total)\n```"
SHORT = "Squares:\n```python\nprint('The sum is', sum(i**2 for i in range(101)))\n```\nThis prints the 12 of them."
OFF = "```python\nprint(sum(i * i for i in range(100)))\n```"
BROKEN = "```python\nprint(sum(squares))\n```"
WORDS = "I would say that it is 7."


async def asked(
    spec: str, reply: Callable[[Request], str], *, budget: Budget | None = None
) -> tuple[Outcome, Scripted]:
    model = Scripted(reply)
    outcome = await solve(QUERY, spec, model, budget=budget, sampling=Sampling(max_tokens=64))
    return outcome, model


@pytest.mark.anyio
async def test_what_the_programs_print_is_voted_on() -> None:
    said = [OFF, LOOP, BROKEN, SHORT, WORDS]
    outcome, model = await asked("program_of_thought:n=5", lambda request: said[request.index])
    assert outcome.answer == "338350"
    assert outcome.calls == {"generate": 5}
    vote = next(event for event in outcome.trace if event["event"] == "vote")
    assert [(answer, count) for answer, count, _ in vote["classes"]] == [("338350", 2), ("328350", 1)]
    tools = [event for event in outcome.trace if event["event"] == "tool"]
    assert [event["answer"] for event in tools] == ["328350", "338350", None, "338350", None]
    assert "NameError" in tools[2]["error"]
    assert "no Python program" in tools[4]["error"]
    assert all(str(r.messages[-1]["content"]).endswith(ASK) for r in model.requests)


@pytest.mark.anyio
async def test_the_vote_ends_when_it_is_decided() -> None:
    outcome, _ = await asked("program_of_thought:n=5", lambda request: LOOP)
    assert (outcome.answer, outcome.ended_by) == ("338350", "stopped_early")
    assert outcome.checkpoints[-1].samples == 3


@pytest.mark.anyio
async def test_a_program_that_failed_is_shown_its_error_and_asked_for_again() -> None:
    def reply(request: Request) -> str:
        if request.kind == "generate":
            return BROKEN
        first, error = (str(message["content"]) for message in request.messages[-2:])
        assert first == BROKEN
        return LOOP if "NameError: name 'squares' is not defined" in error else WORDS

    outcome, _ = await asked("program_of_thought:n=2,repair=1", reply)
    assert (outcome.answer, outcome.calls) == ("338350", {"generate": 2, "revise": 2})
    without, _ = await asked("program_of_thought:n=2", reply)
    assert (without.answer, without.calls) == (None, {"generate": 2})


@pytest.mark.anyio
async def test_repairs_end_at_their_number_and_at_the_budget() -> None:
    outcome, _ = await asked("program_of_thought:n=2,repair=3", lambda request: BROKEN)
    assert outcome.calls == {"generate": 2, "revise": 6}
    said = [BROKEN, LOOP]
    poor, _ = await asked("program_of_thought:n=2,repair=3", lambda r: said[r.index], budget=Budget(calls=2))
    assert (poor.answer, poor.calls) == ("338350", {"generate": 2})  # the one that works has its vote all the same


@pytest.mark.anyio
async def test_the_first_k_programs_are_a_run_with_k() -> None:
    said = [OFF, BROKEN, LOOP, WORDS, SHORT]

    def reply(request: Request) -> str:
        return said[request.index] if request.kind == "generate" else LOOP

    whole, _ = await asked("program_of_thought:n=5,repair=1", reply)
    for n in (1, 2, 3, 4):
        part, _ = await asked(f"program_of_thought:n={n},repair=1", reply)
        assert part.answer == whole.checkpoints[n - 1].answer
        assert part.checkpoints[-1].prefix == whole.checkpoints[n - 1].prefix


def test_the_request_stands_behind_the_last_user_message() -> None:
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    found = with_request(chat, "d")
    assert found[:2] == chat[:2]
    assert found[2]["content"] == [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]
    assert with_request(chat[:2], "d")[0] == {"role": "user", "content": "a\n\nd"}
    assert with_request([{"role": "system", "content": "s"}], "d")[1] == {"role": "user", "content": "d"}


def test_a_tool_that_does_not_exist_is_known_at_once() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'python'"):
        make_strategy("program_of_thought:tool=pyton")
    assert "python" in registry.names("tool")
    assert make_tool("python:seconds=2") == PythonTool(seconds=2)


@pytest.mark.anyio
async def test_without_a_sandbox_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none() -> None:
        raise SandboxUnavailable("this machine cannot jail a program: --unsafe-local-exec")

    monkeypatch.setattr(python_tool, "ready", none)
    model = Scripted(lambda request: LOOP)
    with pytest.raises(SandboxUnavailable, match="--unsafe-local-exec"):
        await solve(QUERY, "program_of_thought", model)
    assert model.requests == []


# -- the tool ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "output", "error"),
    [
        (LOOP, "338350", ""),
        ("```python\ndef solution():\n    return 6 * 7\n```", "42", ""),
        ("import math\nprint(math.factorial(5))\n\nThat is it.", "120", ""),
        ("```python\nprint('so far')\n1 / 0\n```", "so far", "ZeroDivisionError: division by zero"),
        ("```python\nx = 1\n```", "", "The program printed nothing."),
        ("```python\nprint(\n```", "", "SyntaxError"),
        ("```python\nopen('/etc/passwd').read()\n```", "", "Error"),
        (WORDS, "", "There is no Python program in the text."),
    ],
)
async def test_the_tool_returns_what_a_program_printed_or_why_not(text: str, output: str, error: str) -> None:
    result = await PythonTool().run(text, QUERY)
    assert result.output == output
    assert error in result.error
    assert bool(error) == bool(result.error)


@pytest.mark.anyio
async def test_a_program_that_does_not_end_is_ended() -> None:
    result = await PythonTool(seconds=0.5).run("```python\nprint(1, flush=True)\nwhile True: pass\n```", QUERY)
    assert "0.5 s" in result.error


@pytest.mark.anyio
async def test_only_the_end_of_a_long_output_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Limits] = []

    async def execute(source: str, *, limits: Limits, stdin: str = "") -> Execution:
        seen.append(limits)
        return Execution("passed", "\n".join(f"line {i}" for i in range(5000)) + "\n", "")

    monkeypatch.setattr(shared_sandbox(), "execute", execute)
    result = await PythonTool(seconds=1.5).run(LOOP, QUERY)
    assert isinstance(result, ToolResult)
    assert len(result.output) <= LONGEST_OUTPUT
    assert result.output.startswith("line ")
    assert result.output.endswith("\nline 4999")
    assert seen[0].seconds == seen[0].total_seconds == 1.5


def test_a_solution_that_nobody_calls_is_called() -> None:
    assert with_call("def solve():\n    return 1").endswith("print(solve())\n")
    assert with_call("def solve():\n    print(1)\nsolve()") == "def solve():\n    print(1)\nsolve()"
    assert with_call("def solve(x):\n    return x") == "def solve(x):\n    return x"
