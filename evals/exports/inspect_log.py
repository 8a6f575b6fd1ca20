"""A run as logs of inspect_ai, so that its viewer opens them: one log per suite, strategy configuration and model.

A log is a zip of JSON (version 2 of the format): ``header.json`` says what was run and what came out, ``samples/``
holds a file per problem and epoch, and ``summaries.json`` what the viewer lists. See
https://inspect.aisi.org.uk/eval-logs.html.

What happened on the way is the transcript of a sample, and what has no place of its own in that format (tags,
checkpoints, warnings) is in its metadata. Right answers come from the suite, where that can be loaded. A unit is
charged in full there as everywhere: its usage is that of the strategy run by itself.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import RunError
from ttc.evals.exports.inspect_sample import (
    Asked,
    asked_of,
    done_at,
    sample_of,
    scorer_of,
    suite_of,
    summary_of,
)
from ttc.evals.exports.whole_files import whole_files
from ttc.evals.problems_at_hand import problems_at_hand
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import read_card
from ttc.evals.stored_records import stream_units
from ttc.statistics import mean

__all__ = ["write_inspect_logs"]

VERSION = 2
"""Of the format."""


@dataclass(slots=True)
class _Log:
    """One log while it is written."""

    suite: str
    spec: str
    model: str
    zip: zipfile.ZipFile
    summaries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    scores: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    usage: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    def add(self, unit: UnitRecord, sample: Mapping[str, Any]) -> None:
        name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
        self.zip.writestr(name, orjson.dumps(sample, option=orjson.OPT_NON_STR_KEYS))
        self.summaries.append(summary_of(sample))
        self.scores.setdefault(unit.problem, []).append(float(unit.correct))
        for model, used in sample["model_usage"].items():
            total = self.usage.setdefault(model, dict.fromkeys(used, 0))
            for kind, tokens in used.items():
                total[kind] += tokens


def write_inspect_logs(directory: Path, folder: Path) -> list[Path]:
    """Write a ``.eval`` file per suite, strategy configuration and model; return them.

    Raises:
        RunError: there is no run, it is damaged, it holds no finished unit, or they cannot be written.
    """
    card = read_card(directory)
    asked, done = asked_of(directory), done_at(directory)
    found = {(u.suite, u.spec, u.model): None for u in stream_units(directory)}
    if not found:
        raise RunError(f"run '{directory.name}' has no finished unit yet: there is nothing to export")
    keys = sorted(found)
    problems, _ = problems_at_hand(suite for suite, _, _ in keys)
    names = [_file_name(card, i, spec) for i, (_, spec, _) in enumerate(keys)]
    with whole_files(folder, names) as paths:
        logs: dict[tuple[str, str, str], _Log] = {}
        try:
            for key, path in zip(keys, paths, strict=True):
                logs[key] = _Log(*key, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED))
                logs[key].zip.writestr("_journal/start.json", orjson.dumps(_start(card, logs[key])))
            for unit in stream_units(directory):
                log = logs.get((unit.suite, unit.spec, unit.model))
                if log is not None:  # else of a configuration that was begun meanwhile
                    log.add(
                        unit,
                        sample_of(
                            unit,
                            asked.get((unit.problem, unit.spec)) or _any(asked, unit),
                            card,
                            problem=problems.get((unit.suite, unit.problem)),
                            done=done.get(unit.key),
                        ),
                    )
            for log in logs.values():
                log.zip.writestr("summaries.json", orjson.dumps(log.summaries))
                log.zip.writestr("header.json", orjson.dumps(_header(card, log), option=orjson.OPT_NON_STR_KEYS))
        finally:
            for log in logs.values():
                log.zip.close()
    return [folder / name for name in names]


def _any(asked: Mapping[tuple[str, str], Asked], unit: UnitRecord) -> Asked | None:
    """What any other strategy was first asked of the problem: they share their first calls."""
    return asked.get((unit.problem, ""))


def _file_name(card: Mapping[str, Any], number: int, spec: str) -> str:
    """A name as inspect_ai gives them: when it was, what it was, and an id."""
    at = _moment(card.get("started", "")).strftime("%Y-%m-%dT%H-%M-%S-00-00")
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in spec).strip("-")[:60]
    run = "".join(c if c.isalnum() else "-" for c in card["run_id"])
    return f"{at}_{words}_{run}-{number}.eval"


def _start(card: Mapping[str, Any], log: _Log) -> dict[str, Any]:
    settings: dict[str, Any] = card["config"]
    sampling: dict[str, Any] = settings.get("sampling", {})
    suite = suite_of(card, log.suite)
    name, _, parameters = log.spec.partition(":")
    model = log.model or card["model"]
    config = {
        "max_tokens": sampling.get("max_tokens"),
        "temperature": sampling.get("temperature"),
        "top_p": sampling.get("top_p"),
        "seed": settings.get("seed"),
    }
    of_model: dict[str, Any] = card.get("models", {}).get(model, {})
    server: dict[str, Any] = of_model.get("server") or card.get("server") or {}
    return {
        "version": VERSION,
        "eval": {
            "eval_id": f"{card['run_id']}/{log.suite}/{log.spec}/{model}",
            "run_id": card["run_id"],
            "created": _moment(card.get("started", "")).isoformat(),
            "task": f"{log.suite} {log.spec}",
            "task_id": f"{log.suite}/{log.spec}",
            "task_version": 0,
            "task_args": {"suite": log.suite, "strategy": log.spec},
            "solver": name,
            "solver_args": {"parameters": parameters} if parameters else {},
            "dataset": {"name": log.suite, "samples": suite.get("problems", 0)},
            "model": model,
            "model_generate_config": config,
            "model_base_url": server.get("base_url"),
            "model_args": {},
            "config": {"epochs": settings.get("epochs", 1), "limit": settings.get("limit")},
            "packages": {"ttc-compute": card.get("ttc", "unknown")},
            "metadata": {
                "strategy": log.spec,
                "verifier": settings.get("verifier"),
                "comparator": settings.get("comparator"),
                "suite digest": suite.get("digest"),
            },
            "scorers": [{"name": scorer_of(suite), "metrics": [{"name": "accuracy"}, {"name": "stderr"}]}],
        },
        "plan": {"name": "plan", "steps": [{"solver": log.spec, "params": {}}], "config": config},
    }


def _header(card: Mapping[str, Any], log: _Log) -> dict[str, Any]:
    suite = suite_of(card, log.suite)
    due = suite.get("problems", 0) * card["config"].get("epochs", 1)
    accuracy, scorer = mean(log.scores), scorer_of(suite)
    metrics = {"accuracy": accuracy.value, "stderr": accuracy.se}
    done = len(log.summaries)
    start = _start(card, log)
    started = start["eval"]["created"]
    ends = [s["completed_at"] for s in log.summaries if s["completed_at"]]
    return {
        "version": VERSION,
        "status": "success" if done >= due else "cancelled",
        "eval": start["eval"],
        "plan": start["plan"],
        "results": {
            "total_samples": due,
            "completed_samples": done,
            "scores": [
                {
                    "name": scorer,
                    "scorer": scorer,
                    "scored_samples": done,
                    "unscored_samples": 0,
                    "params": {},
                    "metrics": {
                        name: {"name": name, "value": value, "params": {}}
                        for name, value in metrics.items()
                        if math.isfinite(value)
                    },
                }
            ],
        },
        "stats": {"started_at": started, "completed_at": max(ends, default=started), "model_usage": log.usage},
    }


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
