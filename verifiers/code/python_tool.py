"""The tool ``python``: runs the program in a text, and returns what it printed."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ttc.tool import ToolResult
from ttc.types import Query
from ttc.verifiers.code.extraction import extract_code
from ttc.verifiers.code.sandbox import shared_sandbox
from ttc.verifiers.code.tested import ready
from ttc.verifiers.code.verdicts import Limits

__all__ = ["PythonTool"]

LONGEST_OUTPUT = 2000
"""Characters of what a program printed that are kept: whole lines from its end."""

_SOLUTION = re.compile(r"^def\s+(solution|solve|main)\(\s*\)", re.MULTILINE)


class PythonTool(BaseModel):
    """Run the Python program in a text in the sandbox; its output is what the program printed.

    Where a program defines ``solution()``, ``solve()`` or ``main()`` and prints nothing, that is called and printed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "python"

    seconds: float = Field(default=4.0, gt=0, le=600, description="wall-clock time of a program")

    async def prepare(self) -> None:
        """Make sure of the sandbox.

        Raises:
            SandboxUnavailable: this machine cannot jail a program.
        """
        await ready()

    async def run(self, text: str, query: Query) -> ToolResult:
        """Return the last lines that the program printed, or why there are none.

        Raises:
            SandboxUnavailable: this machine cannot jail a program.
        """
        source = extract_code(text)
        if source is None:
            return ToolResult("", "There is no Python program in the text.")
        limits = Limits(seconds=self.seconds, total_seconds=self.seconds)
        run = await shared_sandbox().execute(with_call(source), limits=limits)
        output = _end(run.stdout)
        if run.status != "passed":
            return ToolResult(output, _end(run.error) or run.status)
        return ToolResult(output, "" if output else "The program printed nothing.")


def with_call(source: str) -> str:
    """Return a program that prints what its ``solution()`` returns, where it defines that and prints nothing."""
    found = _SOLUTION.search(source)
    return f"{source}\n\nprint({found[1]}())\n" if found and "print(" not in source else source


def _end(text: str) -> str:
    """The last whole lines of a text; of one line that is too long its end."""
    text = text.strip()
    if len(text) <= LONGEST_OUTPUT:
        return text
    kept = text[-LONGEST_OUTPUT:]
    return kept.partition("\n")[2].strip() or kept
