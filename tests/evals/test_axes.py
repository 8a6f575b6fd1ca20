"""Axes: what a point is read by, what is said where it is not known, and what models may be on together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ttc.errors import ConfigurationError
from ttc.evals.axes import AXES, THINKING, amount, caps_of, flops, make_axis, parameters_of, timing_key
from ttc.evals.records import UnitRecord
from ttc.evals.scaling import summarise, timings
from ttc.evals.summary import Point, Summary
from ttc.types import Usage


@pytest.fixture(scope="module")
def units(make_units: Callable[..., list[UnitRecord]]) -> list[UnitRecord]:
    return [replace(u, outcome=replace(u.outcome, seconds=2.0)) for u in make_units(4)]


@pytest.fixture(scope="module")
def summary(units: list[UnitRecord]) -> Summary:
    return summarise(units, {"model": "made-up"})


def last(summary: Summary, strategy: str, group: str = "all") -> Point:
    return next(c.points[-1] for c in summary.curves if (c.strategy, c.group) == (strategy, group))


@pytest.mark.parametrize("name", ["thinking", "generated", "total", "calls"])
def test_an_axis_reads_its_cost_off_a_point(summary: Summary, name: str) -> None:
    point = last(summary, "majority")
    axis = make_axis(name, summary)
    assert axis.at(point) == point.cost[name]
    assert axis.label == f"mean realised {AXES[name]}"
    assert not axis.shared


def test_thinking_tokens_are_the_default(summary: Summary) -> None:
    assert THINKING.label == "mean realised thinking tokens per query"
    assert THINKING.at(last(summary, "single")) == last(summary, "single").cost["thinking"]


def test_seconds_come_from_the_clock_and_whole_runs_alone_know_them(summary: Summary, units: list[UnitRecord]) -> None:
    axis = make_axis("seconds", summary, timings=timings(units))
    curve = next(c for c in summary.curves if (c.strategy, c.group) == ("majority", "all"))
    assert [axis.at(p) for p in curve.points] == [None, None, None, 2.0]
    assert axis.at(last(summary, "majority", "level=easy")) == 2.0
    assert axis.shared


@pytest.mark.parametrize(
    ("name", "wanted"), [("flops", "active parameters"), ("dollars", "price"), ("seconds", "timings.json")]
)
def test_a_cost_that_is_not_known_is_an_error_that_says_what_to_give(summary: Summary, name: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        make_axis(name, summary)


def test_an_unknown_axis_is_refused_with_those_there_are(summary: Summary) -> None:
    with pytest.raises(ConfigurationError, match="there is no axis 'euros': choose from thinking, generated, total"):
        make_axis("euros", summary)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("", ()),
        ("400", ("cap 400 generated tokens",)),
        ("total_tokens=4000,seconds=2.5", ("cap 4,000 tokens with prompts", "cap 2.5 seconds")),
        ("of a later version=1", ()),
    ],
)
def test_a_label_says_what_capped_a_query(summary: Summary, budget: str, said: tuple[str, ...]) -> None:
    assert caps_of({"budget": budget}) == said
    label = make_axis("thinking", replace(summary, run={"budget": budget})).label
    assert label == "mean realised thinking tokens per query" + (f" ({', '.join(said)})" if said else "")


def test_flops_are_two_per_parameter_and_token_that_no_cache_answered() -> None:
    usage = Usage(prompt_tokens=100, cached_tokens=60, reasoning_tokens=7, answer_tokens=3)
    assert flops(usage, 7e9) == 2 * 7e9 * (40 + 10)
    assert flops(usage, None) is None


@pytest.mark.parametrize(
    ("run", "model", "expected"),
    [
        ({}, "", None),
        ({"parameters": 7e9, "model": "m"}, "", 7e9),
        ({"parameters": {"m": 7e9, "n": 1}, "model": "m"}, "", 7e9),
        ({"parameters": {"m": 7e9, "n": 1e9}}, "n", 1e9),
        ({"models": {"n": {"parameters": 3e9}}}, "n", 3e9),
        ({"models": {"n": {}}, "parameters": "many"}, "n", None),
        ({"models": ["n"]}, "n", None),
        ({"parameters": 0, "model": "m"}, "", None),
    ],
)
def test_the_card_says_the_parameters_of_a_model(run: dict[str, Any], model: str, expected: float | None) -> None:
    assert parameters_of(run, model) == expected


def test_what_costs_nothing_has_a_place_on_a_logarithmic_axis(summary: Summary) -> None:
    free = replace(last(summary, "single"), cost={"thinking": 0.0, "dollars": 0.0})
    assert THINKING.place(free) == 1.0
    assert THINKING.place(replace(free, cost={})) is None


def test_a_timing_is_of_a_model_where_there_are_several() -> None:
    assert timing_key("majority:n=8") == "majority:n=8"
    assert timing_key("majority:n=8", "small") != timing_key("majority:n=8", "large")


@pytest.mark.parametrize(
    ("cost", "said"),
    [(0, "0"), (40.16, "40.2"), (12345.6, "12,346"), (0.25, "0.25"), (1.57e-5, "0.0000157"), (2.5e12, "2.5e+12")],
)
def test_a_cost_is_written_for_people(cost: float, said: str) -> None:
    assert amount(cost) == said
