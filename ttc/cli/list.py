"""``ttc list``: what can be named on the command line and in config files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc import registry
from ttc.errors import TTCError, UnknownName
from ttc.verifier import make_verifier

__all__ = ["What", "catalogue", "list_command"]


class What(StrEnum):
    """What to list."""

    ALL = "all"
    STRATEGIES = "strategies"
    SUITES = "suites"
    VERIFIERS = "verifiers"
    COMPARATORS = "comparators"
    ANSWERS = "answers"
    TOOLS = "tools"


_KINDS = {
    What.STRATEGIES: "strategy",
    What.SUITES: "suite",
    What.VERIFIERS: "verifier",
    What.COMPARATORS: "comparator",
    What.ANSWERS: "answer type",
    What.TOOLS: "tool",
}


def _kind_names(incomplete: str) -> list[str]:
    return [what.value for what in What if what.startswith(incomplete)]


def list_command(
    what: Annotated[
        str, typer.Argument(help=f"One of {', '.join(What)}.", autocompletion=_kind_names, metavar="WHAT")
    ] = What.ALL.value,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List strategies, suites, verifiers, comparators, answer types and tools, with their parameters."""
    if what not in list(What):
        raise UnknownName("kind of things to list", what, What)
    listed = catalogue(What(what))
    if json:
        print(orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    for kind, entries in listed.items():
        console.print(f"{kind}\n", style="bold underline", highlight=False)
        if kind == What.SUITES:
            _overview(entries, console)
        for entry in entries:
            _show(entry, console)
    console.print("Parameters go behind a colon, as in majority:n=16,wave=4", highlight=False, style="dim")


def catalogue(what: What = What.ALL) -> dict[str, list[dict[str, Any]]]:
    """Return what is registered as plain data, by kind.

    Every entry has ``name``, ``description`` and ``parameters`` (each with ``name``, ``type``, ``default``,
    ``range`` and ``description``). Strategies add ``cost``, ``paper``, ``needs``, ``prefix_valid`` and ``step_scorer``
    (its verifier has to score steps, as it is by default), verifiers ``scores_steps``. Suites add ``ready`` and
    ``missing`` (what has to be got first, and how), ``origin`` (``hub`` where the first load needs the network),
    ``form`` (how it is written on the command line), and what is known of them: ``licence``, ``released``, ``size``,
    ``home``, ``paper``. One that cannot be imported has its ``error`` in their place.
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
        # Asked about one of ours that scores steps, and one that does not.
        entry["step_scorer"] = _accepts(thing, "self_certainty") and not _accepts(thing, "public_tests")
    elif kind == "verifier":
        entry["scores_steps"] = hasattr(thing, "score_steps")
    elif kind == "suite":
        entry |= _about_suite(name, thing)
    return entry


def _accepts(strategy: Any, verifier: str) -> bool:
    """Whether a strategy, as it is by default, works with a verifier."""
    try:
        strategy().accepts(make_verifier(verifier))
    except Exception:  # that of another package may have parameters without a default, or fail in any way
        return False
    return True


def _about_suite(name: str, suite: Any) -> dict[str, Any]:
    first = getattr(suite, "positional", "")
    about = cast("Mapping[str, Any]", getattr(suite, "about", {}))
    missing, origin = "", ""
    try:
        # A suite whose first value has no default, a file or a name, is asked what it lacks without one.
        config = suite.model_construct(**{first: ""}) if first else suite()
        missing, origin = config.missing(), getattr(config, "origin", str)()
    except TTCError as error:
        missing = str(error)
    except ValueError:
        missing = "it has parameters without a default"
    facts = {fact: about.get(fact, "") for fact in ("licence", "released", "size", "home", "paper")}
    form = f"{name}:{first.upper()}" if first else name
    return {"form": form, "missing": missing, "ready": not missing, "origin": origin, **facts}


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
            "range": registry.valid_range(field),
            "description": field.description or "",
        }
        for name, field in fields.items()
    ]


def _type(annotation: Any) -> str:
    """Name a type as people know it: ``int``, ``choice``, ``list``; None stands for a default and is no type."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(t) for t in get_args(annotation) if t is not NoneType)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type(get_args(annotation)[0])
    if origin is Literal:
        return "choice"
    if origin in (list, tuple, set, frozenset):
        return "list"
    return getattr(annotation, "__name__", str(annotation))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, cast('Sequence[object]', value)))}]"
    return str(value)


