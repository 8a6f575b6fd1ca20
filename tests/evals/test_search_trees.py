"""The tree of a search is laid out without crossings, within bounds, and counts what it leaves out."""

from __future__ import annotations

import itertools
import random
from typing import Any

import orjson
import pytest

from ttc.evals.report.search_trees import NODES, ROWS, TREES, search_trees


def beam(n: int, m: int, steps: int, *, step: str = "so", seed: int = 0) -> list[dict[str, Any]]:
    """The trace of a beam whose scores are drawn by lot; at its end all is whole."""
    rng, kept, number, trace = random.Random(seed), [0] * (n // m), 0, list[dict[str, Any]]()
    for depth in range(1, steps + 1):
        nodes: list[dict[str, Any]] = []
        for parent in [0] * n if depth == 1 else [k for k in kept for _ in range(m)]:
            number += 1
            nodes.append({"node": number, "parent": parent, "score": rng.random(), "tokens": 5, "step": step})
        if depth == steps:
            nodes = [{**node, "over": True, "answer": str(node["node"] % 3)} for node in nodes]
        ranked = sorted(nodes, key=lambda node: -node["score"])
        kept = [node["node"] for node in ranked[: n // m]]
        pruned = [] if depth == steps else [node["node"] for node in ranked[n // m :]]
        trace.append({"event": "grow", "tokens": depth * n * 5, "nodes": nodes, "pruned": pruned})
    return trace


def laid_out(trace: list[dict[str, Any]], answer: str | None = "1") -> dict[str, Any]:
    (tree,) = search_trees(trace, answer)["trees"]
    return tree


def test_a_small_tree_is_drawn_whole() -> None:
    tree = laid_out(beam(8, 2, 5))
    assert tree["said"] == "40 nodes in 5 waves: 16 gone on from, 16 pruned, 8 whole with an answer."
    assert len(tree["nodes"]) == 40
    assert tree["more"] == []
    assert (tree["rows"], tree["columns"], tree["level"]) == (8, 5, True)
    assert tree["waves"] == [[40, "8 new nodes, 4 pruned"]] * 4 + [[40, "8 new nodes"]]


def test_the_path_leads_from_the_root_to_the_best_with_the_answer() -> None:
    tree = laid_out(beam(8, 2, 5))
    path = [tree["nodes"][place] for place in tree["path"]]
    assert [node[1] for node in path] == [-1, *tree["path"][:-1]]
    assert path[-1][8] == "1"
    assert path[-1][4] == max(node[4] for node in tree["nodes"] if node[8:] and node[8] == "1")
    assert laid_out(beam(8, 2, 5), "another")["path"] == []


@pytest.mark.parametrize(("n", "m", "steps"), [(8, 2, 5), (16, 4, 10), (64, 4, 40), (1024, 2, 2), (4, 4, 200)])
def test_nothing_overlaps_and_no_edges_cross(n: int, m: int, steps: int) -> None:
    tree = laid_out(beam(n, m, steps))
    columns: dict[int, list[tuple[float, float]]] = {}
    for _, parent, column, row, *_ in [*tree["nodes"], *([0, *more] for more in tree["more"])]:
        above = tree["nodes"][parent][3] if parent >= 0 else tree["root"]
        columns.setdefault(column, []).append((row, above))
    for column in columns.values():
        column.sort()
        for (row, above), (next_row, next_above) in itertools.pairwise(column):
            assert next_row - row >= 0.98  # rows are rounded
            assert next_above >= above
        assert column[0][0] >= 0
        assert column[-1][0] <= tree["rows"] - 1
    assert tree["rows"] <= 2 * ROWS


def test_of_a_large_tree_a_part_is_drawn_and_the_rest_is_counted() -> None:
    tree = laid_out(beam(64, 4, 40, step="因" * 500))
    assert len(tree["nodes"]) == NODES
    assert sum(count for *_, count, _ in tree["more"]) == 64 * 40 - NODES
    assert f"{64 * 40 - NODES:,} of them are not drawn" in tree["said"]
    assert len(tree["path"]) == 40
    assert len(orjson.dumps(tree)) < 150_000


def test_many_searches_share_the_room_and_those_with_the_answer_go_first() -> None:
    def branch(i: int) -> dict[str, Any]:
        nodes = [{"node": 1, "parent": 0, "score": 1.0, "tokens": 1, "step": "", "over": True, "answer": str(i)}]
        return {
            "event": "branch",
            "name": f"b{i}",
            "tokens": i,
            "events": [{"event": "grow", "tokens": i, "nodes": nodes}],
        }

    found = search_trees([branch(i) for i in range(1, TREES + 3)], str(TREES + 2))
    assert [tree["name"] for tree in found["trees"]] == [*(f"b{i}" for i in range(1, TREES)), f"b{TREES + 2}"]
    assert found["note"] == "2 further searches are left out of this page."


def test_a_step_whose_rollout_came_to_the_answer_is_where_the_path_ends() -> None:
    nodes = [{"node": n, "parent": 0, "score": n / 4, "tokens": 3, "step": "so"} for n in (1, 2)]
    nodes[0] |= {"ahead": "1"}
    tree = laid_out([{"event": "grow", "tokens": 6, "nodes": nodes, "pruned": [1]}])
    (place,) = tree["path"]
    assert tree["nodes"][place][:1] + tree["nodes"][place][8:] == [1, None, 1, "1"]
    assert (tree["ahead"], tree["forced"]) == (True, False)
    assert laid_out(beam(8, 2, 5))["ahead"] is False


def test_without_a_search_nothing_is_drawn() -> None:
    assert search_trees([{"event": "sample", "tokens": 3}, {"event": "grow", "tokens": 3, "nodes": []}], "42") == {}
