"""What runs there are: how far each is, what it was of, and what it cost. A damaged one hides no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from ttc.budget import Price
from ttc.errors import RunError, TTCError
from ttc.evals.config import EvalConfig, expand
from ttc.evals.run_card import read_card
from ttc.evals.run_directory import STORE
from ttc.evals.store_schema import reading
from ttc.evals.stored_records import Paid, read_paid
from ttc.types import Usage

__all__ = ["RunFacts", "RunState", "Work", "facts_of", "is_being_written", "list_runs", "work_of"]

RunState = Literal["complete", "unfinished", "damaged", "being written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run.

    Attributes:
        name: of the run, and of its directory.
        directory: where it is.
        state: how far it is.
        suites: their specs.
        models: their names.
        strategies: their specs, as they were given.
        done: units that are done; None where the store cannot be read.
        total: units that there are to be; None where nothing says.
        started: when, as its card says it (ISO 8601).
        paid: calls and tokens by model, as they were paid.
        dollars: what that cost; None where a model has no price.
        damage: why it is damaged.
    """

    name: str
    directory: Path
    state: RunState
    suites: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    done: int | None = None
    total: int | None = None
    started: str = ""
    paid: Mapping[str, Paid]
    dollars: float | None = None
    damage: str = ""

    @property
    def calls(self) -> int:
        """Calls that were paid."""
        return sum(paid.calls for paid in self.paid.values())

    @property
    def tokens(self) -> int | None:
        """Prompt and generated tokens that were paid; None with several models, whose tokens are not added up.

        Stores of before schema 4 do not tell the models' calls apart.
        """
        if len(self.paid) > 1 or len(self.models) > 1:
            return None
        return sum(paid.prompt_tokens + paid.generated_tokens for paid in self.paid.values())


def list_runs(runs: Path) -> list[RunFacts]:
    """Return the runs in a folder, newest first; damaged ones, of which no start is known, by their store's time.

    Raises:
        RunError: the folder cannot be read.
    """
    if not runs.exists():
        return []
    try:
        found = [path for path in runs.iterdir() if (path / STORE).is_file() or (path / "run.json").is_file()]
    except OSError as error:
        raise RunError(f"{runs} cannot be read: {error.strerror or error}") from error
    return [facts for _, facts in sorted(((_age(path), facts_of(path)) for path in found), key=_newest_first)]


def facts_of(directory: Path) -> RunFacts:
    """Return what is known of one run; whatever is wrong with it is in ``damage``, and never raised."""
    name, writing = directory.name, is_being_written(directory)
    damage = ""
    card: dict[str, Any] = {}
    paid: dict[str, Paid] = {}
    done = total = None
    try:
        if not (directory / "run.json").is_file():
            raise RunError("it has no run card (run.json), which says what it is of")
        card = read_card(directory)
    except (TTCError, OSError) as error:
        damage = str(error)
    try:
        if not (directory / STORE).is_file():
            raise RunError(f"it has no store ({STORE}): what it had paid for is gone")
        done, total = _units(directory)
        paid = read_paid(directory)
    except (TTCError, OSError) as error:
        damage = damage or str(error)
    if not card and damage.startswith("it has no run card") and done == 0 and not paid:
        damage += ": it was ended before it had begun"
    try:
        about = _about(card)
        dollars = _dollars(card, paid)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        about, dollars = {}, None
        damage = damage or f"{directory / 'run.json'} is no run card: {type(error).__name__}: {error}"
    if total is None and not damage:
        total = _expected(card)
    state: RunState = "complete" if done is not None and done == total else "unfinished"
    if damage:
        state = "damaged"
    if writing:
        state, damage = "being written", ""
    return RunFacts(
        name=name,
        directory=directory,
        state=state,
        done=done,
        total=total,
        paid=paid,
        dollars=dollars,
        damage=damage,
        **about,
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What is done of one suite by one model with one strategy.

    Attributes:
        suite: its spec.
        model: its name; empty in a run of before models were kept.
        spec: of the strategy, as it ran.
        done: units that are done.
        right: those of them whose answer is right.
        failed: those of which every call failed.
    """

    suite: str
    model: str
    spec: str
    done: int
    right: int
    failed: int


def work_of(directory: Path) -> list[Work]:
    """Count what is done of a run, by suite, model and strategy.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    with reading(directory) as (connection, version):
        model = "model" if version > 2 else "''"
        rows = connection.execute(
            f"SELECT suite, {model}, spec, count(*), sum(correct = 1), "
            "sum(json_extract(CAST(outcome AS TEXT), '$.ended_by') = 'all_calls_failed') "
            "FROM units GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return [Work(*row) for row in rows]


def is_being_written(directory: Path) -> bool:
    """Whether a process of this machine holds the lock of a run.

    Looked up among the locks that the kernel lists, since taking it to find out might turn a writer away.
    """
    try:
        number = (directory / "lock").stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(f":{number} " in line and "FLOCK" in line for line in locks)


def _units(directory: Path) -> tuple[int, int | None]:
    """Units that are done, and how many there are to be."""
    with reading(directory) as (connection, _):
        (done,) = connection.execute("SELECT count(*) FROM units").fetchone()
        row = connection.execute("SELECT value FROM meta WHERE name = 'units'").fetchone()
        return done, int(row[0]) if row else None


def _expected(card: Mapping[str, Any]) -> int | None:
    """How many units the settings on a card come to, of a run that does not say itself; None if they no longer load."""
    try:
        config = EvalConfig(**card["config"])
        each = len(expand(config.strategies, config.budgets)) * config.epochs
        return each * sum(suite["problems"] for suite in card["suites"])
    except (TTCError, ValueError, KeyError, TypeError):
        return None


def _about(card: Mapping[str, Any]) -> dict[str, Any]:
    config: Mapping[str, Any] = card.get("config", {})
    models = cast("Mapping[str, Any]", card.get("models") or {})
    return {
        "suites": tuple(str(suite["spec"]) for suite in card.get("suites", ())),
        "models": tuple(models) or tuple(_texts([card.get("model") or ""])),
        "strategies": tuple(_texts(config.get("strategies", ()))),
        "started": str(card.get("started", "")),
    }


def _texts(values: Sequence[Any]) -> list[str]:
    return [str(value) for value in values if value]


def _dollars(card: Mapping[str, Any], paid: Mapping[str, Paid]) -> float | None:
    """What was paid, at the prices on the card; None where a model has none."""
    if not paid:
        return None
    models: Mapping[str, Any] = card.get("models") or {}
    total = 0.0
    for name, of_it in paid.items():
        price = models[name].get("price") if name in models else card.get("price")
        if not price:
            return None
        usage = Usage(of_it.prompt_tokens, of_it.cached_tokens, 0, of_it.generated_tokens)
        total += Price(**price).of(usage)
    return total


def _age(directory: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in directory.iterdir())
    except (OSError, ValueError):
        return 0.0


def _newest_first(entry: tuple[float, RunFacts]) -> tuple[float, str]:
    return (-_start(entry[1]) or -entry[0], entry[1].name)


def _start(facts: RunFacts) -> float:
    try:
        return datetime.fromisoformat(facts.started).timestamp()
    except ValueError:
        return 0.0
