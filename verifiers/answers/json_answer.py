"""The answer type ``json``: a whole document, some of its fields, or one that a pydantic model accepts."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ttc.thoughts import without_thoughts
from ttc.verifiers.answers.json_documents import canonical_json, last_document, read_json

__all__ = ["JsonAnswer"]


class JsonAnswer(BaseModel):
    """The last JSON object or array of a text: compared as a whole, by some of its fields, or by one of them.

    Two documents are the same when they are up to the order of keys, white space and how numbers are written (1, 1.0
    and 1e0). ``field=answer`` makes the value of that field the answer: a string as it is, anything else as JSON, so
    that ``"5"`` and ``5`` are the same; ``fields=(a+b)`` makes an object of those that count. A document that lacks
    one of them, or that the model does not accept, is no answer.

    ``JsonAnswer(model=Invoice)`` (or the class itself, wherever an answer type is asked for) compares what the pydantic
    model made of the document: defaults are filled in, and numbers that it reads as strings are numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "json"

    field: str = Field(default="", description="the field whose value is the answer")
    fields: tuple[str, ...] = Field(default=(), description="the fields that count, as in fields=(a+b)")
    model: type[BaseModel] | None = Field(
        default=None, description="a pydantic model that has to accept it; in Python only"
    )

    @field_validator("fields", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split("+")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> JsonAnswer:
        if self.field and self.fields:
            raise ValueError("give field= for one value, or fields= for an object of several, not both")
        if "field" in self.model_fields_set and not self.field.strip():
            raise ValueError("field= is empty: name the field whose value is the answer, or leave it out")
        if not all(self.fields):
            raise ValueError("fields=(a+b) names fields, with a plus between them")
        return self

    @property
    def cue(self) -> str:
        """The start of the object, where one field is the answer; a whole document is not forced in a few tokens."""
        return f'\n{{"{self.field}": ' if self.field else ""

    def extract(self, text: str) -> str | None:
        """Return the document, or what of it counts, as JSON. Linear in the length of the text."""
        found = last_document(without_thoughts(text))
        if found is None:
            return None
        try:
            document = read_json(found)
            if self.model is not None:
                document = read_json(self.model.model_validate_json(found).model_dump_json())
        except (pydantic.ValidationError, ValueError):
            return None
        if not (self.field or self.fields):
            return found if self.model is None else canonical_json(document)
        if not isinstance(document, dict):
            return None
        named = cast("dict[str, Any]", document)
        if self.field:
            value = named.get(self.field)
            answer = value.strip() if isinstance(value, str) else None if value is None else canonical_json(value)
            return answer or None
        if not all(name in named for name in self.fields):
            return None
        return canonical_json({name: named[name] for name in self.fields})

    def concludes(self, text: str) -> bool:
        """Whether the text holds a whole document that is an answer."""
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        """Return the canonical JSON, or the empty string for what is none."""
        answer = answer.strip()
        try:
            return canonical_json(read_json(answer))
        except (ValueError, RecursionError):
            return canonical_json(answer) if self.field and answer else ""

    def equivalent(self, a: str, b: str) -> bool:
        """Compare canonical JSON."""
        return self.key(a) == self.key(b) != ""
