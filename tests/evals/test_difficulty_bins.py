"""Bins of difficulty come from other samples than the curve's, and the hardest is the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc.errors import ConfigurationError
from ttc.evals.difficulty_bins import bins_of_pool, by_rank
from ttc.evals.records import UnitRecord
from ttc.evals.scaling import RunReadings
from ttc.pools import Pool, RecordedProblem

SUITE = "made_up:seed=1"
CARD: dict[str, Any] = {"run_id": "mine", "model": "m", "config": {"seed": 0, "sampling": {"temperature": 1.0}}}


def pool(rights: dict[str, Sequence[float | None]], **info: Any) -> Pool:
    problems = tuple(
        RecordedProblem(id=name, answers=tuple("x" for _ in right), right=tuple(right))
        for name, right in rights.items()
    )
    return Pool(name="apart", model="m", problems=problems, info=info)


RIGHTS: dict[str, Sequence[float | None]] = {f"p{i}": [1.0] * i + [0.0] * (9 - i) for i in range(10)}


def test_problems_fall_into_bins_by_their_pass_at_1_the_hardest_last() -> None:
    found = bins_of_pool(pool(RIGHTS), [(SUITE, name) for name in RIGHTS])
    assert found.of == {f"{SUITE}\x1fp{i}": f"{5 - i // 2} of 5" for i in range(10)}
    assert found.note == "difficulty: pass@1 of pool 'apart' (up to 9 samples of m per problem)"


def test_problems_that_the_pool_has_not_are_in_no_bin_and_are_said() -> None:
    rights = {**RIGHTS, "ungraded": [None, None]}
    found = bins_of_pool(pool(rights), [(SUITE, name) for name in (*RIGHTS, "other", "ungraded")])
    assert len(found.of) == 10
    assert found.note.endswith("; 2 of 12 problems are not in it")


def test_a_problem_that_several_runs_recorded_is_found_by_its_group() -> None:
    twice = [
        RecordedProblem(id=f"run{i}/p", group="p", answers=("x",), right=(right,)) for i, right in enumerate((1.0, 0.0))
    ]
    easy = RecordedProblem(id="q", answers=("x",), right=(1.0,))
    both = Pool(name="two", model="m", problems=(*twice, easy), info={})
    assert bins_of_pool(both, [(SUITE, "p"), (SUITE, "q")], bins=2).of == {
        f"{SUITE}\x1fp": "2 of 2",
        f"{SUITE}\x1fq": "1 of 2",
    }


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"run": "mine"}, "was made of this run"),
        ({"run": "other", "seed": 0, "sampling": {"temperature": 1.0}}, "model, sampling and seed"),
    ],
)
def test_the_runs_own_samples_are_refused(info: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{said}.*--seed 1"):
        bins_of_pool(pool(RIGHTS, **info), [(SUITE, "p1")], card=CARD)


@pytest.mark.parametrize("info", [{"seed": 1, "sampling": {"temperature": 1.0}}, {"seed": 0, "sampling": {}}, {}])
def test_other_samples_of_the_model_will_do(info: dict[str, Any]) -> None:
    assert bins_of_pool(pool(RIGHTS, **info), [(SUITE, "p1")], card=CARD).of == {f"{SUITE}\x1fp1": "1 of 1"}


def test_a_pool_of_other_problems_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="graded samples of none of this run's problems"):
        bins_of_pool(pool(RIGHTS), [(SUITE, "elsewhere")])


@given(st.dictionaries(st.text(max_size=3), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1))
def test_harder_is_never_in_an_easier_bin_and_equals_share_one(hardness: dict[str, float]) -> None:
    found = by_rank(hardness)
    number = {name: int(label.split(" of ")[0]) for name, label in found.items()}
    most = {int(label.split(" of ")[1]) for label in found.values()}
    assert most == {max(number.values())}
    assert max(number.values()) <= 5
    assert set(number.values()) == set(range(1, max(number.values()) + 1))
    for a in hardness:
        for b in hardness:
            assert (number[a] <= number[b]) if hardness[a] <= hardness[b] else (number[a] >= number[b])
            assert hardness[a] != hardness[b] or number[a] == number[b]


def test_every_curve_comes_per_bin(make_units: Callable[..., list[UnitRecord]]) -> None:
    readings = RunReadings().add_all(make_units(4))
    rights: dict[str, Sequence[float | None]] = {
        name: [1.0] * (i % 5) + [0.0] * (4 - i % 5) for i, (_, name) in enumerate(readings.problems)
    }
    bins = bins_of_pool(pool(rights), readings.problems)
    summary = readings.summary(difficulty=bins.of)
    assert summary.classes["difficulty"] == tuple(f"{i} of 5" for i in range(1, 6))
    for i in range(1, 6):
        group = f"difficulty={i} of 5"
        assert {c.strategy for c in summary.curves if c.group == group} == {"single", "majority", "knockout"}
        assert 0 < summary.problems[group] < 12
    assert "seconds, difficulty=5 of 5" in readings.timings(difficulty=bins.of)["single"]
    assert "difficulty" not in readings.summary().classes


def test_a_problem_of_another_suite_with_the_same_id_is_in_no_bin() -> None:
    named = pool(RIGHTS, suites=[{"spec": SUITE}])
    found = bins_of_pool(named, [*((SUITE, name) for name in RIGHTS), ("other", "p1")])
    assert all(key.startswith(f"{SUITE}\x1f") for key in found.of)
    assert found.unknown == 1


@pytest.mark.parametrize(
    ("of_pool", "of_run", "same"),
    [
        ("arithmetic:per_family=4", "arithmetic:per_family=2", True),
        ("arithmetic", "arithmetic:per_family=2", True),
        ("rg:chain_sum,size=9", "rg:chain_sum,size=5,seed=1", True),
        ("rg:chain_sum", "rg:countdown", False),
        ("file:a.jsonl,prompt=q", "file:a.jsonl,prompt=q,limit=3", True),
        ("file:a.jsonl", "file:b.jsonl", False),
    ],
)
def test_a_suite_is_told_by_what_it_draws_from(of_pool: str, of_run: str, same: bool) -> None:
    named, wanted = pool(RIGHTS, suites=[{"spec": of_pool}]), [(of_run, name) for name in RIGHTS]
    if same:
        assert len(bins_of_pool(named, wanted).of) == len(RIGHTS)
    else:
        with pytest.raises(ConfigurationError, match="none of this run's problems"):
            bins_of_pool(named, wanted)
