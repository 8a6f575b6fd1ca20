"""``ttc report``: the figures and the page of a run, written anew."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import orjson
import typer

__all__ = ["report"]


def report(
    run: Annotated[str, typer.Argument(help="The run's name, as 'ttc eval' printed it.")],
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the paths and the headline as JSON.")] = False,
) -> None:
    """Write the figures and the page of a run anew, from what its store holds by now."""
    # Late: the page needs the store, and the store what an eval needs.
    from ttc.evals.report import write_report
    from ttc.evals.report.tables import headline
    from ttc.evals.run_directory import find_run
    from ttc.evals.summary import summary_from_json

    directory = find_run(runs, run)
    paths = write_report(directory)
    sentence = headline(summary_from_json((directory / "summary.json").read_bytes()))
    if json:
        data = {"run": run, "headline": sentence, "files": {p.name: str(p) for p in paths}}
        print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
    else:
        print(sentence)
        for path in paths:
            print(path)
    page = next(p for p in paths if p.suffix == ".html")
    if open_page and not webbrowser.open(page.resolve().as_uri()):
        print(f"ttc: no browser could be opened; the page is {page}", file=sys.stderr)
