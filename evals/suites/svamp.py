"""SVAMP: one-step word problems varied so that shallow cues mislead (Patel et al. 2021, arXiv 2103.07191)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedSuite
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.maths import NumberAnswer

__all__ = ["SVAMP"]

_PROMPT = "{body} {question}\n\nThink step by step, and end with 'The answer is' and the number."


class SVAMP(PublishedSuite):
    """Word problems of one or two operations, with numbers that are not needed (1,000, of them 300 in the test split).

    Columns ``Body``, ``Question``, ``Answer``, ``Type`` and ``Equation``. Levels count the operations of the equation:
    easy one, medium two or more; the subject is the kind of operation.
    """

    suite: ClassVar[str] = "svamp"
    about: ClassVar[dict[str, Any]] = {
        "licence": "MIT",
        "released": "2021-03",
        "home": "https://github.com/arkilpatel/SVAMP",
        "size": 1000,
        "paper": "Patel et al. 2021, arXiv 2103.07191",
        "prompt": "zero-shot",
    }
    file: ClassVar[str] = "SVAMP.json"

    split: Literal["test", "train", "train+test"] = Field(
        default="train+test", description="which part of the hub's data set"
    )

    @property
    def hub(self) -> Hub:
        """The split asked for."""
        return Hub("ChilleD/SVAMP", split=self.split)

    def problem(self, row: Row, name: str) -> Problem:
        """Join the story and its question."""
        body, question = row.get("Body"), row.text("Question").strip()
        if body and not body.endswith((".", "?", "!", ",")):
            body += ","  # the story runs on into the question in some
        answer_type = NumberAnswer()
        gold = row.value("Answer")
        if not answer_type.key(gold):
            raise row.wrong(f"'Answer' is no number ({gold})")
        operations = sum(part in ("+", "-", "*", "/") for part in row.get("Equation").split())
        subject = row.get("Type").lower().replace("divison", "division").removeprefix("common-")
        query = Query(
            messages=({"role": "user", "content": _PROMPT.format(body=body, question=question).strip()},),
            id=f"svamp/{row.get('ID')}" if row.get("ID") else name,
            answer_type=answer_type,
            tags={"family": "svamp", "level": "medium" if operations > 1 else "easy", "subject": subject or "unknown"},
        )
        return Problem(query, gold)
