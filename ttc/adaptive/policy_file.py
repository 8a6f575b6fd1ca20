"""The two files of a policy: a table in TOML for people, and beside it JSON with what was fitted. Neither is code."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import Field
from pydantic_core import PydanticSerializationError

from ttc.adaptive.policy import VERSION, Policy
from ttc.adaptive.policy_complaint import TABLE, complaint, gravest, refuse, said_of, unknown_field
from ttc.adaptive.policy_rows import PolicyPart, Row
from ttc.adaptive.provenance import Provenance
from ttc.adaptive.toml_text import toml_key, toml_value
from ttc.errors import ConfigurationError
from ttc.types import digest

__all__ = ["read_policy", "table_digest", "write_policy"]

HEAD = {
    "version": "of this file",
    "model": "the served name that it was tuned for; empty: any",
    "made": "",
    "unit": "what its costs are in",
    "rate": "the going rate: the accuracy that one more of them has to bring",
    "calibrated": "false: a prior that was tuned on nothing",
}
TITLE = "# What to do with a query, by its class and how hard it seems; docs/policies.md says what each field means.\n"
ROWS = """
# The rows. difficulty: P(one sample is correct), from low up to high. strategy = "": return what the probe says.
# Where a row leaves them out: stop (a learned stop), thinking, model, verifier, budget and escalate are not set.
"""


class _Side(PolicyPart):
    """What the JSON file holds."""

    kind: Literal["ttc policy"] = "ttc policy"
    version: int = VERSION
    tuned: str = ""
    provenance: Provenance | None = None
    estimator: dict[str, Any] | None = None
    confidence: dict[str, Any] | None = None
    stops: dict[str, dict[str, Any]] = Field(default_factory=dict)
    clusters: dict[str, Any] | None = None
    hashes: list[str] = Field(default_factory=list)


SIDE = tuple(name for name in _Side.model_fields if name not in ("kind", "version"))


# -- writing ----------------------------------------------------------------------------------------------------------


def table_digest(policy: Policy) -> str:
    """Hash what the TOML file says of a policy, comments and layout aside."""
    return digest(json.loads(json.dumps(_table(policy), default=str)))


def write_policy(policy: Policy, path: Path) -> None:
    """Write both files, each whole or not at all; the JSON file has the stem of the other one.

    Raises:
        ConfigurationError: they cannot be written there, or what was fitted is no plain data.
    """
    path = path.absolute()
    beside = path.with_suffix(".json")
    if beside == path:
        raise ConfigurationError(f"{path}: a policy is TOML, and what is fitted goes into the .json beside it")
    side = _side_text(policy)
    named = "" if side is None else f"side = {toml_value(beside.name)}\nside_hash = {toml_value(_hash(side))}\n"
    new = [(beside, side)] if side is not None else []
    new.append((path, _toml(policy, named).encode()))
    temporary = {target: target.with_name(f".{target.name}.new") for target, _ in new}
    try:
        for target, content in new:
            temporary[target].write_bytes(content)
        for target, _ in new:  # between the two a mismatch of the hash would be noticed
            temporary[target].replace(target)
    except OSError as error:
        for left in temporary.values():
            left.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


def _table(policy: Policy) -> dict[str, Any]:
    """What stands in the TOML file, under its names there; what is not set is left out."""
    table = policy.model_dump(by_alias=True, include={*HEAD, "difficulty"}, exclude_none=True)
    table["difficulty"] = {k: v for k, v in table["difficulty"].items() if v != ""}
    table["classes"] = _classes(policy)
    table["row"] = [_row(row) for row in policy.rows]
    return table


def _classes(policy: Policy) -> dict[str, Any]:
    """How queries are sorted; the numbers of clusters are not for people and stand in the other file."""
    if policy.classes is None:
        return {}
    dumped = policy.classes.model_dump(mode="json", exclude_defaults=True)
    found = {name: value for name, value in dumped.items() if value != []} or {"tags": []}
    kind = policy.classes.kind
    return {"kind": kind, **found} if kind == "function" else {"kind": kind} if kind == "clusters" else found


def _row(row: Row) -> dict[str, Any]:
    dumped = row.model_dump(by_alias=True, exclude_defaults=True)
    found = dict[str, Any]({"class": row.query_class, "difficulty": list(row.difficulty)}, **dumped)
    for part in (found, found.get("escalate", {})):
        if str(part.get("thinking", "")).isdigit():
            part["thinking"] = int(part["thinking"])
    return found


def _toml(policy: Policy, named: str) -> str:
    table = _table(policy)
    lines = [f"{name} = {toml_value(table[name])}" for name in HEAD]
    width = max(map(len, lines)) + 2
    notes = [f"# {note}" if note else "" for note in HEAD.values()]
    text = TITLE + "".join(f"{line:{width}}{note}".rstrip() + "\n" for line, note in zip(lines, notes, strict=True))
    text += named
    for name in ("classes", "difficulty"):
        text += _section(f"[{name}]", table[name]) if table[name] else ""
    return text + ROWS + "".join(_section("[[row]]", row) for row in table["row"])


def _section(header: str, values: dict[str, Any]) -> str:
    inner = {k: v for k, v in values.items() if k in ("escalate", "expected")}
    text = f"\n{header}\n" + "".join(f"{toml_key(k)} = {toml_value(v)}\n" for k, v in values.items() if k not in inner)
    return text + "".join(_section(f"[row.{name}]", part)[1:] for name, part in inner.items())


def _side_text(policy: Policy) -> bytes | None:
    """The JSON file, a line for each part; None where there is nothing to put into it."""
    try:
        found = policy.model_dump(mode="json", include={"hashes", "provenance"})
        found |= {name: getattr(policy, name) for name in ("estimator", "stops", "confidence")}
        if policy.classes is not None and policy.classes.kind == "clusters":
            found["clusters"] = policy.classes.model_dump(mode="json")
        if not any(found.values()):
            return None
        found["tuned"] = policy.tuned or table_digest(policy)
        parts = {"kind": "ttc policy", "version": policy.version, **{name: found.get(name) for name in SIDE}}
        lines = [f" {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in parts.items() if v]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    except (PydanticSerializationError, TypeError, ValueError) as error:
        raise ConfigurationError(f"what was fitted is no plain data, which a policy is kept as: {error}") from None


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


# -- reading ----------------------------------------------------------------------------------------------------------


def read_policy(path: Path, *, force: bool = False) -> Policy:
    """Read both files.

    Raises:
        ConfigurationError: one cannot be read or holds something else; names file, line and field.
    """
    text = _text_of(path, "; 'ttc tune' makes one")
    data = _toml_of(path, text)
    version = data.get("version")
    if isinstance(version, int) and version != VERSION and not force:
        refuse(
            path, text, ("version",), f"it is of version {version}, and this ttc knows version {VERSION}: tune it anew "
            "('ttc tune'), or use it as far as it can be understood: --force-policy",
        )  # fmt: skip
    side = _read_side(path, text, data)
    if unknown := [name for name in data if name not in TABLE]:
        refuse(path, text, (unknown[0],), unknown_field((), unknown[0]))
    try:
        clusters = side.pop("clusters", None)
        if data.get("classes") == {"kind": "clusters"} and clusters is not None:
            data["classes"] = clusters
        return Policy(**data, **side)
    except pydantic.ValidationError as error:
        place, said = complaint(gravest(error))
        refuse(path, text, place, said)


def _text_of(path: Path, hint: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"policy {path} cannot be read: {error.strerror or error}{hint}") from None
    except ValueError as error:  # a path that holds a zero
        raise ConfigurationError(f"policy {str(path)!r} cannot be read: {error}") from None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}, line {line}: is not text in UTF-8: {error.reason}") from None


def _toml_of(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).removesuffix(")").partition(" (at ")
        line = text.count("\n") + 1 if place == "end of document" else place.partition(",")[0].removeprefix("line ")
        raise ConfigurationError(f"{path}, line {line}: is not TOML: {said[:1].lower()}{said[1:]}") from None
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigurationError(f"{path} is not TOML that can be read: {said}") from None


def _read_side(path: Path, text: str, data: dict[str, Any]) -> dict[str, Any]:
    """Take the two fields out that name the file beside it, and read that."""
    name, known = data.pop("side", ""), data.pop("side_hash", "")
    if name == "":
        return {}
    if not isinstance(name, str) or Path(name).name != name:
        refuse(path, text, ("side",), f"must be the name of a file in the same folder, and is {name!r}")
    beside = path.with_name(name)
    content = _text_of(beside, f", which {path.name} names: the two belong together").encode()
    if _hash(content) != known:
        refuse(
            path, text, ("side_hash",), f"{name} is not the file that was written with this one: take both from the "
            "same place, or tune the policy anew",
        )  # fmt: skip
    try:
        loaded = json.loads(content)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{beside}, line {error.lineno}: is not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigurationError(f"{beside} is not JSON that can be read: {said}") from None
    try:
        side = _Side.model_validate(loaded)
    except pydantic.ValidationError as error:
        first = gravest(error)
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(f"{beside}, {place}: {said_of(first)}; tune the policy anew") from None
    return {name: getattr(side, name) for name in SIDE}
