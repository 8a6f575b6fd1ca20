"""``ttc grade``: completions from anywhere, graded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import orjson
import typer
from rich.console import Console
from rich.table import Table

from ttc.cli.completion import answer_type_names, suite_names
from ttc.cli.counting import counting
from ttc.cli.unsafe import UnsafeLocalExec
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.completions import Graded, Summary
    from ttc.statistics import Mean

__all__ = ["grade"]


def grade(
    file: Annotated[Path, typer.Argument(help="JSONL: a completion a row, with its problem's id.")],
    suite: Annotated[
        str | None, typer.Option("--suite", help="Whose problems they answer, e.g. mbpp.", autocompletion=suite_names)
    ] = None,
    gold_field: Annotated[str | None, typer.Option(help="Without a suite: the column of the gold answer.")] = None,
    answer_type: Annotated[
        str | None, typer.Option(help="Without a suite: how answers compare.", autocompletion=answer_type_names)
    ] = None,
    id_field: Annotated[str, typer.Option(help="Column of the id; else id, task_id, problem ...")] = "",
    text_field: Annotated[str, typer.Option(help="Column of the text; else completion, text, response ...")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the verdicts here, as JSONL.")] = None,
    unsafe_local_exec: UnsafeLocalExec = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Grade completions: accuracy with its error, pass@k, and what was undecided or had no answer.

    Several rows of one problem are its samples. No model is called.
    """
    from ttc.evals.completions import of_columns, of_suite, summarise
    from ttc.evals.suite import load_suite

    if (suite is None) == (gold_field is None):
        raise ConfigurationError("give either --suite, or --gold-field with --answer-type, to say what is right")
    if suite is not None and answer_type is not None:
        raise ConfigurationError(f"--answer-type {answer_type}: the suite says how its answers compare")
    loaded = load_suite(suite) if suite is not None else None
    if loaded is not None:
        completions = of_suite(file, loaded, id_field=id_field, text_field=text_field)
    else:
        kind = answer_type or "text"
        completions = of_columns(file, gold_field or "", kind, id_field=id_field, text_field=text_field)
    if out is not None and not out.absolute().parent.is_dir():
        raise ConfigurationError(f"--out {out}: there is no folder {out.absolute().parent}")

    async def run(count: Callable[[], None]) -> list[Graded]:
        from ttc.evals.completions import grade_completions

        cores = len(os.sched_getaffinity(0))
        return await grade_completions(completions, loaded and loaded.grader, at_a_time=cores, on_done=count)

    with counting(Console(stderr=True), len(completions), "completions") as count:
        graded = anyio.run(run, count)
    if out is not None:
        _write(out, graded)
    of = len(loaded.problems) if loaded else None
    _show(summarise(graded), file=file, suite=suite, of=of, out=out, as_json=json)


def _write(out: Path, graded: Sequence[Graded]) -> None:
    """Write the verdicts whole or not at all."""
    from ttc.evals.run_directory import write_file

    sample: dict[str, int] = {}
    lines: list[bytes] = []
    for g in graded:
        name = g.completion.problem.query.id
        sample[name] = sample.get(name, -1) + 1
        line = {"id": name, "sample": sample[name], "verdict": g.verdict, "answer": g.answer}
        lines.append(orjson.dumps(line | {"unanswered": g.answer is None, "from": g.completion.where}))
    write_file(out.absolute(), b"".join(line + b"\n" for line in lines))


def _show(summary: Summary, *, file: Path, suite: str | None, of: int | None, out: Path | None, as_json: bool) -> None:
    counts = summary.counts
    if as_json:
        data: dict[str, Any] = {
            "file": str(file),
            "suite": suite,
            "suite_problems": of,
            **counts,
            "accuracy": asdict(summary.accuracy),
            "pass_at": {str(k): asdict(m) for k, m in summary.pass_at.items()},
            "levels": {level: asdict(m) for level, m in summary.levels.items()},
            "out": str(out) if out else None,
        }
        print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column, side in (("", "left"), ("value", "right"), ("SE", "right"), ("95%", "right"), ("problems", "right")):
        table.add_column(column, justify="left" if side == "left" else "right")
    table.add_row("accuracy", *_cells(summary.accuracy))
    for level, m in summary.levels.items():
        table.add_row(f"  {level}", *_cells(m))
    for k, m in summary.pass_at.items():
        if k > 1:  # pass@1 is the accuracy where all problems have as many samples
            table.add_row(f"pass@{k}", *_cells(m))
    console.print(table)
    left = f" of {of}" if of is not None else ""
    lines = [
        f"{counts['completions']} completions of {counts['problems']}{left} problems: {counts['right']} right, "
        f"{counts['undecided']} undecided, {counts['unanswered']} without an answer"
    ]
    if out is not None:
        lines.append(f"verdicts: {out}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _cells(m: Mean) -> tuple[str, str, str, str]:
    return f"{100 * m.value:.1f}%", f"{100 * m.se:.1f}", f"[{100 * m.low:.1f}, {100 * m.high:.1f}]", str(m.n)
