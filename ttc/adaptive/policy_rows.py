"""The rows of a policy: what is done with a query of one class in one range of difficulty, as a file holds it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from ttc.adaptive.query_class import DEFAULT
from ttc.budget import Budget
from ttc.pools import EFFORTS, is_thinking
from ttc.strategy import make_strategy

__all__ = [
    "Escalation",
    "Estimation",
    "Expected",
    "MisplacedValue",
    "Name",
    "PolicyPart",
    "Row",
    "is_thinking",
    "rounded",
]


class MisplacedValue(ValueError):
    """A value that does not go with others; ``loc`` is its place in the file, e.g. ``("row", 2, "difficulty")``."""

    def __init__(self, loc: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.loc = loc


def rounded(digits: int) -> AfterValidator:
    """Keep what a person can read: the file then holds exactly what the object does."""
    return AfterValidator(lambda value: float(f"{value:.{digits}g}"))


def _spec(spec: str) -> str:
    if spec:
        if re.search(r"(^|[=(])\s*adaptive\b", spec):
            raise ValueError("a row of a policy cannot be adaptive itself: name the strategy that it is to run")
        make_strategy(spec)
    return spec


def _budget(text: str) -> str:
    Budget.parse(text)
    return text


def _thinking(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _thinks(value: str) -> str:
    if not is_thinking(value):
        raise ValueError(f"must be empty, {', '.join(EFFORTS)}, or the tokens that a sample may think, e.g. 512")
    return value


Share = Annotated[StrictFloat, Field(ge=0, le=1), AfterValidator(lambda p: round(p, 4))]
Amount = Annotated[StrictFloat, Field(ge=0), rounded(6)]
Spec = Annotated[str, AfterValidator(_spec)]
Limits = Annotated[str, AfterValidator(_budget)]
Thinking = Annotated[str, BeforeValidator(_thinking), AfterValidator(_thinks)]
Name = Annotated[str, StringConstraints(min_length=1)]


class PolicyPart(BaseModel):
    """What all parts of a policy have in common: unknown fields and infinite numbers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Expected(PolicyPart):
    """What was measured out of fold, on problems that had no part in the choice; with 95% intervals over problems."""

    accuracy: Share = Field(description="share of right answers")
    accuracy_interval: tuple[Share, Share] = Field(description="its interval")
    cost: Amount = Field(description="mean cost of a query, in the policy's unit, probe included")
    cost_interval: tuple[Amount, Amount] = Field(description="its interval")
    problems: StrictInt = Field(ge=1, description="problems behind it")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("accuracy", "cost"):
            low, high = getattr(self, f"{name}_interval")
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"the {name} {getattr(self, name):g} is not in its interval [{low:g}, {high:g}]")
        return self


class Escalation(PolicyPart):
    """What follows where the confidence stays low when a row's strategy has ended."""

    below: Annotated[StrictFloat, Field(gt=0, le=1)] = Field(description="confidence under which it is done")
    strategy: Annotated[Spec, Field(min_length=1)] = Field(description="strategy to go on with")
    stop: str = Field(default="", description="learned stop that meters its samples; empty: none")
    model: str = Field(default="", description="which model of a fleet; empty: the row's")
    thinking: Thinking = Field(default="", description="as in a row")
    budget: Limits = Field(default="", description="hard limits of this step")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _stoppable(self.stop, self.strategy)
        return self


def _stoppable(stop: str, strategy: str) -> None:
    if stop and not (strategy and make_strategy(strategy).paceable):
        raise ValueError(
            f"a learned stop needs a strategy that may be stopped after any sample, as majority; '{strategy}' is none"
        )


class Row(PolicyPart):
    """What to do with a query of one class in one range of difficulty."""

    query_class: Name = Field(
        validation_alias="class",
        serialization_alias="class",
        description=f"'{DEFAULT}': any that has no rows of its own",
    )
    difficulty: tuple[Share, Share] = Field(
        default=(0.0, 1.0), description="P(one sample is correct): from low up to high, which 1 alone includes"
    )
    strategy: Spec = Field(description="strategy; empty: return what the probe says")
    stop: str = Field(default="", description="learned stop that meters the strategy's samples; empty: none")
    thinking: Thinking = Field(
        default="", description="empty: as drawn; off; an effort; or the tokens a sample may think before it answers"
    )
    model: str = Field(default="", description="which model of a fleet; empty: the first one")
    verifier: str = Field(default="", description="what the strategy was tuned with; another one is refused")
    budget: Limits = Field(default="", description="hard limits on what follows the probe")
    give_up: StrictBool = Field(default=False, description="more would not pay: return what the probe says")
    escalate: Escalation | None = Field(default=None, description="where the confidence stays low")
    expected: Expected | None = Field(default=None, description="what was measured out of fold")

    @field_validator("difficulty")
    @classmethod
    def _from_low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError(f"from {value[0]:g} to {value[1]:g} there is nothing: give [low, high]")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.give_up and (self.strategy or self.escalate):
            raise ValueError('a row that gives up returns what the probe says: strategy = "", and no escalation')
        _stoppable(self.stop, self.strategy)
        if self.escalate and self.strategy and not make_strategy(self.strategy).paceable:
            raise ValueError(
                "whether to escalate is judged by how far the samples agree, and of those that "
                f"'{self.strategy}' draws nobody else sees all: take one as majority or best_of_n"
            )
        return self

    @property
    def does(self) -> str:
        """What it does, in words or as a spec."""
        return self.strategy or ("give up" if self.give_up else "the probe's answer")


class Estimation(PolicyPart):
    """How the difficulty of a query is estimated, before a row is picked."""

    estimator: Literal["prompt", "probe", "verifier", "none"] = Field(
        default="probe", description="what it goes by; 'oracle' is for analysis and in no policy"
    )
    probe: Annotated[StrictInt, Field(ge=0, le=64)] = Field(
        default=4, description="samples drawn first, which the strategy then has"
    )
    cap: Annotated[StrictInt, Field(ge=1)] | None = Field(default=None, description="tokens of one of those samples")
    model: str = Field(default="", description="which model of a fleet draws them; empty: the first one")
    thinking: Thinking = Field(default="", description="as in a row, of those samples")
    verifier: str = Field(default="", description="what scores the probe")

    @field_validator("estimator", mode="before")
    @classmethod
    def _no_oracle(cls, value: Any) -> Any:
        if value == "oracle":
            raise ValueError("the oracle knows verdicts: it is for analysis, and a policy cannot use it")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.estimator in ("probe", "verifier") and not self.probe:
            raise ValueError(f"estimator '{self.estimator}' needs samples: probe = 4")
        if self.estimator == "verifier" and not self.verifier:
            raise ValueError("estimator 'verifier' needs one: verifier = \"self_certainty\"")
        return self
