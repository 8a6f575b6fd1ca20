"""``ttc runs``: the runs of a folder, newest first, or one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ttc.cli.completion import run_names
from ttc.cli.printable import one_line

if TYPE_CHECKING:
    from ttc.evals.run_list import RunFacts, Work

__all__ = ["runs_command"]

_COLOURS = {"complete": "green", "unfinished": "yellow", "damaged": "red", "being written": "cyan"}


def runs_command(
    run: Annotated[
        str | None,
        typer.Argument(help="Show this one (name or path), else list all.", autocompletion=run_names),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")] = False,
) -> None:
    """List the runs of a folder, newest first: what each is of, how far it is, and what it cost."""
    from ttc.evals.run_list import list_runs
    from ttc.evals.tables import console_width

    if run is not None:
        _show_one(runs, run, as_json=json)
        return
    found = list_runs(runs)
    if json:
        _print([plain(facts) for facts in found])
        return
    if not found:
        print(f"There are no runs in {runs}: 'ttc eval' makes one, --runs looks elsewhere.")
        return
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, right in (
        ("run", False),
        ("state", False),
        ("queries", True),
        ("suites", False),
        ("model", False),
        ("strategies", False),
        ("started", False),
        ("calls", True),
        ("tokens", True),
        ("$", True),
    ):
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=column == "run")
    for facts in found:
        table.add_row(*_cells(facts))
    if not console.is_terminal:
        console = Console(width=max(80, console_width(table)))  # a file has no edge
    console.print(table)
    for facts in found:
        if facts.damage:
            console.print(
                one_line(f"{facts.name}: {facts.damage}"), style="red", markup=False, highlight=False, soft_wrap=True
            )


def plain(facts: RunFacts) -> dict[str, Any]:
    """Return what is known of a run as plain data, for JSON."""
    return {
        "run": facts.name,
        "directory": str(facts.directory),
        "state": facts.state,
        "damage": facts.damage,
        "suites": facts.suites,
        "models": facts.models,
        "strategies": facts.strategies,
        "done": facts.done,
        "total": facts.total,
        "started": facts.started,
        "calls": facts.calls,
        "tokens": facts.tokens,
        "paid": {
            name: {
                "calls": paid.calls,
                "prompt_tokens": paid.prompt_tokens,
                "cached_tokens": paid.cached_tokens,
                "generated_tokens": paid.generated_tokens,
                "answered_by_cache": paid.answered_by_cache,
            }
            for name, paid in facts.paid.items()
        },
        "dollars": facts.dollars,
    }


def _show_one(runs: Path, run: str, *, as_json: bool) -> None:
    from ttc.errors import RunError
    from ttc.evals.run_directory import CARD, find_run, resolve
    from ttc.evals.run_list import facts_of, work_of

    path = Path(run).absolute() if "/" in run else resolve(runs, run)
    facts = facts_of(path if (path / CARD).is_file() else find_run(runs, run))
    try:
        work = work_of(facts.directory)
    except RunError:  # what is wrong is in the facts
        work = []
    if as_json:
        each = [{name: getattr(w, name) for name in w.__dataclass_fields__} for w in work]
        _print({**plain(facts), "work": each})
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in _lines(facts):
        console.print(one_line(line), markup=False)
    if work:
        console.print(_work_table(work))


def _lines(facts: RunFacts) -> list[str]:
    total = "?" if facts.total is None else f"{facts.total:,}"
    lines = [
        f"{facts.name}: {facts.state}, {facts.done or 0:,} of {total} queries done, started {facts.started or '?'}"
    ]
    if facts.damage:
        lines.append(facts.damage)
    lines.append(f"suites: {', '.join(facts.suites) or '?'}")
    lines.append(f"strategies: {', '.join(facts.strategies) or '?'}")
    for name, paid in facts.paid.items():
        cached = f"; {paid.answered_by_cache:,} more answered by the cache" if paid.answered_by_cache else ""
        lines.append(
            f"{name or ', '.join(facts.models)}: {paid.calls:,} calls paid, {paid.prompt_tokens:,} prompt tokens "
            f"({paid.cached_tokens:,} of them cached) and {paid.generated_tokens:,} generated{cached}"
        )
    if facts.dollars is not None:
        lines.append(f"${facts.dollars:,.4f} at the prices on its card")
    lines.append(str(facts.directory))
    if facts.state == "unfinished":
        command = "ttc record --out POOL" if _is_recording(facts) else "ttc eval"
        lines.append(f"go on with: {command} --resume {facts.name}")
    return lines


def _is_recording(facts: RunFacts) -> bool:
    return any(strategy.startswith("recording:") for strategy in facts.strategies)


def _work_table(work: list[Work]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("suite", "model", "strategy"):
        table.add_column(column, overflow="fold")
    for column in ("done", "right", "failed"):
        table.add_column(column, justify="right")
    for w in work:
        share = f"{w.right / w.done:.1%}" if w.done else ""
        table.add_row(
            *map(_cell, (w.suite, w.model, w.spec)), f"{w.done:,}", share, f"{w.failed:,}" if w.failed else ""
        )
    return table


def _cells(facts: RunFacts) -> list[str]:
    done = "?" if facts.done is None else f"{facts.done:,}"
    total = "?" if facts.total is None else f"{facts.total:,}"
    colour = _COLOURS[facts.state]
    return [
        _cell(facts.name),
        f"[{colour}]{facts.state}[/]",
        f"{done}/{total}",
        _cell(", ".join(facts.suites), 40),
        _cell(", ".join(Path(name).name for name in facts.models), 30),
        _cell(", ".join(facts.strategies), 50),
        _cell(facts.started[:16].replace("T", " ")),
        f"{facts.calls:,}" if facts.paid else "",
        "" if facts.tokens is None or not facts.paid else f"{facts.tokens:,}",
        "" if facts.dollars is None else f"{facts.dollars:,.2f}",
    ]


def _cell(text: str, length: int | None = None) -> str:
    """A text that others wrote, for a cell: one line, without markup."""
    from rich.markup import escape

    return escape(one_line(text, length))


def _print(data: Any) -> None:
    print(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())
