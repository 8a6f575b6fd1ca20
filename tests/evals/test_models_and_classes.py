"""Curves per model and per class: tokens of two models never meet, and a run is read unit by unit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from rich.console import Console

from tests.evals.test_scaling import points, unit
from ttc.evals.problem_groups import class_groups
from ttc.evals.records import Meetings, UnitRecord
from ttc.evals.scaling import summarise, timings
from ttc.evals.summary import Summary, summary_from_json, summary_to_json
from ttc.evals.tables import console_width, footnotes, summary_table

RUN: dict[str, Any] = {
    "models": {
        "small": {"price": {"prompt": 1.0, "generated": 1.0, "cached": None}, "parameters": 1e9},
        "large": {"price": {"prompt": 10.0, "generated": 10.0, "cached": None}, "parameters": 8e9},
    }
}


def on(model: str, one: UnitRecord) -> UnitRecord:
    return replace(one, model=model, key=f"{one.key} {model}")


def of_two(n: int = 20) -> list[UnitRecord]:
    """Small is right on every second problem, large on all; the majority of small on all, at ten times its tokens."""
    made: list[UnitRecord] = []
    for i in range(n):
        right = i % 2 == 1
        made.append(on("small", unit("single", i, answers=["42" if right else "1"], correct=right)))
        answers = ["42" if right else "1", "42", "42", "42"]
        made.append(on("small", unit("majority", i, n=4, prefix=True, answers=answers, tokens=7)))
        made.append(on("large", unit("single", i, tokens=100)))
        made.append(on("large", unit("majority", i, n=4, prefix=True, answers=["42"] * 4, tokens=100)))
        made.append(on("large", unit("adaptive", i, tokens=150)))
    return made


def text_of(summary: Summary, *, width: int = 200, compact: bool = False) -> str:
    with open("/dev/null", "w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(summary_table(summary, compact=compact))
        return console.export_text()


def test_every_model_has_its_own_curves() -> None:
    summary = summarise(of_two(), RUN)
    found = {(c.model, c.strategy): c for c in summary.curves if c.group == "all"}
    assert list(found) == [
        ("large", "single"),
        ("large", "adaptive"),
        ("large", "majority"),
        ("small", "single"),
        ("small", "majority"),
    ]
    assert all(p.model == model for (model, _), c in found.items() for p in c.points)
    assert [p.cost["thinking"] for p in found["small", "majority"].points] == [5, 12, 26]
    assert [p.cost["thinking"] for p in found["large", "majority"].points] == [98, 198, 398]
    assert summary.problems["all"] == 20


def test_models_are_compared_with_themselves_alone() -> None:
    summary = summarise(of_two(), RUN)
    gains = {(c.model, c.strategy, c.setting): c.difference for c in summary.comparisons if c.group == "all"}
    assert gains["small", "majority", "n=4"] == 0.5
    assert gains["large", "majority", "n=4"] == 0
    assert {c.model for c in summary.at_equal_cost} == {"large"}
    assert {(c.model, c.against) for c in summary.against_majority} == {("large", "majority n=4")}


def test_prices_and_parameters_are_those_of_the_model() -> None:
    summary = summarise(of_two(4), RUN)
    ends = {c.model: c.points[-1].cost for c in summary.curves if (c.strategy, c.group) == ("majority", "all")}
    assert ends["small"]["dollars"] == pytest.approx((20 + 28) / 1e6)
    assert ends["large"]["dollars"] == pytest.approx(10 * (20 + 400) / 1e6)
    assert ends["small"]["flops"] == 2 * 1e9 * (20 + 28)
    assert ends["large"]["flops"] == 2 * 8e9 * (20 + 400)


def test_economics_are_in_tokens_per_model_and_across_models_in_flops() -> None:
    found = summarise(of_two(), RUN).economics
    assert [(e.model, e.axis) for e in found] == [("large", "thinking"), ("small", "thinking"), ("", "flops")]
    assert {p.strategy.partition(":")[0] for p in found[-1].frontier} == {"small", "large"}


def test_tournaments_are_judged_per_model() -> None:
    met = Meetings(compared=2, decisive=2, right_points=2.0, first_points=1.0)
    units = [
        replace(on(model, unit("knockout", i, n=2)), meetings=replace(met, right_points=points))
        for i in range(4)
        for model, points in (("small", 1.0), ("large", 2.0))
    ]
    assert [(j.model, j.q) for j in summarise(units).judging] == [("large", 1.0), ("small", 0.5)]


def test_a_run_of_one_model_names_it_nowhere_and_units_of_an_older_store_are_its_own() -> None:
    old = [unit("single", i) for i in range(3)]
    new = [on("m", unit("single", i)) for i in range(3, 6)]
    summary = summarise([*old, *new], {"model": "m"})
    assert b'"model": "m"' in summary_to_json(summary)
    assert {(c.model, len(c.points)) for c in summary.curves} == {("", 1)}
    assert summary.problems["all"] == 6
    assert list(timings([*old, *new])) == ["single"]


def test_timings_of_two_models_stand_apart() -> None:
    fast, slow = on("small", unit("single", 0, seconds=1.0)), on("large", unit("single", 0, seconds=9.0))
    assert {k: v["seconds"] for k, v in timings([fast, slow]).items()} == {"single @ small": 1.0, "single @ large": 9.0}


def test_units_are_read_one_by_one_and_equal_stores_give_equal_bytes() -> None:
    units = of_two(9)
    seen: list[str] = []

    def once() -> Iterator[UnitRecord]:
        for one in units:
            seen.append(one.key)
            yield one

    expected = summary_to_json(summarise(once(), RUN))
    assert len(seen) == len(units)
    random.Random(3).shuffle(units)
    assert summary_to_json(summarise(iter(units), RUN)) == expected
    assert summary_to_json(summary_from_json(expected)) == expected


def test_prefix_and_explicit_points_of_one_strategy_are_two_curves() -> None:
    prefix = [unit("majority", i, n=4, prefix=True, answers=["42"] * 4) for i in range(3)]
    explicit = [
        replace(unit("majority", i, n=n, answers=["42"] * n), key=f"x{i}/{n}") for i in range(3) for n in (2, 8)
    ]
    summary = summarise([*prefix, *explicit])
    found = {c.how: [p.setting for p in c.points] for c in summary.curves if c.group == "all"}
    assert found == {"prefix": ["n=1", "n=2", "n=4"], "explicit": ["n=2", "n=8"]}


# -- classes ----------------------------------------------------------------------------------------------------------


def test_tags_with_few_values_make_groups_and_others_none() -> None:
    tags = {
        f"p{i}": {"level": str(i % 11), "topic": "ab"[i % 2], "author": f"a{i}", "language": "en"} for i in range(22)
    }
    groups, classes = class_groups(tags)
    assert list(classes) == ["level", "family", "topic"]
    assert classes["level"] == tuple(map(str, range(11)))  # numbers by their size
    assert groups["topic=a"] == frozenset(f"p{i}" for i in range(0, 22, 2))
    assert "language=en" not in groups
    assert not any(g.startswith("author=") for g in groups)


def test_bins_of_difficulty_take_the_place_of_a_tag_of_that_name() -> None:
    tags = {"p": {"difficulty": "hard"}, "q": {"difficulty": "easy"}}
    assert class_groups(tags)[1]["difficulty"] == ("easy", "hard")
    groups, classes = class_groups(tags, {"p": "2 of 2", "q": "1 of 2", "elsewhere": "1 of 2"})
    assert classes["difficulty"] == ("1 of 2", "2 of 2")
    assert groups["difficulty=1 of 2"] == frozenset({"q"})


def test_suites_of_a_run_are_a_class_of_their_own() -> None:
    units = [unit("single", 0), replace(unit("single", 1), suite="other:seed=1")]
    summary = summarise(units)
    assert summary.classes["suite"] == ("other:seed=1", "toy")
    assert summary.problems["suite=toy"] == 1
    assert "suite" not in summarise(units[:1]).classes


# -- shares -----------------------------------------------------------------------------------------------------------


def with_events(one: UnitRecord, *marks: dict[str, Any]) -> UnitRecord:
    trace = [{**event, "answer": "42", "index": i, **mark} for i, (event, mark) in enumerate(
        zip(one.outcome.trace, marks, strict=True)
    )]  # fmt: skip
    return replace(one, outcome=replace(one.outcome, trace=tuple(trace)))


REFUSED, BARE, CUT = {"answer": None, "refused": True}, {"answer": None}, {"in_thought": True, "finish": "length"}


def test_samples_that_were_no_use_are_counted_up_to_each_place() -> None:
    voted = unit("majority", 0, n=4, prefix=True, answers=["42"] * 4)
    found = points(summarise([with_events(voted, REFUSED, BARE, CUT, {})]), "majority")
    assert [(p.refused, p.unparsed, p.cut_thoughts) for p in found] == [(1, 0, 0), (0.5, 0.5, 0), (0.25, 0.25, 0.25)]


def test_a_sample_that_was_cut_or_read_by_a_tool_is_no_failure_of_form() -> None:
    cut = with_events(unit("single", 0), {"answer": None, "finish": "length"})
    assert points(summarise([cut]), "single")[0].unparsed == 0
    ran = with_events(unit("program_of_thought", 0), BARE)
    tool = {"event": "tool", "index": 0, "answer": "42"}
    ran = replace(ran, outcome=replace(ran.outcome, trace=(*ran.outcome.trace, tool)))
    assert points(summarise([ran]), "program_of_thought")[0].unparsed == 0


def test_a_summary_of_before_shares_is_read() -> None:
    raw = summary_to_json(summarise([unit("single", 0)]))
    old = orjson.loads(raw)
    for curve in old["curves"]:
        for point in curve["points"]:
            del point["refused"], point["unparsed"], point["cut_thoughts"]
    assert summary_from_json(orjson.dumps(old)) == summary_from_json(raw)


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_has_a_part_per_model_and_shares_where_there_are_any() -> None:
    text = text_of(summarise(of_two(), RUN))
    assert text.index("on large") < text.index("on small")
    assert "refused" not in text
    bad = [with_events(unit("single", i), REFUSED) for i in range(3)]
    assert "refused" in text_of(summarise(bad))
    assert any(
        note.startswith("share of samples that decline to answer: up to 1") for note in footnotes(summarise(bad))
    )


def test_notes_say_targets_areas_frontier_caps_and_bins() -> None:
    notes = "\n".join(footnotes(summarise(of_two(), {**RUN, "budget": "400", "difficulty": "difficulty: of a pool"})))
    assert "each query was capped: cap 400 generated tokens" in notes
    assert "difficulty: of a pool" in notes
    assert "small: thinking tokens to reach" in notes
    assert "small: on the frontier of thinking tokens" in notes
    assert "on the frontier of FLOPs" in notes


def test_a_compact_table_fits_into_80_columns_with_five_bins() -> None:
    bins = {f"toy\x1f{i}": f"{i % 5 + 1} of 5" for i in range(20)}
    units = [u for u in of_two() if u.model == "small"]
    table = summary_table(summarise(units, difficulty=bins), compact=True)
    assert console_width(table) <= 80
    assert " 1/5 2/5 3/5 4/5 5/5 " in text_of(summarise(units, difficulty=bins), compact=True)
