"""What a strategy may run on a sample's text: a tool, such as a sandboxed interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from ttc import registry
from ttc.types import Query

__all__ = ["Tool", "ToolResult", "make_tool"]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool made of a text.

    Attributes:
        output: what it said, such as what a program printed.
        error: why it failed, for people and for models that try again; empty where it did not.
    """

    output: str
    error: str = ""


@runtime_checkable
class Tool(Protocol):
    """Works on a sample's text off the event loop, within limits of its own. Costs no tokens."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    async def run(self, text: str, query: Query) -> ToolResult:
        """Do the work. What goes wrong with the text is a result with an ``error`` and raises nothing."""
        ...


def make_tool(spec: str | Tool) -> Tool:
    """Make a tool of its spec; one that is made already is returned as it is.

    Raises:
        UnknownName: no such tool or parameter.
    """
    return cast(Tool, registry.create("tool", spec)) if isinstance(spec, str) else spec
