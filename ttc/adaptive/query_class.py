"""What all query classes have in common, and those that come from tags or from a function."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from ttc.errors import ConfigurationError
from ttc.types import Query

__all__ = ["DEFAULT", "ClassOf", "FunctionClasses", "QueryClasses", "TagClasses", "toml_array"]

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ClassOf:
    """The class of one query.

    Attributes:
        name: ``default`` where it is of no known class.
        known: whether it is of a known one.
        why: why it is not; empty where it is.
    """

    name: str
    known: bool = True
    why: str = ""


class QueryClasses(BaseModel, ABC):
    """Sorts queries into classes. Data, which goes into JSON and back; frozen.

    Attributes:
        known: classes that there is data on; empty: any. A query of another one falls back to ``default``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    known: frozenset[str] = Field(default=frozenset(), description="classes that there is data on; empty: any")

    def of(self, query: Query) -> str:
        """Return the class of a query, ``default`` where it is of no known one."""
        return self.look_up(query).name

    def look_up(self, query: Query) -> ClassOf:
        """Return the class of a query, and whether it is a known one."""
        found = self._sort(query)
        if found.known and self.known and found.name not in self.known:
            return ClassOf(DEFAULT, False, f"class '{found.name}' was not seen in tuning")
        return found

    def knowing(self, names: Iterable[str]) -> QueryClasses:
        """Return the same classes, of which these alone are known."""
        return self.model_copy(update={"known": frozenset(names)})

    def to_json(self) -> str:
        """Return them as JSON, which :func:`~ttc.adaptive.classes.classes_from_json` reads.

        Raises:
            ConfigurationError: they are made by a function, which is no data.
        """
        return self.model_dump_json()

    def to_toml(self) -> str:
        """Return them as TOML, which :func:`~ttc.adaptive.classes.classes_from_toml` reads.

        Raises:
            ConfigurationError: they are made by a function, or by clusters, whose numbers are not for people.
        """
        raise ConfigurationError("clusters are numbers, and no rules to read: keep them as JSON")

    @abstractmethod
    def _sort(self, query: Query) -> ClassOf: ...

    @pydantic.field_serializer("known")
    def _in_order(self, known: frozenset[str]) -> list[str]:
        return sorted(known)


class TagClasses(QueryClasses):
    """The values of tags, joined with ``/``. Without names: all tags of a query, in the order of their names."""

    kind: Literal["tags"] = "tags"
    tags: tuple[str, ...] = Field(default=(), description="names of tags, e.g. family, level; empty: all of a query's")

    def _sort(self, query: Query) -> ClassOf:
        names = self.tags or sorted(query.tags)
        if not names:
            return ClassOf(DEFAULT, False, "it has no tags")
        if missing := [name for name in names if name not in query.tags]:
            return ClassOf(DEFAULT, False, f"it has no tag '{missing[0]}'")
        return ClassOf("/".join(query.tags[name] for name in names))

    def to_toml(self) -> str:
        """Return one line, and one with the known classes."""
        return "".join(
            (f"tags = {toml_array(self.tags)}\n", f"known = {toml_array(sorted(self.known))}\n" if self.known else "")
        )


class FunctionClasses(QueryClasses):
    """What a function of yours says. It is code, and goes into no file: hand it over again with :meth:`using`."""

    kind: Literal["function"] = "function"
    name: str = Field(default="", description="the function's name, for messages")
    _function: Callable[[Query], str] | None = PrivateAttr(None)

    @classmethod
    def using(cls, function: Callable[[Query], str], *, known: Iterable[str] = ()) -> FunctionClasses:
        """Sort by a function; where it returns nothing, a query is of class ``default``."""
        made = cls(name=getattr(function, "__name__", "a function"), known=frozenset(known))
        made._function = function
        return made

    def _sort(self, query: Query) -> ClassOf:
        if self._function is None:
            raise ConfigurationError(
                f"query classes were made by the function '{self.name}', which no file holds: pass it again, with "
                "FunctionClasses.using(function)"
            )
        name = self._function(query)
        return ClassOf(name) if name else ClassOf(DEFAULT, False, f"'{self.name}' names no class")

    def to_toml(self) -> str:
        """Refuse: a function is no data."""
        raise ConfigurationError(f"the function '{self.name}' cannot be kept as TOML: use tags or rules")


def toml_array(values: Iterable[str]) -> str:
    """Write strings as a TOML array; TOML's strings are JSON's, but for one character that JSON leaves as it is."""
    return json.dumps(list(values), ensure_ascii=False).replace("\x7f", "\\u007f")
