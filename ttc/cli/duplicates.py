"""``ttc duplicates``: problems that a suite has twice, shows in its examples, or shares with other suites and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc.cli.completion import suite_names
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.duplicates import Pair
    from ttc.evals.suite import Suite

__all__ = ["duplicates"]

_COLUMNS = ("question", "problem", "prompt", "query", "Question", "Problem", "text")


def duplicates(
    suite: Annotated[str, typer.Argument(help="The suite, as in svamp:path=FILE.", autocompletion=suite_names)],
    others: Annotated[
        list[str] | None,
        typer.Argument(
            help="What it is compared with: suites, and JSONL, JSON or CSV files.", autocompletion=suite_names
        ),
    ] = None,
    *,
    threshold: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Share of the shorter text's eight-word runs that both have.")
    ] = 0.5,
    column: Annotated[str | None, typer.Option(help="Column of the files' texts; question, problem or prompt.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Pairs shown of each comparison.")] = 10,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, all pairs in it.")] = False,
) -> None:
    """Find near-duplicates within a suite, with its worked examples, and with other suites or files."""
    from ttc.evals.duplicates import check_suite, suite_texts, worked_examples
    from ttc.evals.suite import load_suite

    if _looks_like_a_file(suite):
        raise ConfigurationError(
            f"{suite}: a suite comes first, and files behind it; problems of a file are one as file:{suite},prompt=..."
            if Path(suite).expanduser().is_file()
            else f"{suite}: there is no such file (and a suite comes first, such as file:{suite},prompt=...)"
        )
    loaded = load_suite(suite)
    texts = {other: _texts(other, column) for other in others or ()}
    found = check_suite(loaded, texts, threshold=threshold)
    if json_:
        print(orjson.dumps({"suite": suite, "threshold": threshold, "pairs": found}).decode())
        return
    texts = {"itself": suite_texts(loaded), "its examples": worked_examples(loaded), **texts}
    console = Console()
    for other, pairs in found.items():
        if texts[other]:
            _show(loaded, other, texts[other], pairs=pairs, show=show, console=console)


def _texts(other: str, column: str | None) -> Mapping[str, str]:
    """Read a file's texts, each once, or a suite's questions."""
    from ttc.evals.duplicates import suite_texts
    from ttc.evals.suite import load_suite
    from ttc.evals.suites.rows import file_rows, files

    absent = [file for file in files(other) if not file.is_file()]
    if absent:
        if _looks_like_a_file(other):
            raise ConfigurationError(f"{absent[0]}: there is no such file")
        return suite_texts(load_suite(other))
    seen: dict[str, str] = {}
    for row in file_rows(other):
        seen.setdefault(row.text(*([column] if column else _COLUMNS)), row.where)
    if not seen:
        raise ConfigurationError(f"{other}: the file is empty, so there is nothing to compare with")
    return {where: text for text, where in seen.items()}


def _looks_like_a_file(name: str) -> bool:
    """Whether a name means a file: it has a folder or a file's ending in it, and no suite's name before a colon."""
    return ":" not in name and ("/" in name or bool(Path(name).suffix) or Path(name).is_file())


def _show(
    suite: Suite, other: str, texts: Mapping[str, str], *, pairs: Sequence[Pair], show: int, console: Console
) -> None:
    of = "" if other == "itself" else f" ({len(texts):,} texts)"
    number = f"{len(pairs):,} pair{'s' * (len(pairs) != 1)}"
    title = f"{suite.name} ({len(suite.problems):,} problems) and {other}{of}: {number}"
    console.print(Text(title, style="bold" if pairs else "dim"))
    if not pairs or not show:
        return
    from ttc.evals.duplicates import suite_texts

    questions = suite_texts(suite)
    table = Table(show_edge=False, box=None, padding=(0, 2, 0, 0))
    for name, options in _COLUMN_STYLES:
        table.add_column(name, **options)
    for pair in pairs[:show]:
        numbers = "same" if pair.same_numbers else "differ"
        names = Text(f"{pair.first}\n{_end(pair.second)}")
        said = Text(f"{_line(questions[pair.first])}\n{_line(texts[pair.second])}", style="dim", no_wrap=True)
        said.overflow = "ellipsis"
        table.add_row(f"{pair.similarity:.2f}", numbers, names, said)
    console.print(table)
    if len(pairs) > show:
        console.print(Text(f"... and {len(pairs) - show:,} more (--show)", style="dim"))
    console.print()


_COLUMN_STYLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("alike", {}),
    ("numbers", {}),
    ("which", {"overflow": "fold"}),
    ("text", {"ratio": 1}),
)


def _line(text: str) -> str:
    return " ".join(text.split())


def _end(name: str) -> str:
    """Leave out a path's folders."""
    return name.rpartition("/")[2] if name.startswith(("/", "~", ".")) else name
