"""The page of a run: one self-contained HTML file, and the figures beside it.

Everything on it is a function of the run's store. The page needs no network and no permission: a content security
policy forbids everything except its own style and script, whose hashes it names. Whatever a model wrote reaches the
page through jinja2's escaping, or as JSON that the script puts in place as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import MissingExtra, RunError, TTCError
from ttc.evals.cost_plot import final_points
from ttc.evals.plots import cost_svg, draw_costs, draw_curves, group_name, panel_groups, panel_svg
from ttc.evals.records import UnitRecord
from ttc.evals.report.problems import DETAILS, problem_pages
from ttc.evals.report.run_card import card_facts, commands, facts, legend, warnings
from ttc.evals.report.tables import cost_rows, equal_cost_rows, family_rows, headline, judging_rows, result_rows
from ttc.evals.run_card import read_card, write_summary
from ttc.evals.run_directory import write_file
from ttc.evals.scaling import timings
from ttc.evals.store import read_units
from ttc.evals.suite import Problem, load_suite
from ttc.evals.summary import Summary

__all__ = ["SIZE_LIMIT", "render", "write_report"]

SIZE_LIMIT = 5_000_000
"""A page is smaller than this many bytes: the details of some problems are left out until it is."""


def write_report(run_dir: Path) -> list[Path]:
    """Write the figures and the page of a run, and its summary anew, from its store and its card.

    Returns:
        The files: ``curves.png`` (1400 pixels wide), ``curves.svg``, ``cost.png``, ``cost.svg``, ``report.html``.

    Raises:
        RunError: there is no run, nothing in it is done yet, or it cannot be read.
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    run_dir = Path(run_dir)
    units = read_units(run_dir)
    if not units:
        raise RunError(
            f"no query of the run in {run_dir} is done yet: resume it with 'ttc eval --resume {run_dir.name}'"
        )
    summary = write_summary(run_dir)
    problems, notices = _problems(units)
    page = render(summary, units, problems, card=read_card(run_dir), runs=run_dir.parent, notices=notices)
    paths = [run_dir / name for name in ("curves.png", "curves.svg", "cost.png", "cost.svg", "report.html")]
    draw_curves(summary, paths[0], paths[1])
    draw_costs(summary, paths[2], paths[3])
    write_file(paths[4], page.encode())
    return paths


def render(
    summary: Summary,
    units: Sequence[UnitRecord],
    problems: Mapping[tuple[str, str], Problem] | None = None,
    *,
    card: Mapping[str, Any] | None = None,
    runs: Path = Path("runs"),
    notices: Sequence[str] = (),
) -> str:
    """Return the page as HTML of less than :data:`SIZE_LIMIT` bytes.

    Args:
        summary: what was measured.
        units: what the store holds, for the problem by problem part.
        problems: by suite and query id: the texts and the right answers.
        card: the run card, as :func:`~ttc.evals.run_card.read_card` returns it.
        runs: where the run's directory is, for the commands that are shown.
        notices: what a reader should know first.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    about = {"card": card_facts(card or {}), "commands": commands(card or {}, runs)}
    limit, fixed = DETAILS, {**_fixed_part(summary, units, notices), **about}
    while True:
        html = _fill(fixed, summary, units, problems or {}, limit)
        if len(html.encode()) < SIZE_LIMIT or not limit:
            return html
        limit //= 2


def _fixed_part(summary: Summary, units: Sequence[UnitRecord], notices: Sequence[str]) -> dict[str, Any]:
    """Everything that does not depend on how many problems are shown."""
    groups = panel_groups(summary)
    kinds, costs = cost_rows(summary, timings(units))
    family_columns, families = family_rows(summary)
    return {
        "title": f"{summary.run.get('model', 'A model')} on {', '.join(dict.fromkeys(u.suite for u in units))}",
        "headline": headline(summary),
        "facts": facts(summary, units),
        "notices": [*notices, *warnings(summary, units)],
        "legend": legend(summary),
        "panels": _panels(summary, groups),
        "levels": [group_name(g) for g in groups],
        "results": result_rows(summary),
        "all_points": result_rows(summary, every=True),
        "equal_cost": equal_cost_rows(summary),
        "judging": judging_rows(summary),
        "families": families,
        "family_columns": family_columns,
        "kinds": kinds,
        "costs": costs,
        "cost_svg": _inline(cost_svg(summary), "cost"),
    }


def _panels(summary: Summary, groups: Sequence[str]) -> list[dict[str, Any]]:
    """Draw the panels: the first one twice, wide with names beside the curves, and narrow for a phone."""
    form = "third" if len(groups) % 2 == 0 else "half"
    forms = [("all", "wide"), ("all", "narrow"), *((g, form) for g in groups[1:])]
    return [
        {
            "form": form,
            "label": f"Accuracy against thinking tokens, {group_name(group)}; the numbers are in the table of results",
            "svg": _inline(panel_svg(summary, group, wide=form == "wide"), f"p{i}"),
        }
        for i, (group, form) in enumerate(forms)
    ]


def _inline(svg: str, prefix: str) -> Any:
    # Imported late: markupsafe comes with jinja2.
    from ttc.evals.report.inline_svg import inline_svg

    return inline_svg(svg, prefix)


def _fill(
    fixed: dict[str, Any],
    summary: Summary,
    units: Sequence[UnitRecord],
    problems: Mapping[tuple[str, str], Problem],
    limit: int,
) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("jinja2", "report", "writing a page") from None
    specs = list(dict.fromkeys(p.spec for p in final_points(summary)))
    levels = summary.classes.get("level", ())
    part = problem_pages(units, problems, specs, levels=levels, limit=limit)
    page = {**fixed, "columns": part.columns, "rows": part.rows, "problems_note": part.note}
    here = files("ttc.evals.report")
    style, script, drawing = (here.joinpath(n).read_text("utf-8") for n in ("page.css", "page.js", "search_tree.js"))
    script += drawing
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(here.joinpath("page.html.j2").read_text("utf-8"))
    return template.render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(_script_data({"problems": part.details})),
    )


def _hash(text: str) -> str:
    """Return the hash by which the policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _script_data(data: Any) -> str:
    """Write JSON that stays data inside a script element: no ``<`` can end it, no ``&`` be read as a reference."""
    raw = orjson.dumps(data).decode()
    for sign in "<>&\u2028\u2029":
        raw = raw.replace(sign, f"\\u{ord(sign):04x}")
    return raw


def _problems(units: Sequence[UnitRecord]) -> tuple[dict[tuple[str, str], Problem], list[str]]:
    """Load the problems again, for their texts; a suite that is not at hand leaves them out, and a notice says so."""
    problems: dict[tuple[str, str], Problem] = {}
    notices: list[str] = []
    for spec in dict.fromkeys(u.suite for u in units):
        try:
            problems |= {(spec, p.query.id): p for p in load_suite(spec).problems}
        except (TTCError, ImportError) as error:
            notices.append(f"The texts of suite '{spec}' are not shown: {error}")
    return problems, notices
