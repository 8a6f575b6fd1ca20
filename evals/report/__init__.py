"""The page of a run: one self-contained HTML file, and the figures beside it.

Everything on it is a function of the run's store. The page needs no network and no permission: a content security
policy forbids everything except its own style and scripts, whose hashes it names. Whatever a model wrote reaches the
page through jinja2's escaping, or as JSON that a script puts in place as text. What does not fit into the page is in
files beside it, ``problems/001.html`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import RunError
from ttc.evals.axes import Timings, caps_of, make_axis
from ttc.evals.figures.costs import final_points
from ttc.evals.figures.curves import cost_svg, draw_costs, draw_curves, group_name, panel_groups, panel_svg
from ttc.evals.figures.shares import draw_shares
from ttc.evals.problems_at_hand import problems_at_hand
from ttc.evals.records import UnitRecord
from ttc.evals.report.chart_data import chart_data
from ttc.evals.report.charts import chart_specs, kind_colours, vega_bundle
from ttc.evals.report.economics_tables import economics_tables
from ttc.evals.report.filling import fill, source
from ttc.evals.report.inline_svg import inline_svg
from ttc.evals.report.parts import Part, remove_parts, write_parts
from ttc.evals.report.problems import DETAILS, ROWS, ProblemTable, pages_of
from ttc.evals.report.run_card import card_facts, commands, facts, legend, warnings
from ttc.evals.report.series import series_of
from ttc.evals.report.tables import (
    class_tables,
    cost_rows,
    equal_cost_rows,
    headline,
    judging_rows,
    result_rows,
    share_rows,
)
from ttc.evals.run_card import read_card, write_summary
from ttc.evals.run_directory import write_file
from ttc.evals.scaling import timings
from ttc.evals.store import read_units
from ttc.evals.suite import Problem
from ttc.evals.summary import Summary

__all__ = ["SIZE_LIMIT", "render", "write_report"]

SIZE_LIMIT = 5_000_000
"""A page is smaller than this many bytes: the details of some problems are left out until it is."""


def write_report(run_dir: Path, *, axis: str = "thinking", difficulty: Path | None = None) -> list[Path]:
    """Write the figures and the page of a run, and its summary anew, from its store and its card.

    Args:
        run_dir: the run's directory.
        axis: what accuracy is put against at first, one of :data:`~ttc.evals.axes.AXES`.
        difficulty: a pool of other samples of the same problems: every curve then comes per bin of difficulty too.

    Returns:
        The files: ``curves.png`` (1400 pixels wide), ``curves.svg``, ``cost.png``, ``cost.svg``, ``report.html``, where
        something went wrong with samples ``shares.png`` and ``shares.svg``, and where not all of every problem fits
        into the page ``problems/001.html`` and so on.

    Raises:
        RunError: there is no run, nothing in it is done yet, or it cannot be read.
        ConfigurationError: there is no such axis, no point of the run knows its cost on it, or the pool says nothing
            of the run's problems.
        MissingExtra: what draws figures and pages is not installed.
    """
    run_dir = Path(run_dir)
    units = read_units(run_dir)
    if not units:
        raise RunError(
            f"no query of the run in {run_dir} is done yet: resume it with 'ttc eval --resume {run_dir.name}'"
        )
    summary = write_summary(run_dir, difficulty=difficulty)
    clock: Timings = orjson.loads((run_dir / "timings.json").read_bytes())
    charts = chart_data(summary, timings=clock, axis=axis)  # before anything is drawn: an axis may be unknown
    problems, missing = problems_at_hand(u.suite for u in units)
    notices = [f"The texts of suite '{spec}' are not shown: {why}" for spec, why in missing.items()]
    table = _table(summary, units, problems)
    if pages_of(table).whole:
        remove_parts(run_dir)
        parts: list[Part] = []
    else:
        parts = write_parts(run_dir, table, run=run_dir.name)
    page = render(
        summary,
        units,
        problems,
        card=read_card(run_dir),
        runs=run_dir.parent,
        notices=notices,
        charts=charts,
        clock=clock,
        parts=parts,
    )
    paths = [run_dir / name for name in ("curves.png", "curves.svg", "cost.png", "cost.svg", "report.html")]
    against = make_axis(axis, summary, timings=clock)
    draw_curves(summary, paths[0], paths[1], axis=against)
    draw_costs(summary, paths[2], paths[3])
    shares = [run_dir / "shares.png", run_dir / "shares.svg"]
    if draw_shares(summary, shares[0], shares[1], axis=against):
        paths += shares
    else:
        for stale in shares:
            stale.unlink(missing_ok=True)
    write_file(paths[4], page.encode())
    return [*paths, *(run_dir / part.href for part in parts)]


def render(
    summary: Summary,
    units: Sequence[UnitRecord],
    problems: Mapping[tuple[str, str], Problem] | None = None,
    *,
    card: Mapping[str, Any] | None = None,
    runs: Path = Path("runs"),
    notices: Sequence[str] = (),
    charts: Mapping[str, Any] | None = None,
    clock: Timings | None = None,
    parts: Sequence[Part] = (),
) -> str:
    """Return the page as HTML of less than :data:`SIZE_LIMIT` bytes.

    Args:
        summary: what was measured.
        units: what the store holds, for the problem by problem part.
        problems: by suite and query id: the texts and the right answers.
        card: the run card, as :func:`~ttc.evals.run_card.read_card` returns it.
        runs: where the run's directory is, for the commands that are shown.
        notices: what a reader should know first.
        charts: what the charts are drawn from; default: as :func:`~ttc.evals.report.chart_data.chart_data` makes it.
        clock: what depends on the clock; default: what :func:`~ttc.evals.scaling.timings` finds in the units.
        parts: files beside the page that hold what it has no room for.

    Raises:
        MissingExtra: matplotlib, jinja2, Altair or vl-convert-python is not installed.
    """
    clock = timings(units) if clock is None else clock
    charts = charts or chart_data(summary, timings=clock)
    table = _table(summary, units, problems or {})
    fixed = {
        **_fixed_part(summary, units, notices, charts, clock),
        "card": card_facts(card or {}),
        "commands": commands(card or {}, runs),
        "parts": [{"href": part.href, "name": part.name} for part in parts],
    }
    data = {"charts": charts, "specs": chart_specs(series_of(summary), charts["kinds"])}
    scripts = [vega_bundle(), source("page.js", "brackets.js", "search_tree.js", "charts.js")]
    links = {key: href for part in parts for key, href in part.links().items()}
    details, rows = DETAILS, ROWS
    while True:
        part = pages_of(table, limit=details, rows=rows, links=links)
        html = fill(
            "page.html.j2",
            data={**data, "problems": part.details},
            scripts=scripts,
            values={"page": {**fixed, "table": part}},
        )
        if len(html.encode()) < SIZE_LIMIT or rows < 2:
            return html
        # Hostile names may take ten times their room.
        details, rows = (details // 2, rows) if details else (0, rows // 2)


def _table(summary: Summary, units: Sequence[UnitRecord], problems: Mapping[tuple[str, str], Problem]) -> ProblemTable:
    specs = list(dict.fromkeys(p.spec for p in final_points(summary)))
    return ProblemTable(units, problems, specs, summary.classes.get("level", ()))


def _fixed_part(
    summary: Summary,
    units: Sequence[UnitRecord],
    notices: Sequence[str],
    charts: Mapping[str, Any],
    clock: Timings,
) -> dict[str, Any]:
    """Everything that does not depend on how many problems are shown."""
    kinds, costs = cost_rows(summary, clock)
    tags = list(dict.fromkeys(g["tag"] for g in charts["groups"]))
    return {
        "title": f"{_models(summary)} on {', '.join(dict.fromkeys(u.suite for u in units))}",
        "headline": headline(summary),
        "facts": facts(summary, units),
        "notices": [*notices, *filter(None, [summary.run.get("difficulty")]), *warnings(summary, units)],
        "legend": legend(summary),
        "axes": charts["axes"],
        "axis": charts["axis"],
        "caps": ", ".join(caps_of(summary.run)),
        "models": charts["models"],
        "all_models": any(a["shared"] for a in charts["axes"] if a["name"] == charts["axis"]),
        "groups": [(tag, [g for g in charts["groups"] if g["tag"] == tag]) for tag in tags],
        "panel_tags": [tag for tag in tags if tag != "all"],
        "curves_svg": inline_svg(panel_svg(summary, "all", wide=True), "curves"),
        "cost_svg": inline_svg(cost_svg(summary), "cost"),
        "shares": charts["shares"],
        "unseen": [share["words"] for share in charts["shares"] if not share["seen"]],
        "share_rows": share_rows(summary, [share["name"] for share in charts["shares"]]),
        "levels": [group_name(g) for g in panel_groups(summary)],
        "results": result_rows(summary),
        "all_points": result_rows(summary, every=True),
        "equal_cost": equal_cost_rows(summary),
        "economics": economics_tables(summary),
        "judging": judging_rows(summary),
        "classes": class_tables(summary),
        "kinds": kinds,
        "kind_colours": kind_colours(kinds),
        "costs": costs,
    }


def _models(summary: Summary) -> str:
    names = list(dict.fromkeys(c.model for c in summary.curves if c.model))
    return ", ".join(names) or str(summary.run.get("model", "A model"))
