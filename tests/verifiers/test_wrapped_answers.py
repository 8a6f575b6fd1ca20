"""Every answer type serves a wrapped client: by name, as an object, and as the class of a pydantic model."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

import ttc
from ttc.answer_type import make_answer_type
from ttc.errors import ConfigurationError
from ttc.testing import FakeServer, Reply
from ttc.types import Query
from ttc.verifiers.answers import JsonAnswer
from ttc.verifiers.maths import NumberAnswer


class Place(BaseModel):
    city: str
    people: int = 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer_type", "replies", "answer"),
    [
        ("json", ['{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}', "none"], ('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}')),
        ("json:field=city", ['{"city": "Oslo", "x": 1}', '{"x": 2, "city": "Oslo"}', '{"city": "Rome"}'], ("Oslo",)),
        ("json:fields=(a+b)", ['{"a": 1, "b": 2, "c": 3}', '{"c": 4, "a": 1, "b": 2}', "{}"], ('{"a":1,"b":2}',)),
        (Place, ['{"city": "Oslo"}', '{"city": "Oslo", "people": 0}', '{"x": 1}'], ('{"city":"Oslo","people":0}',)),
        (JsonAnswer(model=Place, field="city"), ['{"city": "Oslo"}', '{"city": "Oslo", "people": 7}', "x"], ("Oslo",)),
        (r"regex:pattern=(city=(\w+), ok)", ["city=Oslo, ok", "so city=oslo, ok", "city=Rome"], ("Oslo", "oslo")),
        ("free_text", ["The answer is: Oslo.", "oslo", "Rome"], ("Oslo.", "oslo")),
        ("number", ["17", "it is 17.0", "3"], ("17", "17.0")),
        ("choice", ["(B)", "The answer is B.", "(A)"], ("B",)),
        ("text", ["yes", " YES ", "no"], ("yes", "YES")),
    ],
    ids=str,
)
async def test_a_wrapped_call_votes_on_it(answer_type: Any, replies: list[str], answer: tuple[str, ...]) -> None:
    async with FakeServer(lambda body, k: Reply(text=replies[k]), model="m") as server:
        client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none")
        async with ttc.wrap(client, "majority:n=3,stop=never,wave=1", answer_type=answer_type) as wrapped:
            completion = await wrapped.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
    assert completion.ttc.answer in answer


def test_a_query_takes_a_model_as_well() -> None:
    assert Query.of("?", answer_type=Place).answer_type.extract('{"city": "Oslo"}') == '{"city":"Oslo","people":0}'


def test_a_class_that_is_no_model_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"answer_type=NumberAnswer: give .* the class of a pydantic model"):
        make_answer_type(NumberAnswer)
