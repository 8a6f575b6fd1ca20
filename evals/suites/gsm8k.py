"""GSM8K: grade-school word problems of two to eight steps (Cobbe et al. 2021, arXiv 2110.14168)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedSuite
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.maths import NumberAnswer

__all__ = ["GSM8K"]

_PROMPT = "{question}\n\nThink step by step, and end with 'The answer is' and the number."


class GSM8K(PublishedSuite):
    """Grade-school word problems, answered by a number after step-by-step reasoning (1,319 in the test split).

    Zero-shot. Read from a local file with the columns ``question`` and ``answer`` (the solution, its result behind
    ``####``), else from the Hugging Face hub. Levels count the calculations marked ``<<...>>`` in the reference
    solution: easy up to 2, medium 3 or 4, hard from 5.
    """

    suite: ClassVar[str] = "gsm8k"
    about: ClassVar[dict[str, Any]] = {
        "licence": "MIT",
        "released": "2021-10",
        "home": "https://github.com/openai/grade-school-math",
        "size": 1319,
        "paper": "Cobbe et al. 2021, arXiv 2110.14168",
        "prompt": "zero-shot",
    }
    file: ClassVar[str] = "test.jsonl"

    split: Literal["test", "train"] = Field(default="test", description="which part of the hub's data set")

    @property
    def hub(self) -> Hub:
        """The split asked for."""
        return Hub("openai/gsm8k", "main", self.split)

    def problem(self, row: Row, name: str) -> Problem:
        """Ask for the number that stands behind ``####``."""
        question, solution = row.text("question").strip(), row.text("answer")
        _, marked, gold = solution.rpartition("####")
        answer_type = NumberAnswer()
        if not marked or not answer_type.key(gold.strip()):
            raise row.wrong("'answer' does not end with '#### ' and a number")
        steps = solution.count("<<")
        level = "easy" if steps <= 2 else "medium" if steps <= 4 else "hard"
        query = Query(
            messages=({"role": "user", "content": _PROMPT.format(question=question)},),
            id=name,
            answer_type=answer_type,
            tags={"family": "gsm8k", "level": level},
        )
        return Problem(query, gold.strip())
