"""What was run, and how to run it again: the facts on a page that are neither curves nor problems."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ttc.evals.figures.curves import BASELINE
from ttc.evals.records import UnitRecord
from ttc.evals.report.series import series_of
from ttc.evals.summary import Summary
from ttc.types import Sampling

__all__ = ["card_facts", "commands", "facts", "legend", "warnings"]

_SHAPES = {
    "o": "M12 7a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "s": "M12.5 2.5h9v9h-9z",
    "^": "M17 1.5l5.5 10h-11z",
    "v": "M17 12.5l5.5 -10h-11z",
    "D": "M17 1l6 6l-6 6l-6 -6z",
    "P": "M15 2h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "*": "M17 0l1.7 5h5.3l-4.3 3.1l1.6 5l-4.3 -3.1l-4.3 3.1l1.6 -5l-4.3 -3.1h5.3z",
}

_OPTIONS = ("up", "verifier", "comparator", "budget", "seed", "limit", "sample_seed", "epochs")


def facts(summary: Summary, units: Sequence[UnitRecord]) -> list[dict[str, str]]:
    """Return the handful of facts under the headline."""
    levels = ", ".join(f"{n} {level}" for level, n in _levels(summary))
    generated: dict[str, int] = {}
    for u in units:
        generated[u.model] = generated.get(u.model, 0) + u.outcome.generated_tokens
    done = [
        ("Model", str(summary.run.get("model", "not recorded")), ""),
        ("Problems", f"{summary.problems.get('all', 0):,}", levels),
        ("Queries", f"{len(units):,}", "a query is one problem solved by one strategy"),
        *_generated(generated),
    ]
    return [{"name": name, "value": value, "more": more} for name, value, more in done]


def _generated(tokens: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Tokens model by model: those of two count different things, and have no sum."""
    if len(tokens) < 2:
        return [("Tokens generated", f"{sum(tokens.values()):,}", "over all queries")]
    return [("Tokens generated", f"{n:,}", f"over all queries of {model}") for model, n in sorted(tokens.items())]


def warnings(summary: Summary, units: Sequence[UnitRecord]) -> list[str]:
    """Say what a reader has to know before believing the numbers."""
    found: list[str] = [doubt for suite in summary.run.get("suites", ()) for doubt in suite.get("warnings", ())]
    found += [f"{spec}: {caveat}." for spec, caveat in summary.run.get("caveats", {}).items()]
    failed = sum(u.outcome.ended_by == "all_calls_failed" for u in units)
    if failed:
        found.append(f"{failed} of {len(units):,} queries failed: every call of theirs did. They count as wrong.")
    undecided = sum(u.undecided for u in units)
    if undecided:
        found.append(
            f"{undecided} of {len(units):,} queries were not decided: the grader's comparison ran into its time limit. "
            "They count as wrong."
        )
    bounds = sum(u.outcome.total_usage.upper_bound for u in units)
    if bounds:
        found.append(
            f"In {bounds} of {len(units):,} queries calls were cut short; their tokens are counted as upper bounds."
        )
    estimated = sum(u.outcome.total_usage.reasoning_source in ("estimate", "mixed") for u in units)
    if estimated:
        found.append(f"In {estimated} of {len(units):,} queries the split into thoughts and text is partly estimated.")
    per_spec: dict[str, set[tuple[str, str, int]]] = {}
    for unit in units:
        per_spec.setdefault(unit.spec, set()).add((unit.suite, unit.problem, unit.epoch))
    everything = set[tuple[str, str, int]]().union(*per_spec.values())
    missing = sum(len(everything - done) for done in per_spec.values())
    if missing:
        found.append(
            f"The run is not complete: {missing:,} queries are missing, so strategies are seen on different problems."
        )
    if BASELINE not in {c.strategy for c in summary.curves}:
        found.append(f"'{BASELINE}' was not run, so there is nothing to compare the strategies with.")
    return found


def legend(summary: Summary) -> list[dict[str, Any]]:
    """Return what the curves' colours and marks mean."""
    return [
        {"name": s.name, "colour": s.colour, "shape": _SHAPES[s.marker], "prefix": s.prefix, "how": s.how}
        for s in series_of(summary)
    ]


def card_facts(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what is recorded of the run, one fact an entry."""
    return [{"name": name, "value": value} for name, value in _flat(card) if value]


def commands(card: Mapping[str, Any], runs: Path = Path("runs")) -> list[dict[str, str]]:
    """Return the commands that repeat the run, go on with it under ``runs``, and draw this page anew."""
    run_id = str(card.get("run_id", ""))
    if not run_id:
        return []
    where = [] if runs == Path("runs") else ["--runs", str(runs)]
    again = _options(card.get("config", {}))
    return [
        {"why": why, "line": shlex.join(["ttc", *words, *where])}
        for why, words in (
            *([("Run it again, as a new run:", ["eval", *again])] if again else []),
            ("Go on where it stopped; nothing is paid for twice:", ["eval", "--resume", run_id]),
            ("Write the figures and this page anew:", ["report", run_id]),
        )
    ]


def _options(config: Mapping[str, Any]) -> list[str]:
    """Return the settings of a run as options of ``ttc eval``; none where the options cannot say them."""
    sampling: Mapping[str, Any] = config.get("sampling", {})
    usual = asdict(Sampling())
    said = {"max_tokens": "sample_tokens", "temperature": "temperature"}
    if not config.get("suites") or any(v != usual.get(k) for k, v in sampling.items() if k not in said):
        return []
    words = [*config["suites"], *(w for strategy in config.get("strategies", ()) for w in ("--strategy", strategy))]
    if config.get("budgets"):
        words += ["--budgets", ",".join(map(str, config["budgets"]))]
    given = {**{k: config.get(k) for k in _OPTIONS}, **{option: sampling.get(k) for k, option in said.items()}}
    silent = {"seed": 0, "epochs": 1, "budget": "", **{option: usual[k] for k, option in said.items()}}
    for name, value in given.items():
        if value is not None and value != silent.get(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def _levels(summary: Summary) -> list[tuple[str, int]]:
    return [(level, summary.problems.get(f"level={level}", 0)) for level in summary.classes.get("level", ())]


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Flatten nested facts into names and values for reading: ``{"a": {"b": 1}}`` is ``a b: 1``."""
    if isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value).items()
        return [fact for key, inner in items for fact in _flat(inner, f"{name} {key}".strip().replace("_", " "))]
    if isinstance(value, list | tuple):
        entries = cast(Sequence[Any], value)
        if any(isinstance(entry, Mapping) for entry in entries):
            return [fact for entry in entries for fact in _flat(entry, name)]
        return [(name, ", ".join(map(str, entries)))]
    return [(name, "" if value is None else str(value))]
