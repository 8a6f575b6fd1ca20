"""``ttc power``: how many problems it takes to see a difference, or what difference so many problems can show."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from ttc.cli.completion import run_names
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ttc.evals.power_of_run import MeasuredSpread
    from ttc.power import PlannedDifference

__all__ = ["power_command"]

DIFFERENCES = (0.01, 0.02, 0.05, 0.1)


def power_command(
    problems: Annotated[int | None, typer.Option(help="How many problems there are.", min=1)] = None,
    difference: Annotated[float | None, typer.Option(help="The difference of accuracies to see, e.g. .05.")] = None,
    accuracy: Annotated[float, typer.Option(help="How often the better side is right.", min=0, max=1)] = 0.5,
    correlation: Annotated[
        float, typer.Option(help="Of both sides' scores over problems; 0: they share nothing.", min=-1, max=1)
    ] = 0.0,
    epochs: Annotated[int, typer.Option(help="Answers to each problem.", min=1)] = 1,
    between: Annotated[
        float, typer.Option(help="Part of an answer's variance that lies between problems.", min=0, max=1)
    ] = 1 / 3,
    power: Annotated[float, typer.Option(help="How surely it is to be seen.")] = 0.8,
    run: Annotated[
        str | None, typer.Option(help="Take spread and correlation from this run.", autocompletion=run_names)
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Plan an eval: how many problems show a difference (--difference), or what --problems can show.

    Two strategies on the same problems, 95% intervals. With --run the spread is that between the run's strategies.
    """
    if not 0 < power < 1:
        raise ConfigurationError(f"--power {power:g}: give a probability between 0 and 1")
    if run is not None:
        _of_run(runs, run, problems=problems, difference=difference, power=power, json=json)
        return
    from ttc.power import plan_difference

    wanted = [difference] if difference is not None or problems is not None else list(DIFFERENCES)
    planned = [
        plan_difference(
            accuracy=accuracy,
            difference=d,
            problems=problems,
            correlation=correlation,
            epochs=epochs,
            between=between,
            power=power,
        )
        for d in wanted
        if d is None or d <= accuracy or difference is not None
    ]
    if json:
        given = {"accuracy": accuracy, "correlation": correlation, "epochs": epochs, "between": between}
        data = {**given, "planned": [asdict(p) for p in planned]}
        print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
        return
    _show(planned)


def _show(planned: Sequence[PlannedDifference]) -> None:
    _print(
        ("difference", "problems", "power", "SE of it", "SE unpaired", "SE of one accuracy"),
        [
            (
                _points(p.difference),
                f"{p.problems:,}",
                f"{p.power:.2f}",
                _points(p.se),
                _points(p.se_unpaired),
                _points(p.se_accuracy),
            )
            for p in planned
        ],
        left=0,
    )
    print("differences and standard errors in points, paired on problems")


def _of_run(runs: Path, run: str, *, problems: int | None, difference: float | None, power: float, json: bool) -> None:
    from ttc.cli.learn import run_named
    from ttc.evals.power_of_run import spreads_of_run
    from ttc.evals.store import read_units
    from ttc.power import detectable_difference, difference_power, problems_for_difference

    found = spreads_of_run(read_units(run_named(runs, run)))
    rows: list[dict[str, object]] = []
    for s in found:
        d, n = difference or abs(s.difference), problems or s.problems
        rows.append(
            {
                **asdict(s),
                "wanted": d,
                "at": n,
                "power": difference_power(d, n, s.spread) if d else None,
                "problems_needed": problems_for_difference(d, s.spread, power=power) if d else None,
                "detectable": detectable_difference(n, s.spread, power=power),
            }
        )
    if json:
        print(orjson.dumps({"run": run, "planned": rows}, option=orjson.OPT_INDENT_2).decode())
        return
    _show_measured(found, rows, power)


def _show_measured(found: Sequence[MeasuredSpread], rows: Sequence[dict[str, object]], power: float) -> None:
    from ttc.cli.printable import one_line

    def number(value: object, form: str = ",") -> str:
        return "-" if value is None else format(value, form)

    _print(
        ("strategy", "against", "measured", "correlation", "to see", "problems needed", "power at n", "n", "n shows"),
        [
            (
                one_line(f"{s.model}: {s.spec}" if s.model else s.spec),
                one_line(s.against),
                f"{100 * s.difference:+.1f}",
                number(s.correlation, ".2f"),
                number(100 * float(str(row["wanted"])), ".1f"),
                number(row["problems_needed"]),
                number(row["power"], ".2f"),
                number(row["at"]),
                number(100 * float(str(row["detectable"])), ".1f"),
            )
            for s, row in zip(found, rows, strict=True)
        ],
        left=2,
    )
    print(f"differences in points, paired on problems; problems needed and what n shows: with a power of {power:g}")


def _points(value: float) -> str:
    return f"{100 * value:.2f}"


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Print a table whose first columns are words, the others numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ttc.evals.tables import console_width

    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(console.width, console_width(table)))  # a file has no edge
    console.print(table)
