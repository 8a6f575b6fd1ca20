"""``ttc list``: what can be named on the command line and in config files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
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
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


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
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _missing(suite: Callable[[], Any]) -> str:
    try:
        return suite().missing()
    except TTCError as error:
        return str(error)
    except ValueError:
        return "it has parameters without a default"


def _table(kind: str, entries: list[dict[str, Any]]) -> Table:
    table = Table(title=kind, title_justify="left", title_style="bold", show_edge=False, show_lines=True)
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("what it does", overflow="fold", ratio=3)
    for column in _facts(kind):
        table.add_column(column, overflow="fold", ratio=2)
    for entry in entries:
        if error := entry.get("error"):
            row = [f"[red]{escape(error)}[/]"]
        else:
            row = [escape(entry["description"]), *(f(entry) for f in _facts(kind).values())]
        table.add_row(entry["name"], *row)
    return table


def _facts(kind: str) -> dict[str, Callable[[dict[str, Any]], str]]:
    if kind == What.STRATEGIES:
        return {"parameters": _written, "cost": _cost, "from": lambda e: escape(e["paper"])}
    if kind == What.SUITES:
        return {"parameters": _written, "can run now": _readiness}
    return {"parameters": _written} if kind in (What.VERIFIERS, What.COMPARATORS) else {}


def _written(entry: dict[str, Any]) -> str:
    def one(p: dict[str, Any]) -> str:
        value = "required" if p["required"] else "-" if p["default"] is None else p["default"]
        about = f" [dim]{escape(p['description'])}[/]" if p["description"] else ""
        return escape(f"{p['name']}={value}") + about

    return "\n".join(map(one, entry["parameters"])) or "-"


def _cost(entry: dict[str, Any]) -> str:
    needs = f"\n[dim]needs a {' and a '.join(entry['needs'])}[/]" if entry["needs"] else ""
    return escape(entry["cost"]) + needs


def _readiness(entry: dict[str, Any]) -> str:
    return "[green]yes[/]" if entry["ready"] else f"[yellow]no[/]: {escape(entry['missing'])}"
