"""Verdicts on answers: those that others recorded, and gold answers of public data sets against each other."""

from __future__ import annotations

import pytest

from benchmarks.maths import (
    agreement,
    gsm8k_golds,
    math500_golds,
    mismatched,
    recorded_answers,
    same_by_chance,
    verdicts,
)
from tests.data import dataset, recorded
from ttc.verifiers.maths import canonical, parse_number

pytest.importorskip("math_verify", reason="math-verify is not installed (extra 'maths')")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "from_texts", "samples"),
    [("otis_aime", False, 18697), ("qwen_math_rm8", False, 800), ("qwen_math_rm8", True, 800)],
)
async def test_agrees_with_recorded_verdicts(name: str, from_texts: bool, samples: int) -> None:
    found = await agreement(recorded_answers(recorded(f"{name}.jsonl.gz"), from_texts=from_texts))
    assert found.samples == samples
    assert found.undecided == 0
    assert found.rate >= 0.993, f"agrees on {found}"
    assert [str(d) for d in found.disagreements if d.reason == "Ours to explain"] == []


@pytest.mark.anyio
async def test_every_gold_answer_of_math500_equals_itself() -> None:
    golds = math500_golds(dataset("math500_test.json"))
    assert len(golds) == 500
    assert await verdicts([(gold, gold) for gold in golds]) == ["equal"] * 500


@pytest.mark.anyio
async def test_a_gold_answer_of_math500_seldom_equals_another_problems() -> None:
    golds = math500_golds(dataset("math500_test.json"))
    pairs = [pair for some in mismatched(golds).values() for pair in some]
    found = await verdicts(pairs)
    same = [pair for pair, verdict in zip(pairs, found, strict=True) if verdict == "equal"]
    assert "undecided" not in found
    assert len(same) / len(pairs) < 0.01
    assert same_by_chance(golds) < 0.01
    assert [pair for pair in same if canonical(pair[0]) != canonical(pair[1])] == [], "equal, and not the same form"


@pytest.mark.anyio
async def test_gold_answers_of_gsm8k_equal_themselves_and_others_only_where_they_are_the_same_integer() -> None:
    golds = gsm8k_golds(dataset("gsm8k_test.jsonl"))
    assert len(golds) == 1319
    assert await verdicts([(gold, gold) for gold in golds]) == ["equal"] * 1319
    pairs = [pair for some in mismatched(golds).values() for pair in some]
    found = await verdicts(pairs)
    integers = [tuple(int(gold.replace(",", "")) for gold in pair) for pair in pairs]
    assert found == ["equal" if a == b else "different" for a, b in integers]
    assert all(parse_number(gold) for gold in golds)


@pytest.mark.parametrize("golds", [["1", "2", "3"], list("abcdefgh")])
def test_no_problem_is_set_beside_itself(golds: list[str]) -> None:
    for pairs in mismatched(golds).values():
        assert sorted(gold for gold, _ in pairs) == sorted(other for _, other in pairs) == sorted(golds)
        assert all(gold != other for gold, other in pairs)
