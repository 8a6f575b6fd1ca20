"""What a handful of samples says about how hard their query is: how far they agree, how long and how sure they are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log, sqrt

from ttc.pools import RecordedProblem, Unit
from ttc.strategies.vote import Vote
from ttc.types import Candidate, Query, Sample

__all__ = ["PROBE_FEATURES", "Look", "looks_at_drawn", "looks_at_recorded", "probe_features", "score_features"]

PROBE_FEATURES = {
    "agreement": "share of the samples with the most frequent answer",
    "agreement_squared": "its square: four that agree say more than twice what two of four do",
    "margin": "that share less that of the second most frequent answer",
    "entropy": "of the answers, over that of samples that all differ",
    "distinct": "different answers per sample",
    "abstained": "share of the samples without an answer",
    "unfinished": "share of the samples that were cut off",
    "log_length": "mean log of the length",
    "length_spread": "standard deviation of the log of the length",
    "logprob": "mean log-probability of a token, averaged over samples",
    "score": "mean verifier score",
    "leader_score": "mean verifier score of the samples with the most frequent answer, less that of all",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of one sample; None for what is not known.

    Attributes:
        answer: the number of its class of equal answers; None: it has none.
        length: in the unit of the pool.
        logprob: mean over its tokens.
        score: of the verifier.
        cut: whether it was cut off.
    """

    answer: int | None
    length: float | None = None
    logprob: float | None = None
    score: float | None = None
    cut: bool | None = None


def looks_at_recorded(problem: RecordedProblem, unit: Unit, verifier: str) -> list[Look]:
    """Look at all samples of a recorded problem."""
    number = {answer: i for i, answer in enumerate(dict.fromkeys(a for a in problem.answers if a is not None))}
    scores = problem.scores.get(verifier, ())
    return [
        Look(
            answer=None if answer is None else number[answer],
            length=problem.generated[i] if problem.generated and unit != "samples" else None,
            logprob=problem.logprobs[i] if problem.logprobs else None,
            score=scores[i] if scores else None,
            cut=problem.finish[i] == "length" if problem.finish else None,
        )
        for i, answer in enumerate(problem.answers)
    ]


def looks_at_drawn(query: Query, drawn: Sequence[Candidate], unit: Unit) -> list[Look]:
    """Look at candidates that were drawn."""
    vote = Vote(query.answer_type, random.Random(0))  # classes alone count; nobody wins here
    for candidate in drawn:
        vote.add(candidate)
    number = {c.answer: i for i, home in enumerate(vote.classes) for c in home.members}
    replayed = query.answer_type.name == "recorded"
    return [
        Look(
            answer=None if c.answer is None else number[c.answer],
            length=_length(c.sample, unit, replayed),
            logprob=_mean_logprob(c.sample),
            score=c.score,
            cut=c.sample.finish in ("length", "cut"),
        )
        for c in drawn
    ]


def probe_features(looks: Sequence[Look]) -> dict[str, float | None]:
    """Return :data:`PROBE_FEATURES` of some samples, one at the least."""
    m = len(looks)
    counts = Counter(look.answer for look in looks if look.answer is not None)
    answered = sum(counts.values())
    ranked = [n for _, n in counts.most_common()] + [0, 0]
    leading = {answer for answer, n in counts.items() if n == ranked[0]}
    logs = [log(max(look.length, 1.0)) for look in looks if look.length is not None]
    mean_length = _mean(logs)
    score = _mean([look.score for look in looks])
    of_leader = _mean([look.score for look in looks if look.answer in leading])
    entropy = -sum(n / answered * log(n / answered) for n in counts.values())
    return {
        "agreement": ranked[0] / m,
        "agreement_squared": (ranked[0] / m) ** 2,
        "margin": (ranked[0] - ranked[1]) / m,
        "entropy": entropy / log(m) if m > 1 else 0.0,
        "distinct": len(counts) / m,
        "abstained": 1 - answered / m,
        "unfinished": _mean([None if look.cut is None else float(look.cut) for look in looks]),
        "log_length": mean_length,
        "length_spread": None
        if mean_length is None or m < 2
        else sqrt(sum((x - mean_length) ** 2 for x in logs) / len(logs)),
        "logprob": _mean([look.logprob for look in looks]),
        "score": score,
        "leader_score": None if score is None or of_leader is None else of_leader - score,
    }


def score_features(looks: Sequence[Look]) -> dict[str, float | None]:
    """Return the mean verifier score alone; None where none was scored."""
    return {"score": _mean([look.score for look in looks])}


def _length(sample: Sample, unit: Unit, replayed: bool) -> float | None:
    if unit == "samples":
        return None
    if unit == "characters" and not replayed:
        return float(len(sample.text) + len(sample.reasoning))
    return float(sample.usage.generated)  # a replay charges in the unit of its pool


def _mean_logprob(sample: Sample) -> float | None:
    return _mean([x for x in sample.logprobs if isfinite(x)])


def _mean(values: Sequence[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return sum(there) / len(there) if there else None
