"""``ttc publish``: a run as others can use it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import orjson
import typer
from rich.console import Console

from ttc.cli.completion import run_names
from ttc.cli.learn import run_named
from ttc.cli.printable import printable
from ttc.cli.unsafe import UnsafeLocalExec

__all__ = ["publish_command"]


def publish_command(
    run: Annotated[str, typer.Argument(help="A run, by name or path.", autocompletion=run_names)],
    out: Annotated[Path, typer.Option(help="A file .zip, or a new folder.")],
    author: Annotated[list[str] | None, typer.Option(help="Who is to be cited; several times.")] = None,
    without_texts: Annotated[
        bool, typer.Option("--without-texts", help="Leave out the page, the prompts and the texts of answers.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print what is in it as JSON.")] = False,
) -> None:
    """Bundle a run: pool, run card, figures with their data, page and citation; no keys, passwords or home folders.

    Others redraw its figures and replay strategies of their own on its samples without the run or a model.
    """
    from ttc.evals.publication import publish

    directory = run_named(runs, run)

    work = partial(publish, directory, out, authors=author or (), texts=not without_texts)
    with Console(stderr=True).status("drawing, and grading the samples"):
        found = anyio.run(work)
    if json:
        data = {"out": str(found.path), "files": found.files, "warnings": found.warnings}
        print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
    else:
        for name, size in found.files.items():
            print(f"{size:>12,}  {printable(name)}")
        print(f"written to {found.path}: its README.md says how to use it, and its NOTICE.md whose the texts are")
    for warning in found.warnings:
        print(f"ttc: {printable(warning)}", file=sys.stderr)
