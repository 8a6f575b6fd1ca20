"""A wrong name or value is one clear error before any call: it names what was nearest, and what would have done."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import pytest
from annotated_types import Ge, Gt
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from ttc import registry
from ttc.errors import ConfigurationError, UnknownName
from ttc.models.scripted import Scripted
from ttc.registry import valid_range
from ttc.solve import solve
from ttc.strategy import Strategy, make_strategy

STRATEGIES = registry.names("strategy")


def fields_of(strategy: str) -> dict[str, FieldInfo]:
    made: type[Strategy] = registry.load("strategy", strategy)
    return made.model_fields


def least(field: FieldInfo) -> float | None:
    """The value just below all that a parameter may be, where there is one."""
    for limit in field.metadata:
        if isinstance(limit, Ge | Gt):
            bound = limit.ge if isinstance(limit, Ge) else limit.gt
            assert isinstance(bound, int | float)
            return bound - 1
    return None


BOUNDED = [(s, name, field) for s in STRATEGIES for name, field in fields_of(s).items() if least(field) is not None]
CHOSEN = [(s, name, f) for s in STRATEGIES for name, f in fields_of(s).items() if " or " in valid_range(f)]


@pytest.mark.parametrize(("strategy", "name", "field"), BOUNDED, ids=[f"{s}:{n}" for s, n, _ in BOUNDED])
def test_a_value_below_its_range_names_the_range(strategy: str, name: str, field: FieldInfo) -> None:
    value = f"{least(field):g}"
    says = f"strategy '{strategy}': {name}={value}: must be {valid_range(field)}"
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        registry.create("strategy", f"{strategy}:{name}={value}")


@pytest.mark.parametrize(("strategy", "name", "field"), CHOSEN, ids=[f"{s}:{n}" for s, n, _ in CHOSEN])
def test_a_value_that_is_no_choice_names_the_choices(strategy: str, name: str, field: FieldInfo) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{name}=perhaps: must be {valid_range(field)}")):
        registry.create("strategy", f"{strategy}:{name}=perhaps")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_unknown_parameter_names_all_there_are_with_what_they_take(strategy: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown parameter 'qqq' of strategy '{strategy}'") as caught:
        registry.create("strategy", f"{strategy}:qqq=1")
    for name, field in fields_of(strategy).items():
        allowed = valid_range(field)
        assert (f"{name} ({allowed})" if allowed else name) in str(caught.value)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if fields_of(s)])
def test_a_misspelt_parameter_is_recognised(strategy: str) -> None:
    for name in (n for n in fields_of(strategy) if len(n) > 2):
        with pytest.raises(UnknownName, match=f"Did you mean '{name}'"):
            registry.create("strategy", f"{strategy}:{name}x=1")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_misspelt_strategy_is_recognised(strategy: str) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{strategy}'"):
        registry.create("strategy", f"{strategy}x")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "majority:m=3",
            "unknown parameter 'm' of strategy 'majority'. Did you mean 'n' (samples; 1 to 4096)? Known: n",
        ),
        ("majority:samples=3", "Did you mean 'n' (samples; 1 to 4096)?"),
        ("knockout:comparisons=3", "Did you mean 'k' (comparisons a pair; 1 to 64)?"),
        ("majority:n=many", "n=many: must be a whole number, 1 to 4096"),
        ("majority:n=1.5", "n=1.5: must be a whole number, 1 to 4096"),
        ("majority:n=4097", "n=4097: must be 1 to 4096"),
        ("majority:confidence=.5", "confidence=.5: must be above 0.5 and below 1"),
        ("best_of_n:weighted=maybe", "weighted=maybe: must be true or false"),
        ("single:n=3", "unknown parameter 'n' of strategy 'single'. Known: none"),
        ("majority:n", "'n' is not of the form parameter=value"),
    ],
)
def test_mistakes_say_what_would_have_done(spec: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        registry.create("strategy", spec)


class Knobs(BaseModel):
    plain: str = ""
    open_end: int | None = Field(None, gt=2)
    capped: float = Field(0.0, le=0.25)
    either: Literal["a", "b"] | None = None
    fixed: Literal[7] = 7
    flag: bool = True


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain", ""),
        ("open_end", "above 2"),
        ("capped", "at most 0.25"),
        ("either", "a or b"),
        ("fixed", "7"),
        ("flag", "true or false"),
    ],
)
def test_ranges_come_from_the_constraints_of_a_field(name: str, words: str) -> None:
    assert valid_range(Knobs.model_fields[name]) == words


NEEDY = [(s, need) for s in STRATEGIES for need in sorted(registry.load("strategy", s).needs)]


@pytest.mark.anyio
@pytest.mark.parametrize(("strategy", "need"), NEEDY)
async def test_what_a_strategy_needs_is_asked_for_before_any_call(strategy: str, need: str) -> None:
    model = Scripted(lambda request: "7")
    given = {"verifier": "self_certainty", "comparator": "judge"}
    del given[need]
    with pytest.raises(ConfigurationError, match=f"strategy '{strategy}' needs a {need}"):
        await solve("3 + 4?", strategy, model, verifier=given.get("verifier"), comparator=given.get("comparator"))
    assert model.requests == []


def test_a_spec_in_a_spec_may_hold_another():
    spec = "adaptive:probe=3,hard=(revision:length=2,each=(majority:n=3,stop=beta)),medium=single"
    made = make_strategy(spec)
    assert make_strategy(made.spec) == made
    inner = make_strategy(dict(made)["hard"])
    assert dict(inner)["each"] == "majority:n=3,stop=beta"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("adaptive:hard=(majority:n=3", "a bracket is not closed"),
        ("adaptive:hard=majority:n=3)", "closes no bracket"),
    ],
)
def test_brackets_come_in_pairs(spec: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        make_strategy(spec)


class Named(BaseModel):
    """A thing whose first value may stand without its name."""

    positional: ClassVar[str] = "path"

    path: str
    kind: str = "plain"


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        ("suite:mine.jsonl", Named(path="mine.jsonl")),
        ("suite: mine.jsonl , kind=other", Named(path="mine.jsonl", kind="other")),
        ("suite:(a,b.jsonl),kind=other", Named(path="a,b.jsonl", kind="other")),
        ("suite:kind=other,path=mine.jsonl", Named(path="mine.jsonl", kind="other")),
    ],
)
def test_the_first_value_may_stand_without_its_name_where_the_class_says_which(
    monkeypatch: pytest.MonkeyPatch, spec: str, made: Named
) -> None:
    monkeypatch.setattr(registry, "load", lambda what, name: Named)
    assert registry.create("suite", spec) == made


@pytest.mark.parametrize("spec", ["suite:mine.jsonl,other", "suite:kind=other,mine.jsonl"])
def test_only_the_first_value_may(monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.setattr(registry, "load", lambda what, name: Named)
    with pytest.raises(ConfigurationError, match="is not of the form parameter=value"):
        registry.create("suite", spec)
