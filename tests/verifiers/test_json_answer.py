"""JSON answers: the last document of a text, read exactly, in linear time, and equal by value."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ttc import registry
from ttc.errors import ConfigurationError
from ttc.models.scripted import Scripted
from ttc.solve import solve
from ttc.types import Query
from ttc.verifiers.answers import JsonAnswer, canonical_json, last_document, read_json

WHOLE = JsonAnswer()


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('First {"a": 1}, then {"a": 2}.', '{"a": 2}'),
        ('So:\n```json\n{"a": 1}\n```\nI left out {"b": 2}.', '{"a": 1}'),
        ('```json\n{"a": 1}\n```\nBetter:\n``` JSON\n{"a": 2}\n```', '{"a": 2}'),
        ('```json\n{"a": 1', None),
        ('```python\nx = {1: 2}\n```\n{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": [1, 2]}', '{"a": [1, 2]}'),  # the fence was not closed, the document was
        ('The set {1, 2} gives {"a": {"b": []}} as shown in [3].', '{"a": {"b": []}}'),
        ("The list is [1, 2].", "[1, 2]"),
        ('{"a": "}{[", "b": "\\"}"}', '{"a": "}{[", "b": "\\"}"}'),
        ('{"steps": [1, 2], "answer": ', None),  # it broke off: what it holds is no answer
        ('{"a": 1} {"b": 2, oops}', '{"a": 1}'),
        ("{'a': 1}", None),
        ('{"a": NaN}', None),
        ('He said "{" and then {"a": 1}', '{"a": 1}'),
        ('{"a": "\\ud800"}', None),  # half a character
        ("[}", None),
        ("no JSON", None),
        ("42", None),
        ("", None),
    ],
)
def test_the_last_document_is_found(text: str, document: str | None) -> None:
    assert last_document(text) == document


def test_thoughts_hold_no_answer() -> None:
    assert WHOLE.extract('<think>maybe {"a": 1}</think> {"a": 2}') == '{"a": 2}'
    assert WHOLE.extract('<think>maybe {"a": 1}') is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ('{"a": 1, "b": [2, "x"]}', '{ "b":[2.0,"x"] ,"a":1e0 }'),
        ("[100]", "[1e2]"),
        ("[0.50]", "[5e-1]"),
        ("[-0]", "[0.0]"),
        ('["\\u00e9"]', '["é"]'),
        ('{"a": 100000000000000000000000001}', '{"a": 100000000000000000000000001.0}'),
    ],
)
def test_documents_are_equal_by_value(a: str, b: str) -> None:
    assert WHOLE.key(a) == WHOLE.key(b) != ""
    assert WHOLE.equivalent(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": true}'),
        ("[1, 2]", "[2, 1]"),
        ("[]", "{}"),
        ("[null]", "[]"),
        ("[100000000000000000000000001]", "[100000000000000000000000002]"),
        ("[0.1]", "[0.10000000000000001]"),
    ],
)
def test_documents_that_differ_differ(a: str, b: str) -> None:
    assert not WHOLE.equivalent(a, b)


@pytest.mark.parametrize("nothing", ["", " ", "x", "{", '{"a": }', "[NaN]", "[" * 100_000, "[1e99999999999999999999]"])
def test_what_is_no_document_equals_nothing(nothing: str) -> None:
    assert WHOLE.key(nothing) == ""
    assert not WHOLE.equivalent(nothing, nothing)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
).filter(lambda d: isinstance(d, list | dict))


@given(document=DOCUMENTS, indent=st.sampled_from([None, 1, 3]), before=st.text(alphabet='ab "\n,:', max_size=9))
def test_any_document_is_found_in_any_text_and_equals_itself_however_it_is_written(
    document: Any, indent: int | None, before: str
) -> None:
    text = before + json.dumps(document, indent=indent) + "\nThat is all."
    found = WHOLE.extract(text)
    assert found is not None
    assert json.loads(found) == document
    assert WHOLE.key(found) == WHOLE.key(json.dumps(document, sort_keys=True, ensure_ascii=False))
    assert read_json(canonical_json(read_json(found))) == read_json(found)


# -- fields and models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "text", "answer"),
    [
        ("json:field=answer", '{"why": "so", "answer": " Paris "}', "Paris"),
        ("json:field=answer", '{"answer": 5.0}', "5"),
        ("json:field=answer", '{"answer": {"b": 1, "a": 2}}', '{"a":2,"b":1}'),
        ("json:field=answer", '{"answer": null}', None),
        ("json:field=answer", '{"answer": ""}', None),
        ("json:field=answer", '{"other": 5}', None),
        ("json:field=answer", "[5]", None),
        ("json:fields=(a+b)", '{"why": "so", "b": 2, "a": 1}', '{"a":1,"b":2}'),
        ("json:fields=(a+b)", '{"a": 1}', None),
        ("json", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_declared_fields_are_what_counts(spec: str, text: str, answer: str | None) -> None:
    assert registry.create("answer type", spec).extract(text) == answer


def test_one_field_is_compared_as_text_or_by_value() -> None:
    field = JsonAnswer(field="answer")
    assert field.equivalent("5", "5.0")
    assert field.equivalent("Paris", "Paris ")
    assert not field.equivalent("Paris", "London")
    assert field.key("") == ""


@pytest.mark.parametrize(
    "spec", ["json:field=a,fields=(b+c)", "json:fields=(a+)", "json:model=int", "json:path=a", "json:field="]
)
def test_a_wrong_declaration_is_said(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="json"):
        registry.create("answer type", spec)


class Invoice(BaseModel):
    total: float = Field(ge=0)
    currency: str = "EUR"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"total": 5}', '{"currency":"EUR","total":5}'),
        ('{"currency": "EUR", "total": "5.0"}', '{"currency":"EUR","total":5}'),
        ('{"total": -5}', None),
        ('{"sum": 5}', None),
        ("[5]", None),
    ],
)
def test_what_a_model_does_not_accept_is_no_answer(text: str, answer: str | None) -> None:
    assert JsonAnswer(model=Invoice).extract(text) == answer


def test_fields_of_a_model() -> None:
    assert JsonAnswer(model=Invoice, field="currency").extract('{"total": 5}') == "EUR"


@pytest.mark.anyio
async def test_a_vote_over_documents_is_about_their_values() -> None:
    replies = ['{"total": 5, "currency": "EUR"}', '{"total": 7}', 'So it is {"currency": "EUR", "total": 5.0}', "none"]
    model = Scripted(lambda request: replies[request.index])
    outcome = await solve(Query.of("?", answer_type=JsonAnswer(model=Invoice)), "majority:n=4,stop=never", model)
    assert outcome.answer == '{"currency":"EUR","total":5}'


# -- hostile texts ----------------------------------------------------------------------------------------------------

_HOSTILE = r"""
from ttc.verifiers.answers import FreeTextAnswer, JsonAnswer, RegexAnswer

units = [
    "{", "[", "{\"", "[\"", "{\"a\":", "{\"a\":[", "\"", "\\\"", "[\\\"", "{\"\\\"", "1", "[1,", "-", "1e", "]", "}",
    " ", "\n", "```json\n", "```\n", "```json\n{\n", "{\"a\":1}", "[\"\n", "[ \"", "{\"\\", "<think>", "a.", "-1",
    "{\"a\" x", "{\"[\" x", "[\"[\"",
]
kinds = [JsonAnswer(), JsonAnswer(field="a"), FreeTextAnswer(), RegexAnswer(pattern="1(.*x)?")]
for unit in units:
    for text in (unit * (100_000 // len(unit)), unit * (50_000 // len(unit)) + "{\"a\": 5}"):
        for kind in kinds:
            answer = kind.extract(text)
            if answer is not None:
                kind.key(answer)
print("all", len(units))
"""


def test_no_text_takes_more_than_linear_time() -> None:
    """Anything quadratic would take hours for these; the limit only turns a hang into a failure."""
    ran = subprocess.run([sys.executable, "-c", _HOSTILE], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("all ")
