"""``ttc compare``: two runs, paired on the problems that both have solved."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ttc.cli.completion import run_names
from ttc.cli.learn import run_named
from ttc.cli.out_file import refuse_unwritable
from ttc.cli.printable import one_line, printable

if TYPE_CHECKING:
    from ttc.evals.comparison.differences import RunComparison

__all__ = ["compare_command"]

_STYLES = {"above": "bold green", "below": "bold red", "not": "dim"}


def compare_command(
    run_a: Annotated[str, typer.Argument(help="A run, by name or path.", autocompletion=run_names)],
    run_b: Annotated[str, typer.Argument(help="The run that it is held against.", autocompletion=run_names)],
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Of the first run, without its n; by default every one.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="The second run's strategy that it is held against; by default the same.")
    ] = None,
    common_problems: Annotated[
        bool, typer.Option("--common-problems", help="Compare runs of different suites on the problems of both.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    out: Annotated[
        Path | None, typer.Option(help="The page; by default compare-RUN_B.html in the first run's folder.")
    ] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Write no page.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare two runs problem by problem: what differs in them, in accuracy, and in cost where that means the same.

    Every difference is of the first run less the second.
    """
    from ttc.evals.comparison import compare_runs

    a, b = run_named(runs, run_a), run_named(runs, run_b)
    if out is not None:
        refuse_unwritable(out)
    found = compare_runs(a, b, strategy=strategy, against=against, common_problems=common_problems)
    page = None if no_page else out or a / f"compare-{b.name}.html"
    if page is not None:
        from ttc.evals.report.comparison_page import write_comparison

        write_comparison(found, page)
    if json:
        sys.stdout.write(found.to_json().decode())
        sys.stdout.flush()
    else:
        _show(found)
    if page is not None:
        print(page, file=sys.stderr if json else sys.stdout)
        if open_page and not webbrowser.open(page.resolve().as_uri()):
            print(f"ttc: no browser could be opened; the page is {page}", file=sys.stderr)


def _show(found: RunComparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ttc.evals.comparison.tables import cost_lines, headline, heads, power_line, row_cells, row_name
    from ttc.evals.tables import console_width

    console = Console(highlight=False)

    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style), soft_wrap=True)

    for name, one, other in found.differing:
        line(f"{name}: {one_line(one, 80)} | {one_line(other, 80)}", "yellow")
    for note in found.notes:
        line(note, "dim")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, name in enumerate(heads(found)):
        table.add_column(Text(printable(name)), justify="right" if i else "left", no_wrap=True)
    table.add_column("", no_wrap=True)
    several = len({(row.a.model, row.b.model) for row in found.differences}) > 1
    for row in found.differences:
        verdict = Text(row.verdict, style=_STYLES[row.verdict.partition(" ")[0].rstrip(",")])
        cells = [Text(cell) for cell in row_cells(row, found)]
        table.add_row(Text(printable(row_name(row, several_models=several))), *cells, verdict)
    if console_width(table) > console.width and not console.is_terminal:
        console = Console(highlight=False, width=console_width(table))  # a file has no edge
    console.print(table)
    for text in cost_lines(found):
        line(text, "dim")
    if power := power_line(found):
        line(power, "dim")
    line(headline(found), "bold")
