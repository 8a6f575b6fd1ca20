"""A trace reads as sentences in a tree, and takes a line an event on any terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from ttc import registry
from ttc.cli.completion import strategy_names
from ttc.cli.trace import say, show_trace, tree_lines
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.types import Query, Request, Sample


def sample(**facts: Any) -> dict[str, Any]:
    usual = {"kind": "generate", "index": 3, "answer": "42", "finish": "stop", "forced": False, "generated": 1234}
    return {"event": "sample", "tokens": 0, **usual, **facts}


def compare(won: float, first: str = "a") -> dict[str, Any]:
    return {"event": "compare", "tokens": 1, "a": 0, "b": 1, "answers": ["42", "41"], "first": first, "won": won}


def match(points: float, played: int, *inner: dict[str, Any]) -> dict[str, Any]:
    return {"event": "match", "stage": 2, "number": 0, "points": points, "played": played, "events": inner}


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (sample(), "sample #3: 42 (1,234 tokens)"),
        (sample(answer=None, finish="cut"), "sample #3: no answer (1,234 tokens, cut by the budget)"),
        (sample(kind="probe", forced=True), "probe #3: 42 (1,234 tokens, answer forced)"),
        (sample(finish="failed", error="it is\naway"), "sample #3: 42 (1,234 tokens, failed, it is away)"),
        (compare(1), "compare 42 with 41: the first wins"),
        (compare(1, first="b"), "compare 41 with 42: the second wins"),
        (compare(0.5), "compare 42 with 41: no verdict"),
        (match(2, 2, compare(1)), "match 1 of stage 2: 42 beats 41, 2 to 0"),
        (match(0, 1, compare(0)), "match 1 of stage 2: 41 beats 42, 1 to 0"),
        (match(1, 2, compare(0)), "match 1 of stage 2: 42 ties with 41, 1 to 1"),
        (match(0, 0), "match 1 of stage 2: not played"),
        ({"event": "vote", "classes": [["42", 3], ["41", 1]]}, "vote 42 x3, 41"),
        ({"event": "vote", "classes": [["42", 3, 0.5]]}, "vote 42 x3 (weight 0.5)"),
        ({"event": "vote", "classes": []}, "vote without a vote"),
        ({"event": "stop", "why": "certain", "samples": 5}, "stop after 5 samples: certain"),
        ({"event": "stage", "stage": 1, "standing": ["42", "41", "42"]}, "stage 1 is over, standing: 42 x2, 41"),
        (
            {"event": "tournament", "meetings": 9, "swap_pairs": 4, "swap_consistent": 3},
            "tournament over, 9 comparisons; both orders agree in 3 of 4 pairs",
        ),
        ({"event": "attempt", "chain": 0, "number": 1, "answer": "42"}, "attempt #1 of chain #0: 42"),
        ({"event": "seat", "seat": 0, "answer": None}, "seat #0 goes to no answer"),
        ({"event": "theirs", "round": 0, "why": ""}, "theirs round 0"),
        (
            {"event": "theirs", "share": 0.123456, "on": False, "of": ["a", None]},
            "theirs share 0.1235, of [a, no answer]",
        ),
        ({"event": "vote", "winner": "42"}, "vote winner 42"),  # a third party's, with facts of its own
    ],
)
def test_an_event_is_a_sentence(event: dict[str, Any], sentence: str) -> None:
    assert say({"tokens": 7, **event}) == sentence


def test_events_hang_from_the_one_they_are_in() -> None:
    inner = match(2, 2, compare(1), compare(1, first="b"))
    lines = [
        guide for _, guide, _ in tree_lines([sample(), {"event": "branch", "name": "x", "events": [inner]}, sample()])
    ]
    assert lines == ["├─ ", "├─ ", "│  └─ ", "│     ├─ ", "│     └─ ", "└─ "]


def test_a_branch_of_one_event_of_its_name_is_that_event() -> None:
    inner = {"event": "score", "tokens": 9, "index": 1, "score": 0.25, "by": "judge", "answer": "42"}
    outer = {"event": "score", "tokens": 9, "index": 1, "score": 0.25, "events": [inner]}
    assert [s for _, _, s in tree_lines([outer])] == ["score #1: 0.250 by judge for 42"]


@pytest.mark.parametrize("width", [80, 120])
def test_a_line_an_event_on_a_terminal(width: int) -> None:
    long = sample(answer="a long answer " * 20, error="what the server said " * 20, finish="failed")
    trace = [long, {"event": "branch", "name": "n" * 200, "events": [long, compare(1)]}]
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show_trace(trace, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + 4
    assert max(map(len, lines)) == width


def reply(request: Request) -> Sample:
    if request.choices:
        return Sample(text=request.choices[request.seed % 2])
    return Sample(text=f"the answer is {request.seed % 3}", top_logprobs=((-0.1, -3.0),) * 4)


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", registry.names("strategy"))
async def test_no_strategy_leaves_a_wall_of_facts(strategy: str) -> None:
    query = Query.of("3 + 4?", answer_type="number")
    outcome = await solve(query, strategy, Scripted(reply), verifier="self_certainty", comparator="judge")
    said = [sentence for _, _, sentence in tree_lines(outcome.trace)]
    assert said
    for sentence in said:
        assert not re.search(r" \w+=", sentence)  # no key=value
        assert "{" not in sentence
        assert len(sentence) < 200


def test_the_shell_completes_strategies() -> None:
    assert strategy_names("") == registry.names("strategy")
    assert strategy_names("ma") == ["majority"]
    assert strategy_names("nothing") == []
