"""Tournaments of a trace: brackets where a defeat ends one, tables elsewhere, and nothing that is not one."""

from __future__ import annotations

from typing import Any

from ttc.evals.report.brackets import brackets, without_brackets


def met(stage: int, a: int, b: int, *won: float, swapped: bool = False) -> dict[str, Any]:
    compares = [
        {"event": "compare", "a": a, "b": b, "answers": [f"answer {a}", f"answer {b}"], "first": "a", "won": w}
        for w in won
    ]
    if swapped:
        compares[-1] = {**compares[-1], "a": b, "b": a, "answers": [f"answer {b}", f"answer {a}"]}
    return {"event": "match", "tokens": 1, "stage": stage, "number": 0, "events": compares}


def kind(*matches: dict[str, Any]) -> str:
    (one,) = brackets(matches)
    return one["kind"]


def test_who_lost_is_not_seen_again_in_a_bracket() -> None:
    assert kind(met(1, 0, 1, 1.0), met(1, 2, 3, 0.0), met(2, 0, 3, 1.0)) == "bracket"
    assert kind(met(1, 0, 1, 1.0), met(1, 2, 3, 0.0), met(2, 1, 3, 1.0)) == "table"
    assert kind(met(1, 0, 1, 1.0), met(1, 0, 2, 1.0)) == "table"


def test_who_won_a_tie_is_who_plays_on_or_stands_alone() -> None:
    alone = {"event": "stage", "tokens": 2, "stage": 2, "standing": ["answer 2"]}
    (one,) = brackets([met(1, 0, 1, 0.5), met(2, 0, 2, 0.5), alone])
    assert [matches[0][6] for _, matches, _ in one["rounds"]] == [0, 2]
    (open_end,) = brackets([met(1, 0, 1, 0.5)])
    assert open_end["rounds"][0][1][0][6] is None


def test_a_tie_ends_nobody() -> None:
    assert kind(met(1, 0, 1, 0.5), met(2, 0, 2, 1.0)) == "bracket"
    assert kind(met(1, 0, 1, 0.5), met(2, 1, 2, 1.0)) == "bracket"


def test_points_are_those_of_the_first_named_whatever_the_order_of_a_comparison() -> None:
    (one,) = brackets([met(1, 4, 7, 1.0, 0.0, swapped=True)])
    assert one["rounds"] == [[1, [[4, "answer 4", 7, "answer 7", 2.0, 2, 4]], []]]


def test_a_table_adds_up_and_stands_in_order() -> None:
    (one,) = brackets([met(1, 0, 1, 1.0), met(1, 0, 2, 0.0), met(1, 1, 2, 0.5)])
    assert [(row[0], row[2], row[4], row[5]) for row in one["table"]] == [
        (2, 2, 2, 1.5),
        (0, 2, 2, 1.0),
        (1, 2, 2, 0.5),
    ]


def test_what_does_not_fit_is_counted() -> None:
    (one,) = brackets([met(stage, 0, stage, 1.0) for stage in range(1, 8)], limit=3)
    assert sum(len(matches) for _, matches, _ in one["rounds"]) == 3
    assert one["left_out"] == 4
    assert one["said"] == "7 matches in 7 rounds, 7 comparisons."


def test_a_tournament_in_a_branch_has_its_name_and_leaves_the_rest_of_the_trace() -> None:
    stage = {"event": "stage", "tokens": 2, "stage": 1, "standing": ["x", "x", None]}
    stop = {"event": "stop", "tokens": 3, "why": "certain"}
    branch = {"event": "branch", "tokens": 3, "name": "hard", "events": [met(1, 0, 1, 1.0), stage, stop]}
    (one,) = brackets([branch])
    assert (one["name"], one["rounds"][0][2]) == ("hard", [["x", 2], [None, 1]])
    assert without_brackets([branch]) == [{**branch, "events": [stop]}]


def test_a_third_partys_match_without_comparisons_is_an_event_like_any_other() -> None:
    strange = {"event": "match", "tokens": 1, "won": "nobody"}
    assert brackets([strange]) == []
    assert without_brackets([strange]) == [strange]
