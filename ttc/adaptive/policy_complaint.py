"""What is wrong with a policy file, said with its line and its field, in the names of the file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NoReturn, TypeAlias

import pydantic
from pydantic_core import ErrorDetails

from ttc.adaptive.classes import ClassRule
from ttc.adaptive.policy import Policy
from ttc.adaptive.policy_rows import Escalation, Estimation, Expected, MisplacedValue, Row
from ttc.adaptive.toml_text import line_of
from ttc.errors import ConfigurationError

__all__ = ["TABLE", "complaint", "gravest", "refuse", "said_of", "unknown_field"]

TABLE = ("version", "model", "made", "unit", "rate", "calibrated", "classes", "difficulty", "row")
"""What stands in the TOML file."""

Place: TypeAlias = tuple[str | int, ...]
PARTS: dict[Place, type[pydantic.BaseModel]] = {
    (): Policy,
    ("classes", "rules"): ClassRule,
    ("difficulty",): Estimation,
    ("row",): Row,
    ("row", "escalate"): Escalation,
    ("row", "expected"): Expected,
}


def refuse(path: Path, text: str, place: Place, said: str) -> NoReturn:
    """Raise a ConfigurationError that names file, line and field."""
    line = line_of(text, place)
    words = [f"row {part + 1}" if isinstance(part, int) and place[0] == "row" else str(part) for part in place]
    words = words[1:] if len(words) > 1 and place[0] == "row" else words
    where = [str(path), *([] if line is None else [f"line {line}"]), ", ".join(filter(None, words))]
    raise ConfigurationError(f"{', '.join(filter(None, where))}: {said}")


def gravest(error: pydantic.ValidationError) -> ErrorDetails:
    """The first thing that is wrong; a name that is not known before one that is missing, since it may be that one."""
    return min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")


def complaint(error: ErrorDetails) -> tuple[Place, str]:
    """Say where it is, by the names of the file, and what is wrong there."""
    place: Place = error["loc"]
    if place[:1] == ("classes",) and place[1:2] and place[1] in ("tags", "rules", "clusters", "function"):
        place = ("classes", *place[2:])  # the second one is the kind
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedValue):
        return cause.loc, str(cause)
    if len(place) > 2 and place[0] != "row" and isinstance(place[-1], int):
        place = place[:-1]
    if place[:1] == ("row",) and len(place) > 3 and isinstance(place[-1], int):
        place = place[:-1]  # one of a pair
        if error["type"] == "missing":
            return place, "must be a pair of numbers, [low, high]"
    if error["type"] == "extra_forbidden":
        names = [part for part in place if not isinstance(part, int)]
        return place, unknown_field(tuple(names[:-1]), names[-1])
    return place, said_of(error)


def said_of(error: ErrorDetails) -> str:
    """Say what is wrong with a value, and what it is where that is short."""
    if error["type"] == "missing":
        return "is missing"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be").replace("Input", "it")
    value = repr(error["input"])
    if error["type"] == "value_error" or len(value) > 60 or isinstance(error["input"], dict | list):
        return said
    return f"{said}, and is {value}"


def unknown_field(part: Place, name: str) -> str:
    """Say that a part of the file has no such field, which are near, and which there are."""
    if part in PARTS:
        known = [str(f.validation_alias or n) for n, f in PARTS[part].model_fields.items()]
        known = [n for n in known if n in TABLE or part] + ([] if part else ["side", "side_hash"])
    else:
        known = []
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown field.{hint}" + (f" Known: {', '.join(known)}." if known else "")
