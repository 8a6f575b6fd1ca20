"""Query classes by rules that people write: an ordered list in TOML, of which the first that fits decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from ttc.adaptive.query_class import DEFAULT, ClassOf, QueryClasses, toml_array
from ttc.patterns import compiled
from ttc.types import Query

__all__ = ["ClassRule", "RuleClasses"]


class ClassRule(BaseModel):
    """One rule: a query fits it when it meets all that the rule names. One that names nothing fits every query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="the class")
    matches: str = Field(default="", description="a pattern (RE2) that the last user message contains")
    tag: Mapping[str, str] = Field(default_factory=dict[str, str], description="tags with the values that they have")
    longer_than: int | None = Field(default=None, ge=0, description="the last user message has more units than this")
    shorter_than: int | None = Field(default=None, ge=1, description="it has fewer units than this")
    unit: Literal["words", "characters"] = Field(default="words", description="what its length is counted in")

    _pattern: Any = PrivateAttr(None)

    def model_post_init(self, context: Any, /) -> None:
        """Compile the pattern once."""
        if self.matches:
            self._pattern = _compiled(self.matches)

    @field_validator("matches")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        if pattern:
            _compiled(pattern)
        return pattern

    def fits(self, query: Query) -> bool:
        """Whether a query meets all that the rule names."""
        if any(query.tags.get(name) != value for name, value in self.tag.items()):
            return False
        prompt = query.prompt
        length = len(prompt.split()) if self.unit == "words" else len(prompt)
        if self.longer_than is not None and length <= self.longer_than:
            return False
        if self.shorter_than is not None and length >= self.shorter_than:
            return False
        text = prompt.encode(errors="replace").decode()  # half of a surrogate pair is nothing that RE2 reads
        return self._pattern is None or self._pattern.search(text) is not None

    def to_toml(self) -> str:
        """Return the rule as a table of TOML."""
        lines = ["[[class]]"]
        for field, value in self.model_dump(exclude_defaults=True).items():
            if field == "tag":
                lines += [f"tag.{_string(name)} = {_string(v)}" for name, v in value.items()]
            else:
                lines.append(f"{field} = {_string(value) if isinstance(value, str) else value}")
        return "\n".join(lines) + "\n"


class RuleClasses(QueryClasses):
    """Ordered rules: the first one that fits names the class."""

    kind: Literal["rules"] = "rules"
    rules: tuple[ClassRule, ...] = Field(min_length=1, description="in their order")

    def _sort(self, query: Query) -> ClassOf:
        for rule in self.rules:
            if rule.fits(query):
                return ClassOf(rule.name)
        return ClassOf(DEFAULT, False, "no rule fits it")

    def to_toml(self) -> str:
        """Return a table for each rule."""
        known = f"known = {toml_array(sorted(self.known))}\n\n" if self.known else ""
        return known + "\n".join(rule.to_toml() for rule in self.rules)


def _string(value: str) -> str:
    return toml_array([value])[1:-1]


def _compiled(pattern: str) -> Any:
    try:
        return compiled(pattern, used_by="a class rule with 'matches'")
    except ValueError as error:
        raise ValueError(f"the pattern cannot be read: {error} (RE2 syntax, without look-around)") from None
