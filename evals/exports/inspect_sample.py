"""One unit of a run as a sample of an inspect_ai log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson

from ttc.evals.problem import Problem
from ttc.evals.records import UnitRecord
from ttc.evals.store_schema import reading
from ttc.types import Outcome, Sample, Usage

__all__ = ["Asked", "asked_of", "sample_of", "summary_of", "usage_of_models"]

SHOWN = 500
"""Characters of a problem that the viewer's list shows."""

_STOPPED = {"stop": "stop", "step": "stop", "length": "max_tokens", "cut": "max_tokens"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The chat that a problem was first asked with."""

    messages: list[dict[str, Any]]


def asked_of(directory: Path) -> dict[tuple[str, str], Asked]:
    """Read the first chat that each problem was asked with, by problem and strategy; by problem and "" that of any.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    with reading(directory) as (connection, _):
        chats = {
            content: Asked(orjson.loads(raw)["messages"])
            for content, raw in connection.execute(
                "SELECT content, request FROM requests WHERE content IN (SELECT content FROM calls)"
            )
        }
        rows = connection.execute(
            "SELECT query, strategy, content, min(rowid) FROM calls WHERE kind = 'generate' "
            "GROUP BY query, strategy ORDER BY min(rowid)"
        )
        found: dict[tuple[str, str], Asked] = {}
        for query, strategy, content, _ in rows:
            found.setdefault((query, ""), chats[content])
            found[query, strategy] = chats[content]
    return found


def done_at(directory: Path) -> dict[str, float]:
    """Read when each unit was done, in seconds since 1970, by its key.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    with reading(directory) as (connection, _):
        return dict(connection.execute("SELECT key, time FROM units"))


def suite_of(card: Mapping[str, Any], spec: str) -> dict[str, Any]:
    """Return what a run's card says of one of its suites."""
    suites: list[dict[str, Any]] = card["suites"]
    return next((suite for suite in suites if suite["spec"] == spec), dict[str, Any]())


def scorer_of(suite: Mapping[str, Any]) -> str:
    """Return the name under which the verdicts of a suite stand."""
    return suite.get("grader") or "grader"


def sample_of(
    unit: UnitRecord,
    asked: Asked | None,
    card: Mapping[str, Any],
    *,
    problem: Problem | None = None,
    done: float | None = None,
) -> dict[str, Any]:
    """Return a unit as a sample: chat, output, score, usage, and what else is known in its metadata.

    Args:
        unit: the unit.
        asked: what it was asked with.
        card: the run's.
        problem: with the right answer, where the suite is at hand.
        done: when the unit was done, in seconds since 1970.
    """
    o, model = unit.outcome, unit.model or card["model"]
    chat: list[dict[str, Any]] = [
        {"role": m.get("role", "user"), "content": _text(m.get("content")), "source": "input"}
        for m in (asked.messages if asked else [])
    ]
    said = [_assistant(o.candidate.sample, model)] if o.candidate is not None else []
    failed = o.ended_by == "all_calls_failed"
    error = {"message": o.error or "every call failed", "traceback": o.error, "traceback_ansi": o.error}
    return {
        "id": unit.problem,
        "epoch": unit.epoch + 1,
        "input": chat or "",
        "target": (problem.gold or problem.reference) if problem is not None else "",
        "messages": [*chat, *said],
        "output": _output(o, model, said),
        "scores": {scorer_of(suite_of(card, unit.suite)): _score(unit)},
        "metadata": {
            **{f"tag {name}": value for name, value in unit.tags.items()},
            "strategy": unit.spec,
            "ended_by": o.ended_by,
            "undecided": unit.undecided,
            "answer_tokens": o.answer_tokens,
            "calls": dict(o.calls),
            "dollars": o.dollars,
            "warnings": list(o.warnings),
            "checkpoints": [
                {
                    "samples": c.samples,
                    "answer": c.answer,
                    "correct": right,
                    "thinking_tokens": c.thinking_tokens,
                    "generated": c.prefix.generated,
                }
                for c, right in zip(o.checkpoints, _verdicts(unit), strict=True)
            ],
        },
        "store": {},
        "events": [
            {"event": "info", "source": event.get("event", ""), "data": dict(event), "working_start": 0.0}
            | ({"timestamp": _when(done)} if done is not None else {})
            for event in o.trace
        ],
        "model_usage": usage_of_models(o, model),
        "role_usage": {kind.partition("@")[0]: _usage(used) for kind, used in o.usage.items()},
        "started_at": _when(done, minus=o.seconds),
        "completed_at": _when(done),
        "total_time": o.seconds,
        "working_time": o.seconds,
        "uuid": unit.key,
        "error": error if failed else None,
        "attachments": {},
    }


def summary_of(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the viewer lists of a sample."""
    chat = sample["messages"]
    chat_text = next((m["content"] for m in reversed(sample["input"] or ()) if m["role"] == "user"), "")
    return {
        "id": sample["id"],
        "epoch": sample["epoch"],
        "input": chat_text[:SHOWN],
        "target": sample["target"],
        "metadata": {k: v for k, v in sample["metadata"].items() if isinstance(v, str | int | float | bool)},
        "scores": {
            name: {k: v for k, v in score.items() if k != "explanation"} for name, score in sample["scores"].items()
        },
        "model_usage": sample["model_usage"],
        "role_usage": sample["role_usage"],
        "total_time": sample["total_time"],
        "working_time": sample["working_time"],
        "uuid": sample["uuid"],
        "error": sample["error"]["message"] if sample["error"] else None,
        "completed": True,
        "message_count": len(chat),
        "started_at": sample["started_at"],
        "completed_at": sample["completed_at"],
    }


def usage_of_models(outcome: Outcome, model: str) -> dict[str, dict[str, int]]:
    """Return the tokens of each model that answered, never added over models."""
    sums: dict[str, Usage] = {}
    for kind, used in (*outcome.usage.items(), *outcome.foreign.items()):
        name = kind.partition("@")[2] or model
        sums[name] = sums.get(name, Usage()) + used
    return {name: _usage(used) for name, used in sums.items()}


def _usage(used: Usage) -> dict[str, int]:
    """Its input tokens are those that no cache answered."""
    return {
        "input_tokens": used.prompt_tokens - used.cached_tokens,
        "input_tokens_cache_read": used.cached_tokens,
        "output_tokens": used.generated,
        "reasoning_tokens": used.reasoning_tokens,
        "total_tokens": used.total,
    }


def _assistant(sample: Sample, model: str) -> dict[str, Any]:
    text = {"type": "text", "text": sample.text}
    content = [{"type": "reasoning", "reasoning": sample.reasoning}, text] if sample.reasoning else sample.text
    return {"role": "assistant", "content": content, "source": "generate", "model": sample.model or model}


def _output(outcome: Outcome, model: str, said: list[dict[str, Any]]) -> dict[str, Any]:
    if outcome.candidate is None:
        return {"model": model, "choices": [], "completion": "", "error": outcome.error or None}
    sample = outcome.candidate.sample
    return {
        "model": sample.model or model,
        "choices": [{"message": said[0], "stop_reason": _STOPPED.get(sample.finish, "unknown")}],
        "completion": sample.text,
        "usage": _usage(sample.usage),
        "time": sample.latency,
    }


def _score(unit: UnitRecord) -> dict[str, Any]:
    why = "the grader came to no verdict; counted as wrong" if unit.undecided else None
    return {"value": "C" if unit.correct else "I", "answer": unit.outcome.answer, "explanation": why}


def _verdicts(unit: UnitRecord) -> list[bool | None]:
    known = list[bool | None](unit.checkpoints_correct)
    return known + [None] * (len(unit.outcome.checkpoints) - len(known))


def _when(moment: float | None, *, minus: float = 0.0) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment - minus, UTC).isoformat()


def _text(content: Any) -> str:
    """The text of a message; of one in parts that of its parts."""
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    return "".join(str(cast("dict[str, Any]", p).get("text", "")) if isinstance(p, dict) else str(p) for p in parts)
