"""``ttc plan``: the cheapest tournament that fails seldom enough, for a given p and q or those of a run."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from ttc.statistics import Mean
    from ttc.strategies.plan import MeasuredPlan, Plan, Terms

__all__ = ["Which", "plan_command"]


class Which(StrEnum):
    """Which tournament to plan."""

    KNOCKOUT = "knockout"
    LEAGUE = "league"
    CHEAPEST = "cheapest"


def plan_command(
    run: Annotated[str | None, typer.Argument(help="A run with a tournament in it: p and q are taken from it.")] = None,
    failure: Annotated[float, typer.Option(help="How often the tournament may fail, e.g. .05.")] = 0.05,
    p: Annotated[float | None, typer.Option("--p", help="How often a sample is right.")] = None,
    q: Annotated[float | None, typer.Option("--q", help="How often the right one of a pair wins.")] = None,
    tournament: Annotated[Which, typer.Option(help="Which one to plan.")] = Which.KNOCKOUT,
    tokens_per_sample: Annotated[float, typer.Option(help="What a sample costs, against...")] = 1,
    tokens_per_comparison: Annotated[float, typer.Option(help="...what a comparison costs.")] = 1,
    n_max: Annotated[int, typer.Option(help="Candidates at the most.")] = 256,
    k_max: Annotated[int, typer.Option(help="Comparisons a pair at the most.")] = 64,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Plan the cheapest tournament: its size, its calls, how often it fails, and the bound beside it."""
    import ttc

    terms: Terms = {
        "tournament": tournament.value,
        "tokens_per_sample": tokens_per_sample,
        "tokens_per_comparison": tokens_per_comparison,
        "n_max": n_max,
        "k_max": k_max,
    }
    if run is not None:
        if p is not None or q is not None:
            raise ConfigurationError("a run gives p and q by itself: leave out --p and --q, or leave out the run")
        measured = ttc.plan_from(run, failure=failure, runs=runs, **terms)
        if json:
            print(orjson.dumps({"run": run, **_measured_data(measured)}, option=orjson.OPT_INDENT_2).decode())
        else:
            _show_measured(measured)
        if measured.plan is None and measured.safe is None:
            raise typer.Exit(1)
        return
    if p is None or q is None:
        raise ConfigurationError("give --p and --q, e.g. 'ttc plan --p .2 --q .7', or a run to take them from")
    planned = ttc.plan(p_gen=p, q=q, failure=failure, **terms)
    if json:
        print(orjson.dumps(_data(planned), option=orjson.OPT_INDENT_2).decode())
    else:
        _show({"": planned}, {})


def _data(plan: Plan | None) -> dict[str, Any] | None:
    return None if plan is None else {"spec": plan.spec, **asdict(plan)}


def _measured_data(measured: MeasuredPlan) -> dict[str, Any]:
    m = measured
    return {
        "p": asdict(m.p_gen),
        "q": asdict(m.q),
        "plan": _data(m.plan),
        "conservative": _data(m.safe),
        "why_no_plan": m.why_no_plan,
        "why_not_conservative": m.why_not_safe,
    }


def _show_measured(measured: MeasuredPlan) -> None:
    m = measured
    print(f"p {_interval(m.p_gen)}: how often a sample is right")
    print(f"q {_interval(m.q)}: how often the right one of a pair wins")
    if m.q.low <= 0.5:
        print("q is not credibly above 1/2, and where it is not a knockout does not beat voting")
    if m.plan is None and m.safe is None:
        print(f"no plan: {m.why_no_plan}")
        return
    print()
    plans = {"at the estimates": m.plan, "conservative": m.safe}
    _show(plans, {"at the estimates": m.why_no_plan, "conservative": m.why_not_safe})
    if m.safe is not None:
        print("Conservative: at the lower ends of both intervals.")
    print("Where p differs much between problems, plan for each class of them: the hard ones fail more often.")


def _interval(mean: Mean) -> str:
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] on {mean.n} problems"


def _show(plans: dict[str, Plan | None], reasons: dict[str, str]) -> None:
    """Print the plans that there are as a table, what to run, and why the others are not there."""
    from rich.console import Console

    console = Console()
    found = {name: plan for name, plan in plans.items() if plan is not None}
    if found:
        console.print(_table(found))
        for name, plan in found.items():
            heading = f"{name}: " if name else ""
            voting = f"voting on {plan.calls:,} samples fails {plan.voting:.3g} if all wrong ones agree"
            console.print(f"{heading}--strategy {plan.spec}; {voting}", style="dim", highlight=False, markup=False)
    for name, plan in plans.items():
        if plan is None:
            console.print(f"{name}: {reasons[name]}", style="yellow", highlight=False, markup=False)


def _table(plans: dict[str, Plan]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in (*([""] if any(plans) else []), "tournament", "N", "K", "calls", "failure", "bound", "p", "q"):
        table.add_column(column, justify="left" if column in ("", "tournament") else "right", no_wrap=True)
    for name, plan in plans.items():
        table.add_row(
            *([name] if any(plans) else []),
            plan.tournament,
            str(plan.n),
            str(plan.k),
            f"{plan.calls:,}",
            f"{plan.failure:.3g}",
            f"{plan.bound:.3g}",
            f"{plan.p_gen:.3g}",
            f"{plan.q:.3g}",
        )
    return table
