"""A trace tells of the trees that searches grew, and a large one can be shown in part."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.strategies.grown_tree import GrownTree, grown_trees, wave_said, without_step_calls
from ttc.strategies.part_of_tree import chosen, left_out
from ttc.types import Query, Request, Sample, Usage


def grown(number: int, parent: int = 0, score: float = 0.5, **facts: Any) -> dict[str, Any]:
    return {"node": number, "parent": parent, "score": score, "tokens": 3, "step": f"step {number}", **facts}


def whole(number: int, parent: int, score: float, answer: str | None) -> dict[str, Any]:
    return grown(number, parent, score, over=True, answer=answer)


def wave(tokens: int, *nodes: dict[str, Any], pruned: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"event": "grow", "tokens": tokens, "nodes": list(nodes), "pruned": list(pruned)}


TRACE: list[dict[str, Any]] = [
    {"event": "score_steps", "tokens": 12, "scores": [[0.5], [0.9], [0.1]], "by": "judge"},
    wave(12, grown(1), grown(2, score=0.9, copies=2), grown(3, score=0.1), pruned=(3,)),
    {"event": "score_steps", "tokens": 24, "scores": [[0.7], [0.8]], "by": "judge"},
    wave(24, whole(4, 2, 0.7, "42"), whole(5, 2, 0.8, None), whole(6, 1, 0.6, "42"), grown(7, 1, 0.2)),
]


def only(trace: list[dict[str, Any]]) -> GrownTree:
    (tree,) = grown_trees(trace)
    return tree


def test_nodes_find_their_parents_and_what_became_of_them() -> None:
    tree = only(TRACE)
    assert [(n.number, n.parent and n.parent.number, n.depth, n.state) for n in tree.nodes] == [
        (1, None, 1, "grown"),
        (2, None, 1, "grown"),
        (3, None, 1, "pruned"),
        (4, 2, 2, "whole"),
        (5, 2, 2, "ended"),
        (6, 1, 2, "whole"),
        (7, 1, 2, "open"),
    ]
    assert tree.nodes[1].copies == 2
    assert [n.number for n in tree.nodes[3].path()] == [2, 4]


def test_a_wave_costs_what_was_generated_since_the_one_before() -> None:
    later = [{**event, "tokens": event["tokens"] + 4} for event in TRACE]
    assert [w.tokens for w in only([{"event": "sample", "tokens": 4, "generated": 4}, *later]).waves] == [12, 12]
    judged = [wave(10, grown(1)), {"event": "score", "tokens": 15}, wave(17, grown(2))]
    assert [w.tokens for w in only(judged).waves] == [10, 7]
    drawn = [{"event": "sample", "tokens": tokens, "generated": 3} for tokens in (3, 6)]
    assert [w.tokens for w in only([*drawn, wave(6, grown(1), grown(2)), *drawn, wave(9, grown(3))]).waves] == [6, 3]
    assert [(len(w.nodes), w.pruned) for w in only(TRACE).waves] == [(3, 1), (4, 0)]


def judged_reply(request: Request) -> Sample:
    """Two steps and an answer, and a judge that writes five tokens."""
    if request.choices:
        return Sample(text="Yes", usage=Usage(answer_tokens=5), first_choices=(("Yes", -0.1), ("No", -2.5)))
    shown = str(request.messages[-1]["content"]) if request.continue_final else ""
    if request.until and shown.count("step") < 2:
        return Sample(text="step " + "so " * (request.seed % 4), finish="step")
    return Sample(text=f"step {request.seed % 3}")


@pytest.mark.anyio
@pytest.mark.parametrize("strategy", ["beam:n=4,m=2", "lookahead:n=4,m=2", "ab_mcts:n=8,wave=4", "mcts:n=12,wave=4"])
async def test_the_tokens_of_the_waves_add_up_with_those_of_the_judge(strategy: str) -> None:
    outcome = await solve(Query.of("3+4?", answer_type="number"), strategy, Scripted(judged_reply), verifier="judge")
    tree = only([dict(event) for event in outcome.trace])
    by = [event["tokens"] for event in outcome.trace if event["event"] == "grow"]
    assert [wave.tokens for wave in tree.waves] == [after - before for before, after in pairwise([0, *by])]


def test_what_was_drawn_and_judged_before_a_search_is_not_of_its_first_wave() -> None:
    probe = [{"event": "sample", "tokens": 3, "generated": 3}, {"event": "score", "tokens": 5}]
    probe += [{"event": "difficulty", "tokens": 5}]
    judge = [{"event": "judge", "tokens": tokens, "score": 0.5} for tokens in (13, 15)]
    assert [w.tokens for w in only([*probe, *judge, wave(15, grown(1), grown(2))]).waves] == [10]


def test_over_several_models_a_wave_costs_what_its_nodes_say() -> None:
    event = {k: v for k, v in wave(0, grown(1, copies=2), grown(2)).items() if k != "tokens"}
    assert [w.tokens for w in only([event]).waves] == [9]


def test_a_step_whose_rollout_came_to_the_answer_is_behind_it() -> None:
    first = wave(9, grown(1, score=0.4, ahead="41"), grown(2, score=0.8, ahead="42"), pruned=(2,))
    tree = only([first, wave(15, whole(3, 1, 0.6, "42"), whole(4, 1, 0.7, "41"))])
    assert [(n.number if (n := tree.behind(answer)) else None) for answer in ("42", "41", "40")] == [2, 4, None]
    assert wave_said(first) == ("2 new nodes, best 0.80: 1 kept, 1 pruned, 2 whole at the end of a rollout: 41, 42")


@pytest.mark.parametrize("number", [1, "1"])  # as it is noted, and as it is stored
def test_copies_of_earlier_nodes_count_with_them(number: int | str) -> None:
    later = {**wave(6, grown(2, 1)), "again": {number: 3}}
    tree = only([wave(3, grown(1)), later])
    assert [node.copies for node in tree.nodes] == [3, 1]
    assert wave_said(later) == "1 new node, best 0.50: 1 kept, 1 drawn again"
    assert wave_said({**wave(6), "again": {number: 3}}) == "no new node: 1 drawn again"


def test_a_judges_calls_are_told_by_the_scores_of_their_wave() -> None:
    judge = {"event": "judge", "tokens": 3, "score": 0.5}
    assert without_step_calls([judge, judge, *TRACE, judge]) == [*TRACE, judge]
    assert without_step_calls([judge, TRACE[1], judge, {"event": "stop"}]) == [TRACE[1], judge, {"event": "stop"}]


def test_the_best_whole_solution_with_the_answer_is_behind_it() -> None:
    tree = only(TRACE)
    assert [(n.number if (n := tree.behind(answer)) else None) for answer in ("42", "41", None)] == [4, None, None]


def test_what_an_answer_was_forced_out_of_is_behind_it() -> None:
    tree = only([*TRACE, {"event": "force", "tokens": 25, "node": 7}])
    assert (found := tree.behind("7")) is not None
    assert found.number == 7
    assert (whole := tree.behind("42")) is not None
    assert whole.number == 4


def test_searches_in_branches_and_one_after_another_are_trees_of_their_own() -> None:
    inner = {"event": "branch", "name": "hard", "tokens": 40, "events": [wave(40, grown(1), grown(2))]}
    trees = grown_trees([*TRACE, wave(28, grown(1)), {"event": "branch", "name": "x", "tokens": 40, "events": [inner]}])
    assert [(t.name, len(t.nodes), [w.tokens for w in t.waves]) for t in trees] == [
        ("", 7, [12, 12]),
        ("", 1, [4]),
        ("x / hard", 2, [12]),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "grow", "tokens": 3},
        {"event": "grow", "tokens": 3, "nodes": 4},
        {"event": "grow", "tokens": 3, "nodes": ["a"]},
        {"event": "grow", "tokens": 3, "nodes": [{"node": 1, "score": float("nan")}]},
        {"event": "grow", "tokens": 3, "nodes": [], "pruned": [[1]]},
    ],
)
def test_an_event_of_another_form_is_no_wave(event: dict[str, Any]) -> None:
    assert grown_trees([event]) == []
    with pytest.raises(ValueError, match="not what a search notes"):
        wave_said(event)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (TRACE[1], "3 new nodes, best 0.90: 2 kept, 1 pruned"),
        (TRACE[3], "4 new nodes, best 0.80: 1 kept, 2 whole: 42 x2, 1 ended without an answer"),
        (wave(1, whole(1, 0, 1, "a\n" * 30)), f"1 new node, best 1.00: 1 whole: {'a ' * 11}a…"),
        (
            wave(1, *(whole(i, 0, 0.5, f"{i}") for i in range(1, 7))),
            "6 new nodes, best 0.50: 6 whole: 1, 2, 3, 4, ...",
        ),
        (wave(1), "no new node"),
    ],
)
def test_a_wave_is_a_sentence(event: dict[str, Any], said: str) -> None:
    assert wave_said(event) == said


def test_of_a_large_tree_the_way_to_the_answer_is_shown_first() -> None:
    tree = only(TRACE)
    shown = [[n.number for n in chosen(tree, "42", limit)] for limit in (1, 2, 4, 6, 99)]
    assert shown == [[2], [2, 4], [1, 2, 4, 6], [1, 2, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]]
    assert [n.number for n in chosen(tree, "42", 99, width=2)] == [1, 2, 4, 6]
    assert [n.number for n in chosen(tree, None, 99, depth=1)] == [1, 2, 3]


def test_what_is_not_shown_is_counted_at_the_last_node_before_it_that_is() -> None:
    tree = only(TRACE)
    left = {node and node.number: dict(counts) for node, counts in left_out(tree, chosen(tree, "42", 2)).items()}
    assert left == {None: {"grown": 1, "pruned": 1, "whole": 1, "open": 1}, 2: {"ended": 1}}
