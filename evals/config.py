"""What a run is: its settings, readable from TOML, and the work that follows from them."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, PlainSerializer, field_validator, model_validator

from ttc import registry
from ttc.budget import Budget, Price
from ttc.errors import ConfigurationError
from ttc.evals.served import PriceField, ServedModel, refuse_twice
from ttc.evals.suite import Problem, Suite, load_suite
from ttc.evals.tuned_problems import without_tuned
from ttc.ledger import Ledger
from ttc.pacing import check_allocation, make_allocation
from ttc.strategy import Strategy, make_strategy
from ttc.types import Sampling
from ttc.verifier import make_comparator, make_verifier

__all__ = ["Configuration", "EvalConfig", "check", "choose_problems", "expand", "read_config", "read_toml", "total_of"]


def _spec_of(value: str | Strategy) -> str:
    return value if isinstance(value, str) else value.spec


def _name_of(value: str | Suite) -> str:
    return value if isinstance(value, str) else value.name


class EvalConfig(BaseModel):
    """The settings of a run; everything that determines its results, and how to reach the model.

    In Python, strategies and suites may also be objects; a run card holds their specs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    suites: tuple[Annotated[str | InstanceOf[Suite], PlainSerializer(_name_of)], ...] = Field(
        min_length=1, description="suites, e.g. arithmetic:per_family=20"
    )
    strategies: tuple[Annotated[str | InstanceOf[Strategy], PlainSerializer(_spec_of)], ...] = Field(
        default=("single", "majority"), min_length=1, description="strategies, e.g. knockout:k=2"
    )
    budgets: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(),
        description="values of n for strategies that name none: prefix-valid ones run at the largest, others at each",
    )
    verifier: str | None = Field(default=None, description="verifier, e.g. self_certainty")
    comparator: str | None = Field(default=None, description="comparator, e.g. judge")
    sampling: Sampling = Field(default=Sampling(), description="how samples are drawn")
    budget: str = Field(default="", description="hard limits per query, e.g. generated_tokens=400,seconds=20")
    total_tokens: int | None = Field(
        default=None,
        ge=1,
        description="hard limit on generated and prompt tokens of all queries of a model, each charged in full",
    )
    max_dollars: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="hard limit on the dollars of all queries, each charged in full; every model needs a price",
    )
    allocate: str | None = Field(
        default=None,
        description="greedy or uniform: hand total_tokens out over the problems, to each strategy all of them",
    )
    seed: int = Field(default=0, description="seeds every request")
    epochs: int = Field(default=1, ge=1, description="how often every problem is run, each time with other seeds")
    limit: int | None = Field(default=None, ge=1, description="problems per suite, drawn from all of it")
    sample_seed: int = Field(default=0, description="draws them")
    leave_out_tuned: bool = Field(
        default=False, description="leave out the problems that a strategy was tuned on, rather than refuse"
    )
    fail_fast: bool = Field(default=False, description="stop at the first query of which every call failed")
    concurrency: int | None = Field(
        default=None, ge=1, description="queries at a time; by default as many as keep the calls in flight"
    )
    cache: Path | None = Field(default=None, description="a folder where calls of all runs are kept and looked for")
    runs: Path = Field(default=Path("runs"), description="where run directories are")
    run_id: str = Field(default="", description="name of the run; made of the suite, the model and the time if empty")
    base_url: str = Field(default="", description="the server, for resuming")
    model: str | None = Field(default=None, description="the served name, for resuming")
    up: str | None = Field(default=None, description="the model to start a server for, for resuming")
    price: PriceField = Field(default=None, description="dollars per million prompt and generated tokens: 0.1/0.4")
    parameters: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="active parameters of the model, for FLOPs, e.g. 1.7e9"
    )
    models: tuple[ServedModel, ...] = Field(
        default=(), description="several models, each with model, base_url, price and parameters of its own"
    )

    @field_validator("sampling", mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = {f.name for f in fields(Sampling)}
            for key in value:  # pyright: ignore[reportUnknownVariableType]  # whatever the file holds
                if key not in known:
                    raise ValueError(f"unknown setting '{key}' of sampling. Known: {', '.join(sorted(known))}")
        return value  # pyright: ignore[reportUnknownVariableType]

    @model_validator(mode="after")
    def _one_way_to_name_models(self) -> Self:
        if self.models:
            if given := [name for name in ("model", "up", "price", "parameters") if getattr(self, name) is not None]:
                raise ValueError(f"'models' holds what each model is: leave '{given[0]}' to them")
            refuse_twice([one.known_as for one in self.models])
        return self

    def served(self) -> tuple[ServedModel, ...]:
        """The models that the settings name: ``models``, or the one that the settings themselves describe."""
        if self.models:
            return tuple(m if m.base_url else m.model_copy(update={"base_url": self.base_url}) for m in self.models)
        one = ServedModel(model=self.model, base_url=self.base_url, up=self.up, parameters=self.parameters)
        return (one.model_copy(update={"price": self.price}),)

    def parameters_of(self, name: str) -> float | None:
        """The active parameters of a model by the run's name for it, where they were given."""
        models = self.served()
        if len(models) == 1:
            return models[0].parameters
        return next((model.parameters for model in models if model.known_as == name), None)

    def identity(self) -> dict[str, Any]:
        """The settings that determine results, as plain data: what a resumed run must have in common."""
        free = {"concurrency", "total_tokens", "max_dollars", "fail_fast", "cache", "runs", "run_id"}
        free |= {"base_url", "model", "up", "price", "models"}
        if self.allocate is not None:
            free.remove("total_tokens")  # how far each query gets depends on it
        plain = self.model_dump(mode="json", exclude=free)
        return plain | {"parameters": [one.parameters for one in self.served()]}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None


def read_config(source: Path | dict[str, Any]) -> EvalConfig:
    """Read settings from a TOML file, or from what such a file holds.

    Raises:
        ConfigurationError: the file cannot be read, or a setting is unknown or out of its range.
    """
    data = read_toml(source) if isinstance(source, Path) else source
    try:
        return EvalConfig(**data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        inside = first["loc"][:1] == ("models",)
        name = ".".join(str(part) for part in first["loc"][: 3 if inside else 2])
        message = first["msg"].removeprefix("Value error, ")
        known = f" Known: {', '.join((ServedModel if inside else EvalConfig).model_fields)}."
        known = known if first["type"] == "extra_forbidden" else ""
        where = f"{source}: " if isinstance(source, Path) else "eval settings: "
        what = f"{name}={first.get('input')!r}: " if name else ""
        raise ConfigurationError(f"{where}{what}{message}.{known}") from None


@dataclass(frozen=True, slots=True)
class Configuration:
    """One strategy as it is run.

    Attributes:
        strategy: with its parameters.
        label: its spec without ``n``: the curve that it belongs to.
        setting: its ``n``, or None.
        prefix: its checkpoints give the points of smaller ``n``.
    """

    strategy: Strategy
    label: str
    setting: int | None
    prefix: bool


def expand(strategies: Sequence[str | Strategy], budgets: Sequence[int] = ()) -> list[Configuration]:
    """Spread budgets over strategies; what has no ``n``, or was given one (``knockout:n=4``), runs once as it is.

    A strategy whose checkpoints are valid prefixes runs once at the largest value, any other once per value. A value
    that a strategy cannot take (a knockout of one) is left out, unless none remains.

    Raises:
        ConfigurationError: an unknown name or parameter, or no budget that a strategy can take.
    """
    found: dict[str, Configuration] = {}
    for given in strategies:
        strategy = make_strategy(given)
        sized = "n" in type(strategy).model_fields
        if sized and budgets and "n" not in strategy.model_fields_set:
            values = [max(budgets)] if strategy.prefix_valid else sorted(set(budgets))
            made, refused = _at(strategy, values)
            if not made:
                raise ConfigurationError(f"none of the budgets {values} will do: {refused}")
        else:
            made = [strategy]
        for one in made:
            n = getattr(one, "n", None) if sized else None
            configuration = Configuration(one, _label(one), n, one.prefix_valid and n is not None)
            found.setdefault(one.spec, configuration)
    return list(found.values())


def _at(strategy: Strategy, values: Sequence[int]) -> tuple[list[Strategy], str]:
    made: list[Strategy] = []
    refused = ""
    for n in values:
        try:
            made.append(type(strategy)(**{**dict(strategy), "n": n}))
        except ConfigurationError as error:
            refused = str(error)
    return made, refused


def _label(strategy: Strategy) -> str:
    name, parameters = registry.parse_spec("strategy", strategy.spec)
    rest = ",".join(f"{k}=({v})" if "," in v else f"{k}={v}" for k, v in parameters.items() if k != "n")
    return f"{name}:{rest}" if rest else name


def check(config: EvalConfig) -> list[Configuration]:
    """Make everything that the settings name, before anything is started or called; suites are not loaded yet.

    Raises:
        ConfigurationError: an unknown name or parameter, a strategy that lacks a verifier or comparator, or a
            verifier that one of the strategies cannot work with; ``allocate`` without ``total_tokens``, or with a
            strategy whose draws cannot be metered.
    """
    configurations = expand(config.strategies, config.budgets)
    for c in configurations:
        for need, given in (("verifier", config.verifier), ("comparator", config.comparator)):
            if need in c.strategy.requires() and given is None:
                raise ConfigurationError(f"strategy '{c.strategy.name}' needs a {need}: pass --{need} judge")
    verifier = make_verifier(config.verifier)
    for c in configurations:
        c.strategy.accepts(verifier)
    if config.allocate is not None:
        make_allocation(config.allocate)
        for c in configurations:
            check_allocation(c.strategy, total_of(config))
        # How far a query got depended on the others, so that no part of it is what a smaller n would have returned.
        configurations = [replace(c, prefix=False) for c in configurations]
    for suite in config.suites:
        if isinstance(suite, str):
            registry.create("suite", suite)
    make_comparator(config.comparator)
    Budget.parse(config.budget)
    return configurations


def total_of(config: EvalConfig, price: Price | None = None, *, parent: Ledger | None = None) -> Ledger:
    """A ledger with the tokens of the whole run."""
    return Ledger(Budget(total_tokens=config.total_tokens), parent=parent, price=price)


def choose_problems(given: str | Suite, config: EvalConfig) -> tuple[Suite, list[Problem]]:
    """Load a suite and take the problems of a run: each once, all of them or a seeded draw of ``limit``.

    The draw is spread evenly over the levels (a suite is often in their order), and kept in the suite's order.

    Raises:
        ConfigurationError: the suite cannot be had, or is empty.
    """
    # Its name is the spec as it was given: that is what loads it again, for a report or to resume.
    suite = replace(load_suite(given), name=given) if isinstance(given, str) else given
    problems = list({p.query.id: p for p in suite.problems}.values())
    if not problems:
        raise ConfigurationError(f"suite '{suite.name}' has no problems")
    if config.leave_out_tuned:
        strategies = [c.strategy for c in expand(config.strategies, config.budgets)]
        problems = without_tuned(strategies, suite, problems)
    if config.limit is not None and config.limit < len(problems):
        rng = random.Random(config.sample_seed)
        levels: dict[str, list[int]] = {}
        for i in rng.sample(range(len(problems)), len(problems)):
            levels.setdefault(problems[i].query.tags.get("level", ""), []).append(i)
        dealt = [i for hand in zip_longest(*(levels[level] for level in sorted(levels))) for i in hand if i is not None]
        problems = [problems[i] for i in sorted(dealt[: config.limit])]
    return suite, problems
