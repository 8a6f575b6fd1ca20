"""``ttc solve`` as people run it: the answer, what it cost, what happened, and one line for each mistake."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from ttc.cli import app
from ttc.cli.solve import as_json, show
from ttc.errors import SandboxUnavailable, ServerUnreachable
from ttc.testing import FakeServer, Reply
from ttc.types import Candidate, Outcome, Sample

pytestmark = pytest.mark.anyio


def reply(body: dict[str, Any], _: int) -> Reply:
    if "structured_outputs" in body:
        return Reply(text="A")
    return Reply(text="so it is clear that the answer is " + ("7" if body["seed"] % 3 else "8"))


async def solve(*arguments: str, code: int = 0) -> tuple[str, str]:
    done = await anyio.run_process([sys.executable, "-m", "ttc", "solve", *arguments], check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, err
    assert "Traceback" not in err
    return out, err


async def test_the_answer_comes_with_what_it_cost_and_what_happened() -> None:
    async with FakeServer(reply=reply) as server:
        out, _ = await solve("3+4?", "-s", "knockout:n=4,k=2", "--base-url", server.url, "--trace")
    assert "answer  7" in out or "answer  8" in out
    rows = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    generate, judge, total = (list(map(int, rows[kind])) for kind in ("generate", "judge", "total"))
    assert total == [a + b for a, b in zip(generate, judge, strict=True)]
    assert generate[0] == 4
    assert "thinking tokens of" in out
    assert "ended by: " in out
    trace = out[out.index("what happened") :]
    assert trace.count("sample #") == 4
    assert trace.count("├─ compare ") + trace.count("└─ compare ") == judge[0]
    assert "│  └─ compare " in trace  # within its match


async def test_the_limit_of_the_query_is_not_the_cap_of_a_sample() -> None:
    async with FakeServer(reply=reply) as server:
        arguments = ("3+4?", "-s", "majority:n=50", "--max-tokens", "60", "--base-url", server.url, "--json")
        out, _ = await solve(*arguments)
        assert server.generated_tokens <= json.loads(out)["generated_tokens"] <= 60
        sent = len(server.requests)
        out, _ = await solve("3+4?", "-s", "majority:n=2,stop=never", "--sample-tokens", "99", "--base-url", server.url)
        assert {body["max_tokens"] for body in server.requests[sent:] if body.get("stream")} == {99}


async def test_limits_add_up() -> None:
    async with FakeServer(reply=reply) as server:
        limits = ("--max-tokens", "4000", "--budget", "calls=3", "--deadline", "20")
        out, _ = await solve("3+4?", "-s", "majority:n=9", *limits, "--base-url", server.url, "--json")
    assert json.loads(out)["calls"] == {"generate": 3}
    assert json.loads(out)["ended_by"] == "budget"


async def test_plain_data_for_machines() -> None:
    async with FakeServer(reply=reply) as server:
        out, _ = await solve("3+4?", "-s", "majority:n=5,stop=never", "--base-url", server.url, "--json")
        outcome = json.loads(out)
        assert outcome["generated_tokens"] == server.generated_tokens
    assert outcome["answer"] in ("7", "8")
    assert outcome["calls"] == {"generate": 5}
    assert [c["samples"] for c in outcome["checkpoints"]] == [1, 2, 3, 4, 5]
    assert outcome["thinking_tokens"] < outcome["generated_tokens"]


async def test_a_budget_holds() -> None:
    async with FakeServer(reply=reply) as server:
        out, _ = await solve("3+4?", "-s", "majority:n=50", "--budget", "60", "--base-url", server.url, "--json")
        assert server.generated_tokens <= json.loads(out)["generated_tokens"] <= 60


async def test_a_deadline_keeps_the_answer_so_far() -> None:
    def stuck(_: dict[str, Any], k: int) -> Reply:
        return Reply(text="the answer is 7", fault="hang" if k > 2 else "", fault_after=1)

    async with FakeServer(reply=stuck) as server:
        out, _ = await solve("3+4?", "-s", "majority:n=9", "--deadline", "1.5", "--base-url", server.url, "--json")
    assert (json.loads(out)["answer"], json.loads(out)["ended_by"]) == ("7", "deadline")


async def test_each_mistake_is_one_line() -> None:
    async with FakeServer(reply=reply, context=100) as server:
        here = ("--base-url", server.url)
        wrong: list[tuple[tuple[str, ...], str]] = [
            (("hi", "-s", "majorty", *here), "Did you mean 'majority'"),
            (("hi", "-s", "majority:nn=3", *here), "Did you mean 'n'"),
            (("hi", "--answer", "numbr", *here), "Did you mean 'number'"),
            (("hi", "--verifier", "jugde", "-s", "best_of_n", *here), "Did you mean 'judge'"),
            (("hi", "--budget", "tokens=3", *here), "unknown limit 'tokens'"),
            (("hi", "--model", "other", *here), "other"),
            (("hi", "-s", "majority:m=3", *here), "Did you mean 'n' (samples; 1 to 4096)?"),
            (("hi", "-s", "majority:n=0", *here), "n=0: must be 1 to 4096"),
            (("hi", "--max-tokens", "-5", *here), "--max-tokens -5: a limit must be a positive number"),
            (("hi", "--budget", "-5", *here), "generated_tokens=-5: a limit must be a positive number"),
            (("hi", "--budget", "calls=0", *here), "calls=0: a limit must be a positive number"),
            (("hi", "--deadline", "-1", *here), "seconds=-1.0: a limit must be a positive number"),
            (("hi", "--max-tokens", "9", "--budget", "30", *here), "both limit the generated tokens"),
            (("hi", "--sample-tokens", "5000", *here), "do not fit"),
            ((" ", *here), "the prompt is empty"),
            (("hi", "--base-url", "http://127.0.0.1:9"), "is the server running?"),
        ]
        for arguments, says in wrong:
            out, err = await solve(*arguments, code=2)
            assert out == "" or "do not fit" in err
            (line,) = err.strip().splitlines()
            assert line.startswith("ttc: ")
            assert says in line


async def test_no_answer_is_an_exit_code_of_its_own() -> None:
    async with FakeServer(reply=lambda body, _: Reply(text="I would rather not say")) as server:
        _, err = await solve("3+4?", "-s", "single", "--base-url", server.url, code=1)
        assert "no answer" in err
        _, err = await solve("3+4?", "-s", "single", "--budget", "1", "--base-url", server.url, code=1)
        assert "give it more tokens" in err


def an_outcome(**facts: Any) -> Outcome:
    usual: dict[str, Any] = {"query_id": "q", "candidate": None, "ended_by": "finished", "usage": {}, "calls": {}}
    return Outcome(**{**usual, **facts})


@pytest.mark.parametrize("terminal", [True, False])
def test_no_control_sequence_of_an_answer_reaches_a_terminal_and_a_file_gets_all(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    answer = "\x1b]2;owned\x1b\\42\x00"
    candidate = Candidate(answer, Sample(text=f"so\n\n{answer} it is"))
    show(an_outcome(answer=answer, candidate=candidate, warnings=(f"it said {answer}",)), trace=False)
    out = capsys.readouterr().out
    assert (answer in out, "\x1b]" in out, "\x00" in out) == ((False,) * 3 if terminal else (True,) * 3)
    assert ("answer  " in out, "so\n\n" in out) == (True, not terminal)  # the lines of a terminal are styled
    replaced = "\ufffd]2;owned\ufffd\\42\ufffd"
    assert out.count(replaced) == (3 if terminal else 1)  # a note is ours, and printable anywhere


def test_a_trace_with_numbers_as_keys_is_plain_data() -> None:
    outcome = an_outcome(answer="42", trace=({"event": "grow", "tokens": 1, "again": {7: 2}},))
    assert json.loads(as_json(outcome))["trace"][0]["again"] == {"7": 2}


def test_a_verifier_without_a_sandbox_is_said_before_a_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise SandboxUnavailable("no jail here")

    monkeypatch.setattr("ttc.verifiers.code.tested.shared_sandbox", none)
    arguments = ["solve", "f?", "--answer", "code", "-s", "best_of_n:n=2", "--base-url", "http://127.0.0.1:9"]
    ran = CliRunner().invoke(app, [*arguments, "--verifier", "public_tests"])
    assert isinstance(ran.exception, SandboxUnavailable)
    ran = CliRunner().invoke(app, [*arguments, "--verifier", "mean_logprob"])
    assert isinstance(ran.exception, ServerUnreachable)
