"""A trace tells of the trees that searches grew, and a large one can be shown in part."""

from __future__ import annotations

from typing import Any

import pytest

from ttc.strategies.grown_tree import GrownTree, chosen, grown_trees, left_out, wave_said


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
    assert [w.tokens for w in only([{"event": "sample", "tokens": 4}, *later]).waves] == [12, 12]
    judged = [wave(10, grown(1)), {"event": "score", "tokens": 15}, wave(17, grown(2))]
    assert [w.tokens for w in only(judged).waves] == [10, 7]
    drawn = [{"event": "sample", "tokens": tokens} for tokens in (3, 6)]
    assert [w.tokens for w in only([*drawn, wave(6, grown(1), grown(2)), *drawn, wave(9, grown(3))]).waves] == [6, 3]
    assert [(len(w.nodes), w.pruned) for w in only(TRACE).waves] == [(3, 1), (4, 0)]


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
        (TRACE[1], "3 new steps, best 0.90: 2 kept, 1 pruned"),
        (TRACE[3], "4 new steps, best 0.80: 1 kept, 2 whole: 42 x2, 1 ended without an answer"),
        (wave(1, whole(1, 0, 1, "a\n" * 30)), f"1 new step, best 1.00: 1 whole: {'a ' * 11}a…"),
        (
            wave(1, *(whole(i, 0, 0.5, f"{i}") for i in range(1, 7))),
            "6 new steps, best 0.50: 6 whole: 1, 2, 3, 4, ...",
        ),
        (wave(1), "no new step"),
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