def _overview(entries: Sequence[dict[str, Any]], console: Console) -> None:
    """Print a line per suite: whether it runs now, how many problems it has, since when they are known, the licence."""
    table = Table(show_edge=False, box=None, padding=(0, 2, 0, 0))
    for heading, options in _OVERVIEW:
        table.add_column(heading, **options)
    for entry in entries:
        size = entry.get("size", "")
        now = _RUNS[_runs(entry)]
        table.add_row(
            Text(entry.get("form", entry["name"]), style="bold"),
            Text(*now),
            *map(Text, (f"{size:,}" if isinstance(size, int) else str(size), *(entry.get(f, "") for f in _FACTS))),
        )
    console.print(table)
    words = "ready: all is there; hub: fetched from the Hugging Face hub on first use; no: below is how to get it"
    console.print(Text(words, style="dim"))
    console.print()


_OVERVIEW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("suite", {"no_wrap": True}),
    ("now", {"no_wrap": True}),
    ("problems", {"justify": "right", "no_wrap": True}),
    ("public since", {"no_wrap": True}),
    ("licence", {}),
)
_FACTS = ("released", "licence")
_RUNS = {"ready": ("ready", "green"), "hub": ("hub", "cyan"), "no": ("no", "yellow")}


def _runs(entry: Mapping[str, Any]) -> str:
    return "no" if not entry.get("ready") else "hub" if entry.get("origin") == "hub" else "ready"


def _show(entry: dict[str, Any], console: Console) -> None:
    """Print an entry: its name, what it does, a line per parameter, and what else there is to know."""
    console.print(Text(entry.get("form", entry["name"]), style="bold"))
    for number, line in enumerate(_lines(entry)):
        hang = 6 if number else 2  # a parameter that goes on below stands out from the next one
        for i, part in enumerate(line.wrap(console, max(20, console.width - hang))):
            part.rstrip()
            console.print(Text(" " * (hang if i else 2)) + part)
    console.print()


def _lines(entry: dict[str, Any]) -> Iterator[Text]:
    if error := entry.get("error"):
        yield Text(error, style="red")
        return
    yield Text(entry["description"])
    for p in entry["parameters"]:
        words = {"bool": [p["type"]], "choice": [p["range"]]}.get(p["type"], [p["type"], p["range"]])
        about = ", ".join(filter(None, words))
        yield Text.assemble((p["name"], "cyan"), f"={_default(p)}", (f"  {about}: {p['description']}", "dim"))
    for fact in ("cost", "paper", "home"):
        if entry.get(fact) and entry[fact] not in entry.get("missing", ""):  # said once is enough
            yield Text.assemble((f"{fact}: ", "dim"), entry[fact])
    if entry.get("needs"):
        needs = ["step scorer" if n == "verifier" and entry["step_scorer"] else n for n in entry["needs"]]
        yield Text.assemble(("needs: ", "dim"), f"a {' and a '.join(needs)}")
    if entry.get("scores_steps"):
        yield Text("scores steps as well: tree searches work with it")
    if "ready" in entry:
        yield {
            "ready": Text("can run now", "green"),
            "hub": Text("can run now, fetched from the hub on first use", "cyan"),
            "no": Text.assemble(("cannot run yet: ", "yellow"), entry["missing"]),
        }[_runs(entry)]


def _default(parameter: dict[str, Any]) -> str:
    default = parameter["default"]
    if parameter["required"]:
        return "required"
    if isinstance(default, str) and default.startswith("["):
        return default.replace(",", ", ")  # so that a long list is wrapped between two of its values
    if default == "":
        return '""'
    return str(default).lower() if isinstance(default, bool) else "none" if default is None else str(default)
