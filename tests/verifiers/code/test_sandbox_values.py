"""Values cross between the processes exactly, and none that lies makes a false assertion true."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttc.verifiers.code import Limits, Sandbox
from ttc.verifiers.code.canonical_text import canonical_text
from ttc.verifiers.code.plain_data import Malformed, decode, encode

SLOW = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ZONES = st.none() | st.just(datetime.UTC)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.complex_numbers()
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3))
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.sampled_from([int, str, list, type(None)])
)


@st.composite
def scalars(draw: Any) -> Any:
    return draw(SCALARS)


@st.composite
def hashables(draw: Any) -> Any:
    return draw(HASHABLE)


@st.composite
def values(draw: Any) -> Any:  # a strategy of a short name: hypothesis writes them down
    return draw(VALUES)


HASHABLE = st.recursive(
    scalars(),
    lambda inner: st.lists(inner, max_size=2).map(tuple) | st.frozensets(inner, max_size=2),
    max_leaves=4,
)
VALUES = st.recursive(
    hashables(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hashables(), inner, max_size=3)
        | st.sets(hashables(), max_size=3)
        | st.lists(inner, max_size=3).map(deque)
        | st.binary().map(bytearray)
        | st.lists(st.tuples(hashables(), inner), max_size=3).map(OrderedDict)
    ),
    max_leaves=8,
)


def refused(value: Any) -> Any:
    raise TypeError(f"{value!r} is no plain data")


def crossed(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value, refused))), refused)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types all the way down, nan being nan and -0.0 not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, list(one.items()), list(other.items())))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other)) or one == other
    return one == other


@given(values())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_plain_values_survive_the_crossing_exactly(value: Any):
    assert same(crossed(value), value)


@given(values())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_equal_values_have_equal_texts(value: Any):
    assert canonical_text(crossed(value)) == canonical_text(value)


@given(st.integers(-(10**30), 10**30))
def test_a_whole_number_has_one_text_whatever_its_type(number: int):
    same_number = [number, Fraction(number), Decimal(number)]
    if int(float(number)) == number:
        same_number += [float(number), complex(number)]
    assert {canonical_text(each) for each in same_number} == {str(number)}


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_floats_have_equal_texts_only_if_they_are_equal(one: float, other: float):
    assert (canonical_text(one) == canonical_text(other)) == (one == other)
    if math.isfinite(one):
        assert canonical_text(Fraction(one)) == canonical_text(one)


def test_subclasses_arrive_as_what_they_are_made_of():
    class Number(IntEnum):
        TWO = 2

    class Liar(int):
        __hash__ = int.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __int__(self) -> int:
            return 9

        def __index__(self) -> int:
            return 9

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "9"

    class Items(list[Any]):
        def __iter__(self) -> Any:
            return iter([9])

    for value, expected in [
        (Liar(7), 7),
        (Number.TWO, 2),
        (Text("x"), "x"),
        (Items([1]), [1]),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (namedtuple("P", "x y")(1, 2), (1, 2)),
    ]:
        found = crossed(value)
        assert found == expected
        assert type(found) is type(expected)
    with pytest.raises(TypeError, match="no plain data"):
        crossed([object()])


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*"itsfdokbcrqnDyh", "ba", "", "x"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_no_encoding_is_malformed_and_nothing_else(data: Any):
    def unknown(inside: Any) -> Any:
        raise KeyError(inside)

    with contextlib.suppress(Malformed):
        decode(data, unknown)


# -- through the sandbox -----------------------------------------------------------------------------------------------

LIARS = """
class Int(int):
    __hash__ = int.__hash__
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __bool__ = lambda s: True
    __sub__ = __rsub__ = lambda s, o: 0
class Str(str):
    __hash__ = str.__hash__
    __eq__ = __contains__ = lambda s, o: True
    __ne__ = lambda s, o: False
class List(list):
    __eq__ = __contains__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __len__ = lambda s: 1
class Any:
    __eq__ = __contains__ = __le__ = __ge__ = __lt__ = __gt__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __hash__ = lambda s: 0
    __bool__ = lambda s: True
    __len__ = __float__ = __index__ = lambda s: 1
    __getattr__ = lambda s, n: s
    __call__ = lambda s, *a, **k: s
    __iter__ = lambda s: iter([s])
    __getitem__ = lambda s, i: s
    __sub__ = __rsub__ = __abs__ = lambda s, *o: 0
"""
LEAVES = st.sampled_from(
    ["Int(7)", "Str('x')", "List()", "List([1])", "Any()", "Any", "Int(0)", "7", "None", "()", "Int"]
)
HOSTILE = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda xs: f"[{', '.join(xs)}]")
        | st.lists(inner, min_size=1, max_size=3).map(lambda xs: f"({', '.join(xs)},)")
        | inner.map(lambda x: f"List({x} if isinstance({x}, list) else [{x}])")
        | inner.map(lambda x: f"{{'k': {x}}}")
        | inner.map(lambda x: f"iter([{x}])")
        | inner.map(lambda x: f"(lambda *a, **k: {x})")
    ),
    max_leaves=5,
)
WANTED = st.sampled_from(
    ["'an answer'", "-1234577", "[-1234577]", "('an answer',)", "{'k': 'an answer'}", "-0.125", "{-5}"]
)
FORMS = st.sampled_from(
    [
        "assert f() == {0}",
        "assert {0} == f()",
        "assert not (f() != {0})",
        "assert [f()] == [{0}]",
        "assert f() in [{0}]",
        "assert {{'a': f()}} == {{'a': {0}}}",
        "assert (1, f()) == (1, {0})",
        "x = f()\nassert type(x) is type({0}) and x == {0}",
        "assert repr(f()) == repr({0})",
        "assert str(f()) == str({0})",
    ]
)


@pytest.mark.anyio
@given(st.lists(st.tuples(HOSTILE, FORMS, WANTED), min_size=8, max_size=8))
@SLOW
async def test_no_hostile_value_passes_an_assertion_that_is_false(sandbox: Sandbox, cases: list[tuple[str, str, str]]):
    values = ", ".join(f"lambda: {value}" for value, _, _ in cases)
    source = f"{LIARS}\nvalues = iter([{values}])\ndef f():\n    return next(values)()\n"
    tests = [form.format(wanted) for _, form, wanted in cases]
    results = await sandbox.check(source, tests, limits=Limits(seconds=10))
    assert [(test, result) for test, result in zip(tests, results, strict=True) if result.passed] == []


@pytest.mark.anyio
@given(st.lists(values(), min_size=1, max_size=8))
@SLOW
async def test_values_come_back_from_the_program_as_they_went(sandbox: Sandbox, values: list[Any]):
    source = "def same(x): return x"
    setup = f"""
import json, sys
DATA = json.loads({json.dumps(json.dumps([encode(v, refused) for v in values]))})
decode = sys.modules["ttc.verifiers.code.plain_data"].decode
encode = sys.modules["ttc.verifiers.code.plain_data"].encode
VALUES = [decode(d, None) for d in DATA]
"""
    checks = [
        f"before = VALUES[{i}]\nafter = same(before)\nassert type(after) is type(before) and "
        f"sorted(json.dumps(encode(after, None))) == sorted(json.dumps(encode(before, None)))"
        for i in range(len(values))
    ]
    assert {r.status for r in await sandbox.check(source, checks, setup=setup, limits=Limits(seconds=10))} == {"passed"}
