"""GPQA: questions of graduate level that a search engine does not answer (Rein et al. 2023, arXiv 2311.12022)."""

from __future__ import annotations

import random
from typing import Any, ClassVar, Literal

from pydantic import Field

from ttc.evals.problem import Problem
from ttc.evals.suites.published import PublishedSuite
from ttc.evals.suites.rows import Hub, Row
from ttc.types import Query
from ttc.verifiers.maths import ChoiceAnswer

__all__ = ["GPQA"]

_PROMPT = """{question}

{choices}

Think step by step, and end with 'The answer is' and the letter in brackets."""
_WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_LETTERS = "ABCD"


class GPQA(PublishedSuite):
    """Graduate questions in biology, physics and chemistry with four choices (198 in diamond, 448 in main).

    The choices are shuffled by ``seed`` and the question, so that a question has the same order in every run. The
    level is its writer's estimate: easy or hard undergraduate is easy or medium, what is above is hard; the subject is
    the domain. The authors ask that examples are not shown in public.
    """

    suite: ClassVar[str] = "gpqa"
    about: ClassVar[dict[str, Any]] = {
        "licence": "CC-BY-4.0 (gated)",
        "released": "2023-11",
        "home": "https://github.com/idavidrein/gpqa",
        "size": 198,
        "paper": "Rein et al. 2023, arXiv 2311.12022",
        "prompt": "zero-shot",
    }
    file: ClassVar[str] = "gpqa_diamond.csv (in dataset.zip)"

    subset: Literal["diamond", "main", "extended"] = Field(default="diamond", description="which questions of the hub")
    seed: int = Field(default=0, ge=0, description="another seed, other orders of the choices")

    @property
    def hub(self) -> Hub:
        """The subset asked for; its terms have to be accepted."""
        return Hub("Idavidrein/gpqa", f"gpqa_{self.subset}", "train", gated=True)

    def problem(self, row: Row, name: str) -> Problem:
        """Shuffle the choices, and ask for a letter."""
        question, right = row.text("Question").strip(), row.value("Correct Answer")
        choices = [right, *(row.value(column) for column in _WRONG)]
        own = row.get("Record ID")
        order = list(range(len(choices)))
        random.Random(f"{self.seed}/{own or question}").shuffle(order)
        listed = "\n".join(f"({letter}) {choices[i]}" for letter, i in zip(_LETTERS, order, strict=True))
        query = Query(
            messages=({"role": "user", "content": _PROMPT.format(question=question, choices=listed)},),
            id=f"gpqa/{own}" if own else name,
            answer_type=ChoiceAnswer(letters=_LETTERS),
            tags={
                "family": "gpqa",
                "level": _level(row.get("Writer's Difficulty Estimate")),
                "subject": row.get("High-level domain").lower() or "unknown",
            },
        )
        return Problem(query, _LETTERS[order.index(0)])


def _level(estimate: str) -> str:
    if not estimate:
        return "unknown"
    return {"easy under": "easy", "hard under": "medium"}.get(estimate.lower()[:10], "hard")
