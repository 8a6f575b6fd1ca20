"""``ttc list``: what can be named on the command line and in config files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ttc import registry
from ttc.errors import TTCError

__all__ = ["What", "catalogue", "list_command"]


class What(StrEnum):
    """What to list."""

    ALL = "all"
    STRATEGIES = "strategies"
    SUITES = "suites"
    VERIFIERS = "verifiers"
    COMPARATORS = "comparators"
    ANSWERS = "answers"


_KINDS = {
    What.STRATEGIES: "strategy",
    What.SUITES: "suite",
    What.VERIFIERS: "verifier",
    What.COMPARATORS: "comparator",
    What.ANSWERS: "answer type",
}


def list_command(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.ALL,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List strategies, suites, verifiers, comparators and answer types, with their parameters."""
    listed = catalogue(what)
    if json:
        print(orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    for i, (kind, entries) in enumerate(listed.items()):
        if i:
            console.print()
        console.print(_table(kind, entries))
    console.print("\nParameters go behind a colon, as in majority:n=16,wave=4", highlight=False, style="dim")


def catalogue(what: What = What.ALL) -> dict[str, list[dict[str, Any]]]:
    """Return what is registered as plain data, by kind.

    Every entry has ``name``, ``description`` and ``parameters`` (each with ``name``, ``type``, ``default``,
    ``description``). Strategies add ``cost``, ``paper``, ``needs`` and ``prefix_valid``; suites ``ready`` and
    ``missing`` (what has to be got first, and how). One that cannot be imported has its ``error`` in their place.
    """
    kinds = [w for w in _KINDS if what in (w, What.ALL)]
    return {w.value: [_entry(_KINDS[w], name) for name in registry.names(_KINDS[w])] for w in kinds}


def _entry(kind: str, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "description": "", "parameters": []}
    try:
        thing = registry.load(kind, name)
    except Exception as error:  # another package's entry point may fail in any way; the rest is listed all the same
        return entry | {"error": f"{type(error).__name__}: {error}"}
    entry["description"] = _idea(thing)
    entry["parameters"] = _parameters(thing)
    if kind == "strategy":
        for fact in ("cost", "paper", "prefix_valid"):
            entry[fact] = getattr(thing, fact, "")
        entry["needs"] = sorted(getattr(thing, "needs", ()))
    elif kind == "suite":
        entry["missing"] = _missing(thing)
        entry["ready"] = not entry["missing"]
    return entry


def _idea(thing: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].replace("``", "").split())


def _parameters(thing: Any) -> list[dict[str, Any]]:
    fields = cast("Mapping[str, Any]", getattr(thing, "model_fields", {}))
    return [
        {
            "name": name,
            "type": _type(field.annotation),
            "default": None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
            "required": field.is_required(),
            "description": field.description or "",
        }
        for name, field in fields.items()
    ]


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, cast('Sequence[object]', value)))}]"
    return str(value)


def _missing(suite: Callable[[], Any]) -> str:
    try:
        return suite().missing()
    except TTCError as error:
        return str(error)
    except ValueError:
        return "it has parameters without a default"


def _table(kind: str, entries: list[dict[str, Any]]) -> Table:
    table = Table(title=kind, title_justify="left", title_style="bold", show_header=False, show_edge=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for entry in entries:
        table.add_row(entry["name"], "\n".join(_lines(entry)))
    return table


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    if error := entry.get("error"):
        yield f"[red]{escape(error)}[/]"
        return
    yield escape(entry["description"])
    for p in entry["parameters"]:
        value = "required" if p["required"] else "none" if p["default"] is None else p["default"]
        yield f"  [cyan]{escape(p['name'])}[/]={escape(str(value))}  [dim]{escape(p['description'])}[/]"
    for fact in ("cost", "paper"):
        if entry.get(fact):
            yield f"  [dim]{fact}:[/] {escape(entry[fact])}"
    if entry.get("needs"):
        yield f"  [dim]needs:[/] a {' and a '.join(entry['needs'])}"
    if "ready" in entry:
        yield (
            "  [green]can run now[/]" if entry["ready"] else f"  [yellow]cannot run yet:[/] {escape(entry['missing'])}"
        )
