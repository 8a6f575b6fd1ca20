"""One of two runs that are compared: its points by problem, named so that both runs call the same problem the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ttc.budget import Price
from ttc.errors import RunError, TTCError
from ttc.evals.axes import parameters_of
from ttc.evals.model_cards import DECISIVE, differing, models_of
from ttc.evals.points import Series
from ttc.evals.readings import Reading, readings_of
from ttc.evals.records import UnitRecord
from ttc.evals.run_card import read_card
from ttc.evals.store import read_units
from ttc.evals.suite import Suite, load_suite

__all__ = ["ComparedRun", "card_differences", "read_run", "same_model"]

_SETTINGS = (
    "strategies",
    "budgets",
    "verifier",
    "comparator",
    "budget",
    "allocate",
    "total_tokens",
    "max_dollars",
    "seed",
    "epochs",
    "limit",
    "sample_seed",
    "concurrency",
)
_SERVER = ("weights", "tokenizer", "template", "version", "dtype", "flags", "settings", "hardware", "packages")


@dataclass(slots=True)
class ComparedRun:
    """A run as far as it is done.

    Attributes:
        name: of its directory.
        card: its card.
        points: by model and configuration; problems go by a name that both runs share.
        problems: those names.
        missing: queries that are not done yet.
    """

    name: str
    card: Mapping[str, Any]
    points: list[Series]
    problems: frozenset[str] = field(default_factory=frozenset[str])
    missing: int = 0

    @property
    def models(self) -> list[str]:
        """The models whose points there are."""
        return list(dict.fromkeys(point.model for point in self.points))

    @property
    def digests(self) -> dict[str, str]:
        """The suites' specs by the hash of their data."""
        return {suite["digest"]: suite["spec"] for suite in self.card["suites"]}

    def on(self, problems: frozenset[str]) -> ComparedRun:
        """Return the run on some of the problems."""
        kept = [point for s in self.points if (point := s.of(problems)).readings]
        return replace(self, points=kept, problems=self.problems & problems)


def read_run(directory: Path, *, by_content: bool = False) -> ComparedRun:
    """Read a run for a comparison.

    Args:
        directory: the run's.
        by_content: name problems by what they ask and how they are graded, so that two suites may share some; else by
            their suite's data and their id.

    Raises:
        RunError: there is no run, nothing of it is done, or, by content, a suite cannot be loaded or holds other data.
    """
    card = read_card(directory)
    units = read_units(directory)
    if not units:
        raise RunError(
            f"no query of run '{directory.name}' is done yet, so there is nothing to compare: go on with it with "
            f"'ttc eval --resume {directory.name}'"
        )
    names = _content_names(directory, card) if by_content else {}
    digests = {suite["spec"]: suite["digest"] for suite in card["suites"]}

    def name_of(unit: UnitRecord) -> str:
        return names.get((unit.suite, unit.problem)) or f"{digests.get(unit.suite, unit.suite)} {unit.problem}"

    points = _points(units, card, name_of)
    epochs = int(card["config"].get("epochs") or 1)
    expected = epochs * sum(int(suite.get("problems") or 0) for suite in card["suites"])
    done: dict[tuple[str, str], set[tuple[str, str, int]]] = {}
    for unit in units:
        done.setdefault((unit.model, unit.spec), set()).add((unit.suite, unit.problem, unit.epoch))
    missing = sum(max(0, expected - len(of_it)) for of_it in done.values())
    return ComparedRun(directory.name, card, points, frozenset(map(name_of, units)), missing)


