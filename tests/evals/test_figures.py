"""Figures of several models, of other axes, of bins and of shares; names of anybody's are drawn as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from PIL import Image

from ttc.budget import Price
from ttc.evals.axes import THINKING, make_axis
from ttc.evals.figures.canvas import figure_of, one_line, plain
from ttc.evals.figures.costs import draw_costs
from ttc.evals.figures.curves import draw_curves, draw_shares, group_name, panel_groups, panel_svg
from ttc.evals.figures.looks import line_styles, short_names
from ttc.evals.figures.panels import draw_panel, frontier_shares, places_of
from ttc.evals.figures.shares import shares_shown
from ttc.evals.records import UnitRecord
from ttc.evals.report import render
from ttc.evals.report.chart_data import chart_data
from ttc.evals.report.series import series_of
from ttc.evals.report.tables import colour_names
from ttc.evals.scaling import RunReadings, summarise, timings
from ttc.evals.summary import Summary

MakeUnits = Callable[..., list[UnitRecord]]
RUN = {"models": {m: {"price": {"prompt": p, "generated": 4 * p}} for m, p in (("small", 0.1), ("large", 1.0))}}
HOSTILE = ["$x^2$", "$\\frac{1}$", "$", "a\nb\x1b[31m\u202eevil", "\u4e2d\u6587", "_under", "%s {0} \\n & <b>", " "]


def of_model(units: Sequence[UnitRecord], model: str) -> list[UnitRecord]:
    price = Price(**RUN["models"][model]["price"])

    def priced(unit: UnitRecord) -> UnitRecord:
        outcome = replace(unit.outcome, dollars=price.of(unit.outcome.total_usage), seconds=2.0)
        return replace(unit, model=model, key=f"{unit.key} {model}", outcome=outcome)

    return [priced(u) for u in units]


@pytest.fixture(scope="module")
def both(make_units: MakeUnits) -> list[UnitRecord]:
    return [*of_model(make_units(6), "small"), *of_model(make_units(8), "large")]


@pytest.fixture(scope="module")
def summary(both: list[UnitRecord]) -> Summary:
    return summarise(both, RUN)


def axes_of(summary: Summary, folder: Path, **options: Any) -> int:
    draw_curves(summary, folder / "a.png", folder / "a.svg", **options)
    return len(set(re.findall(r'id="axes_\d+"', (folder / "a.svg").read_text())))


def test_models_have_a_panel_each_where_tokens_are_counted(summary: Summary, tmp_path: Path) -> None:
    assert axes_of(summary, tmp_path) == 2
    assert axes_of(summary, tmp_path, axis=make_axis("calls", replace(summary, curves=summary.curves[:1]))) == 2


def test_dollars_put_models_into_one_panel(summary: Summary, tmp_path: Path) -> None:
    assert axes_of(summary, tmp_path, axis=make_axis("dollars", summary)) == 4  # all, and three levels


def test_each_model_and_strategy_has_one_look_in_figures_charts_and_tables(summary: Summary) -> None:
    styles = line_styles(summary)
    assert len({(style.colour, style.marker) for style in styles.values()}) == len(styles)
    colours = colour_names(summary)
    for series in series_of(summary):
        assert series.colour == colours[series.model, series.strategy]
        assert series.marker == styles[series.model, series.strategy].marker


def test_the_costs_of_two_models_have_an_axis_each(summary: Summary, tmp_path: Path) -> None:
    draw_costs(summary, tmp_path / "a.png", tmp_path / "a.svg")
    assert len(set(re.findall(r'id="axes_\d+"', (tmp_path / "a.svg").read_text()))) == 2


@pytest.mark.parametrize(("axis", "opens_on_all"), [("dollars", True), ("thinking", False)])
def test_a_page_opens_on_all_models_where_they_share_the_axis(
    summary: Summary, both: list[UnitRecord], axis: str, opens_on_all: bool
) -> None:
    page = render(summary, both, charts=chart_data(summary, axis=axis))
    assert ('<option value="" selected>' in page) == opens_on_all


def test_a_token_panel_shows_one_model_alone(summary: Summary) -> None:
    with figure_of(6, 4) as figure:
        ax = figure.add_subplot()
        draw_panel(ax, summary, "all", axis=THINKING, model="small")
        drawn = {tuple(place) for c in ax.collections if isinstance(c, PathCollection) for place in c.get_offsets()}
    curves = [c for c in summary.curves if (c.group, c.model) == ("all", "small")]
    assert drawn == {(p.cost["thinking"], p.accuracy) for c in curves for p in c.points}
    assert panel_svg(summary, "all") == panel_svg(summary, "all", model="large")


def test_seconds_show_whole_runs_alone(summary: Summary, both: list[UnitRecord], tmp_path: Path) -> None:
    axis = make_axis("seconds", summary, timings=timings(both))
    assert axes_of(summary, tmp_path, axis=axis) == 4
    known = [p.setting for c in summary.curves if c.group == "all" for p in c.points if axis.at(p) is not None]
    assert sorted(known) == ["", "", "n=2", "n=2", "n=4", "n=4", "n=8", "n=8"]


def test_bins_of_difficulty_get_panels_instead_of_levels(make_units: MakeUnits, tmp_path: Path) -> None:
    readings = RunReadings().add_all(make_units(5))
    bins = {f"{suite}\x1f{name}": f"{i % 5 + 1} of 5" for i, (suite, name) in enumerate(readings.problems)}
    binned = readings.summary(difficulty=bins)
    assert panel_groups(binned) == ["all", *(f"difficulty={i} of 5" for i in range(1, 6))]
    assert axes_of(binned, tmp_path) == 6
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == 1400


@pytest.mark.parametrize(
    ("group", "name"),
    [("all", "All problems"), ("level=very_hard", "Very hard"), ("level=3", "Level 3"),
     ("difficulty=1 of 5", "Difficulty 1 of 5")],
)  # fmt: skip
def test_a_group_has_a_name_for_readers(group: str, name: str) -> None:
    assert group_name(group) == name


def test_points_that_are_seldom_on_the_frontier_are_pale(make_units: MakeUnits) -> None:
    one = summarise(make_units(10))
    shares = frontier_shares(one, "all", THINKING)
    assert shares is not None
    seldom = min(shares, key=lambda key: shares[key])
    assert shares[seldom] < 0.5
    with figure_of(6, 4) as figure:
        ax = figure.add_subplot()
        draw_panel(ax, one, "all", axis=THINKING)
        colours = {
            tuple(place): tuple(colour)
            for c in ax.collections
            if len(c.get_offsets()) == len(c.get_facecolors())
            for place, colour in zip(c.get_offsets(), c.get_facecolors(), strict=True)
        }
    at = {(p.strategy, p.spec, p.setting): p for c in one.curves if c.group == "all" for p in c.points}
    often = max((k for k in shares if k[0] == seldom[0]), key=lambda key: shares[key])
    pale, strong = (sum(colours[at[k].cost["thinking"], at[k].accuracy][:3]) for k in (seldom, often))
    assert pale > strong


def test_what_costs_nothing_stands_left_of_all_others(make_units: MakeUnits) -> None:
    points = summarise(make_units(2)).curves[0].points
    free = replace(points[0], cost={"thinking": 0.0})
    cheap = replace(points[0], cost={"thinking": 300.0})
    place = places_of(THINKING, [free, cheap])
    assert (place(free), place(cheap)) == (150.0, 300.0)


@pytest.mark.parametrize("draw", [draw_curves, draw_costs])
def test_names_of_anybodys_are_drawn_as_they_are(
    make_units: MakeUnits, tmp_path: Path, draw: Callable[[Summary, Path, Path], None]
) -> None:
    units = make_units(2)
    bad = [
        replace(u, strategy=name, spec=name, key=u.key + name, tags={"level": name})
        for i, name in enumerate(HOSTILE)
        for u in units
        if u.strategy == ("majority" if i % 2 else "knockout")
    ]
    draw(summarise(bad), tmp_path / "a.png", tmp_path / "a.svg")
    assert "<script" not in (tmp_path / "a.svg").read_text()
    with Image.open(tmp_path / "a.png") as picture:
        assert len(picture.getcolors() or ()) > 5


@pytest.mark.parametrize("text", HOSTILE)
def test_a_dollar_sign_opens_no_maths_and_nothing_is_out_of_sight(text: str) -> None:
    from matplotlib.cbook import is_math_text

    assert not is_math_text(plain(text))
    assert one_line(text).isprintable()


def test_two_policies_in_one_folder_stay_apart() -> None:
    names = [f"adaptive:policy=policies/of/this/year/{name}.toml" for name in ("fast", "slow")]
    short = short_names([*names, "majority"], 19)
    assert short[names[0]].endswith("fast.toml")
    assert short[names[1]].endswith("slow.toml")
    assert short["majority"] == "majority"
    assert short_names(["best_of_n:verifier=judge"], 12) == {"best_of_n:verifier=judge": "best_of_n:v…"}


@given(st.lists(st.text("ab:", min_size=1, max_size=60), unique=True, max_size=12), st.integers(12, 20))
def test_names_that_are_cut_fit_and_stay_apart(names: list[str], length: int) -> None:
    short = short_names(names, length)
    assert len(set(short.values())) == len(names)
    assert all(len(s) <= length for s in short.values())
    assert all(short[name] == name for name in names if len(name) <= length)


def test_shares_of_useless_samples_are_drawn_where_there_are_any(make_units: MakeUnits, tmp_path: Path) -> None:
    units = make_units(3)
    assert not draw_shares(summarise(units), tmp_path / "a.png", tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())

    def spoilt(unit: UnitRecord) -> UnitRecord:
        trace = tuple({**e, "answer": None, "refused": True} if e.get("index") == 1 else e for e in unit.outcome.trace)
        return replace(unit, outcome=replace(unit.outcome, trace=trace))

    bad = summarise([spoilt(u) for u in units])
    assert shares_shown(bad) == ["refused"]
    assert draw_shares(bad, tmp_path / "a.png", tmp_path / "a.svg")
    assert len(set(re.findall(r'id="axes_\d+"', (tmp_path / "a.svg").read_text()))) == 1
