"""Curves are read off units as they are, and equal stores give equal bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ttc.evals.economics.of_runs import run_economics
from ttc.evals.economics_notes import economics_notes
from ttc.evals.equal_cost import Measured
from ttc.evals.points import Series
from ttc.evals.readings import readings_of
from ttc.evals.records import UnitRecord
from ttc.evals.scaling import summarise, timings
from ttc.evals.summary import Point, Summary, summary_from_json, summary_to_json
from ttc.evals.tables import footnotes, summary_table
from ttc.statistics import holm
from ttc.types import Checkpoint, Outcome, Usage


def unit(
    strategy: str,
    problem: int,
    *,
    n: int | None = None,
    prefix: bool = False,
    answers: Sequence[str | None] = ("42",),
    tokens: int = 10,
    correct: bool = True,
    level: str = "easy",
    judge: int = 0,
    seconds: float = 1.0,
) -> UnitRecord:
    """A unit that drew one sample of ``tokens`` per answer; the right answer is 42, two tokens of it are the answer."""
    drawn = len(answers)
    usage = {"generate": Usage(5 * drawn, 0, 0, tokens * drawn)} | ({"judge": Usage(0, 0, 0, judge)} if judge else {})
    points = [
        Checkpoint(a, k, Usage(5 * k, 0, 0, tokens * k), Usage(), 0 if a is None else 2)
        for k, a in enumerate(answers, start=1)
    ]
    trace: list[dict[str, Any]] = [
        {"event": "sample", "kind": "generate", "finish": "stop", "generated": tokens, "tokens": tokens * k}
        for k in range(1, drawn + 1)
    ]
    outcome = Outcome(
        query_id=str(problem),
        answer=answers[-1],
        candidate=None,
        ended_by="finished",
        usage=usage,
        calls=dict.fromkeys(usage, drawn),
        answer_tokens=0 if answers[-1] is None else 2,
        seconds=seconds,
        checkpoints=tuple(points),
        trace=tuple(trace),
    )
    spec = strategy if n is None else f"{strategy}:n={n}"
    return UnitRecord(
        key=f"{spec}/{problem}",
        suite="toy",
        problem=str(problem),
        tags={"level": level},
        strategy=strategy,
        spec=spec,
        setting=n,
        prefix=prefix,
        outcome=outcome,
        correct=correct,
        checkpoints_correct=tuple(a == "42" for a in answers),
    )


def points(summary: Summary, strategy: str, group: str = "all") -> list[Point]:
    (curve,) = [c for c in summary.curves if (c.strategy, c.group) == (strategy, group)]
    return list(curve.points)


def test_one_run_gives_the_whole_curve_of_a_prefix_valid_strategy() -> None:
    answers = ["1", "42", "42", "42", "1", "42"]
    summary = summarise([unit("majority", 0, n=6, prefix=True, answers=answers)])
    (curve,) = [c for c in summary.curves if c.group == "all"]
    assert curve.how == "prefix"
    assert [p.setting for p in curve.points] == ["n=1", "n=2", "n=4", "n=6"]
    assert [p.accuracy for p in curve.points] == [0, 1, 1, 1]
    assert [p.cost["thinking"] for p in curve.points] == [8, 18, 38, 58]  # ten a sample, two are the answer
    assert [p.cost["calls"] for p in curve.points] == [1, 2, 4, 6]
    assert {p.spec for p in curve.points} == {"majority:n=6"}


def test_a_unit_that_stopped_early_keeps_its_last_checkpoint() -> None:
    stopped = unit("majority", 0, n=8, prefix=True, answers=["1", "42", "42"])
    assert [p.cost["generated"] for p in points(summarise([stopped]), "majority")] == [10, 20, 30, 30]
    assert [p.accuracy for p in points(summarise([stopped]), "majority")] == [0, 1, 1, 1]


def test_samples_that_proposed_nothing_are_paid_for() -> None:
    from dataclasses import replace

    silent = unit("majority", 0, n=2, prefix=True, answers=["42", "42"])
    silent = replace(silent, outcome=replace(silent.outcome, checkpoints=()), checkpoints_correct=())
    first, second = points(summarise([silent]), "majority")
    assert (first.cost["thinking"], second.cost["thinking"]) == (10, 20)
    assert (second.accuracy, second.abstained) == (0, 1)


def test_tokens_of_a_verifier_within_a_prefix_are_its_own() -> None:
    from dataclasses import replace

    judged = unit("best_of_n", 0, n=2, prefix=True, answers=["42", "42"], judge=6)
    first, second = judged.outcome.checkpoints
    checkpoints = (replace(first, prefix=Usage(0, 0, 0, 13)), replace(second, prefix=Usage(0, 0, 0, 26)))
    judged = replace(judged, outcome=replace(judged.outcome, checkpoints=checkpoints))
    assert [dict(p.kinds) for p in points(summarise([judged]), "best_of_n")] == [
        {"generate": 10, "judge": 3},
        {"generate": 20, "judge": 6},
    ]
    assert points(summarise([judged]), "best_of_n")[0].cost["calls"] is None


def test_forcing_the_answer_of_a_sample_is_a_call_of_its_own() -> None:
    voted = unit("majority", 1, n=4, prefix=True, answers=["42"] * 4)
    forced = tuple({**event, "forced": k > 0} for k, event in enumerate(voted.outcome.trace))
    voted = replace(voted, outcome=replace(voted.outcome, trace=forced))
    assert [p.cost["calls"] for p in points(summarise([voted]), "majority")] == [1, 3, 7]


def test_other_strategies_have_a_point_per_configuration_at_its_realised_cost() -> None:
    units = [unit("knockout", i, n=n, answers=["42"] * n, judge=n, correct=n > 2) for i in range(3) for n in (2, 4)]
    summary = summarise(units)
    (curve,) = [c for c in summary.curves if c.group == "all"]
    assert curve.how == "explicit"
    assert [(p.setting, p.spec, p.accuracy) for p in curve.points] == [
        ("n=2", "knockout:n=2", 0),
        ("n=4", "knockout:n=4", 1),
    ]
    assert [p.cost["thinking"] for p in curve.points] == [20, 42]
    assert dict(curve.points[1].kinds) == {"generate": 40, "judge": 4}


def test_an_abstention_is_wrong_and_is_counted() -> None:
    units = [unit("single", 0), unit("single", 1, answers=[None], correct=False)]
    (point,) = points(summarise(units), "single")
    assert (point.accuracy, point.abstained) == (0.5, 0.5)
    assert point.cost["thinking"] == (8 + 10) / 2


def test_what_the_grader_could_not_decide_is_said_of_prefixes_with_the_same_answer_too() -> None:
    hard = replace(unit("majority", 0, n=4, prefix=True, answers=["1", "7", "7", "7"], correct=False), undecided=True)
    assert [p.undecided for p in points(summarise([hard]), "majority")] == [0, 1, 1]
    alone = replace(unit("single", 0, answers=["7"], correct=False), undecided=True)
    assert [p.undecided for p in points(summarise([alone]), "single")] == [1]


def test_calls_to_other_models_servers_have_dollars_and_no_flops() -> None:
    voted = unit("best_of_n", 0, n=2, prefix=True, answers=["42", "42"])
    paid = tuple(replace(c, dollars=0.5 * c.samples) for c in voted.outcome.checkpoints)
    judged = replace(
        voted, outcome=replace(voted.outcome, checkpoints=paid, dollars=1.0, foreign={"reward@prm": Usage(9, 0, 0, 1)})
    )
    run = {"price": {"prompt": 1.0, "generated": 2.0, "cached": None}, "parameters": 1e9}
    assert [p.cost["dollars"] for p in points(summarise([judged], run), "best_of_n")] == [0.5, 1.0]
    assert [p.cost["flops"] for p in points(summarise([judged], run), "best_of_n")] == [None, None]
    assert [p.cost["flops"] for p in points(summarise([voted], run), "best_of_n")] == [2e9 * 15, 2e9 * 30]


def test_a_cost_that_one_query_does_not_know_is_not_known_of_the_point() -> None:
    priced = [unit("majority", i, n=2, prefix=True, answers=["42", "42"]) for i in range(4)]
    foreign = replace(priced[0].outcome, foreign={"reward@prm": Usage(9, 0, 0, 1)})
    run = {"price": {"prompt": 1.0, "generated": 2.0, "cached": None}, "parameters": 1e9}
    found = points(summarise([replace(priced[0], outcome=foreign), *priced[1:]], run), "majority")
    assert [(p.cost["flops"], p.cost["dollars"]) for p in found] == [(None, None)] * 2
    assert all(p.cost["flops"] for p in points(summarise(priced, run), "majority"))
    series = Series("", "x", "x", None, "explicit", [r for u in priced for _, r in readings_of(u)])
    assert series.measured("thinking") is not None
    assert series.measured("flops") is None
    known = [r for _, r in readings_of(priced[1], parameters=1e9)]
    assert Series("", "x", "x", None, "explicit", [*series.readings, *known]).measured("flops") is None


def test_p_values_are_adjusted_for_all_comparisons_of_a_group() -> None:
    first = {"good": 0, "fair": 3, "poor": 6}  # of 30 problems, the first that each has right
    units = [unit("single", i, correct=i >= 20) for i in range(30)]
    units += [unit(name, i, correct=i >= start) for name, start in first.items() for i in range(30)]
    found = [c for c in summarise(units).comparisons if c.group == "all"]
    assert len(found) == 3
    assert [c.p_holm for c in found] == holm([c.p for c in found])
    assert all(c.p_holm > c.p for c in found if c.p < max(x.p for x in found))


def test_a_target_that_costs_nothing_is_the_cheapest() -> None:
    cheap = [
        Measured(
            strategy=s, spec=s, n=n, prefix=True, problems={str(i): (float(n > 1 or i % 2), cost) for i in range(9)}
        )
        for s, costs in (("majority", (5.0, 9.0)), ("a", (3.0, 9.0)), ("b", (0.0, 9.0)))
        for n, cost in zip((1, 2), costs, strict=True)
    ]
    found = run_economics(cheap, targets=(0.4,))
    assert found is not None
    (note, *_) = economics_notes(replace(summarise([unit("single", 0)]), economics=(found,)))
    assert note.index("majority 5") < note.index("b 0") < note.index("a 3")


def test_groups_are_ordered_from_easy_to_hard() -> None:
    levels = ["hard", "easy", "odd", "medium", "easy"]
    summary = summarise([unit("single", i, level=level) for i, level in enumerate(levels)])
    assert list(summary.problems.items()) == [
        ("all", 5),
        ("level=easy", 2),
        ("level=medium", 1),
        ("level=hard", 1),
        ("level=odd", 1),
    ]
    assert summary.classes == {"level": ("easy", "medium", "hard", "odd"), "family": ()}


def test_comparisons_are_paired_with_single() -> None:
    base = [unit("single", i, answers=["42" if i % 2 else "1"], correct=i % 2 == 1) for i in range(40)]
    better = [unit("good", i, answers=["42"] * 2) for i in range(40)]
    worse = [unit("bad", i, answers=["1"] * 4, correct=False) for i in range(40)]
    same = [unit("same", i, answers=["42"], correct=i % 2 == 0) for i in range(40)]
    found = {c.strategy: c for c in summarise([*base, *better, *worse, *same]).comparisons if c.group == "all"}
    assert {name: c.verdict for name, c in found.items()} == {
        "good": "above single",
        "bad": "below single",
        "same": "not resolved",
    }
    assert found["good"].difference == 0.5
    assert found["good"].cost_ratio == pytest.approx(18 / 8)
    assert all(c.p_holm >= c.p for c in found.values())


def test_the_largest_points_are_compared_with_the_majority_of_as_many_samples() -> None:
    voted = ["1", "1", "42", "42"]  # right from the third sample on
    votes = [unit("majority", i, n=4, prefix=True, answers=voted if i % 2 else ["1"] * 4) for i in range(40)]
    best = [unit("best_of_n", i, n=2, prefix=True, answers=["1", "42"]) for i in range(40)]
    other = [unit("revision", i, answers=["42"] * 2) for i in range(40)]
    summary = summarise([*votes, *best, *other])
    found = {c.strategy: c for c in summary.against_majority}
    assert {name: (c.setting, c.against, c.difference) for name, c in found.items()} == {
        "best_of_n": ("n=2", "majority n=2", 1.0),
        "revision": ("", "majority n=4", 0.5),
    }
    assert found["revision"].cost_ratio == pytest.approx(18 / 38)
    (line,) = (note for note in footnotes(summary) if note.startswith("best_of_n n=2 against majority n=2: +100.0 ["))
    assert line.endswith("at 1.00 of its thinking tokens: above majority n=2")
    assert summarise(best).against_majority == ()


def test_without_single_nothing_is_compared() -> None:
    assert summarise([unit("majority", 0, n=4, prefix=True)]).comparisons == ()


@settings(deadline=None)  # a busy machine is no failure
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_units_does_not_matter(rng: random.Random) -> None:
    units = [
        unit(s, i, n=n, prefix=p, answers=["42"] * (n or 1), tokens=7 + i, correct=i % 3 > 0, seconds=rng.random())
        for i in range(9)
        for s, n, p in (("single", None, False), ("majority", 4, True), ("knockout", 2, False))
    ]
    expected = summary_to_json(summarise(units))
    rng.shuffle(units)
    assert summary_to_json(summarise(units)) == expected


def test_a_summary_comes_back_from_json() -> None:
    summary = summarise([unit("single", 0), unit("majority", 0, n=4, prefix=True, answers=["42"] * 4)], {"model": "m"})
    assert summary_from_json(summary_to_json(summary)) == summary


def test_a_price_prices_the_points_of_a_prefix() -> None:
    price = {"prompt": 1.0, "generated": 2.0, "cached": None}
    summary = summarise([unit("majority", 0, n=2, prefix=True, answers=["42"] * 2)], {"price": price})
    assert [p.cost["dollars"] for p in points(summary, "majority")] == [pytest.approx(25e-6), pytest.approx(50e-6)]


def test_time_is_beside_the_summary_and_not_in_it() -> None:
    fast, slow = [unit("single", 0, seconds=s) for s in (1.0, 9.0)]
    assert summary_to_json(summarise([fast])) == summary_to_json(summarise([slow]))
    assert timings([slow])["single"]["seconds"] == 9.0


def test_the_table_says_in_words_what_is_resolved() -> None:
    base = [unit("single", i, answers=["42" if i % 2 else "1"], correct=i % 2 == 1, level="hard") for i in range(40)]
    better = [unit("majority", i, n=2, prefix=True, answers=["1" if i % 4 else "42", "42"]) for i in range(40)]
    summary = summarise([*base, *better])
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 -- closed below
    console.print(summary_table(summary))
    text = console.export_text()
    console.file.close()
    assert "▲ above single" in text
    assert "○ not resolved" in text
    assert "50.0" in text
    assert "+50.0 [" in text
    assert any("read off one run" in note for note in footnotes(summary))
