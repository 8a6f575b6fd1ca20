"""``ttc pool export``: the samples of a run as a pool."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import orjson
import typer

from ttc.cli.learn import run_named
from ttc.cli.out_file import refuse_unwritable
from ttc.cli.record import lines_of, what_is_in
from ttc.cli.unsafe import UnsafeLocalExec

__all__ = ["export"]


def export(
    run: Annotated[str, typer.Argument(help="A run, by name or path.")],
    out: Annotated[Path, typer.Option(help="The pool to write; gzipped where it ends in .gz.")],
    n: Annotated[
        int | None, typer.Option("-n", help="Take so many samples of a problem, the first ones; by default all.")
    ] = None,
    model: Annotated[str, typer.Option(help="Whose samples, of a run that asked several models.")] = "",
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print what is in it as JSON.")] = False,
) -> None:
    """Make a pool of the whole samples that a run drew of its problems' own prompts, graded again."""
    from ttc.evals.recordings.pool_of_run import pool_of_run
    from ttc.pool_files import write_pool

    refuse_unwritable(out)
    pool = anyio.run(partial(pool_of_run, run_named(runs, run), n=n, model=model))
    write_pool(pool, out)
    facts = {"out": str(out), **what_is_in(pool)}
    if json:
        print(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
    else:
        for line in lines_of(facts):
            print(line)
        print(f"written to {out}")
    for line in facts["warnings"]:
        print(line, file=sys.stderr)
