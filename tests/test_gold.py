"""No strategy and no verifier reaches a gold answer: not by type, and not by walking all that a session leads to."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import inspect
import re
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

import ttc.session
import ttc.strategy
import ttc.types
import ttc.verifier
from ttc import Budget, Outcome, Query, Session, Strategy, Verifier, VLLMServer
from ttc.evals.config import EvalConfig
from ttc.evals.runner import run_eval
from ttc.evals.suite import Problem, Suite, SuiteConfig
from ttc.testing import FakeServer

GOLD = "GOLD-7f3a"


# -- by type -------------------------------------------------------------------------------------------------------


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for name in ("id", "attr", "arg", "name"):
            value = getattr(node, name, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # an annotation in quotes


@pytest.mark.parametrize("module", [ttc.session, ttc.types, ttc.strategy, ttc.verifier], ids=lambda m: m.__name__)
def test_what_strategies_see_has_no_word_for_gold(module: types.ModuleType):
    tree = ast.parse(inspect.getsource(module))
    assert [name for name in identifiers(tree) if re.search("gold|grade|problem|suite", name, re.IGNORECASE)] == []


def classes_in(hint: Any) -> Iterator[type]:
    """The classes that an annotation names, those inside of it as well."""
    if isinstance(hint, type):
        yield hint
    for part in typing.get_args(hint):
        yield from classes_in(part)


def leads_to(start: type) -> set[type]:
    """Every class of ours that annotations lead to: of fields, properties, arguments and results."""
    names = {**vars(ttc.session), **vars(ttc.types), **vars(ttc.verifier), "Strategy": Strategy}
    seen: set[type] = set()
    ahead = [start]
    while ahead:
        cls = ahead.pop()
        if cls in seen or not cls.__module__.startswith("ttc."):
            continue
        seen.add(cls)
        members = [m.fget if isinstance(m, property) else m for m in vars(cls).values()]
        for thing in (cls, *filter(inspect.isfunction, members)):
            module = vars(inspect.getmodule(thing))
            for hint in typing.get_type_hints(thing, globalns={**names, **module}).values():
                ahead.extend(classes_in(hint))
    return seen


def test_no_annotation_leads_from_a_session_to_a_problem():
    reached = leads_to(Session) | leads_to(Strategy) | leads_to(Verifier) | leads_to(Outcome)
    assert {Session, Query, Outcome, Budget} - reached == set()
    assert reached & {Problem, Suite, SuiteConfig} == set()
    assert Query in leads_to(Problem)  # a problem leads to its query, so the walk does follow fields


# -- by walking ----------------------------------------------------------------------------------------------------

#: what leads to the whole interpreter: whoever asks that for its frames and modules can find anything
EVERYTHING = (types.ModuleType, type, types.FrameType, types.CodeType, asyncio.AbstractEventLoop)
ATOMS = (int, float, complex, bool, type(None), types.BuiltinFunctionType, types.GetSetDescriptorType)


@dataclass
class Walk:
    """What one object leads to, by attributes, slots, items, closures, defaults and bound methods.

    Attributes:
        found: the ways to what was looked for.
        met: the names of the classes that were come across.
    """

    found: list[str] = field(default_factory=list[str])
    met: set[str] = field(default_factory=set[str])
    objects: int = 0

    def walk(self, start: Any, needle: str) -> Walk:
        seen: dict[int, Any] = {}  # the objects themselves, so that no id is given out twice meanwhile
        ahead: list[tuple[str, Any]] = [("session", start)]
        while ahead:
            way, thing = ahead.pop()
            if isinstance(thing, str | bytes | bytearray | Path):
                if needle in (thing.decode(errors="replace") if isinstance(thing, bytes | bytearray) else str(thing)):
                    self.found.append(way)
                continue
            if id(thing) in seen or isinstance(thing, EVERYTHING + ATOMS):
                continue
            seen[id(thing)] = thing
            self.met.add(type(thing).__name__)
            ahead.extend((way + step, part) for step, part in parts(thing))
        self.objects += len(seen)
        return self


def items(thing: Any) -> Iterator[tuple[str, Any]]:
    """What a collection holds."""
    if isinstance(thing, Mapping):
        for i, (key, value) in enumerate(list(cast("Mapping[Any, Any]", thing).items())):
            yield f".keys[{i}]", key
            yield f"[{key!r}]", value
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        for i, value in enumerate(list(cast("list[Any]", thing))):
            yield f"[{i}]", value


def parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with the step that leads there. Frames of coroutines are not opened: see EVERYTHING."""
    yield from items(thing)
    yield from ((f".{name}", value) for name, value in list(getattr(thing, "__dict__", {}).items()))
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{cls.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                yield f".{name}", getattr(thing, name)
    for name in ("__self__", "__func__", "__wrapped__", "__closure__", "__defaults__", "__kwdefaults__"):
        if isinstance(thing, types.FunctionType | types.MethodType | types.MethodWrapperType) and hasattr(thing, name):
            yield f".{name}", getattr(thing, name)
    if isinstance(thing, types.CellType):
        with contextlib.suppress(ValueError):  # an empty cell
            yield ".cell_contents", thing.cell_contents
    if isinstance(thing, functools.partial):
        made = cast("functools.partial[Any]", thing)
        yield ".partial", (made.func, made.args, made.keywords)


class Slotted:
    __slots__ = ("__hidden", "shown")

    def __init__(self, hidden: Any) -> None:
        self.__hidden = hidden

    def method(self) -> None: ...


def closure(value: Any) -> Any:
    return lambda: value


def default(value: Any) -> Any:
    return lambda value=value: value


HIDING_PLACES: dict[str, Callable[[Any], Any]] = {
    "items": lambda gold: [{"a": (gold,)}],
    "keys": lambda gold: {gold: 1},
    "sets": lambda gold: {gold},
    "attributes": lambda gold: types.SimpleNamespace(a=types.SimpleNamespace(b=gold)),
    "slots": Slotted,
    "bound method": lambda gold: Slotted(gold).method,
    "closure": closure,
    "default": default,
    "partial": lambda gold: functools.partial(print, end=gold),
    "problem": lambda gold: Problem(Query.of("?"), gold),
    "suite": lambda gold: Suite("s", [Problem(Query.of("?"), gold)]).grade,
    "bytes": lambda gold: f"The answer is {gold}.".encode(),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_the_walk_finds_gold_wherever_it_is_hidden(place: str):
    hide = HIDING_PLACES[place]
    assert len(Walk().walk(types.SimpleNamespace(a=[hide(GOLD)]), GOLD).found) == 1
    assert Walk().walk(types.SimpleNamespace(a=[hide("something else")]), GOLD).found == []


class Spy(Strategy):
    """Uses every verb of its session, and looks for gold all the time."""

    needs: ClassVar[frozenset[str]] = frozenset({"verifier", "comparator"})
    walk: ClassVar[Walk] = Walk()

    async def solve(self, query: Query, session: Session) -> None:
        self.walk.walk([query, session], GOLD)
        async with session.sample(n=4) as samples:
            drawn = [candidate async for candidate in samples]
            self.walk.walk([query, session, samples, drawn], GOLD)
        scored = await session.score(drawn)
        await session.compare(scored[0], scored[1])
        async with session.within(Budget(generated_tokens=500), hand_on=drawn[:1]) as child:
            session.propose(await child.generate())
            self.walk.walk(child, GOLD)
        self.walk.walk([query, session, session.rng, session.verifier, session.comparator], GOLD)


def files_with(needle: str, folder: Path) -> list[str]:
    return [f.name for f in folder.rglob("*") if f.is_file() and needle.encode() in f.read_bytes()]


@pytest.mark.anyio
async def test_nothing_that_a_session_leads_to_in_an_eval_holds_a_gold_answer(tmp_path: Path):
    problems = [Problem(Query.of(f"What is {i} + {i}?", answer_type="text"), f"{GOLD}-{i}") for i in range(3)]
    suite = Suite("marked", problems)
    Spy.walk = Walk()
    config = EvalConfig.model_validate(
        {
            "suites": (suite,),
            "strategies": (Spy(),),
            "verifier": "self_certainty",
            "comparator": "judge",
            "runs": tmp_path,
            "run_id": "spied",
        }
    )
    async with FakeServer() as server, VLLMServer(server.url) as model:
        run = await run_eval(config, model)
    # The walk went where it should, and the grader did have the gold answers.
    assert run.progress.done == 3
    assert {"VLLMServer", "DrainedCalls", "Store", "Ledger", "SelfCertainty", "JudgeComparator"} <= Spy.walk.met
    assert Spy.walk.objects > 1000
    assert await suite.grade(problems[0], f"{GOLD}-0") == "right"
    assert Spy.walk.found == []
    # Nor does the run directory, which a strategy could open, hold it.
    assert files_with(GOLD, tmp_path) == []
    assert files_with("What is 0 + 0?", tmp_path) != []
