"""Figures: the same bytes from the same data, a panel per level, and curves that are never mixed up."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ttc.errors import MissingExtra
from ttc.evals.axes import THINKING
from ttc.evals.figures.canvas import figure_of
from ttc.evals.figures.costs import draw_costs, final_points
from ttc.evals.figures.curves import draw_curves, panel_groups, strategy_styles
from ttc.evals.figures.panels import draw_panel, spread
from ttc.evals.records import UnitRecord
from ttc.evals.scaling import summarise
from ttc.evals.summary import Summary, summary_from_json, summary_to_json


@pytest.fixture(scope="module")
def summary(make_units: Callable[..., list[UnitRecord]]) -> Summary:
    return summarise(make_units(), {"model": "made-up"})


def drawn(summary: Summary, folder: Path, draw: Callable[[Summary, Path, Path], None]) -> tuple[bytes, bytes]:
    folder.mkdir(exist_ok=True)
    draw(summary, folder / "figure.png", folder / "figure.svg")
    return (folder / "figure.png").read_bytes(), (folder / "figure.svg").read_bytes()


@pytest.mark.parametrize("draw", [draw_curves, draw_costs])
def test_the_same_summary_gives_the_same_bytes_whatever_the_users_settings(
    summary: Summary, tmp_path: Path, draw: Callable[[Summary, Path, Path], None]
):
    once = drawn(summary, tmp_path / "once", draw)
    with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red", "svg.hashsalt": None}):
        again = drawn(summary_from_json(summary_to_json(summary)), tmp_path / "again", draw)
    assert once == again


def test_the_picture_is_1400_pixels_wide_and_light_enough_for_a_readme(summary: Summary, tmp_path: Path):
    png, svg = drawn(summary, tmp_path, draw_curves)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width == 1400
    assert len(png) <= 150_000
    assert b"<dc:date>" not in svg


def test_there_is_a_panel_for_all_problems_and_one_per_level_with_a_band_for_each_prefix_curve(
    summary: Summary, tmp_path: Path
):
    _, svg = drawn(summary, tmp_path, draw_curves)
    assert panel_groups(summary) == ["all", "level=easy", "level=medium", "level=hard"]
    assert len(set(re.findall(rb'id="axes_\d+"', svg))) == 4
    assert len(set(re.findall(rb'id="FillBetweenPolyCollection_\d+"', svg))) == 4  # majority, once in each panel


def test_a_suite_without_levels_gets_one_panel(make_units: Callable[..., list[UnitRecord]], tmp_path: Path):
    bare = summarise([replace(u, tags={}) for u in make_units(4)])
    _, svg = drawn(bare, tmp_path, draw_curves)
    assert len(set(re.findall(rb'id="axes_\d+"', svg))) == 1


def panel(summary: Summary, **options: Any) -> Any:
    with figure_of(9, 5) as figure:
        ax = figure.add_subplot()
        draw_panel(ax, summary, "all", **{"axis": THINKING, **options})
        return ax


def test_the_line_of_one_run_holds_its_prefixes_alone_and_separate_budgets_get_bars(summary: Summary):
    ax = panel(summary)
    points = {
        c.strategy: [(p.cost["thinking"], p.accuracy) for p in c.points] for c in summary.curves if c.group == "all"
    }
    styles = strategy_styles(summary)
    lines = {
        name: [
            line
            for line in ax.get_lines()
            if line.get_color() == style.colour and line.get_marker() == "None" and list(line.get_xdata()) != [0, 1]
        ]
        for name, style in styles.items()
    }
    marks = [[tuple(place) for place in c.get_offsets()] for c in ax.collections if len(c.get_offsets())]
    (majority,) = lines["majority"]
    assert list(zip(majority.get_xdata(), majority.get_ydata(), strict=True)) == points["majority"]
    assert points["majority"] in marks
    assert majority.get_linestyle() == "-"
    (knockout,) = lines["knockout"]
    assert list(zip(knockout.get_xdata(), knockout.get_ydata(), strict=True)) == points["knockout"]
    assert points["knockout"] in marks
    assert knockout.get_linestyle() == "--"
    assert len(ax.containers) == 2  # error bars: single and knockout
    assert ax.get_xlabel() == "thinking tokens per query"
    assert panel(summary, labels=True).get_xlabel() == f"{THINKING.label}, log scale"
    assert ax.get_xscale() == "log"


def test_two_runs_of_one_strategy_are_two_lines(make_units: Callable[..., list[UnitRecord]]):
    units = [u for u in make_units(6) if u.strategy == "majority"]
    other = [replace(u, key=u.key + "'", spec="majority:n=8,stop=beta") for u in units]
    ax = panel(summarise(units + other))
    colour = strategy_styles(summarise(units)).get("majority")
    assert colour is not None
    lengths = [
        len(line.get_xdata())
        for line in ax.get_lines()
        if line.get_linestyle() == "-" and line.get_color() == colour.colour
    ]
    assert lengths == [4, 4]


def test_the_baseline_is_a_level_across_the_panel(summary: Summary):
    ax = panel(summary)
    single = next(p for p in final_points(summary) if p.strategy == "single")
    level = [line for line in ax.get_lines() if list(line.get_xdata()) == [0, 1]]
    assert [line.get_ydata()[0] for line in level] == [single.accuracy]


def test_names_stand_beside_the_panel_and_do_not_overlap(summary: Summary):
    ax = panel(summary, labels=True)
    ax.figure.draw_without_rendering()
    boxes = sorted((t.get_window_extent() for t in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == len(strategy_styles(summary)) == 3
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))


def test_a_strategy_that_spends_nothing_has_a_place_on_the_logarithmic_axis(
    make_units: Callable[..., list[UnitRecord]], tmp_path: Path
):
    units = make_units(3)
    free = [replace(u, outcome=replace(u.outcome, usage={}, answer_tokens=0)) for u in units if u.spec == "single"]
    png, _ = drawn(summarise([*free, *(u for u in units if u.spec != "single")]), tmp_path, draw_curves)
    assert png


def test_colours_are_apart_for_colour_blind_readers_and_single_is_ink(summary: Summary):
    styles = strategy_styles(summary)
    assert styles["single"].colour == "#1f2328"
    assert len({s.colour for s in styles.values()}) == len(styles)
    assert len({s.marker for s in styles.values()}) == len(styles)


def test_bars_of_the_cost_figure_add_up_to_the_tokens_of_each_configuration(summary: Summary):
    for point in final_points(summary):
        assert sum(point.kinds.values()) == pytest.approx(point.cost["generated"])


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted), st.floats(0.01, 0.08))
def test_labels_are_moved_apart_in_their_order_and_stay_in_the_panel(heights: list[float], gap: float):
    placed = spread(heights, gap=gap)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(placed))
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in placed)
    if all(b - a >= gap for a, b in itertools.pairwise(heights)):
        assert placed == pytest.approx(heights)


def test_without_matplotlib_the_error_names_the_extra(
    summary: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.style", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ttc-compute\[plots\]'"):
        draw_curves(summary, tmp_path / "a.png", tmp_path / "a.svg")
