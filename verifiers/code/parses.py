"""Whether what there is of a program parses: a step scorer without a model, and without running anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import anyio
from pydantic import BaseModel, ConfigDict, Field

from ttc.errors import ConfigurationError
from ttc.session import Session
from ttc.steps import Separator, Solution, separator_of
from ttc.types import Candidate, Query
from ttc.verifiers.code.extraction import LONGEST_PROGRAM, extract_code, programs_so_far
from ttc.verifiers.code.tested import entry_point

__all__ = ["Parses", "parse"]

_SCRIPT = Path(__file__).with_name("parser_process.py")

Program = tuple[str, bool]
"""A source, and whether it may go on."""


class Parses(BaseModel):
    """Score a program that is still being written: 1 as long as some continuation can make it parse, else 0.

    After each step the program is read out of the text as the answer type ``code`` reads it: from the last block of
    Python, open or closed, or from bare code. A text in which none has begun scores 1. What is looked at are its whole
    lines, so an error counts from the end of its line on. A block that was closed, and a program with prose behind it,
    have to parse as they are; so does the answer of a whole solution, which scores 0 without one. Where a new block is
    open beside a broken one, the new one counts.

    Parsing says nothing of what a program does, and not even whether a name is known. What Python cannot parse for its
    depth, and what is longer than 65,536 characters, is wrong. Programs are parsed by the running version of Python, in
    a process of their own, one for all of a wave, and never run. Costs no tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "parses"
    logprobs: ClassVar[int] = 0

    separator: Separator = Field(
        default="", description="what stands between steps, as in the strategy; left out, a blank line"
    )

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        """Return 1 for each candidate whose program parses, else 0."""
        return await _scores([_whole(c.sample.text, entry_point(query)) for c in candidates])

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        """Return for each step without a score 1 where what is there after it can still come to parse, else 0."""
        name = entry_point(query)
        states: list[list[Program]] = []
        for solution in solutions:
            for i in solution.unscored:
                over = solution.over and i + 1 == len(solution.steps)
                text = self._text(solution, i)
                states.append(_whole(text, name) if over else _so_far(text, name))
        scores = iter(await _scores(states))
        return [[next(scores) for _ in solution.unscored] for solution in solutions]

    def _text(self, solution: Solution, position: int) -> str:
        """What was said by the end of a step: with the separator that it was stopped at, without the thoughts."""
        separator = separator_of(self.separator) or ""
        steps, samples = solution.steps[: position + 1], solution.samples
        if len(samples) < len(steps):  # drawn in one go
            more = not solution.over or len(steps) < len(solution.steps)
            return separator.join(steps) + separator * more
        return "".join(s.text + separator * (s.finish == "step") for s in samples[: position + 1])


def _whole(text: str, name: str) -> list[Program]:
    source = extract_code(text, name)
    return [("(", False) if source is None else (source, False)]  # no program is a wrong one


def _so_far(text: str, name: str) -> list[Program]:
    """What a text in progress has of its program, in whole lines."""
    programs = programs_so_far(text[: text.rfind("\n") + 1], name)
    return programs or [("", True)]


async def _scores(states: Sequence[Sequence[Program]]) -> list[float]:
    """Score texts by the programs of each, of which one has to do."""
    verdicts = iter(await parse([program for programs in states for program in programs]))
    return [float(max([next(verdicts) for _ in programs])) for programs in states]


async def parse(programs: Sequence[Program]) -> list[bool]:
    """Parse sources in a process of their own; one that may go on parses where some continuation of it does.

    A source that costs the process its life is wrong, and those behind it go to the next process.

    Raises:
        ConfigurationError: no process can parse here; says why.
    """
    found = [False] * len(programs)
    left = [i for i, (source, _) in enumerate(programs) if len(source) <= LONGEST_PROGRAM]
    while left:
        given = json.dumps([programs[i] for i in left]).encode()  # ASCII: lone surrogates come through
        try:  # isolated from the user's environment; killed when this is cancelled
            run = await anyio.run_process([sys.executable, "-I", "-S", str(_SCRIPT)], input=given, check=False)
        except OSError as error:
            raise ConfigurationError(f"programs cannot be parsed: no process can be started ({error})") from error
        if run.returncode > 0:  # below 0 is a signal: a source cost its life
            said = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ConfigurationError(f"programs cannot be parsed: {''.join(said)}")
        for i, verdict in zip(left, run.stdout.decode(), strict=False):
            found[i] = verdict == "1"
        left = left[len(run.stdout) + 1 :]
    return found
