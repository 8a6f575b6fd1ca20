"""How much a sample may think: as sampling settings, and as what a server is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.strategies.conftest import LastWord
from ttc.adaptive.policy import Escalation, Estimation, Policy, Row
from ttc.adaptive.thinking import sampling_with
from ttc.models.vllm_server import VLLMServer
from ttc.solve import solve
from ttc.strategies.adaptive import Adaptive
from ttc.testing import FakeServer, Reply
from ttc.types import Outcome, Query, Sampling

pytestmark = pytest.mark.anyio

OFF = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ("", Sampling()),
        ("off", Sampling(extra=OFF)),
        ("low", Sampling(extra={"reasoning_effort": "low"})),
        ("medium", Sampling(extra={"reasoning_effort": "medium"})),
        ("high", Sampling(extra={"reasoning_effort": "high"})),
        ("200", Sampling(max_tokens=200)),
        ("20000", Sampling()),
    ],
)
def test_what_a_policy_says_as_settings(thinking: str, expected: Sampling) -> None:
    assert sampling_with(Sampling(), thinking=thinking) == expected


def test_the_lowest_cap_holds() -> None:
    assert sampling_with(Sampling(), tokens=100).max_tokens == 100
    assert sampling_with(Sampling(), tokens=100, thinking="50").max_tokens == 50
    assert sampling_with(Sampling(max_tokens=40), tokens=100, thinking="50").max_tokens == 40


def test_an_effort_and_a_cap_go_together() -> None:
    assert sampling_with(Sampling(), tokens=100, thinking="low") == Sampling(
        max_tokens=100, extra={"reasoning_effort": "low"}
    )


@pytest.mark.parametrize(
    ("given", "thinking", "expected"),
    [
        (OFF, "high", {"reasoning_effort": "high"}),
        ({"reasoning_effort": "high"}, "off", OFF),
        ({"chat_template_kwargs": {"enable_thinking": True, "a": 1}, "top_k": 5}, "off",
         {"chat_template_kwargs": {"enable_thinking": False, "a": 1}, "top_k": 5}),
        ({"chat_template_kwargs": {"enable_thinking": False, "a": 1}}, "low",
         {"chat_template_kwargs": {"a": 1}, "reasoning_effort": "low"}),
        (OFF, "200", OFF),
        (OFF, "", OFF),
    ],
)  # fmt: skip
def test_what_was_set_otherwise_gives_way(given: dict[str, Any], thinking: str, expected: dict[str, Any]) -> None:
    before = Sampling(extra=given)
    assert sampling_with(before, thinking=thinking).extra == expected
    assert before == Sampling(extra=given)


def test_a_model_is_named_beside_it() -> None:
    assert sampling_with(Sampling(model="a"), model="b", thinking="off") == Sampling(model="b", extra=OFF)
    assert sampling_with(Sampling(model="a")).model == "a"


# -- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def solved(tmp_path: Path) -> Callable[..., Any]:
    """Run one row against a server, and return the outcome with the bodies of its requests."""

    async def run(reply: Reply, **row: Any) -> tuple[Outcome, list[dict[str, Any]]]:
        written = Policy(
            made=date(2026, 11, 28),
            calibrated=False,
            difficulty=Estimation(estimator="none", probe=0),
            rows=(Row(query_class="default", **row),),
        )
        written.write(tmp_path / "policy.toml")
        query = Query.of("how many?", answer_type=LastWord())
        async with FakeServer(lambda body, k: reply) as server, VLLMServer(server.url) as model:
            outcome = await solve(query, Adaptive(policy=tmp_path / "policy.toml"), model)
            return outcome, server.requests

    return run


async def test_off_switches_the_template(solved: Callable[..., Any]) -> None:
    outcome, (body,) = await solved(Reply(text="so 7"), strategy="single", thinking="off")
    assert outcome.answer == "7"
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "reasoning_effort" not in body


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
async def test_an_effort_is_the_servers(solved: Callable[..., Any], effort: str) -> None:
    _, (body,) = await solved(Reply(text="so 7"), strategy="single", thinking=effort)
    assert body["reasoning_effort"] == effort
    assert not body.get("chat_template_kwargs")


async def test_a_number_is_a_cap_behind_which_the_answer_is_forced(solved: Callable[..., Any]) -> None:
    thoughts = Reply(text="it is 7", reasoning="well " * 60)
    outcome, bodies = await solved(thoughts, strategy="single", thinking=24)
    first, forced = bodies
    assert first["max_tokens"] == 24
    assert forced["continue_final_message"] is True
    assert forced["messages"][-1]["content"].endswith(LastWord.cue)
    assert outcome.candidate.sample.forced


async def test_an_escalation_thinks_as_it_says_and_not_as_its_row(solved: Callable[..., Any]) -> None:
    then = Escalation(below=1.0, strategy="majority:n=1", thinking="high")
    _, bodies = await solved(Reply(text="I cannot say so"), strategy="majority:n=2", thinking="off", escalate=then)
    asked = [b for b in bodies if not b.get("continue_final_message")]
    assert [b.get("chat_template_kwargs") for b in asked] == [OFF["chat_template_kwargs"]] * 2 + [None]
    assert [b.get("reasoning_effort") for b in asked] == [None, None, "high"]
