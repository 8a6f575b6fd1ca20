"""``ttc report``: the figures and the page of a run, written anew."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import orjson
import typer

from ttc.cli.completion import run_names
from ttc.errors import ConfigurationError

__all__ = ["report"]


def report(
    run: Annotated[str | None, typer.Argument(help="A run, by name or path.", autocompletion=run_names)] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    x: Annotated[
        str,
        typer.Option(
            "--x",
            help="What accuracy is put against at first: thinking, generated, total, calls, flops, dollars, seconds.",
        ),
    ] = "thinking",
    difficulty: Annotated[
        Path | None,
        typer.Option(help="A pool of other samples of the same problems: curves for each of their bins of difficulty."),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option("--from", help="Redraw what 'ttc publish' wrote: a folder or a zip, in place of a run."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --from: the folder to draw into.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the paths and the headline as JSON.")] = False,
) -> None:
    """Write the figures and the page of a run anew, from what its store holds by now."""
    if published is not None or out is not None or run is None:
        _redraw(run, published, out, json=json)
        return
    # Late: the page needs the store, and the store what an eval needs.
    from ttc.evals.report import write_report
    from ttc.evals.report.tables import headline
    from ttc.evals.run_directory import find_run
    from ttc.evals.summary import summary_from_json

    directory = find_run(runs, run)
    paths = write_report(directory, axis=x, difficulty=difficulty)
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


def _redraw(run: str | None, published: Path | None, out: Path | None, *, json: bool) -> None:
    """Draw the figures of a publication again; it has its page already, and no store to make another of."""
    if published is None or run is not None:
        raise ConfigurationError("name a run, or with --from what 'ttc publish' wrote (and --out, where to draw it)")
    from ttc.evals.publication.redrawing import redraw

    paths = redraw(published, out or Path("redrawn"))
    if json:
        print(orjson.dumps({"files": {p.name: str(p) for p in paths}}, option=orjson.OPT_INDENT_2).decode())
    else:
        for path in paths:
            print(path)
