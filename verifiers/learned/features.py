"""What a learned verifier sees of a sample: numbers that cost nothing, some of them beside its siblings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TypeAlias

from ttc.answer_type import AnswerType, same_answer
from ttc.types import Candidate
from ttc.verifiers.mean_logprob import lowest_group_mean

__all__ = ["FEATURES", "Features", "Observed", "features", "observe"]

Features: TypeAlias = Mapping[str, float | None]
"""By name; None where it is not known."""

FEATURES = {
    "log_tokens": "log of the generated tokens",
    "relative_length": "log of the length over that of the query's other samples (geometric mean)",
    "log_answer_length": "log of the answer's characters, plus one",
    "finished": "1 for a sample that ended by itself, 0 for one that was cut off",
    "mean_logprob": "mean log-probability of the sample's tokens",
    "relative_logprob": "the same less its mean over the query's samples",
    "agreeing": "share of the query's other samples with the same answer",
    "lead": "share of the samples with this answer less that of the most frequent other one",
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What is seen of one sample; None for what was not recorded.

    Attributes:
        answer: None where it has none: such a sample scores 0, and counts among those that do not agree.
        tokens: generated tokens.
        characters: of text and thoughts.
        finished: whether it ended by itself.
        logprob: mean log-probability of its tokens.
    """

    answer: str | None
    tokens: float | None = None
    characters: float | None = None
    finished: bool | None = None
    logprob: float | None = None


def observe(candidate: Candidate) -> Observed:
    """See a candidate."""
    sample = candidate.sample
    return Observed(
        answer=candidate.answer,
        tokens=sample.usage.generated or None,
        characters=len(sample.text) + len(sample.reasoning) or None,
        finished=sample.finish == "stop",
        logprob=lowest_group_mean(sample.logprobs, None),
    )


def features(answer_type: AnswerType, samples: Sequence[Observed]) -> list[Features | None]:
    """Make the features of the samples of one query, all of them together; None for one without an answer."""
    answered = [s for s in samples if s.answer is not None]
    by_tokens = all(s.tokens for s in answered)
    lengths = [s.tokens if by_tokens else s.characters for s in samples]
    logs = [log(n) if n else None for n in lengths]
    length = _mean(logs)
    confidence = _mean([s.logprob for s in samples])
    classes = _classes(answer_type, samples)
    sizes = {number: classes.count(number) for number in set(classes) if number is not None}
    found: list[Features | None] = []
    for sample, length_here, number in zip(samples, logs, classes, strict=True):
        if sample.answer is None or number is None:
            found.append(None)
            continue
        others = len(samples) - 1
        rival = max((n for other, n in sizes.items() if other != number), default=0)
        found.append(
            {
                "log_tokens": log(sample.tokens) if sample.tokens else None,
                "relative_length": _less(length_here, length),
                "log_answer_length": log(1 + len(sample.answer)),
                "finished": None if sample.finished is None else float(sample.finished),
                "mean_logprob": sample.logprob,
                "relative_logprob": _less(sample.logprob, confidence),
                "agreeing": (sizes[number] - 1) / others if others else None,
                "lead": (sizes[number] - rival) / len(samples) if others else None,
            }
        )
    return found


def _classes(answer_type: AnswerType, samples: Sequence[Observed]) -> list[int | None]:
    """Number the classes of equal answers; None for a sample without one."""
    first: list[str] = []
    known: dict[str, int | None] = {}
    for sample in samples:
        answer = sample.answer
        if answer is None or answer in known:
            continue
        if not answer_type.key(answer):
            known[answer] = None  # what is no answer equals nothing
            continue
        home = next((i for i, other in enumerate(first) if same_answer(answer_type, other, answer)), len(first))
        if home == len(first):
            first.append(answer)
        known[answer] = home
    return [None if s.answer is None else known[s.answer] for s in samples]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return sum(there) / len(there) if there else None


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
