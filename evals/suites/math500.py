"""MATH-500: 500 competition problems out of MATH (Hendrycks et al. 2021; the 500 are Lightman et al. 2023)."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedSuite
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.maths import MathsAnswer

__all__ = ["Math500"]

_PROMPT = "{problem}\n\nThink step by step, and put your final answer within \\boxed{{}}."


class Math500(PublishedSuite):
    """Competition problems of seven subjects and five levels, answered by a formula or a number.

    Columns ``problem``, ``answer``, and where there are ``subject``, ``level`` (1 to 5) and ``unique_id``. Levels 1 and
    2 are easy, 3 and 4 medium, 5 hard.
    """

    suite: ClassVar[str] = "math500"
    about: ClassVar[dict[str, Any]] = {
        "licence": "MIT",
        "released": "2021-03",
        "home": "https://huggingface.co/datasets/HuggingFaceH4/MATH-500",
        "size": 500,
        "paper": "Hendrycks et al. 2021, arXiv 2103.03874; Lightman et al. 2023, arXiv 2305.20050",
        "prompt": "zero-shot",
    }
    file: ClassVar[str] = "test.jsonl"

    @property
    def hub(self) -> Hub:
        """Its only split."""
        return Hub("HuggingFaceH4/MATH-500")

    def problem(self, row: Row, name: str) -> Problem:
        """Ask for the answer in a box."""
        answer_type = MathsAnswer()
        gold = re.sub(r"\\!\s*", "", row.value("answer"))  # a negative space, as in 11,\! 111
        if not answer_type.key(gold):
            raise row.wrong(f"'answer' is no formula that can be compared ({gold[:60]})")
        level = row.get("level").removeprefix("Level ")
        tags = {
            "family": "math500",
            "level": {"1": "easy", "2": "easy", "3": "medium", "4": "medium", "5": "hard"}.get(level, "unknown"),
            "subject": row.get("subject", "type").lower().replace(" ", "_").replace("&", "and") or "unknown",
        }
        query = Query(
            messages=({"role": "user", "content": _PROMPT.format(problem=row.text("problem").strip())},),
            id=f"math500/{row.get('unique_id')}" if row.get("unique_id") else name,
            answer_type=answer_type,
            tags=tags,
        )
        return Problem(query, gold)
