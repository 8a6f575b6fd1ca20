"""``ttc export``: a run in the forms that other programs read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer

from ttc.cli.completion import run_names

__all__ = ["Form", "export_command"]


class Form(StrEnum):
    """What a run is written as."""

    jsonl = "jsonl"
    parquet = "parquet"
    inspect = "inspect"


def export_command(
    run: Annotated[str, typer.Argument(help="A run, by name or path.", autocompletion=run_names)],
    to: Annotated[
        Form, typer.Option(help="Tables of calls, units and checkpoints, or logs for the viewer of inspect_ai.")
    ] = Form.jsonl,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write into; exports/FORM in the run's by default.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Write a run as JSONL, as Parquet, or as logs that 'inspect view' opens; all of it, or nothing."""
    from ttc.evals.exports import export_run
    from ttc.evals.run_directory import find_run

    files = export_run(find_run(runs, run), to.value, out)
    if json:
        print(orjson.dumps({"run": run, "form": to.value, "files": [str(f) for f in files]}).decode())
        return
    for file in files:
        print(file)