def _points(units: Iterable[UnitRecord], card: Mapping[str, Any], name_of: Any) -> list[Series]:
    """The points of a run, model by model; of one that was read off several runs at prefixes, the longest one's."""
    models = models_of(card)
    only = next(iter(models)) if len(models) == 1 else ""
    facts = {"model": card["model"], "models": models, "parameters": card["config"].get("parameters")}
    series: dict[tuple[str, str, int, str], Series] = {}
    for unit in sorted(units, key=lambda u: (u.suite, u.problem, u.epoch, u.key)):
        model = unit.model if unit.model in models else only
        priced = models.get(model, {}).get("price") or card.get("price")
        price = Price(**priced) if priced else None
        for n, reading in readings_of(unit, price=price, parameters=parameters_of(facts, model)):
            how = "prefix" if unit.prefix and unit.setting is not None else "explicit"
            key = (model, unit.strategy, n or 0, unit.spec)
            home = series.setdefault(key, Series(model, unit.strategy, unit.spec, n, how))
            home.readings.append(_renamed(reading, name_of(unit)))
    best: dict[tuple[str, str, int], Series] = {}
    longest = {key: max(n for m, s, n, spec in series if (m, s, spec) == (key[0], key[1], key[3])) for key in series}
    for key in sorted(series, key=lambda key: (key[0], key[1] != "single", key[:3], longest[key])):
        best[key[:3]] = series[key]
    return list(best.values())


def _renamed(reading: Reading, problem: str) -> Reading:
    return replace(reading, problem=problem)


def _content_names(directory: Path, card: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    names: dict[tuple[str, str], str] = {}
    for entry in card["suites"]:
        try:
            suite = load_suite(entry["spec"])
        except (TTCError, ImportError) as error:
            raise RunError(
                f"the problems of run '{directory.name}' cannot be told by their content: suite '{entry['spec']}' "
                f"cannot be loaded: {error}"
            ) from None
        if suite.digest() != entry["digest"]:
            raise RunError(
                f"suite '{entry['spec']}' of run '{directory.name}' holds other data now: compare without it"
            )
        for problem in suite.problems:
            names[entry["spec"], problem.query.id] = Suite("", [problem], grader=suite.grader).digest()
    return names


def same_model(a: ComparedRun, b: ComparedRun, model_a: str, model_b: str) -> bool:
    """Whether two models are one, as far as the cards tell: the same name and nothing that tells them apart.

    Models of two names are one where weights and tokenizer are known of both, and are the same.
    """
    mine, its = _server(a, model_a), _server(b, model_b)
    if any(fact in differing(mine, its) for fact in DECISIVE):
        return False
    served = [models_of(run.card)[model].get("served") or model for run, model in ((a, model_a), (b, model_b))]
    known = all(mine.get(fact) is not None and its.get(fact) is not None for fact in ("weights", "tokenizer"))
    return served[0] == served[1] or (known and mine["weights"] == its["weights"])


def card_differences(a: ComparedRun, b: ComparedRun) -> list[tuple[str, str, str]]:
    """Return what two runs were not made alike in: name, what it is in the one and in the other."""
    found: list[tuple[str, str, str]] = []

    def note(name: str, one: Any, other: Any) -> None:
        if one != other:
            found.append((name, _said(one), _said(other)))

    note("model", a.card["model"], b.card["model"])
    for model in dict.fromkeys([*models_of(a.card), *models_of(b.card)]):
        if model in models_of(a.card) and model in models_of(b.card):
            mine, its = _server(a, model), _server(b, model)
            for fact in _SERVER:
                if mine.get(fact) != its.get(fact):
                    note(fact if len(a.models) == 1 else f"{fact} of {model}", mine.get(fact), its.get(fact))
            note("price", models_of(a.card)[model].get("price"), models_of(b.card)[model].get("price"))
    mine, its = a.card["config"], b.card["config"]
    for setting in _SETTINGS:
        note(setting.replace("_", " "), mine.get(setting), its.get(setting))
    drawn: dict[str, Any] = mine.get("sampling") or {}
    drawn_there: dict[str, Any] = its.get("sampling") or {}
    for part in dict.fromkeys([*drawn, *drawn_there]):
        note(f"sampling {part}", drawn.get(part), drawn_there.get(part))
    note("suites", sorted(a.digests.values()), sorted(b.digests.values()))
    note("ttc", a.card.get("ttc"), b.card.get("ttc"))
    return found


def _server(run: ComparedRun, model: str) -> dict[str, Any]:
    return models_of(run.card).get(model, {}).get("server") or {}


def _said(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType]
    return str(value) or "none"
