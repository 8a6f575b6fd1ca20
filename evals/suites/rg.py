"""Any data set of reasoning-gym, drawn as hard as wanted (Stojanovski et al. 2025, arXiv 2505.24760)."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import version
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from ttc.errors import ConfigurationError, MissingExtra, UnknownName
from ttc.evals.grading import AnswerGrader
from ttc.evals.problem import Problem
from ttc.evals.suite import Suite, SuiteConfig
from ttc.evals.suites.gym_grader import RGGrader, shared_process
from ttc.evals.suites.tagged import TaggedAnswer
from ttc.types import Query
from ttc.verifiers.maths import NumberAnswer, parse_number

__all__ = ["ReasoningGym"]

_TIME = 900.0  # seconds in which a data set has to be drawn

_NUMBER = "{question}\n\nThink step by step, and end with 'The answer is' and the number."
_TEXT = "{question}\n\nThink step by step, and put the answer alone between <answer> and </answer>."


class ReasoningGym(SuiteConfig):
    """Problems of one of reasoning-gym's hundred data sets: ``rg:chain_sum,min_terms=3,max_terms=5``.

    What is given beside size and seed goes to the data set: its own options, which say how hard it is. No question is
    asked twice. An answer is right when it equals the data set's, or when its own scorer gives it full marks, since
    many puzzles have several solutions; a scorer that gives full marks to nonsense as well is not asked.
    """

    model_config = ConfigDict(extra="allow")

    positional: ClassVar[str] = "name"
    about: ClassVar[dict[str, Any]] = {
        "licence": "Apache-2.0 (generated)",
        "released": "generated",
        "home": "https://github.com/open-thought/reasoning-gym",
        "size": "any",
        "paper": "Stojanovski et al. 2025, arXiv 2505.24760",
        "prompt": "zero-shot",
    }

    name: str = Field(description="the data set, as in chain_sum, countdown or mini_sudoku")
    size: int = Field(default=100, ge=1, le=100_000, description="problems")
    seed: int = Field(default=0, ge=0, description="another seed, other problems")

    def load(self) -> Suite:
        """Draw the problems, in a process of its own.

        Raises:
            MissingExtra: reasoning-gym is not installed.
            UnknownName: it has no such data set, or the data set no such option; the nearest and all others are named.
            ConfigurationError: an option's value is refused, or there are not as many different problems.
        """
        if self.missing():
            raise MissingExtra("reasoning-gym", "suites", f"rg:{self.name}")
        given = sorted((self.__pydantic_extra__ or {}).items())
        settings = {option: value if isinstance(value, str) else json.dumps(value) for option, value in given}
        data_set = {"name": self.name, "size": self.size, "seed": self.seed, "settings": settings}
        reply = shared_process().ask({"data_set": data_set, "draw": self.size}, seconds=_TIME)
        entries = self._entries(reply)
        numbers = all(entry["gold"] and parse_number(entry["gold"]) for entry in entries)
        answer_type, prompt = (NumberAnswer(), _NUMBER) if numbers else (TaggedAnswer(), _TEXT)
        tags = {"family": self.name, "subject": (reply or {}).get("category", "")}
        problems: list[Problem] = []
        for entry in entries:
            question = entry["question"].strip()
            query = Query(
                messages=({"role": "user", "content": prompt.format(question=question)},),
                id=f"rg/{self.name}/{self.seed}/{entry['index']}",
                answer_type=answer_type,
                tags=tags,
            )
            problems.append(Problem(query, entry["gold"] or ""))
        places = {p.query.id: entry["index"] for p, entry in zip(problems, entries, strict=True)}
        info = {**self.about, "source": f"reasoning-gym {version('reasoning-gym')}", **data_set}
        # Beside a scorer that gives full marks to nonsense, what equals the gold answer is right and nothing else.
        grader = AnswerGrader() if (reply or {}).get("lenient") else RGGrader(data_set, places)
        return Suite(f"rg:{self.name}", problems, info | {"problems": len(problems), "grader": grader.name}, grader)

    def missing(self) -> str:
        """Say whether reasoning-gym is missing."""
        return "" if importlib.util.find_spec("reasoning_gym") else "pip install 'ttc-compute[suites]'"

    def _entries(self, reply: dict[str, Any] | None) -> list[dict[str, Any]]:
        if reply is None:
            raise ConfigurationError(
                f"rg:{self.name} was not drawn within {_TIME / 60:.0f} minutes: take a smaller size"
            )
        if "unknown_data_set" in reply:
            raise UnknownName("data set of reasoning-gym", self.name, reply["known"])
        if "unknown_option" in reply:
            raise _UnknownOption(reply["unknown_option"])
        if "refused" in reply:
            raise ConfigurationError(f"rg:{self.name}: {reply['refused']}")
        entries: list[dict[str, Any]] = reply["entries"]
        if len(entries) < self.size:
            raise ConfigurationError(
                f"rg:{self.name} has {len(entries)} different problems at these options, "
                f"and size={self.size} asks for more"
            )
        return entries


class _UnknownOption(UnknownName):
    """Names the options that there are with their types."""

    def __init__(self, message: str) -> None:
        ConfigurationError.__init__(self, message)
