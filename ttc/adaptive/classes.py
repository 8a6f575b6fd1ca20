"""Query classes: what kind of query it is, before anything is known of how hard this one is.

Policies have rows by class. A class comes from tags, from rules, from clusters of recorded prompts, or from a function.
A query that belongs nowhere is of class ``default``, and :meth:`QueryClasses.look_up` says why, so that it can be told.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import pydantic
from pydantic import Field, TypeAdapter
from pydantic_core import ErrorDetails

from ttc.adaptive.class_clusters import ClusterClasses
from ttc.adaptive.class_rules import ClassRule, RuleClasses
from ttc.adaptive.query_class import DEFAULT, ClassOf, FunctionClasses, QueryClasses, TagClasses
from ttc.errors import ConfigurationError

__all__ = [
    "DEFAULT",
    "AnyClasses",
    "ClassOf",
    "ClassRule",
    "ClusterClasses",
    "FunctionClasses",
    "QueryClasses",
    "RuleClasses",
    "TagClasses",
    "classes_from_json",
    "classes_from_toml",
    "make_classes",
    "read_classes",
]

AnyClasses: TypeAlias = Annotated[
    TagClasses | RuleClasses | ClusterClasses | FunctionClasses, Field(discriminator="kind")
]
"""For fields of pydantic models that hold query classes."""

_ANY: TypeAdapter[AnyClasses] = TypeAdapter(AnyClasses)


def classes_from_json(text: str | bytes, *, where: str = "query classes") -> QueryClasses:
    """Read what :meth:`QueryClasses.to_json` returned.

    Raises:
        ConfigurationError: it is something else; names ``where`` and the field.
    """
    try:
        return _ANY.validate_json(text)
    except pydantic.ValidationError as error:
        raise ConfigurationError(f"{where}: {_told(error)}") from None


def classes_from_toml(text: str, *, where: str = "query classes") -> QueryClasses:
    """Read rules (``[[class]]`` tables) or names of tags (``tags = ["family"]``).

    Args:
        text: TOML.
        where: the file, for messages.

    Raises:
        ConfigurationError: names ``where``, the line or the entry, and the field.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{where} is not TOML: {error}") from None
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*class\s*\]\]", line)]
    return make_classes(data, where=where, lines=lines)


def make_classes(
    data: Mapping[str, Any], *, where: str = "query classes", lines: list[int] | None = None
) -> QueryClasses:
    """Make query classes of what a TOML file, or a table of one, holds.

    Args:
        data: ``class``, a list of rules, or ``tags``, a list of names; ``known`` with either of them.
        where: the file, for messages.
        lines: where each rule stands in the file, for messages.

    Raises:
        ConfigurationError: names ``where``, the entry and the field.
    """
    if unknown := sorted(set(data) - {"class", "tags", "known"}):
        raise ConfigurationError(f"{where}: unknown setting '{unknown[0]}'. Known: class, tags, known")
    if ("class" in data) == ("tags" in data):
        raise ConfigurationError(f'{where}: give rules ([[class]] tables) or tags (tags = ["family"]), one of the two')
    content = {"known": data.get("known", ())}
    try:
        if "tags" in data:
            return TagClasses(tags=data["tags"], **content)
        return RuleClasses(rules=data["class"], **content)
    except pydantic.ValidationError as error:
        place = _gravest(error)["loc"]
        at = ""
        if place[:1] == ("rules",) and len(place) > 1 and isinstance(place[1], int):
            line = f", line {lines[place[1]]}" if lines and place[1] < len(lines) else ""
            at = f"{line}: class {place[1] + 1}"
        raise ConfigurationError(f"{where}{at}: {_told(error, skip=2 if at else 0)}") from None


def read_classes(path: Path) -> QueryClasses:
    """Read query classes from a file: TOML, or JSON where its name ends so.

    Raises:
        ConfigurationError: it cannot be read, or is malformed: names the file, the line or entry, and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text: {error}") from None
    read = classes_from_json if path.suffix == ".json" else classes_from_toml
    return read(text, where=str(path))


def _gravest(error: pydantic.ValidationError) -> ErrorDetails:
    """The first thing that is wrong; an unknown field before a missing one, since it may be that one."""
    return min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")


def _told(error: pydantic.ValidationError, *, skip: int = 0) -> str:
    first = _gravest(error)
    place = first["loc"]
    if first["type"] == "extra_forbidden":
        inside = ".".join(map(str, place[skip:-1]))
        known = ClassRule.model_fields if "rules" in place[:-2] else {}
        return f"{inside}{inside and ': '}{_unknown(str(place[-1]), known)}"
    said = first["msg"].removeprefix("Value error, ")
    field = ".".join(map(str, place[skip:]))
    return f"{field}: {said}." if field else f"{said}."


def _unknown(field: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(field, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    names = ", ".join(known)
    return f"unknown field '{field}'.{hint}{f' Known: {names}.' if names else ''}"
