"""``ttc grade``: completions from anywhere, graded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc.cli.completion import answer_type_names, suite_names
from ttc.cli.counting import counting
from ttc.cli.out_file import refuse_unwritable
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
        str | None,
        typer.Option(
            help="Without a suite: how answers compare; by default number where all gold answers are, else text.",
            autocompletion=answer_type_names,
        ),
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
    from ttc.evals.completions import fitting_type, of_columns, of_suite, summarise
    from ttc.evals.suite import load_suite

    if (suite is None) == (gold_field is None):
        raise ConfigurationError("give either --suite, or --gold-field (and --answer-type), to say what is right")
    if suite is not None and answer_type is not None:
        raise ConfigurationError(f"--answer-type {answer_type}: the suite says how its answers compare")
    if out is not None:
        refuse_unwritable(out)
    loaded = load_suite(suite) if suite is not None else None
    inferred = loaded is None and answer_type is None
    if loaded is not None:
        completions = of_suite(file, loaded, id_field=id_field, text_field=text_field)
    else:
        answer_type = answer_type or fitting_type(file, gold_field or "")
        completions = of_columns(file, gold_field or "", answer_type, id_field=id_field, text_field=text_field)

    async def run(count: Callable[[], None]) -> list[Graded]:
        from ttc.evals.completions import grade_completions

        cores = len(os.sched_getaffinity(0))
        return await grade_completions(completions, loaded and loaded.grader, at_a_time=cores, on_done=count)

    with counting(Console(stderr=True), len(completions), "completions") as count:
        graded = anyio.run(run, count)
    if out is not None:
        _write(out, graded)
    how = {
        "file": str(file),
        "suite": suite,
        "suite_problems": len(loaded.problems) if loaded else None,
        "answer_type": answer_type,
        "answer_type_inferred": inferred,
        "isolation": getattr(loaded.grader, "isolation", "") if loaded else "",
        "out": str(out) if out else None,
    }
    _show(summarise(graded), how, as_json=json)


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


def _show(summary: Summary, how: Mapping[str, Any], *, as_json: bool) -> None:
    counts = summary.counts
    if as_json:
        data: dict[str, Any] = {
            **how,
            **counts,
            "accuracy": asdict(summary.accuracy),
            "pass_at": {str(k): asdict(m) for k, m in summary.pass_at.items()},
            "levels": {level: asdict(m) for level, m in summary.levels.items()},
        }
        print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column, side in (("", "left"), ("value", "right"), ("SE", "right"), ("95%", "right"), ("problems", "right")):
        table.add_column(column, justify="left" if side == "left" else "right")
    table.add_row("accuracy", *_cells(summary.accuracy))
    for level, m in summary.levels.items():
        table.add_row(Text(f"  {level}"), *_cells(m))  # a level may hold what rich reads as markup
    for k, m in summary.pass_at.items():
        if k > 1:  # pass@1 is the accuracy where all problems have as many samples
            table.add_row(f"pass@{k}", *_cells(m))
    console.print(table)
    n, problems, of = counts["completions"], counts["problems"], how["suite_problems"]
    left = f"{problems} of {of}" if of is not None else str(problems)
    lines = [
        f"{n} completion{'s' * (n != 1)} of {left} problem{'s' * ((of or problems) != 1)}: {counts['right']} right, "
        f"{counts['undecided']} undecided, {counts['unanswered']} without an answer"
    ]
    if how["answer_type_inferred"]:
        lines.append(f"answers compared as {how['answer_type']}, which fits the gold ones; --answer-type takes another")
    if how["out"] is not None:
        lines.append(f"verdicts: {how['out']}")
    if how["isolation"]:
        lines.append(f"isolation: {how['isolation']}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _cells(m: Mean) -> tuple[str, str, str, str]:
    return f"{100 * m.value:.1f}%", f"{100 * m.se:.1f}", f"[{100 * m.low:.1f}, {100 * m.high:.1f}]", str(m.n)
