"""A sample as a recording keeps it, and how rows of one problem become the columns of a pool. Pure but for grading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttc.answer_type import AnswerType, same_answer
from ttc.confidence import FLOOR
from ttc.evals.suite import Problem, Suite
from ttc.pools import CutColumns, RecordedProblem
from ttc.types import Sample

__all__ = ["CutRow", "SampleRow", "first_forms", "graded_problem", "row_from_json", "row_of"]


@dataclass(frozen=True, slots=True)
class CutRow:
    """What a sample answered when it was cut: the answer, and the tokens up to the cut with those of forcing it."""

    answer: str | None
    generated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """One sample of a problem; what each field means stands with :class:`~ttc.pools.RecordedProblem`.

    Attributes:
        answer: the first form of its class.
        answer_tokens: None where nobody could count them.
        scores: by verifier.
        cuts: by tokens.
    """

    answer: str | None
    text: str
    generated: int
    reasoning: int
    prompt_tokens: int
    characters: int
    seconds: float
    finish: str
    logprob: float | None = None
    answer_tokens: int | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    cuts: Mapping[int, CutRow] = field(default_factory=dict[int, CutRow])


def row_of(sample: Sample, answer: str | None, **more: Any) -> SampleRow:
    """Make the row of a sample.

    Args:
        sample: as it was drawn.
        answer: the first form of its class.
        more: further fields, or others than those that follow from the sample.
    """
    own: dict[str, Any] = {
        "text": sample.text,
        "generated": sample.usage.generated,
        "reasoning": sample.usage.reasoning_tokens,
        "prompt_tokens": sample.usage.prompt_tokens,
        "characters": len(sample.text) + len(sample.reasoning),
        "seconds": sample.latency,
        "finish": sample.finish,
        "logprob": _mean_logprob(sample.logprobs),
    }
    return SampleRow(answer=answer, **{**own, **more})


def row_from_json(data: Mapping[str, Any]) -> SampleRow:
    """Read a row that went through JSON."""
    fields = dict(data)
    fields["cuts"] = {int(at): CutRow(**cut) for at, cut in data["cuts"].items()}
    return SampleRow(**fields)


def first_forms(answer_type: AnswerType, answers: Iterable[str | None]) -> dict[str, str]:
    """For each answer the first one that is equivalent: equal answers become equal texts.

    Args:
        answer_type: says what is equivalent; where that takes time it has been decided before.
        answers: in the order in which the first form is looked for.
    """
    forms: dict[str, str] = {}
    for answer in answers:
        if answer is not None and answer not in forms:
            known = dict.fromkeys(forms.values())
            forms[answer] = next((form for form in known if same_answer(answer_type, form, answer)), answer)
    return forms


async def graded_problem(suite: Suite, problem: Problem, rows: Sequence[SampleRow]) -> RecordedProblem:
    """Grade the samples of a problem, each different answer once, and put them into columns.

    A column is left empty where one of its values is not known. No answer at all is wrong; what the grader leaves
    undecided has no verdict.
    """
    at = sorted(_shared_cuts(rows))
    given = [row.answer for row in rows] + [row.cuts[cut].answer for row in rows for cut in at]
    verdicts: dict[str | None, float | None] = {}
    for answer in dict.fromkeys(given):
        verdicts[answer] = {"right": 1.0, "wrong": 0.0}.get(await suite.grade(problem, answer))
    tokens = [row.answer_tokens for row in rows]
    names = dict.fromkeys(name for row in rows for name in row.scores)
    logprobs = tuple(row.logprob for row in rows)
    return RecordedProblem(
        id=problem.query.id,
        prompt=problem.query.prompt,
        tags=problem.query.tags,
        answers=tuple(row.answer for row in rows),
        right=tuple(verdicts[row.answer] for row in rows),
        generated=tuple(float(row.generated) for row in rows),
        reasoning=tuple(row.reasoning for row in rows),
        answer_tokens=() if None in tokens else tuple(n for n in tokens if n is not None),
        prompt_tokens=tuple(row.prompt_tokens for row in rows),
        characters=tuple(row.characters for row in rows),
        seconds=tuple(row.seconds for row in rows),
        logprobs=() if all(p is None for p in logprobs) else logprobs,
        finish=tuple(row.finish for row in rows),
        texts=tuple(row.text for row in rows),
        scores={name: tuple(row.scores.get(name) for row in rows) for name in names},
        cuts={
            cut: CutColumns(
                answers=tuple(row.cuts[cut].answer for row in rows),
                right=tuple(verdicts[row.cuts[cut].answer] for row in rows),
                generated=tuple(float(row.cuts[cut].generated) for row in rows),
            )
            for cut in at
        },
    )


def _shared_cuts(rows: Sequence[SampleRow]) -> set[int]:
    """Cuts that every sample has."""
    first, *others = (set(row.cuts) for row in rows)
    return first.intersection(*others)


def _mean_logprob(logprobs: Sequence[float]) -> float | None:
    return sum(max(FLOOR, p) for p in logprobs) / len(logprobs) if logprobs else None
