"""The card of a run: everything that was settled before its first call, and what is derived from its store."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from ttc.errors import RunError
from ttc.evals.config import EvalConfig, read_config
from ttc.evals.difficulty_bins import bins_of_pool
from ttc.evals.model_cards import models_of, still_the_same
from ttc.evals.nested_strategies import caveat_of, content_of
from ttc.evals.run_directory import STORE, find_run, write_file
from ttc.evals.scaling import RunReadings
from ttc.evals.store import stream_units
from ttc.evals.suite import Problem, Suite
from ttc.evals.summary import Summary, summary_to_json
from ttc.models.base import LiveModel
from ttc.models.machine import hardware
from ttc.pool_files import read_pool
from ttc.strategy import make_strategy

__all__ = ["config_of", "keep_card", "new_id", "read_card", "write_summary"]


def write_summary(directory: Path, *, difficulty: Path | None = None) -> Summary:
    """Derive ``summary.json`` and ``timings.json`` from a run's store and card.

    Args:
        directory: the run's.
        difficulty: a pool of other samples of the same problems; every curve then comes per bin of difficulty too.

    Raises:
        RunError: there is no run.
        ConfigurationError: the pool cannot be read, holds the run's own samples, or none of its problems.
    """
    card = read_card(directory)
    free = ["concurrency", "runs", "base_url", "max_dollars", "price", "parameters", "models", "fail_fast", "cache"]
    if not card["config"].get("leave_out_tuned"):
        free.append("leave_out_tuned")
    if card["config"].get("allocate") is None:
        free.append("total_tokens")
    settings = {k: v for k, v in card["config"].items() if k not in free}
    settings |= {"model": card["model"], "price": card["price"], "suites": card["suites"]}
    if len(models := card.get("models", {})) > 1 or any(m["parameters"] for m in models.values()):
        settings["models"] = {name: {"price": m["price"], "parameters": m["parameters"]} for name, m in models.items()}
    if caveats := card.get("caveats"):
        settings["caveats"] = caveats
    readings = RunReadings(settings).add_all(stream_units(directory))
    bins = bins_of_pool(read_pool(difficulty), readings.problems, card=card) if difficulty is not None else None
    if bins is not None:
        readings.run["difficulty"] = bins.note
    known = bins.of if bins is not None else None
    summary = readings.summary(difficulty=known)
    write_file(directory / "summary.json", summary_to_json(summary))
    timings = readings.timings(difficulty=known)
    write_file(directory / "timings.json", orjson.dumps(timings, option=orjson.OPT_INDENT_2))
    return summary


def read_card(directory: Path) -> dict[str, Any]:
    """Read a run's card.

    Raises:
        RunError: there is no run in the directory, or its card is damaged.
    """
    try:
        return orjson.loads((directory / "run.json").read_bytes())
    except FileNotFoundError:
        if (directory / STORE).is_file():
            raise RunError(
                f"run '{directory.name}' in {directory.parent} has a store and no card (run.json), which says what it "
                "is of: put the card back"
            ) from None
        raise RunError(f"there is no run in {directory}: 'ttc eval' makes one") from None
    except orjson.JSONDecodeError as error:
        raise RunError(f"{directory / 'run.json'} is damaged: {error}") from None


def config_of(runs: Path, run_id: str) -> EvalConfig:
    """Return the settings of a run, by its name or a path to it, to resume it.

    Raises:
        RunError: there is no such run, or it has lost its card or its store.
    """
    directory = find_run(runs, run_id)
    return read_config({**read_card(directory)["config"], "runs": directory.parent, "run_id": directory.name})


def new_id(suite: Suite, models: Mapping[str, LiveModel]) -> str:
    """Make a name that tells what was run on what and when."""
    on = "+".join(Path(name).name for name in models)
    words = f"{suite.name.partition(':')[0]}-{on}-{time.strftime('%Y%m%d-%H%M%S')}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in words)[:128]


def keep_card(
    directory: Path,
    config: EvalConfig,
    chosen: list[tuple[Suite, list[Problem]]],
    models: Mapping[str, Mapping[str, Any]],
    *,
    warnings: list[list[str]],
) -> list[str]:
    """Write the run card, or check that a run which is there was made with the same settings and models.

    What serves a model may be another version on another machine than at the start: that is added to the card, under
    ``resumed``, and said.

    Args:
        directory: the run's.
        config: its settings.
        chosen: its suites, with the problems that are run.
        models: what answers, by name, as :func:`~ttc.evals.model_cards.model_cards` asked.
        warnings: for each suite what is doubtful about it.

    Returns:
        What is another than at the start, a line each.

    Raises:
        RunError: names the first setting that differs, or the model that is another one.
    """
    suites = [
        {
            "spec": s.name,
            "digest": s.digest(),
            "problems": len(p),
            "of": len(s.problems),
            "grader": s.grader.name,
            "isolation": getattr(s.grader, "isolation", ""),
            "warnings": doubts,
            "info": s.info,
        }
        for (s, p), doubts in zip(chosen, warnings, strict=True)
    ]
    made = [make_strategy(strategy) for strategy in config.strategies]
    contents = {one.spec: found for one in made if (found := content_of(one))}
    if (directory / "run.json").exists():
        card = read_card(directory)
        before = {**EvalConfig(**card["config"]).identity(), "model": card["model"]}
        before["price"] = [model["price"] for model in models_of(card).values()]
        before["suite data"] = [s["digest"] for s in card["suites"]]
        now = {**config.identity(), "model": "+".join(models), "suite data": [s["digest"] for s in suites]}
        now["price"] = [model["price"] for model in models.values()]
        # A policy that was edited since is another strategy under the same name.
        before["policy file"], now["policy file"] = card.get("policy files", {}), contents
        for name in now:
            if before.get(name) != now[name]:
                raise RunError(
                    f"run '{config.run_id}' was made with {_another(name)} ({before.get(name)!r}, now {now[name]!r}): "
                    "resume it with its own settings (--resume alone), or choose another --run-id"
                )
        notes = still_the_same(config.run_id, models_of(card), models)
        if notes:
            servers = {name: model["server"] for name, model in models.items()}
            card["resumed"] = [*card.get("resumed", ()), {"when": _now(), "servers": servers}]
            _write(directory, card)
        return notes
    only = next(iter(models.values())) if len(models) == 1 else None
    card = {
        "run_id": config.run_id,
        "config": config.model_dump(mode="json", exclude={"runs"}),
        "model": "+".join(models),
        "price": only["price"] if only else None,
        "server": only["server"] if only else {},
        "models": {name: {**model, "parameters": config.parameters_of(name)} for name, model in models.items()},
        "suites": suites,
        "policy files": contents,
        "caveats": {one.spec: said for one in made if (said := caveat_of(one))},
        "ttc": _version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": hardware(),
        "started": _now(),
    }
    _write(directory, card)
    return []


def _another(setting: str) -> str:
    """Name a setting that is not what it was: many are several things."""
    name = setting.replace("_", " ")
    return f"other {name}" if name.endswith("s") else f"another {name}"


def _write(directory: Path, card: Mapping[str, Any]) -> None:
    write_file(directory / "run.json", orjson.dumps(card, option=orjson.OPT_INDENT_2, default=str))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _version() -> str:
    try:
        return version("ttc-compute")
    except PackageNotFoundError:
        return "unknown"
