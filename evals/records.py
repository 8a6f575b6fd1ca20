"""What a run keeps, and the one place where samples and outcomes become plain JSON and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import orjson

from ttc.types import Candidate, Checkpoint, ForcedAnswer, Outcome, Request, Sample, Usage

__all__ = [
    "Meetings",
    "UnitRecord",
    "outcome_from_json",
    "outcome_to_json",
    "request_from_json",
    "request_to_json",
    "sample_from_json",
    "sample_to_json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meetings:
    """How the comparisons of one unit went, once its candidates were graded.

    Attributes:
        compared: comparisons.
        decisive: those of a right and a wrong candidate.
        right_points: what the right one won of the decisive ones; half a point where the verdict could not be read.
        first_points: what the candidate in the first slot won of all.
        swap_pairs: pairs of comparisons that had the same two candidates in both orders.
        swap_consistent: those of them that named the same winner twice.
        samples: samples that were drawn.
        samples_right: those whose answer is right.
    """

    compared: int
    decisive: int
    right_points: float
    first_points: float
    swap_pairs: int = 0
    swap_consistent: int = 0
    samples: int = 0
    samples_right: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRecord:
    """One unit of work that is done: one problem, one strategy, one epoch.

    Attributes:
        key: hash of everything that determines it.
        suite: the suite's spec.
        problem: the query's id.
        tags: the query class.
        epoch: repetition, from 0.
        strategy: the strategy's spec without its ``n``: what a curve is drawn of.
        spec: the strategy's spec as it ran.
        setting: its ``n``, or None where it has none.
        prefix: its checkpoints are what smaller ``n`` would have returned.
        outcome: what it brought, without logprobs (those are with the calls).
        correct: the grader's verdict.
        undecided: the grader could not come to a verdict; counted with the wrong ones, and shown.
        checkpoints_correct: the verdict on the answer of each checkpoint.
        meetings: how its comparisons went, where it held a tournament.
        model: name of the model that answered; empty in a run of before models were kept.
    """

    key: str
    suite: str
    problem: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    epoch: int = 0
    strategy: str
    spec: str
    setting: int | None = None
    prefix: bool = False
    outcome: Outcome
    correct: bool
    undecided: bool = False
    checkpoints_correct: tuple[bool, ...] = ()
    meetings: Meetings | None = None
    model: str = ""


def request_to_json(request: Request) -> bytes:
    """Everything that was asked for, the seed and index aside (those are with each call)."""
    force = request.force
    return orjson.dumps(
        {
            "messages": [dict(m) for m in request.messages],
            "max_tokens": request.max_tokens,
            "n": request.n,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "choices": request.choices,
            "continue_final": request.continue_final,
            "thinking_tokens": request.thinking_tokens,
            "force": {"cue": force.cue, "max_tokens": force.max_tokens} if force else None,
            "extra": dict(request.extra),
            **({"until": request.until} if request.until else {}),
        },
        option=orjson.OPT_NON_STR_KEYS,
    )


def request_from_json(
    asked: Mapping[str, Any], *, kind: str = "generate", index: int = 0, seed: int = 0, model: str = ""
) -> Request:
    """Make the request again that :func:`request_to_json` wrote, at a position.

    What a store does not keep is not in it: a rule that watched it, and whether a text that was cut off held an answer
    already. It is taken to hold one, so that no answer is forced out of it.
    """
    force = asked["force"]
    return Request(
        messages=tuple(asked["messages"]),
        max_tokens=asked["max_tokens"],
        kind=kind,
        index=index,
        seed=seed,
        n=asked["n"],
        temperature=asked["temperature"],
        top_p=asked["top_p"],
        choices=tuple(asked["choices"]),
        until=tuple(asked.get("until") or ()),
        continue_final=asked["continue_final"],
        thinking_tokens=asked["thinking_tokens"],
        force=ForcedAnswer(force["cue"], force["max_tokens"], lambda _: True) if force else None,
        model=model,
        extra=asked["extra"],
    )


def sample_to_json(sample: Sample) -> bytes:
    """The whole sample; a log-probability of minus infinity becomes null."""
    return orjson.dumps(sample)


def sample_from_json(raw: bytes | str) -> Sample:
    """Read what :func:`sample_to_json` wrote."""
    return _sample(orjson.loads(raw))


def outcome_to_json(outcome: Outcome) -> bytes:
    """The whole outcome, without the logprobs of its candidate's sample."""
    if outcome.candidate is not None:
        bare = replace(outcome.candidate.sample, logprobs=(), top_logprobs=(), first_choices=())
        outcome = replace(outcome, candidate=replace(outcome.candidate, sample=bare))
    return orjson.dumps(outcome, option=orjson.OPT_NON_STR_KEYS)


def outcome_from_json(raw: bytes | str) -> Outcome:
    """Read what :func:`outcome_to_json` wrote."""
    fields: dict[str, Any] = orjson.loads(raw)
    candidate = fields["candidate"]
    if candidate is not None:
        fields["candidate"] = Candidate(candidate["answer"], _sample(candidate["sample"]), candidate["score"])
    for name in ("usage", "foreign"):
        fields[name] = {kind: Usage(**usage) for kind, usage in fields.get(name, {}).items()}
    fields["checkpoints"] = tuple(_checkpoint(c) for c in fields["checkpoints"])
    fields["trace"] = tuple(fields["trace"])
    fields["warnings"] = tuple(fields["warnings"])
    return Outcome(**fields)


def _checkpoint(fields: dict[str, Any]) -> Checkpoint:
    for name in ("prefix", "realised"):
        fields[name] = Usage(**fields[name])
    return Checkpoint(**fields)


def _sample(fields: dict[str, Any]) -> Sample:
    fields["usage"] = Usage(**fields["usage"])
    fields["logprobs"] = _floats(fields["logprobs"])
    fields["top_logprobs"] = tuple(_floats(row) for row in fields["top_logprobs"])
    fields["first_choices"] = tuple((token, -inf if p is None else p) for token, p in fields["first_choices"])
    return Sample(**fields)


def _floats(values: list[float | None]) -> tuple[float, ...]:
    return tuple(-inf if x is None else x for x in values)
