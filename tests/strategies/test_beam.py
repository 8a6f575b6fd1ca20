"""The beam as a pure object: what it asks for after what it was told."""

from __future__ import annotations

import pytest

from tests.strategies.hand_made_trees import choice, grow, tree
from ttc.strategies.beam import BeamSearch
from ttc.types import Candidate, Sample


def beam(*, n: int, m: int, max_steps: int = 40) -> BeamSearch:
    return BeamSearch(tree(max_steps=max_steps), choice(), n=n, m=m)


def test_it_draws_n_first_steps_and_grows_the_best_of_them_m_times() -> None:
    search = beam(n=6, m=3)
    wave = search.ask()
    assert wave == [search.tree.root] * 6
    first = grow(search, wave, [0.1, 0.9, 0.2, 0.8, 0.3, 0.4])
    search.tell(first)
    assert [node.number for node in search.ask()] == [2, 2, 2, 4, 4, 4]
    assert [node.pruned for node in first] == [True, False, True, False, True, True]


def test_what_is_whole_holds_its_place_and_is_grown_no_more() -> None:
    search = beam(n=4, m=2)
    first = grow(search, search.ask()[:3], [0.5, 0.6, 0.1])
    (whole,) = grow(search, [search.tree.root], [0.9], answer="7")
    search.tell([*first, whole])
    assert search.ask() == [first[1]] * 2  # one place of two is taken
    search.tell(grow(search, search.ask(), [0.2, 0.3]))
    assert {node.value for node in search.ask()} == {0.3}
    search.tell(grow(search, search.ask(), [0.95, 0.96], answer="8"))
    assert search.ask() == []
    best = search.best()
    assert best is not None
    assert (best.answer, best.score) == ("8", 0.96)


def test_what_is_whole_and_not_among_the_best_stays_in_the_choice() -> None:
    search = beam(n=4, m=4)
    first = grow(search, search.ask()[:3], [0.5, 0.6, 0.7])
    (whole,) = grow(search, [search.tree.root], [0.2], answer="7")
    search.tell([*first, whole])
    assert not whole.pruned
    best = search.best()
    assert best is not None
    assert best.answer == "7"


def test_equal_values_go_by_lot_and_not_by_arrival() -> None:
    kept: set[int] = set()
    for seed in range(40):
        search = BeamSearch(tree(seed), choice("best"), n=4, m=4)
        search.tell(grow(search, search.ask(), [0.5] * 4))
        kept.add(search.ask()[0].number)
    assert kept == {1, 2, 3, 4}


@pytest.mark.parametrize("arrived", [0, 1, 2])
def test_fewer_children_than_were_asked_for_are_what_there_is(arrived: int) -> None:
    search = beam(n=4, m=2)
    children = grow(search, search.ask()[:arrived], [0.5, 0.6][:arrived])
    search.tell(children)
    assert len(search.ask()) == 2 * arrived


def test_at_the_deepest_step_it_is_over() -> None:
    search = beam(n=2, m=1, max_steps=2)
    search.tell(grow(search, search.ask(), [0.5, 0.6]))
    search.tell(grow(search, search.ask(), [0.5, 0.6]))
    assert search.ask() == []
    assert search.best() is None
    best = search.tree.best_open()
    assert best is not None
    assert best.value == 0.6


def test_equal_continuations_of_one_node_are_one_node_that_counts_twice() -> None:
    search = beam(n=3, m=3)
    root = search.tree.root
    whole = [Candidate(answer, Sample(text=answer), score) for answer, score in (("7", 0.4), ("8", 0.6), ("7", 0.4))]
    nodes = [search.tree.add(root, candidate, candidate.sample) for candidate in whole]
    assert nodes[2] is None
    search.tell([node for node in nodes if node is not None])
    best = search.best()
    assert best is not None
    assert best.answer == "7"  # .8 against .6


@pytest.mark.parametrize(
    ("n", "m", "often"),
    [(6, 3, [3, 3]), (7, 3, [4, 3]), (8, 3, [4, 4]), (2, 4, [2]), (1, 4, [1]), (4, 1, [1, 1, 1, 1])],
)
def test_a_wave_is_of_n_whatever_m_is(n: int, m: int, often: list[int]) -> None:
    search = beam(n=n, m=m)
    search.tell(grow(search, search.ask(), [i / n for i in range(n)]))
    wave = [node.number for node in search.ask()]
    assert [wave.count(number) for number in dict.fromkeys(wave)] == often
    assert wave[0] == n  # the best one is the first
