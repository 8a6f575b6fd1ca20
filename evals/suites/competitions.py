"""AIME 2024 and 2025 and AMC 2023: American high-school competitions, answered by a whole number or a fraction."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ttc.answer_type import AnswerType
from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedSuite
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.maths import MathsAnswer, NumberAnswer

__all__ = ["AIME24", "AIME25", "AMC23"]

_PROMPT = "{problem}\n\nThink step by step, and put your final answer within \\boxed{{}}."
_LICENCE = "(c) MAA"


class _Competition(PublishedSuite):
    def problem(self, row: Row, name: str) -> Problem:
        """Ask for the answer in a box."""
        answer_type = self.answer_type()
        written = row.value("answer", "Answer")
        gold = NumberAnswer().key(written)  # 073 becomes 73
        if not gold:
            raise row.wrong(f"'answer' is no number ({written[:60]})")
        own = row.get("id", "ID")
        query = Query(
            messages=(
                {"role": "user", "content": _PROMPT.format(problem=row.text("problem", "Problem", "question").strip())},
            ),
            id=f"{self.suite}/{own}" if own else name,
            answer_type=answer_type,
            tags={"family": self.suite, "level": self.level(own, row.get("url"))},
        )
        return Problem(query, gold)

    def answer_type(self) -> AnswerType:
        return MathsAnswer()

    def level(self, own: str, url: str) -> str:
        return "hard"


class _AIME(_Competition):
    def level(self, own: str, url: str) -> str:
        """By the problem's place among the 15 of its paper, which get harder: the first and the last five stand out."""
        place = re.search(r"Problem_(\d+)", url) or re.fullmatch(r"(?:\d{4}-)?I{1,2}-(\d+)", own)
        if place is None:
            return "unknown"
        return "easy" if int(place[1]) <= 5 else "medium" if int(place[1]) <= 10 else "hard"


class AIME24(_AIME):
    """The 30 problems of the AIME 2024 (I and II), answered by a whole number from 0 to 999.

    Columns ``problem`` and ``answer``, and where there is one ``id`` or ``url``. The level is the problem's place in
    its paper, which gets harder: easy 1 to 5, medium to 10, hard to 15.
    """

    suite: ClassVar[str] = "aime24"
    about: ClassVar[dict[str, Any]] = {
        "licence": _LICENCE,
        "released": "2024-02",
        "home": "https://huggingface.co/datasets/Maxwell-Jia/AIME_2024",
        "size": 30,
        "prompt": "zero-shot",
    }

    @property
    def hub(self) -> Hub:
        """A copy with a column of answers."""
        return Hub("Maxwell-Jia/AIME_2024", split="train")


class AIME25(_AIME):
    """The 30 problems of the AIME 2025 (I and II), answered by a whole number from 0 to 999.

    As aime24. The two papers may be two files: ``path=I.jsonl+II.jsonl``.
    """

    suite: ClassVar[str] = "aime25"
    about: ClassVar[dict[str, Any]] = {
        "licence": _LICENCE,
        "released": "2025-02",
        "home": "https://huggingface.co/datasets/math-ai/aime25",
        "size": 30,
        "prompt": "zero-shot",
    }

    @property
    def hub(self) -> Hub:
        """Both papers in one."""
        return Hub("math-ai/aime25")


class AMC23(_Competition):
    """The 40 problems of the AMC 12 2023 (A and B) whose answer is a number, asked without their choices.

    Columns ``question`` (or ``problem``) and ``answer``. They are of one level, between MATH and the AIME.
    """

    suite: ClassVar[str] = "amc23"
    about: ClassVar[dict[str, Any]] = {
        "licence": _LICENCE,
        "released": "2023-11",
        "home": "https://huggingface.co/datasets/math-ai/amc23",
        "size": 40,
        "prompt": "zero-shot",
    }

    @property
    def hub(self) -> Hub:
        """Its only split."""
        return Hub("math-ai/amc23")

    def answer_type(self) -> AnswerType:
        """A number: some answers are fractions."""
        return NumberAnswer()

    def level(self, own: str, url: str) -> str:
        """One level."""
        return "medium"
