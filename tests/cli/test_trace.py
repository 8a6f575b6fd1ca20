"""A trace reads as sentences in a tree, and takes a line an event on any terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from ttc import registry
from ttc.cli.completion import strategy_names
from ttc.cli.printable import one_line, printable
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
        (
            {"event": "grow", "nodes": [{"node": 1, "score": 0.5}, {"node": 2, "score": 0.25}], "pruned": [2]},
            "grow 2 new nodes, best 0.50: 1 kept, 1 pruned",
        ),
        ({"event": "grow", "by": "them"}, "grow by them"),
        (
            {"event": "score_steps", "scores": [[0.5], [], [0.25, 1]], "by": "judge"},
            "score_steps of 3 steps: 0.250 to 1.000 by judge",
        ),
        ({"event": "score_steps", "scores": [None, [0.5]], "by": "judge"}, "score_steps of 1 step: 0.500 by judge"),
        ({"event": "score_steps", "scores": [[0.5]], "by": "judge"}, "score_steps of 1 step: 0.500 by judge"),
        ({"event": "score_steps", "scores": list[Any](), "by": "judge"}, "score_steps of no step by judge"),
        (sample(event="continue", added=2, cue="So"), 'continue #3: 42 (2 tokens behind "So")'),
        (sample(event="continue", added=1, cue="", finish="step"), "continue #3: 42 (1 token, a step)"),
        ({"event": "force", "node": 7}, "force an answer out of node 7"),
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


def step(number: int, parent: int, score: float, said: str = "so", **facts: Any) -> dict[str, Any]:
    return {"node": number, "parent": parent, "score": score, "tokens": 5, "step": f"{said} {number}", **facts}


def a_search(said: str = "so") -> list[dict[str, Any]]:
    first = [step(1, 0, 0.9, said), step(2, 0, 0.8, said), step(3, 0, 0.1, said)]
    then = [step(4, 1, 0.7, said, over=True, answer="42"), step(5, 1, 0.6, said), step(6, 2, 0.5, said, copies=2)]
    last = [step(7, 5, 0.8, said, over=True, answer="41"), step(8, 5, 0.9, said, over=True, answer="42")]
    waves: list[tuple[list[dict[str, Any]], list[int]]] = [(first, [3]), (then, [6]), (last, [])]
    return [{"event": "grow", "tokens": 15, "nodes": nodes, "pruned": pruned} for nodes, pruned in waves]


def printed(trace: list[dict[str, Any]], answer: str | None, **console: Any) -> list[str]:
    out = Console(file=io.StringIO(), color_system=None, **console)
    show_trace(trace, out, answer)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_a_search_is_a_tree_whose_straight_line_leads_to_the_answer() -> None:
    lines = printed(a_search(), "42")
    assert lines[4:] == [
        "",
        "search: 8 nodes in 3 waves",
        "score  tokens  text (★ to the answer, ■ whole)",
        "               ○ the query  +1 pruned",
        " 0.80       5  ├─● so 2  +1 pruned",
        " 0.90       5  ★ so 1",
        " 0.70       5  ├─■ so 4  -> 42",
        " 0.60       5  ★ so 5",
        " 0.80       5  ├─■ so 7  -> 41",
        " 0.90       5  ★ so 8  -> 42",
    ]


def test_a_forced_answer_stands_at_the_step_that_it_was_forced_out_of() -> None:
    forced = {"event": "force", "tokens": 19, "node": 2}
    assert printed([*a_search()[:1], forced], "7")[-1] == " 0.80       5  ★ so 2  -> 7 (forced)"


@pytest.mark.parametrize("width", [60, 100])
def test_a_search_takes_a_line_a_step_on_a_terminal_and_keeps_its_counts(width: int) -> None:
    lines = printed(a_search("a long step " * 20), "42", width=width, force_terminal=True)
    assert len(lines) == 14
    assert max(map(len, lines)) == width
    assert [line.endswith("…  +1 pruned") for line in lines if "├─●" in line] == [True]


def test_a_rollout_that_came_to_the_answer_leads_to_it_though_its_step_was_pruned() -> None:
    first = [step(1, 0, 0.4), step(2, 0, 0.9, ahead="42")]
    trace = [{"event": "grow", "tokens": 10, "nodes": first, "pruned": [2]}]
    assert printed(trace, "42")[-3:] == [
        "               ○ the query",
        " 0.40       5  ├─… so 1",
        " 0.90       5  ★ so 2  -> 42 (by a rollout)",
    ]


def test_a_judge_of_steps_takes_no_line_a_step() -> None:
    calls = [{"event": "judge", "tokens": 9, "score": 0.5, "events": []}] * 16
    scores = {"event": "score_steps", "tokens": 9, "scores": [[0.5]] * 16, "by": "judge"}
    lines = printed([*calls, scores, *a_search()[:1]], None)
    assert [line.split()[1:3] for line in lines[1:3]] == [["├─", "score_steps"], ["└─", "grow"]]
    assert not any("judge score" in line for line in lines)


HOSTILE = "\x1b]0;owned\x07 \x1b[2J\x00\x9b1m\u202e42"


def test_no_control_sequence_of_a_model_reaches_the_terminal() -> None:
    search = a_search(HOSTILE)
    search[1]["nodes"][0]["answer"] = search[2]["nodes"][1]["answer"] = search[1]["nodes"][1]["ahead"] = HOSTILE
    events: list[dict[str, Any]] = [
        sample(answer=HOSTILE, error=HOSTILE, finish="failed"),
        {"event": "score", "index": 0, "score": 0.5, "by": HOSTILE, "answer": HOSTILE},
        {**compare(1), "answers": [HOSTILE, HOSTILE]},
        {"event": "vote", "classes": [[HOSTILE, 2]]},
        {"event": "stop", "why": HOSTILE, "samples": 1},
        {"event": HOSTILE, HOSTILE: HOSTILE},
        sample(event="continue", added=1, cue=HOSTILE),
        {"event": "branch", "name": HOSTILE, "tokens": 1, "events": search},
    ]
    for console in ({"width": 100, "force_terminal": True}, {}):
        shown = "".join(printed(events, HOSTILE, **console))
        assert all(sign.isprintable() for sign in shown)
        assert "\ufffd]0;owned\ufffd \ufffd[2J\ufffd\ufffd1m\ufffd42" in shown


def test_what_is_no_control_sequence_is_kept() -> None:
    said = "naïve 因为\u3000\U0001f469\u200d\U0001f52c कर्\u200dम\tx\u00a0y"
    assert printable(f"{said}\r\n{said}") == f"{said}\n{said}"
    assert one_line(f" a\r\n{'b' * 9}", 6) == "a bbb…"


def test_large_searches_are_shown_in_part() -> None:
    chain = [step(n, n - 1, 0.5) for n in range(1, 101)]
    branches = [
        {"event": "branch", "name": f"[b]{i}", "tokens": 1, "events": [*wave]}
        for i, wave in enumerate([[{"event": "grow", "tokens": 1, "nodes": chain, "pruned": []}]] * 6)
    ]
    lines = printed(branches, "42")
    assert "search in [b]0: 100 nodes in 1 wave" in lines
    assert len([line for line in lines if "○ the query" in line]) == 4
    assert len([line for line in lines if "● so 40" in line and line.endswith("+60 not shown")]) == 4
    assert lines[-1] == "2 more searches are not drawn"


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
