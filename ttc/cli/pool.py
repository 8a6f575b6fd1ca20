"""``ttc pool``: recorded samples as files. Import others', see what is in a pool, export a run, draw curves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ttc.cli.out_file import refuse_unwritable
from ttc.cli.pool_curves import curves
from ttc.cli.pool_export import export
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ttc.pool_statistics import Lengths, PoolStatistics
    from ttc.statistics import Mean

__all__ = ["CostUnit", "import_command", "pool_app", "stats"]

pool_app = typer.Typer(
    name="pool",
    help="Recorded samples as files: import them, export them from a run, see what is in them, draw curves of them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class CostUnit(StrEnum):
    """What the cost of a sample is counted in."""

    TOKENS = "tokens"
    CHARACTERS = "characters"
    SAMPLES = "samples"


def import_command(
    file: Annotated[Path, typer.Argument(help="JSONL, gzipped or not: a problem a line, a list for each column.")],
    out: Annotated[Path | None, typer.Option(help="The pool to write (default: FILE's name in this folder).")] = None,
    columns: Annotated[
        str, typer.Option(help="Where fields are, as in answers=replies,right=correct,id=run+problem.")
    ] = "",
    where: Annotated[list[str] | None, typer.Option(help="Take rows with this value, as in model=phi-4.")] = None,
    unit: Annotated[CostUnit, typer.Option(help="What costs are counted in.")] = CostUnit.TOKENS,
    answer: Annotated[str, typer.Option(help="How answers are told apart, as in number or maths.")] = "text",
    score: Annotated[list[str] | None, typer.Option(help="A verifier's scores, as in reward=rm_score.")] = None,
    tags: Annotated[str, typer.Option(help="Columns that make the query class, with commas between them.")] = "",
    model: Annotated[str, typer.Option(help="The model's name (default: that of the rows).")] = "",
    thinking: Annotated[str, typer.Option(help="How samples were drawn: off, an effort, or a cap.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print what was imported as JSON.")] = False,
) -> None:
    """Make a pool of columns: one row a problem, and a list with a value for each sample."""
    from ttc.pool_files import import_pool, write_pool

    out = out or Path(re.sub(r"(\.jsonl?)?(\.gz)?$", "", file.name) + ".pool.jsonl.gz")
    refuse_unwritable(out)
    wanted: dict[str, list[str]] = {}
    for column, value in (_pair(text, "--where") for text in where or ()):
        wanted.setdefault(column, []).append(value)
    pool = import_pool(
        file,
        columns=dict(_pair(text, "--columns") for text in columns.split(",") if text.strip()),
        answer=answer,
        unit=unit.value,
        model=model,
        thinking=thinking,
        where=wanted,
        tags=[tag.strip() for tag in tags.split(",") if tag.strip()],
        scores=dict(_pair(text, "--score") for text in score or ()),
    )
    write_pool(pool, out)
    samples = sum(map(len, pool.problems))
    if json:
        facts = {"out": str(out), "model": pool.model, "problems": len(pool), "samples": samples, "unit": pool.unit}
        print(orjson.dumps({**facts, "info": pool.info}, option=orjson.OPT_INDENT_2).decode())
        return
    print(f"{len(pool):,} problems, {samples:,} samples of {pool.model}; costs in {pool.unit}")
    for what, n in pool.info["left_out"].items():
        print(f"left out: {n:,} {what}")
    for verifier, how in pool.info.get("squashed", {}).items():
        print(f"scores of {verifier} lie outside [0, 1] and were squashed: {how}")
    if undecided := pool.info.get("undecided"):
        print(f"{undecided:,} comparisons of answers ended undecided: those answers count as different")
    print(f"written to {out}")


def stats(
    pools: Annotated[list[Path], typer.Argument(help="Pools, as ttc record or ttc pool import made them.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, a list with an entry for each pool.")] = False,
) -> None:
    """Say what is in pools: how often samples are right, what they cost, what scores are worth, how hard problems are.

    Intervals are at 95%, over problems. Every number is of the pool's own problems.
    """
    from rich.console import Console

    from ttc.pool_files import read_pool
    from ttc.pool_statistics import pool_statistics

    found = [pool_statistics(read_pool(pool)) for pool in pools]
    if json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        data = [{"file": str(file), **_data(s)} for file, s in zip(pools, found, strict=True)]
        print(orjson.dumps(data, option=option).decode())
        return
    console = Console(highlight=False)
    for i, s in enumerate(found):
        if i:
            console.print()
        _show(s, console)


pool_app.command("import")(import_command)
pool_app.command("stats")(stats)
pool_app.command("export")(export)
pool_app.command("curves")(curves)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise ConfigurationError(f"{option} {text}: say NAME=COLUMN, with both of them" if option != "--where"
                                 else f"--where {text}: say COLUMN=VALUE, with both of them")  # fmt: skip
    return name, value


def _data(s: PoolStatistics) -> dict[str, Any]:
    data = asdict(s)
    data["classes"] = {name: {"problems": n, "pass_at_1": mean} for name, (n, mean) in data["classes"].items()}
    data["beta"] = s.beta._asdict() if s.beta else None
    return data


def _show(s: PoolStatistics, console: Console) -> None:
    from ttc.cli.printable import one_line

    thinking = f", thinking {s.thinking}" if s.thinking else ""
    alike = "" if s.groups == s.problems else f" in {s.groups:,} groups"
    console.print(one_line(f"{s.name}: {s.model}{thinking}"), style="bold", markup=False)
    console.print(
        f"{s.problems:,} problems{alike}, {s.samples:,} samples, {s.width:,} of each at the least; costs in {s.unit}"
    )
    if s.pass_at_1 is None:
        console.print("no verdicts: accuracies are not known", style="yellow")
    else:
        console.print(_accuracies(s))
        console.print(_spread(s), style="dim", markup=False)
    console.print(_costs(s))
    if s.classes:
        console.print(_table(
            ("class", "problems", "pass@1"), ((one_line(c), f"{n:,}", _interval(m)) for c, (n, m) in s.classes.items())
        ))  # fmt: skip
    if s.verifiers:
        rows = ((one_line(v), f"{x.scored:,}", _share(x.auc), _share(x.auc_within)) for v, x in s.verifiers.items())
        console.print(_table(("verifier", "scored", "AUC", "AUC within a problem"), rows))
    if s.cuts:
        cuts = (
            (f"{n:,}", _interval(c.accuracy), f"{c.cost:,.0f}", f"{c.without_answer:.1%}") for n, c in s.cuts.items()
        )
        console.print(_table(("cut at", "accuracy", f"{s.unit} a sample", "without an answer"), cuts))


def _accuracies(s: PoolStatistics) -> Table:
    rows = ((f"{n:,}", _interval(s.majority_at[n]), _interval(s.pass_at[n])) for n in s.pass_at)
    return _table(("n", "majority of n", "one of n (pass@n)"), rows)


def _spread(s: PoolStatistics) -> str:
    bins = ", ".join(f"{n:,}" for n in s.bins)
    beta = f"Beta({s.beta.a:.3g}, {s.beta.b:.3g})" if s.beta else "no Beta fits"
    return f"problems by P(a sample is right), in fifths from hard to easy: {bins}; {beta}"


def _costs(s: PoolStatistics) -> Table:
    rows = [_lengths(s.unit, s.lengths)]
    if s.seconds is not None:
        rows.append(_lengths("seconds", s.seconds))
    table = _table(("a sample's", "mean", "median", "p95", "right ones", "wrong ones"), rows)
    table.caption = f"without an answer: {s.without_answer:.1%}"
    table.caption_justify = "left"
    return table


def _lengths(name: str, found: Lengths) -> tuple[str, ...]:
    values = (found.mean, found.median, found.p95, found.right, found.wrong)
    return (name, *("-" if v is None else f"{v:,.0f}" if v >= 100 else f"{v:,.3g}" for v in values))


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _interval(mean: Mean | None) -> str:
    return "-" if mean is None else f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
