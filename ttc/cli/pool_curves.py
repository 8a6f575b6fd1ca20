"""``ttc pool curves``: accuracy against cost of strategies that are replayed over recorded samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from ttc.cli.completion import strategy_names
from ttc.cli.out_file import refuse_unwritable
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.summary import Summary

__all__ = ["curves"]


def curves(
    pool: Annotated[Path, typer.Argument(help="A pool, as ttc record, ttc pool import or ttc pool export made it.")],
    strategy: Annotated[
        list[str],
        typer.Option("--strategy", "-s", help="A strategy's spec; several times.", autocompletion=strategy_names),
    ],
    budgets: Annotated[str, typer.Option(help="Values of n, with commas between them.")] = "1,2,4,8",
    orders: Annotated[int, typer.Option(help="Orders of each problem's samples.", min=1)] = 20,
    verifier: Annotated[str | None, typer.Option(help="A verifier that the pool has scores of.")] = None,
    seed: Annotated[int, typer.Option(help="Of the orders.")] = 0,
    png: Annotated[Path | None, typer.Option(help="Draw the curves into this PNG, and an SVG beside it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Draw curves from recorded samples: the strategies run, and no model is asked.

    Each runs on several orders of every problem's samples. Points, intervals and comparisons are those of an eval.
    """
    from rich.console import Console

    from ttc.cli.counting import counting
    from ttc.evals.recordings.replayed_curves import replayed_curves
    from ttc.evals.summary import summary_to_json
    from ttc.pool_files import read_pool

    if png is not None:
        refuse_unwritable(png)
    read = read_pool(pool)
    sizes = _sizes(budgets)

    async def replay() -> Summary:
        with counting(Console(stderr=True), len(read), "problems replayed") as step:
            return await replayed_curves(
                read,
                strategy,
                budgets=sizes,
                orders=orders,
                verifier=verifier,
                seed=seed,
                on_progress=lambda _: step(),
            )

    summary = anyio.run(replay)
    if png is not None:
        from ttc.evals.figures.curves import draw_curves

        draw_curves(summary, png, png.with_suffix(".svg"))
    if json:
        print(summary_to_json(summary).decode(), end="")
        return
    _show(summary)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ConfigurationError(f"--budgets {text}: give whole numbers from one on, e.g. 1,2,4,8")
    return found


def _show(summary: Summary) -> None:
    from rich.console import Console

    from ttc.evals.tables import console_width, footnotes, summary_table

    out = Console(highlight=False)
    table = summary_table(summary)
    if console_width(table) > out.width:
        if out.is_terminal:
            table = summary_table(summary, compact=True)
        else:
            out = Console(width=console_width(table), highlight=False)  # a file has no edge
    out.print(table)
    for note in footnotes(summary):
        out.print(note, style="dim", soft_wrap=True, markup=False)
